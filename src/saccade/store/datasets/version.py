"""A version of a dataset: items to read, and what is known about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.query import parse_query, parse_value
from saccade.core.reader import Item
from saccade.core.schema import KEY, Kind, MediaRef, Schema
from saccade.store.arrow.codec import SCHEMA_METADATA, decode_batch
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.blobs.media_resolver import open_media, read_media
from saccade.store.catalog.names import exact
from saccade.store.datasets.stats import statistics
from saccade.store.query.executor import rows_where, run_sql
from saccade.store.query.histogram import histogram
from saccade.store.table.row_index import HINTED, Rows
from saccade.store.table.snapshot import Snapshot

_FIRST_BATCH, _BATCH = 64, 2048


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """What the catalog says of a version.

    Attributes:
        parent: the number of the version that it was made from.
        merged: that of the version of another branch that was merged into its parent.
    """

    number: int
    branch: str
    parent: int | None
    message: str
    author: str
    created: datetime
    items: int
    added: int
    removed: int
    changed: int
    run_id: str | None
    inputs: tuple[str, ...]
    merged: int | None = None


class DatasetVersion:
    """An immutable version of a dataset; a :class:`~saccade.core.reader.Reader`.

    Pickles as a reference to itself, for processes that are spawned. (Lance does not survive a fork.)
    """

    def __init__(self, name: str, info: VersionInfo, snapshot: Snapshot, objects: ObjectStore) -> None:
        self.name = name
        self.info = info
        self.objects = objects
        self.snapshot = snapshot

    @property
    def number(self) -> int:
        return self.info.number

    @property
    def ref(self) -> str:
        """The exact reference, as ``cells@7``."""
        return exact(self.name, self.number)

    @property
    def schema(self) -> Schema:
        return self.snapshot.schema

    def __len__(self) -> int:
        return self.info.items

    def __repr__(self) -> str:
        columns = ", ".join(f"{column.name}: {column.kind}" for column in self.schema.columns)
        return f"<{self.ref}, {len(self)} items, {columns}>"

    def keys(self) -> list[str]:
        """All keys in order."""
        index = self.snapshot.index
        return to_list(index.keys.take(pa.array(index.order)))

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        schema = self.schema if columns is None else self.schema.select(columns)
        rows = self.snapshot.index.order if keys is None else self.snapshot.index.rows_of(keys)
        # The first batch is small, for callers that look at no more than a few items.
        for part, size in ((rows[:_FIRST_BATCH], _FIRST_BATCH), (rows[_FIRST_BATCH:], _BATCH)):
            for batch in self.snapshot.batches([KEY, *schema.names], part, size):
                yield from decode_batch(batch, schema.columns)

    def rows(self, places: npt.NDArray[np.int64]) -> list[Item]:
        """The items at these places of the order."""
        index = self.snapshot.index
        found = index.take(index.order[places], [KEY, *self.schema.names])
        return [item for batch in found.to_batches() for item in decode_batch(batch, self.schema.columns)]

    def keys_at(self, places: npt.NDArray[np.int64]) -> list[str]:
        """The keys of the items at these places of the order."""
        index = self.snapshot.index
        return to_list(index.keys_of(index.order[places]))

    def places_where(
        self, query: str | None, order: str | None = None, *, descending: bool = False
    ) -> npt.NDArray[np.int64]:
        """The places in the order of the items for which a query holds; see :meth:`where`."""
        index, rows = self.snapshot.index, self._rows_where(query, order, descending)
        if index.is_in_order:
            return rows
        place = np.empty(len(index), np.int64)
        place[index.order] = np.arange(len(index))
        return place[rows]

    def rows_of(
        self, keys: Iterable[str] | None, query: str | None, order: str | None = None, *, descending: bool = False
    ) -> Rows:
        """Where the items of these keys lie for which a query holds, in order; see :meth:`where`."""
        if query is None and order is None:
            return self.snapshot.index.order if keys is None else self.snapshot.index.rows_of(keys)
        rows = self._rows_where(query, order, descending)
        return rows if keys is None else rows[np.isin(rows, self.snapshot.index.rows_of(keys))]

    def get(self, key: str) -> Item:
        """The item of that key; NotFoundError where there is none."""
        found = decode_batch(self.snapshot.find(key, [KEY, *self.schema.names]), self.schema.columns)
        if found:
            return found[0]
        if len(self) >= HINTED:  # it would take as long as reading all keys
            raise NotFoundError(f"There is no item '{key}'.")
        return next(self.items(keys=[key]))  # which tells the nearest keys

    def to_arrow(self, columns: Sequence[str] | None = None, batch_size: int = 4096) -> Iterator[pa.RecordBatch]:
        """Record batches of the key and these columns, in order, with the schema as JSON in their metadata."""
        names = [KEY, *(self.schema.names if columns is None else self.schema.select(columns).names)]
        metadata = {SCHEMA_METADATA: self.snapshot.table.schema.metadata[SCHEMA_METADATA]}
        for rows in self.snapshot.batches(names, size=batch_size):
            yield from rows.select(names).replace_schema_metadata(metadata).combine_chunks().to_batches()

    def where(self, query: str | None, order: str | None = None, *, descending: bool = False) -> list[str]:
        """The keys of the items for which a query holds, in order; QueryError where the query is wrong.

        Such as ``any(objects, class == "ship" and area > 400) and split == "val"``.

        Args:
            query: None for all items.
            order: an expression such as ``len(objects)`` or ``image.width``, by whose values they are to be sorted.
        """
        return to_list(self.snapshot.index.keys_of(self._rows_where(query, order, descending)))

    def _rows_where(self, query: str | None, order: str | None, descending: bool) -> Rows:
        condition = None if query is None else parse_query(query, self.schema)
        value = None if order is None else parse_value(order, self.schema, None)
        return rows_where(self.snapshot, condition, value, descending=descending)

    def histogram(
        self, expression: str, *, over: str | None = None, where: str | None = None, bins: int = 20
    ) -> dict[str, Any]:
        """How often each value of an expression occurs; see :func:`saccade.store.query.histogram.histogram`.

        Args:
            expression: a number, text or condition, such as ``image.width`` or, with ``over``, ``area``.
            over: a column of objects, whose objects are counted instead of the items.
            where: a query for the items to take.
            bins: for numbers.
        """
        column = None if over is None else self.schema[over]
        if column is not None and column.kind is not Kind.OBJECTS:
            raise InvalidValueError(f"The column '{over}' is of kind {column.kind}.", hint="Name a column of objects.")
        if bins < 1:
            raise InvalidValueError(f"A histogram needs bins, not {bins}.")
        condition = None if where is None else parse_query(where, self.schema)
        value = parse_value(expression, self.schema, column)
        return histogram(self.snapshot, value, where=condition, over=column, bins=bins)

    def sql(self, query: str) -> pa.Table:
        """The result of a DuckDB query over the table ``items``; it can reach no file and no network.

        A query that is wrong raises InvalidValueError with DuckDB's words. The order of rows is only what the query
        asks for.
        """
        return run_sql(self.snapshot, query)

    @cached_property
    def _statistics(self) -> dict[str, Any]:
        return statistics(self.snapshot)

    def stats(self) -> dict[str, Any]:
        """Counts; see :func:`saccade.store.datasets.stats.statistics`."""
        return self._statistics

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self.objects, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self.objects, ref)

    def __reduce__(self) -> tuple[Any, ...]:
        store = (self.objects.url, self.objects.scratch_root)
        return _restored, (self.name, self.info, self.snapshot.reference(), store)


def _restored(
    name: str, info: VersionInfo, snapshot: tuple[str, str, dict[str, Any]], store: tuple[str, str]
) -> DatasetVersion:
    return DatasetVersion(name, info, Snapshot.from_reference(*snapshot), ObjectStore.at(*store))
