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
from saccade.core.schema import KEY
from saccade.store.arrow.codec import POSITION
from saccade.store.query.column_cache import Numbers, Part, Texts, UnfitError, parts_of
from saccade.store.query.sql_compiler import MACROS, quoted, to_sql
from saccade.store.query.vectorized import Values, Vectors, ranks
from saccade.store.table.lance_table import open_table
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

S = TypeVar("S")
T = TypeVar("T")
_AT_ONCE = 4


@contextmanager
def in_duckdb(snapshot: Snapshot) -> Iterator[Any]:
    """A connection in which the rows of a version are the table ``#items``."""
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
    with in_duckdb(snapshot) as connection:
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
    index = snapshot.index
    if query is None:
        rows = index.order
    else:
        truths = _together(of_each(snapshot, lambda part: Vectors(part).truths(query)), np.bool_)
        rows = np.flatnonzero(truths) if index.is_in_order else index.order[truths[index.order]]
    if order is not None:
        by = _order_of(of_each(snapshot, lambda part: Vectors(part).of(order)))[rows]
        rows = rows[np.argsort(-by if descending else by, kind="stable")]  # NaN last, either way
    return rows


def of_each(snapshot: Snapshot, evaluate: Callable[[Part], T]) -> list[T]:
    """What every part gives."""
    return several_at_once(evaluate, parts_of(snapshot))


def several_at_once(evaluate: Callable[[S], T], parts: Sequence[S]) -> list[T]:
    """What is made of each, in threads, since arrays let go of Python while they are read and compared."""
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
    with in_duckdb(snapshot) as connection:
        found = connection.sql(
            f'SELECT {columns} FROM "#items" WHERE {condition} ORDER BY {by}'  # noqa: S608
        ).to_arrow_table()
    return snapshot.index.match(found.column(0).combine_chunks())
