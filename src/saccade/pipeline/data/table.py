"""Tables between steps: items whose values lie in segments and dataset versions, read when they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa

from saccade.core.digest import digest_json
from saccade.core.errors import NotFoundError, nearest
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, MediaRef, Schema
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import Cells, Places, Rows
from saccade.pipeline.cache.segments import DamagedError
from saccade.store.arrow.codec import ARROW_TYPES, decode_column
from saccade.store.arrow.columns import to_list
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.blobs.media_resolver import open_media, read_media

_BATCH = 2048


class Datasets(Protocol):
    """Dataset versions by reference, as those of a workspace."""

    def open(self, ref: str) -> Any: ...


@dataclass(frozen=True)
class Table:
    """A schema, the keys, and the cells of every column."""

    schema: Schema
    keys: Cells
    columns: Mapping[str, Cells]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def id(self) -> str:
        """A digest of the content."""
        return digest_json(
            [self.schema.to_json(), self.keys.id, {name: cells.id for name, cells in self.columns.items()}]
        )


class Values:
    """Gets values from where they lie."""

    def __init__(self, cache: Cache, datasets: Datasets) -> None:
        self._cache, self._datasets = cache, datasets
        self._open: dict[str, Any] = {}

    def of(self, cells: Cells, type: pa.DataType, rows: Rows | None = None) -> pa.Array:
        """The values at these rows of a column (all where None), as an array of this type."""
        return self.at(cells.places if rows is None else cells.at(rows), type)

    def at(self, places: Places, type: pa.DataType) -> pa.Array:
        """The values of these places."""
        which, where = places.which, places.rows
        if not len(which):
            return pa.array([], type)
        used = np.flatnonzero(np.bincount(which)).tolist()
        if len(used) == 1:
            return self._from(places.sources[used[0]], where, type)
        parts, order = [], []
        for number in used:
            mine = np.flatnonzero(which == number)
            parts.append(self._from(places.sources[number], where[mine], type))
            order.append(mine)
        back = np.empty(len(which), np.int64)
        back[np.concatenate(order)] = np.arange(len(which))
        return pa.concat_arrays(parts).take(pa.array(back))

    def _from(self, source: str, rows: Rows, type: pa.DataType) -> pa.Array:
        kind, _, rest = source.partition(":")
        if kind == "nothing":
            return pa.nulls(len(rows), type)
        place, _, column = rest.partition("#")
        if kind == "segment":
            values = self._cache.segment(place).batch.rows.column(column)
        else:
            return self._from_dataset(place, column, rows, type)
        first, count = int(rows[0]), len(rows)
        if int(rows[-1]) - first + 1 == count and bool(np.all(np.diff(rows) == 1)):
            return values.slice(first, count)
        return values.take(pa.array(rows))

    def _from_dataset(self, place: str, column: str, rows: Rows, type: pa.DataType) -> pa.Array:
        if place not in self._open:
            self._open[place] = self._opened(place)
        snapshot = self._open[place].snapshot
        if column == KEY:
            return snapshot.index.keys.take(pa.array(snapshot.index.order[rows]))
        found = snapshot.index.take(snapshot.index.order[rows], [column]).column(column).combine_chunks()
        return widened(found, type)

    def _opened(self, place: str) -> Any:
        version = version_at(self._datasets, place)
        if version is None:
            raise DamagedError(
                f"{place.partition(':')[0]} is not the version that results in the cache were made from."
            )
        return version


def version_at(datasets: Datasets, place: str) -> Any:
    """The version of ``NAME@VERSION:IDENTITY``; None where it is gone, or is another one by now."""
    ref, _, identity = place.rpartition(":")
    try:
        version = datasets.open(ref)
    except NotFoundError:
        return None
    return version if identity_of(version) == identity else None


def identity_of(version: Any) -> str:
    """What tells a version from another that has its number, as after a backup of the workspace was put back."""
    snapshot = version.snapshot
    return digest_json([snapshot.table_id, snapshot.version, version.info.created.isoformat()])[:16]


def widened(values: pa.Array, type: pa.DataType) -> pa.Array:
    """Structs of an earlier Saccade with the fields that they have by now."""
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

    def __init__(self, table: Table, values: Values, objects: ObjectStore) -> None:
        self.table, self.values, self.objects = table, values, objects

    @property
    def schema(self) -> Schema:
        return self.table.schema

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, columns: Sequence[Column], rows: Rows | None = None, *, key: bool = True) -> pa.RecordBatch:
        """Rows with the key (where asked for) and these columns."""
        names, arrays = [], []
        if key:
            names.append(KEY)
            arrays.append(self.values.of(self.table.keys, pa.string(), rows))
        for column in columns:
            names.append(column.name)
            arrays.append(self.values.of(self.table.columns[column.name], ARROW_TYPES[column.kind], rows))
        return pa.RecordBatch.from_arrays(arrays, names=names)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(self.keys())}

    def keys(self) -> list[str]:
        """All keys in order."""
        return to_list(self.values.of(self.table.keys, pa.string()))

    def column(self, name: str) -> list[Any]:
        """All values of a column in order."""
        column = self.schema[name]
        return decode_column(column, self.values.of(self.table.columns[name], ARROW_TYPES[column.kind]))

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        schema = self.schema if columns is None else self.schema.select(columns)
        rows = np.arange(len(self)) if keys is None else self.rows_of(keys)
        for start in range(0, len(rows), _BATCH):
            batch = self.batch(schema.columns, rows[start : start + _BATCH])
            found = [decode_column(column, batch.column(column.name)) for column in schema.columns]
            for at, key in enumerate(to_list(batch.column(KEY))):
                yield Item(key, {name: values[at] for name, values in zip(schema.names, found, strict=True)})

    def rows_of(self, keys: Iterable[str]) -> Rows:
        """The rows of some keys, in the order of the table; NotFoundError for one that is not there."""
        try:
            return np.array(sorted({self._row_of[key] for key in keys}), np.int64)
        except KeyError as error:
            hint = nearest(str(error.args[0]), self._row_of) if len(self) < 20_000 else ""
            raise NotFoundError(f"There is no item '{error.args[0]}'.", hint=hint) from None

    def read_media(self, ref: MediaRef) -> bytes:
        return read_media(self.objects, ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return open_media(self.objects, ref)
