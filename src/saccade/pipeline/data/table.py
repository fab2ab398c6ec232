"""Tables between steps: their values stay in segments and dataset versions and are loaded when needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from saccade.core.digest import digest_json
from saccade.core.errors import NotFoundError, suggest
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, MediaRef, Schema
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import LazyColumn, Rows, ValueLocations
from saccade.pipeline.cache.segments import CorruptCacheError
from saccade.store.arrow.codec import ARROW_TYPES, decode_column
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.blobs.media_resolver import open_media, read_media

_BATCH = 2048


class DatasetOpener(Protocol):
    """Opens dataset versions by reference, as a workspace does."""

    def open(self, ref: str) -> Any: ...


@dataclass(frozen=True)
class Table:
    """A schema, the column of keys, and the other columns by name."""

    schema: Schema
    keys: LazyColumn
    columns: Mapping[str, LazyColumn]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def id(self) -> str:
        """A digest of the content."""
        column_ids = {name: column.id for name, column in self.columns.items()}
        return digest_json([self.schema.to_json(), self.keys.id, column_ids])


class ValueLoader:
    """Loads the values of columns from segments and dataset versions."""

    def __init__(self, cache: Cache, datasets: DatasetOpener) -> None:
        self._cache = cache
        self._datasets = datasets
        self._open_versions: dict[str, Any] = {}

    def load_column(self, column: LazyColumn, type: pa.DataType, rows: Rows | None = None) -> pa.Array:
        """Load values of a column.

        Args:
            column: the column.
            type: the Arrow type of the values.
            rows: the rows to load; None: all rows.
        """
        return self.load(column.locations if rows is None else column.take(rows), type)

    def load(self, locations: ValueLocations, type: pa.DataType) -> pa.Array:
        """Load the values at the given locations.

        Args:
            locations: the locations.
            type: the Arrow type of the values.

        Raises:
            CorruptCacheError: a segment is damaged, or a dataset version no longer exists unchanged.
        """
        source_indices = locations.source_indices
        if not len(source_indices):
            return pa.array([], type)
        used = np.flatnonzero(np.bincount(source_indices)).tolist()
        if len(used) == 1:
            return self._load_source(locations.sources[used[0]], locations.rows, type)
        # Load source by source, then restore the order of the rows.
        parts = []
        positions = []
        for index in used:
            in_source = np.flatnonzero(source_indices == index)
            parts.append(self._load_source(locations.sources[index], locations.rows[in_source], type))
            positions.append(in_source)
        order = np.empty(len(source_indices), np.int64)
        order[np.concatenate(positions)] = np.arange(len(source_indices))
        return pa.concat_arrays(parts).take(pa.array(order))

    def _load_source(self, source: str, rows: Rows, type: pa.DataType) -> pa.Array:
        kind, _, name = source.partition(":")
        if kind == "nothing":
            return pa.nulls(len(rows), type)
        name, _, column = name.partition("#")
        if kind == "segment":
            values = self._cache.segment(name).batch.rows.column(column)
        else:
            return self._load_dataset(name, column, rows, type)
        first = int(rows[0])
        count = len(rows)
        if int(rows[-1]) - first + 1 == count and bool(np.all(np.diff(rows) == 1)):
            return values.slice(first, count)  # consecutive rows need no copy
        return values.take(pa.array(rows))

    def _load_dataset(self, version_id: str, column: str, rows: Rows, type: pa.DataType) -> pa.Array:
        if version_id not in self._open_versions:
            self._open_versions[version_id] = self._open_version(version_id)
        index = self._open_versions[version_id].snapshot.index
        if column == KEY:
            return index.keys.take(pa.array(index.order[rows]))
        values = index.take(index.order[rows], [column]).column(column).combine_chunks()
        return add_missing_fields(values, type)

    def _open_version(self, version_id: str) -> Any:
        version = open_version_if_same(self._datasets, version_id)
        if version is None:
            raise CorruptCacheError(
                f"{version_id.partition(':')[0]} is no longer the version that results in the cache were computed from."
            )
        return version


def open_version_if_same(datasets: DatasetOpener, version_id: str) -> Any:
    """Open the version of ``NAME@VERSION:IDENTITY``, or return None if it no longer exists or is another one now."""
    ref, _, identity = version_id.rpartition(":")
    try:
        version = datasets.open(ref)
    except NotFoundError:
        return None
    return version if version_identity(version) == identity else None


def version_identity(version: Any) -> str:
    """Return what distinguishes a version from another one of the same number.

    After a backup of the workspace is restored, new versions reuse the numbers of lost ones.
    """
    snapshot = version.snapshot
    return digest_json([snapshot.table_id, snapshot.version, version.info.created.isoformat()])[:16]


def add_missing_fields(values: pa.Array, type: pa.DataType) -> pa.Array:
    """Convert structs written by an earlier release to the current type; fields that they lack become null."""
    if values.type == type or not pa.types.is_struct(type):
        return values
    nulls = pa.nulls(len(values), pa.null())
    children = [
        values.field(field.name) if values.type.get_field_index(field.name) >= 0 else nulls.cast(field.type)
        for field in type
    ]
    return pa.StructArray.from_arrays(children, fields=list(type), mask=values.is_null())


class TableReader:
    """A table as a :class:`~saccade.core.reader.Reader`."""

    def __init__(self, table: Table, loader: ValueLoader, blobs: BlobStore) -> None:
        self.table = table
        self.loader = loader
        self.blobs = blobs

    @property
    def schema(self) -> Schema:
        return self.table.schema

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, columns: Sequence[Column], rows: Rows | None = None, *, key: bool = True) -> pa.RecordBatch:
        """Load rows as a record batch.

        Args:
            columns: the columns to load.
            rows: the rows to load; None: all rows.
            key: include the key as the first column.
        """
        names = []
        arrays = []
        if key:
            names.append(KEY)
            arrays.append(self.loader.load_column(self.table.keys, pa.string(), rows))
        for column in columns:
            names.append(column.name)
            arrays.append(self.loader.load_column(self.table.columns[column.name], ARROW_TYPES[column.kind], rows))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.keys())}

    def keys(self) -> list[str]:
        """Return all keys in order."""
        return to_list(self.loader.load_column(self.table.keys, pa.string()))

    def column(self, name: str) -> list[Any]:
        """Return all values of a column in order."""
        column = self.schema[name]
        return decode_column(column, self.loader.load_column(self.table.columns[name], ARROW_TYPES[column.kind]))

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        schema = self.schema if columns is None else self.schema.select(columns)
        rows = np.arange(len(self)) if keys is None else self.rows_of(keys)
        for start in range(0, len(rows), _BATCH):
            batch = self.batch(schema.columns, rows[start : start + _BATCH])
            decoded = [decode_column(column, batch.column(column.name)) for column in schema.columns]
            for index, key in enumerate(to_list(batch.column(KEY))):
                yield Item(key, {name: values[index] for name, values in zip(schema.names, decoded, strict=True)})

    def rows_of(self, keys: Iterable[str]) -> Rows:
        """Return the rows of some keys, in table order.

        Raises:
            NotFoundError: a key does not exist.
        """
        try:
            return np.array(sorted({self._row_of[key] for key in keys}), np.int64)
        except KeyError as error:
            # Looking for similar keys takes too long in a large table.
            hint = suggest(str(error.args[0]), self._row_of) if len(self) < 20_000 else ""
            raise NotFoundError(f"There is no item '{error.args[0]}'.", hint=hint) from None

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self.blobs, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self.blobs, ref)
