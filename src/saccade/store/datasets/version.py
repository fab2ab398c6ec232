"""Versions of datasets: immutable, readable snapshots with their commit metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.item_sequence import ItemSequence
from saccade.core.query import parse_query, parse_value
from saccade.core.reader import Item
from saccade.core.records.datasets import VersionInfo
from saccade.core.refs import format_ref
from saccade.core.schema import KEY, Kind, MediaRef, Schema
from saccade.core.text import format_count
from saccade.store.arrow.codec import SCHEMA_METADATA, decode_batch
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.blobs.media_resolver import open_media, read_media
from saccade.store.datasets.stats import statistics
from saccade.store.query.executor import execute_sql, select_rows
from saccade.store.query.histogram import histogram
from saccade.store.table.row_index import MAX_SUGGESTION_KEYS, Rows
from saccade.store.table.snapshot import Snapshot

_FIRST_BATCH_SIZE = 64
_BATCH_SIZE = 2048


class DatasetVersion(ItemSequence):
    """An immutable version of a dataset; a :class:`~saccade.core.reader.Reader`.

    It is pickled as a reference, for spawned processes. (Lance does not support fork.)
    """

    def __init__(self, name: str, info: VersionInfo, snapshot: Snapshot, objects: BlobStore) -> None:
        self.name = name
        self.info = info
        self.objects = objects
        self.snapshot = snapshot

    @property
    def number(self) -> int:
        return self.info.number

    @property
    def ref(self) -> str:
        """The exact reference, such as ``cells@7``."""
        return format_ref(self.name, self.number)

    @property
    def schema(self) -> Schema:
        return self.snapshot.schema

    def __len__(self) -> int:
        return self.info.items

    def __repr__(self) -> str:
        columns = ", ".join(f"{column.name}: {column.kind}" for column in self.schema.columns)
        return f"<{self.ref}, {format_count(len(self), 'item')}, {columns}>"

    def keys(self) -> list[str]:
        """Return all keys in order."""
        index = self.snapshot.index
        return to_list(index.keys.take(pa.array(index.order)))

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        """Iterate over items in order.

        Args:
            columns: names of the columns to read; None for all.
            keys: keys of the items to read; None for all.

        Raises:
            NotFoundError: if a column or key does not exist.
        """
        schema = self.schema if columns is None else self.schema.select(columns)
        rows = self.snapshot.index.order if keys is None else self.snapshot.index.require_rows(keys)
        # The first batch is small, for callers that read only a few items.
        batches = ((rows[:_FIRST_BATCH_SIZE], _FIRST_BATCH_SIZE), (rows[_FIRST_BATCH_SIZE:], _BATCH_SIZE))
        for batch_rows, batch_size in batches:
            for batch in self.snapshot.batches([KEY, *schema.names], batch_rows, batch_size):
                yield from decode_batch(batch, schema.columns)

    def items_at(self, positions: npt.NDArray[np.int64]) -> list[Item]:
        """Return the items at these positions of the order."""
        index = self.snapshot.index
        table = index.take(index.order[positions], [KEY, *self.schema.names])
        return [item for batch in table.to_batches() for item in decode_batch(batch, self.schema.columns)]

    def _items_at_positions(self, positions: Sequence[int]) -> list[Item]:
        return self.items_at(np.asarray(positions, np.int64))

    def keys_at(self, positions: npt.NDArray[np.int64]) -> list[str]:
        """Return the keys of the items at these positions of the order."""
        index = self.snapshot.index
        return to_list(index.keys_at(index.order[positions]))

    def positions_where(
        self, query: str | None, order: str | None = None, *, descending: bool = False
    ) -> npt.NDArray[np.int64]:
        """Return the positions, in the order of the items, of those that match a query; see :meth:`where`."""
        index = self.snapshot.index
        rows = self._query_rows(query, order, descending)
        if index.is_in_order:
            return rows
        position_of_row = np.empty(len(index), np.int64)
        position_of_row[index.order] = np.arange(len(index))
        return position_of_row[rows]

    def select_rows(
        self, keys: Iterable[str] | None, query: str | None, order: str | None = None, *, descending: bool = False
    ) -> Rows:
        """Return the row numbers of the items with some keys that match a query, in order; see :meth:`where`.

        Args:
            keys: keys of the items; None for all.
            query, order, descending: see :meth:`where`.
        """
        if query is None and order is None:
            return self.snapshot.index.order if keys is None else self.snapshot.index.require_rows(keys)
        rows = self._query_rows(query, order, descending)
        return rows if keys is None else rows[np.isin(rows, self.snapshot.index.require_rows(keys))]

    def get(self, key: str) -> Item:
        """Return the item with a key.

        Raises:
            NotFoundError: if there is none.
        """
        items = decode_batch(self.snapshot.find_by_key(key, [KEY, *self.schema.names]), self.schema.columns)
        if items:
            return items[0]
        if len(self) >= MAX_SUGGESTION_KEYS:
            raise NotFoundError(f"There is no item '{key}'.")
        return next(self.items(keys=[key]))  # raises an error that suggests similar keys

    def to_arrow(self, columns: Sequence[str] | None = None, batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
        """Iterate over Arrow record batches of the key and columns, in order, with the schema as JSON metadata.

        Args:
            columns: names of the columns; None for all.
            batch_size: maximum rows of a batch.
        """
        names = [KEY, *(self.schema.names if columns is None else self.schema.select(columns).names)]
        metadata = {SCHEMA_METADATA: self.snapshot.table.schema.metadata[SCHEMA_METADATA]}
        for rows in self.snapshot.batches(names, batch_size=batch_size):
            yield from rows.select(names).replace_schema_metadata(metadata).combine_chunks().to_batches()

    def where(self, query: str | None, order: str | None = None, *, descending: bool = False) -> list[str]:
        """Return the keys of the items that match a query, in order.

        Args:
            query: a condition such as ``any(objects, class == "ship" and area > 400) and split == "val"``; None
                matches all items.
            order: an expression to sort by, such as ``len(objects)`` or ``image.width``; items without a value come
                last. Default: the order of the items.
            descending: sort in descending order.

        Raises:
            QueryError: if the query or the expression is invalid.
        """
        return to_list(self.snapshot.index.keys_at(self._query_rows(query, order, descending)))

    def _query_rows(self, query: str | None, order: str | None, descending: bool) -> Rows:
        condition = None if query is None else parse_query(query, self.schema)
        value = None if order is None else parse_value(order, self.schema, None)
        return select_rows(self.snapshot, condition, value, descending=descending)

    def histogram(
        self, expression: str, *, objects_column: str | None = None, where: str | None = None, bins: int = 20
    ) -> dict[str, Any]:
        """Count the values of an expression; see :func:`saccade.store.query.histogram.histogram`.

        Args:
            expression: a number, text or condition, such as ``image.width`` or, with ``objects_column``, ``area``.
            objects_column: a column of objects, to count its objects instead of items.
            where: condition on the items to count; None for all.
            bins: number of bins, for numbers.

        Raises:
            InvalidValueError: if ``objects_column`` is not a column of objects or ``bins`` is less than 1.
            QueryError: if an expression is invalid.
        """
        column = None if objects_column is None else self.schema[objects_column]
        if column is not None and column.kind is not Kind.OBJECTS:
            raise InvalidValueError(
                f"The column '{objects_column}' is of kind {column.kind}.", hint="Name a column of objects."
            )
        if bins < 1:
            raise InvalidValueError(f"A histogram needs at least one bin, not {bins}.")
        condition = None if where is None else parse_query(where, self.schema)
        value = parse_value(expression, self.schema, column)
        return histogram(self.snapshot, value, where=condition, objects_column=column, bins=bins)

    def sql(self, query: str) -> pa.Table:
        """Execute a DuckDB query over the table ``items``, without access to files or the network.

        The order of the result is undefined without ORDER BY.

        Raises:
            InvalidValueError: if the query fails, with DuckDB's message.
        """
        return execute_sql(self.snapshot, query)

    @cached_property
    def _statistics(self) -> dict[str, Any]:
        return statistics(self.snapshot)

    def stats(self) -> dict[str, Any]:
        """Return statistics; see :func:`saccade.store.datasets.stats.statistics`."""
        return self._statistics

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self.objects, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self.objects, ref)

    def __reduce__(self) -> tuple[Any, ...]:
        store = (self.objects.url, self.objects.scratch_root)
        return _from_reference, (self.name, self.info, self.snapshot.reference(), store)


def _from_reference(
    name: str, info: VersionInfo, snapshot: tuple[str, str, dict[str, Any]], store: tuple[str, str]
) -> DatasetVersion:
    return DatasetVersion(name, info, Snapshot.from_reference(*snapshot), BlobStore.reopen(*store))
