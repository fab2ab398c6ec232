"""How often values occur: counted on arrays in memory where they can be, otherwise on what DuckDB finds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.query import Node
from saccade.core.query.nodes import Type
from saccade.core.schema import Column
from saccade.store.query.column_cache import Counts, Numbers, Part, Texts, UnfitError
from saccade.store.query.executor import in_duckdb, of_each, several_at_once
from saccade.store.query.sql_compiler import quoted, to_sql
from saccade.store.query.vectorized import Values, Vectors
from saccade.store.table.snapshot import Snapshot

MOST_VALUES = 1000
_NOTHING = pa.table({"v": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
_THING = '"#o"'  # no column of a user can have this name
_HUGE = 1e280
_TOGETHER = 1 << 16
"""So many numbers at a time are put into bins: what is made of them on the way stays in the processor."""


def histogram(
    snapshot: Snapshot, expression: Node, *, where: Node | None, over: Column | None, bins: int
) -> dict[str, Any]:
    """How often each value occurs: in equal bins for numbers, one by one for text and truth.

    ``missing`` counts the items or objects without a value, ``infinite`` the numbers that are not finite.
    """

    def values(part: Part) -> Values:
        return _values_of(part, expression, where, over)

    if expression.type is Type.NUMBER:
        try:
            numbers = of_each(snapshot, lambda part: _numbers(values(part)))
        except UnfitError:
            found = _values_by_sql(snapshot, expression, where, over).cast(pa.float64())
            numbers = [found.to_numpy(zero_copy_only=False)]
        return {"type": "number", **_in_bins(numbers, bins)}
    try:
        counted = of_each(snapshot, lambda part: _counted(values(part)))
    except UnfitError:
        pairs = pc.value_counts(_values_by_sql(snapshot, expression, where, over))
        counted = [pa.table({"v": pairs.field("values"), "n": pairs.field("counts")})]
    kind = "text" if expression.type is Type.TEXT else "truth"
    return {"type": kind, **_one_by_one(pa.concat_tables(counted or [_NOTHING]))}


def _values_of(part: Part, expression: Node, where: Node | None, over: Column | None) -> Values:
    found = Vectors(part, over).of(expression)
    if where is None:
        return found
    chosen = Vectors(part).truths(where)
    if over is not None:
        chosen = chosen.repeat(Vectors(part).lists(over).counts)
    return Texts(found.codes[chosen], found.words) if isinstance(found, Texts) else found[chosen]


def _values_by_sql(snapshot: Snapshot, expression: Node, where: Node | None, over: Column | None) -> pa.Array:
    condition = "true" if where is None else to_sql(where)
    rows = f'SELECT *, unnest({quoted(over.name)}) AS {_THING} FROM "#items"' if over else 'SELECT * FROM "#items"'  # noqa: S608
    # Objects can only be unnested beside the rows that stay, so the condition comes last in the same select.
    query = f"SELECT {to_sql(expression, _THING if over else '')} AS v FROM ({rows} WHERE {condition})"  # noqa: S608
    with in_duckdb(snapshot) as connection:
        return connection.sql(query).to_arrow_table().column(0).combine_chunks()


def _numbers(values: Values) -> Numbers:
    assert isinstance(values, np.ndarray)
    return np.asarray(values, np.float64)


def _counted(values: Values) -> pa.Table:
    """Texts or truths, and how often they occur."""
    if isinstance(values, Texts):
        counts = np.bincount(values.codes.astype(np.int64) + 1, minlength=len(values.words) + 1)
        return pa.table({"v": pa.array([None, *values.words], pa.string()), "n": pa.array(counts)})
    true = np.count_nonzero(values)
    return pa.table({"v": pa.array([False, True]), "n": pa.array([len(values) - true, true], pa.int64())})


def _one_by_one(counted: pa.Table) -> dict[str, Any]:
    there = counted.filter(pc.and_(pc.is_valid(counted["v"]), pc.greater(counted["n"], 0)))
    each = there.group_by("v").aggregate([("n", "sum")])
    each = each.sort_by([("n_sum", "descending"), ("v", "ascending")])
    total, present = (int(pc.sum(table["n"]).as_py() or 0) for table in (counted, there))
    most = each.slice(0, MOST_VALUES)
    values = [
        {"value": value, "count": count}
        for value, count in zip(most["v"].to_pylist(), most["n_sum"].to_pylist(), strict=True)
    ]
    return {"count": total, "missing": total - present, "distinct": len(each), "values": values}


def _in_bins(parts: Sequence[Numbers], bins: int) -> dict[str, Any]:
    total = sum(map(len, parts))
    found = several_at_once(_finite, parts)
    missing = sum(count for _, count in found)
    parts = [part for part, _ in found if len(part)]
    finite = sum(map(len, parts))
    facts: dict[str, Any] = {
        "count": total,
        "missing": missing,
        "infinite": total - missing - finite,
        "min": None,
        "max": None,
        "mean": None,
        "bins": [],
    }
    if not finite:
        return facts
    low, high = float(min(map(np.min, parts))), float(max(map(np.max, parts)))
    bins = 1 if low == high else bins
    counts = sum(several_at_once(lambda part: _counts_in_bins(part, low, high, bins), parts), np.zeros(bins, np.int64))
    edges = _edges(low, high, bins)
    facts |= {"min": low, "max": high, "mean": _mean(parts, finite, low, high)}
    facts["bins"] = [
        {"from": edges[at], "to": edges[at + 1], "count": count} for at, count in enumerate(counts.tolist())
    ]
    return facts


def _finite(numbers: Numbers) -> tuple[Numbers, int]:
    """Those that are finite, and how many are missing."""
    finite = np.isfinite(numbers)
    return (numbers, 0) if finite.all() else (numbers[finite], int(np.count_nonzero(np.isnan(numbers))))


def _mean(parts: Sequence[Numbers], count: int, low: float, high: float) -> float:
    """The mean, between the lowest and the highest; huge numbers are made small first, so that no sum is infinite."""
    largest = max(abs(low), abs(high))
    scale = largest if largest > _HUGE else 1.0
    mean = math.fsum(float((part if scale == 1.0 else part / scale).sum()) / count for part in parts) * scale
    return min(max(mean, low), high)


def _scaled(low: float, high: float) -> tuple[float, float, float]:
    """By what to divide so that a difference of huge numbers is finite, and then the lowest one and that difference."""
    scale = max(abs(low), abs(high), 1.0)
    return scale, low / scale, high / scale - low / scale


def _edges(low: float, high: float, bins: int) -> list[float]:
    scale, first, width = _scaled(low, high)
    inner = (scale * (first + width * (at / bins)) for at in range(1, bins))
    return [low, *(min(max(edge, low), high) for edge in inner), high]


def _counts_in_bins(numbers: Numbers, low: float, high: float, bins: int) -> Counts:
    """How many of finite numbers are in each of equal bins."""
    scale, first, width = _scaled(low, high)
    counts = np.zeros(bins, np.int64)
    if bins == 1 or not width:
        counts[0] = len(numbers)
        return counts
    for start in range(0, len(numbers), _TOGETHER):
        some = numbers[start : start + _TOGETHER] / scale
        some -= first
        some /= width
        some *= bins
        counts += np.bincount(np.minimum(some.astype(np.int64), bins - 1), minlength=bins)
    return counts
