"""Histograms of expressions: on arrays in memory if possible, otherwise on values computed by DuckDB."""

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
from saccade.store.query.column_cache import DictArray, FloatArray, FragmentView, IntArray, NotVectorizableError
from saccade.store.query.executor import duckdb_connection, map_fragments, parallel_map
from saccade.store.query.sql_compiler import quote_identifier, to_sql
from saccade.store.query.vectorized import Values, VectorEvaluator
from saccade.store.table.snapshot import Snapshot

MAX_VALUES = 1000
"""Maximum values that a histogram of texts lists, the most frequent ones."""
_EMPTY_COUNTS = pa.table({"v": pa.array([], pa.string()), "n": pa.array([], pa.int64())})
_OBJECT_ALIAS = '"#o"'  # users cannot name a column like this
_RESCALE_ABOVE = 1e280
"""Larger numbers are divided before they are summed, so that the sum stays finite."""
_BINNING_CHUNK = 1 << 16
"""Numbers that are binned at a time: the intermediate arrays then fit in the CPU cache."""


def histogram(
    snapshot: Snapshot, expression: Node, *, where: Node | None, objects_column: Column | None, bins: int
) -> dict[str, Any]:
    """Count the values of an expression: in bins of equal width for numbers, by value for texts and booleans.

    Args:
        snapshot: the version.
        expression: the expression.
        where: condition on the items to count; None for all.
        objects_column: a column of objects to count the objects of, instead of items.
        bins: number of bins, for numbers.

    Returns:
        ``type``, ``count``, ``missing`` (items or objects without a value) and, for numbers, ``infinite`` (numbers
        that are not finite), ``min``, ``max``, ``mean`` and ``bins``; otherwise ``distinct`` and ``values``.
    """

    def values(view: FragmentView) -> Values:
        return _evaluate(view, expression, where, objects_column)

    if expression.type is Type.NUMBER:
        try:
            numbers = map_fragments(snapshot, lambda view: _as_float_array(values(view)))
        except NotVectorizableError:
            column = _evaluate_with_sql(snapshot, expression, where, objects_column).cast(pa.float64())
            numbers = [column.to_numpy(zero_copy_only=False)]
        return {"type": "number", **_binned_result(numbers, bins)}
    try:
        counts = map_fragments(snapshot, lambda view: _value_counts(values(view)))
    except NotVectorizableError:
        pairs = pc.value_counts(_evaluate_with_sql(snapshot, expression, where, objects_column))
        counts = [pa.table({"v": pairs.field("values"), "n": pairs.field("counts")})]
    type_name = "text" if expression.type is Type.TEXT else "boolean"
    return {"type": type_name, **_categorical_result(pa.concat_tables(counts or [_EMPTY_COUNTS]))}


def _evaluate(view: FragmentView, expression: Node, where: Node | None, objects_column: Column | None) -> Values:
    values = VectorEvaluator(view, objects_column).eval(expression)
    if where is None:
        return values
    matches = VectorEvaluator(view).eval_bool(where)
    if objects_column is not None:
        matches = matches.repeat(VectorEvaluator(view).list_lengths(objects_column).lengths)
    if isinstance(values, DictArray):
        return DictArray(values.codes[matches], values.categories)
    return values[matches]


def _evaluate_with_sql(
    snapshot: Snapshot, expression: Node, where: Node | None, objects_column: Column | None
) -> pa.Array:
    condition = "true" if where is None else to_sql(where)
    rows = (
        f'SELECT *, unnest({quote_identifier(objects_column.name)}) AS {_OBJECT_ALIAS} FROM "#items"'  # noqa: S608
        if objects_column
        else 'SELECT * FROM "#items"'
    )
    # The condition is on items, so it must be in the select that still has their rows.
    query = f"SELECT {to_sql(expression, _OBJECT_ALIAS if objects_column else '')} AS v FROM ({rows} WHERE {condition})"  # noqa: S608
    with duckdb_connection(snapshot) as connection:
        return connection.sql(query).to_arrow_table().column(0).combine_chunks()


def _as_float_array(values: Values) -> FloatArray:
    assert isinstance(values, np.ndarray)
    return np.asarray(values, np.float64)


def _value_counts(values: Values) -> pa.Table:
    """Count texts or booleans. Returns values ``v`` and counts ``n``."""
    if isinstance(values, DictArray):
        counts = np.bincount(values.codes.astype(np.int64) + 1, minlength=len(values.categories) + 1)
        return pa.table({"v": pa.array([None, *values.categories], pa.string()), "n": pa.array(counts)})
    true_count = np.count_nonzero(values)
    counts = pa.array([len(values) - true_count, true_count], pa.int64())
    return pa.table({"v": pa.array([False, True]), "n": counts})


def _categorical_result(counts: pa.Table) -> dict[str, Any]:
    present_counts = counts.filter(pc.and_(pc.is_valid(counts["v"]), pc.greater(counts["n"], 0)))
    by_value = present_counts.group_by("v").aggregate([("n", "sum")])
    by_value = by_value.sort_by([("n_sum", "descending"), ("v", "ascending")])
    total = int(pc.sum(counts["n"]).as_py() or 0)
    present = int(pc.sum(present_counts["n"]).as_py() or 0)
    top = by_value.slice(0, MAX_VALUES)
    values = [
        {"value": value, "count": count}
        for value, count in zip(top["v"].to_pylist(), top["n_sum"].to_pylist(), strict=True)
    ]
    return {"count": total, "missing": total - present, "distinct": len(by_value), "values": values}


def _binned_result(parts: Sequence[FloatArray], bins: int) -> dict[str, Any]:
    total = sum(map(len, parts))
    finite_parts = parallel_map(_drop_non_finite, parts)
    missing = sum(count for _, count in finite_parts)
    parts = [numbers for numbers, _ in finite_parts if len(numbers)]
    finite = sum(map(len, parts))
    result: dict[str, Any] = {
        "count": total,
        "missing": missing,
        "infinite": total - missing - finite,
        "min": None,
        "max": None,
        "mean": None,
        "bins": [],
    }
    if not finite:
        return result
    low = float(min(map(np.min, parts)))
    high = float(max(map(np.max, parts)))
    bins = 1 if low == high else bins
    counts = sum(parallel_map(lambda numbers: _bin_counts(numbers, low, high, bins), parts), np.zeros(bins, np.int64))
    edges = _bin_edges(low, high, bins)
    result |= {"min": low, "max": high, "mean": _mean(parts, finite, low, high)}
    result["bins"] = [
        {"from": edges[index], "to": edges[index + 1], "count": count} for index, count in enumerate(counts.tolist())
    ]
    return result


def _drop_non_finite(numbers: FloatArray) -> tuple[FloatArray, int]:
    """Return the finite numbers, and how many are NaN (missing)."""
    is_finite = np.isfinite(numbers)
    if is_finite.all():
        return numbers, 0
    return numbers[is_finite], int(np.count_nonzero(np.isnan(numbers)))


def _mean(parts: Sequence[FloatArray], count: int, low: float, high: float) -> float:
    """Return the mean, clipped to [low, high]. Huge numbers are scaled down first, so that no sum overflows."""
    largest = max(abs(low), abs(high))
    scale = largest if largest > _RESCALE_ABOVE else 1.0
    shares = (float((numbers if scale == 1.0 else numbers / scale).sum()) / count for numbers in parts)
    return min(max(math.fsum(shares) * scale, low), high)


def _normalized_range(low: float, high: float) -> tuple[float, float, float]:
    """Return a scale, and after division by it the lowest number and the range, which cannot overflow."""
    scale = max(abs(low), abs(high), 1.0)
    return scale, low / scale, high / scale - low / scale


def _bin_edges(low: float, high: float, bins: int) -> list[float]:
    scale, first, width = _normalized_range(low, high)
    inner = (scale * (first + width * (index / bins)) for index in range(1, bins))
    return [low, *(min(max(edge, low), high) for edge in inner), high]


def _bin_counts(numbers: FloatArray, low: float, high: float, bins: int) -> IntArray:
    """Count finite numbers in bins of equal width."""
    scale, first, width = _normalized_range(low, high)
    counts = np.zeros(bins, np.int64)
    if bins == 1 or not width:
        counts[0] = len(numbers)
        return counts
    for start in range(0, len(numbers), _BINNING_CHUNK):
        scaled = numbers[start : start + _BINNING_CHUNK] / scale
        scaled -= first
        scaled /= width
        scaled *= bins
        counts += np.bincount(np.minimum(scaled.astype(np.int64), bins - 1), minlength=bins)
    return counts
