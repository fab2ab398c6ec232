"""Executes queries on a version: vectorised in memory if possible, otherwise in DuckDB."""

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
from saccade.store.query.column_cache import (
    MAX_CATEGORIES,
    DictArray,
    FloatArray,
    FragmentView,
    NotVectorizableError,
    fragment_views,
)
from saccade.store.query.sql_compiler import MACROS, quote_identifier, to_sql
from saccade.store.query.vectorized import Values, VectorEvaluator, category_ranks
from saccade.store.table.lance_table import open_table
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

S = TypeVar("S")
T = TypeVar("T")
_MAX_THREADS = 4


@contextmanager
def duckdb_connection(snapshot: Snapshot) -> Iterator[Any]:
    """Open a DuckDB connection with the rows of a version as the table ``#items``."""
    import duckdb

    with duckdb.connect(config={"enable_external_access": False}) as connection:
        connection.register("#items", open_table(snapshot.folder, snapshot.version, low_memory=True))
        for macro in MACROS:
            connection.execute(macro)
        yield connection


def execute_sql(snapshot: Snapshot, query: str) -> pa.Table:
    """Execute an SQL query of a user over the table ``items``, without access to files or the network.

    Raises:
        InvalidValueError: if the query fails, with DuckDB's message.
    """
    import duckdb

    columns = ", ".join(map(quote_identifier, (KEY, *snapshot.schema.names)))
    with duckdb_connection(snapshot) as connection:
        connection.execute(f'CREATE VIEW items AS SELECT {columns} FROM "#items"')  # noqa: S608 (names are quoted)
        # Otherwise the query could enable access to files again.
        connection.execute("SET lock_configuration = true")
        try:
            relation = connection.sql(query)
            return pa.table({}) if relation is None else relation.to_arrow_table()
        except duckdb.Error as error:
            raise InvalidValueError(f"The query failed: {error}", hint=f"Columns of items: {columns}.") from error


def select_rows(snapshot: Snapshot, query: Node | None, order: Node | None = None, *, descending: bool = False) -> Rows:
    """Select the rows whose items match a query.

    Args:
        snapshot: the version.
        query: a condition; None selects all items.
        order: an expression to sort by. Items with equal values keep their order, those without a value come last.
        descending: sort in descending order.

    Returns:
        Row numbers, in the order of the items unless ``order`` is given.
    """
    try:
        return _select_vectorized(snapshot, query, order, descending)
    except NotVectorizableError:
        return _select_with_sql(snapshot, query, order, descending)


def _select_vectorized(snapshot: Snapshot, query: Node | None, order: Node | None, descending: bool) -> Rows:
    index = snapshot.index
    if query is None:
        rows = index.order
    else:
        matches = _concat(map_fragments(snapshot, lambda view: VectorEvaluator(view).eval_bool(query)), np.bool_)
        rows = np.flatnonzero(matches) if index.is_in_order else index.order[matches[index.order]]
    if order is not None:
        sort_keys = _sort_keys(map_fragments(snapshot, lambda view: VectorEvaluator(view).eval(order)))[rows]
        # NaN (missing) is last in both directions, since its negative is NaN too.
        rows = rows[np.argsort(-sort_keys if descending else sort_keys, kind="stable")]
    return rows


def map_fragments(snapshot: Snapshot, evaluate: Callable[[FragmentView], T]) -> list[T]:
    """Call a function on the view of every fragment of a version, in parallel."""
    return parallel_map(evaluate, fragment_views(snapshot))


def parallel_map(evaluate: Callable[[S], T], values: Sequence[S]) -> list[T]:
    """Call a function on each value in threads: numpy and Lance release the GIL in most of their work."""
    if len(values) < 2:
        return list(map(evaluate, values))
    with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(evaluate, values))


def _sort_keys(values: list[Values]) -> FloatArray:
    """Return numbers that sort like the values, NaN if missing."""
    texts = [array for array in values if isinstance(array, DictArray)]
    if not texts:
        numbers: FloatArray = _concat(values, np.float64)
        return numbers
    if sum(len(array.categories) for array in texts) > MAX_CATEGORIES:
        raise NotVectorizableError  # DuckDB sorts distinct texts faster
    categories = sorted({category for array in texts for category in array.categories})
    ranks = {category: rank for rank, category in enumerate(categories)}
    sort_keys = _concat([category_ranks(array, ranks) for array in texts], np.float64)
    return np.where(sort_keys < 0, np.nan, sort_keys)


def _concat(arrays: Sequence[Any], dtype: type) -> Any:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype)


def _select_with_sql(snapshot: Snapshot, query: Node | None, order: Node | None, descending: bool) -> Rows:
    condition = "true" if query is None else to_sql(query)
    # Sort by a column of its own: ORDER BY takes a constant for the number of a column, or fails.
    value = "NULL" if order is None else to_sql(order)
    columns = f'{quote_identifier(KEY)}, {value} AS "#by"'
    order_by = f'"#by" {"DESC" if descending else "ASC"} NULLS LAST, {quote_identifier(POSITION)}'
    with duckdb_connection(snapshot) as connection:
        table = connection.sql(
            f'SELECT {columns} FROM "#items" WHERE {condition} ORDER BY {order_by}'  # noqa: S608
        ).to_arrow_table()
    return snapshot.index.rows_for_keys(table.column(0).combine_chunks())
