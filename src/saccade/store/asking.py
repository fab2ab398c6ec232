"""Questions to a version, answered on arrays in memory where they can be, otherwise by DuckDB over its table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from saccade.core.errors import InvalidValueError
from saccade.core.query import Node
from saccade.core.query.tree import Type
from saccade.core.schema import KEY, Column
from saccade.store.codec import POSITION
from saccade.store.lance_table import open_table
from saccade.store.leaves import Numbers, Part, Texts, UnfitError, parts_of
from saccade.store.query_sql import MACROS, quoted, to_sql
from saccade.store.row_index import Rows
from saccade.store.snapshot import Snapshot
from saccade.store.vectors import Values, Vectors, ranks

T = TypeVar("T")
MOST_VALUES = 1000
_AT_ONCE = 4
_NOTHING = pa.table({"v": pa.array([], pa.float64()), "n": pa.array([], pa.int64())})
_THING = '"#o"'  # no column of a user can have this name


@contextmanager
def _connection(snapshot: Snapshot) -> Iterator[Any]:
    import duckdb

    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.register("#items", open_table(snapshot.folder, snapshot.version, sparing=True))
        for macro in MACROS:
            connection.execute(macro)
        yield connection


def run_sql(snapshot: Snapshot, query: str) -> pa.Table:
    """The result of a query of a user over the table ``items``; InvalidValueError with DuckDB's words."""
    import duckdb

    columns = ", ".join(map(quoted, (KEY, *snapshot.schema.names)))
    with _connection(snapshot) as connection:
        connection.execute(f'CREATE VIEW items AS SELECT {columns} FROM "#items"')  # noqa: S608 (names are quoted)
        connection.execute("SET lock_configuration = true")
        try:
            relation = connection.sql(query)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            raise InvalidValueError(f"The query failed: {error}", hint=f"Columns of items: {columns}.") from error


def rows_where(snapshot: Snapshot, query: Node | None, order: Node | None = None, *, descending: bool = False) -> Rows:
    """The rows of the items for which a query holds, in the order of the items or of the values of an expression.

    Items without a value come last, and those of one value in their order.
    """
    try:
        return _rows_in_memory(snapshot, query, order, descending)
    except UnfitError:
        return _rows_by_sql(snapshot, query, order, descending)


def _rows_in_memory(snapshot: Snapshot, query: Node | None, order: Node | None, descending: bool) -> Rows:
    rows = snapshot.index.order
    if query is not None:
        rows = rows[_together(_of_each(snapshot, lambda part: Vectors(part).truths(query)), np.bool_)[rows]]
    if order is not None:
        by = _order_of(_of_each(snapshot, lambda part: Vectors(part).of(order)))[rows]
        rows = rows[np.argsort(-by if descending else by, kind="stable")]  # NaN last, either way
    return rows


def _of_each(snapshot: Snapshot, evaluate: Callable[[Part], T]) -> list[T]:
    """What every part gives; several at once, since arrays let go of Python while they are read and compared."""
    parts = parts_of(snapshot)
    if len(parts) < 2:
        return list(map(evaluate, parts))
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as threads:
        return list(threads.map(evaluate, parts))


def _order_of(values: list[Values]) -> Numbers:
    """Numbers in the order of values, NaN for those that are missing."""
    texts = [value for value in values if isinstance(value, Texts)]
    if not texts:
        numbers: Numbers = _together(values, np.float64)
        return numbers
    rank = {word: number for number, word in enumerate(sorted({word for one in texts for word in one.words}))}
    found = _together([ranks(one, rank) for one in texts], np.float64)
    return np.where(found < 0, np.nan, found)


def _together(values: Sequence[Any], dtype: type) -> Any:
    return np.concatenate(values).astype(dtype, copy=False) if values else np.empty(0, dtype)


def _rows_by_sql(snapshot: Snapshot, query: Node | None, order: Node | None, descending: bool) -> Rows:
    condition = "true" if query is None else to_sql(query)
    # As a column of its own: a constant behind ORDER BY would be the number of a column, or an error.
    value = "NULL" if order is None else to_sql(order)
    columns = f'{quoted(KEY)}, {value} AS "#by"'
    by = f'"#by" {"DESC" if descending else "ASC"} NULLS LAST, {quoted(POSITION)}'
    with _connection(snapshot) as connection:
        found = connection.sql(
            f'SELECT {columns} FROM "#items" WHERE {condition} ORDER BY {by}'  # noqa: S608
        ).to_arrow_table()
    return snapshot.index.match(found.column(0).combine_chunks())


def histogram(
    snapshot: Snapshot, expression: Node, *, where: Node | None, over: Column | None, bins: int
) -> dict[str, Any]:
    """How often each value occurs: in equal bins for numbers, one by one for text and truth.

    ``missing`` counts the items or objects without a value, ``infinite`` the numbers that are not finite.
    """
    with _connection(snapshot) as connection:
        try:
            found = _of_each(snapshot, lambda part: _counted(_values_of(part, expression, where, over)))
            connection.register("#values", pa.concat_tables(found) if found else _NOTHING)
            value = "saccade_number(v)" if expression.type is Type.NUMBER else "v"
            connection.execute(f'CREATE TEMP VIEW found AS SELECT {value} AS v, n FROM "#values"')  # noqa: S608
        except UnfitError:
            connection.execute(f"CREATE TEMP TABLE found AS {_values_by_sql(expression, where, over)}")
        if expression.type is Type.NUMBER:
            return {"type": "number", **_bins(connection, bins)}
        return {"type": "text" if expression.type is Type.TEXT else "truth", **_values(connection)}


def _values_of(part: Part, expression: Node, where: Node | None, over: Column | None) -> Values:
    found = Vectors(part, over).of(expression)
    if where is None:
        return found
    chosen = Vectors(part).truths(where)
    if over is not None:
        chosen = chosen.repeat(Vectors(part).lists(over).counts)
    return Texts(found.codes[chosen], found.words) if isinstance(found, Texts) else found[chosen]


def _counted(values: Values) -> pa.Table:
    """Values and how often they occur; numbers, which mostly differ, once each time."""
    if not isinstance(values, Texts):
        ones = np.ones(len(values), np.int8)
        return pa.table({"v": pa.array(values), "n": pa.array(ones)})
    counts = np.bincount(values.codes.astype(np.int64) + 1, minlength=len(values.words) + 1)
    return pa.table({"v": pa.array([None, *values.words], pa.string()), "n": pa.array(counts)})


def _values_by_sql(expression: Node, where: Node | None, over: Column | None) -> str:
    condition = "true" if where is None else to_sql(where)
    rows = f'SELECT *, unnest({quoted(over.name)}) AS {_THING} FROM "#items"' if over else 'SELECT * FROM "#items"'  # noqa: S608
    # Objects can only be unnested beside the rows that stay, so the condition comes last in the same select.
    return f"SELECT {to_sql(expression, _THING if over else '')} AS v, 1 AS n FROM ({rows} WHERE {condition})"  # noqa: S608


def _bins(connection: Any, bins: int) -> dict[str, Any]:
    total, finite, present, low, high, mean = connection.execute(
        "SELECT count(*), count(*) FILTER (isfinite(v)), count(v), min(v) FILTER (isfinite(v)),"
        " max(v) FILTER (isfinite(v)), avg(v) FILTER (isfinite(v)) FROM found"
    ).fetchone()
    facts = {"count": total, "missing": total - present, "infinite": present - finite, "min": low, "max": high,
             "mean": mean, "bins": []}  # fmt: skip
    if not finite:
        return facts
    bins = 1 if low == high else bins
    counted = connection.execute(
        "SELECT least(CAST(floor((v / ? - ? / ?) / (? / ? - ? / ?) * ?) AS BIGINT), ?) AS bin, count(*) FROM found"
        " WHERE isfinite(v) GROUP BY bin",
        [*_scaled(low, high), bins, bins - 1],
    ).fetchall() if bins > 1 else [(0, finite)]  # fmt: skip
    counts = dict(counted)
    edges = [low + (high / bins - low / bins) * at for at in range(bins)] + [high]
    facts["bins"] = [{"from": edges[at], "to": edges[at + 1], "count": counts.get(at, 0)} for at in range(bins)]
    return facts


def _scaled(low: float, high: float) -> list[float]:
    """The parameters of (v/s - low/s) / (high/s - low/s), where s keeps a difference of huge numbers finite."""
    scale = max(abs(low), abs(high), 1.0)
    return [scale, low, scale, high, scale, low, scale]


def _values(connection: Any) -> dict[str, Any]:
    total, missing, kinds = connection.execute(
        "SELECT coalesce(sum(n), 0), coalesce(sum(n) FILTER (v IS NULL), 0), count(DISTINCT v) FILTER (n > 0)"
        " FROM found"
    ).fetchone()
    rows = connection.execute(
        "SELECT v, sum(n) FROM found WHERE v IS NOT NULL AND n > 0 GROUP BY v ORDER BY sum(n) DESC, v LIMIT ?",
        [MOST_VALUES],
    ).fetchall()
    values = [{"value": value, "count": int(count)} for value, count in rows]
    return {"count": int(total), "missing": int(missing), "distinct": kinds, "values": values}
