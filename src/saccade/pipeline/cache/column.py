"""Columns of step results: the digest of every value, and the location of the stored value.

A column that differs from another one in few rows is stored as a delta over it. The cost of an edit then follows the
number of edited rows, not the size of the dataset.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import numpy as np
import numpy.typing as npt

from saccade.pipeline.hashing.columns import Digests

Rows = npt.NDArray[np.int64]
"""Row numbers, int64 (N,)."""
CHUNK_ROWS = 4096
"""The number of rows that are hashed together."""
_MIN_ROWS_PER_CHANGE = 8
"""A delta may change at most one in this many rows; beyond that the column is stored in full."""


@dataclass(frozen=True)
class ValueLocations:
    """The digest and storage location of every value of a column.

    Attributes:
        digests: uint64 (N, 2).
        sources: the files that hold values: ``segment:MEMO/NAME#COLUMN`` or ``dataset:NAME@VERSION#COLUMN``.
        source_indices: the index into ``sources`` of each value, int32 (N,).
        rows: the row of each value within its source, int64 (N,).
    """

    digests: Digests
    sources: tuple[str, ...]
    source_indices: npt.NDArray[np.int32]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Rows) -> ValueLocations:
        """Return the values at the given rows, in that order."""
        return ValueLocations(self.digests[rows], self.sources, self.source_indices[rows], self.rows[rows])


def concat_locations(parts: Sequence[ValueLocations]) -> ValueLocations:
    """Concatenate columns."""
    index_of_source: dict[str, int] = {}
    source_indices = [_shared_source_indices(part, index_of_source) for part in parts]
    return ValueLocations(
        np.concatenate([np.empty((0, 2), np.uint64), *(part.digests for part in parts)]),
        tuple(index_of_source),
        np.concatenate([np.empty(0, np.int32), *source_indices]),
        np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)]),
    )


def _shared_source_indices(part: ValueLocations, index_of_source: dict[str, int]) -> npt.NDArray[np.int32]:
    """Return the source index of each value in a numbering shared by several columns; new sources are added to it."""
    indices = [index_of_source.setdefault(name, len(index_of_source)) for name in part.sources]
    return np.array(indices or [0], np.int32)[part.source_indices]


def _overlay(base: ValueLocations, rows: Rows, values: ValueLocations) -> ValueLocations:
    """Replace the values of a column at some rows."""
    index_of_source = {name: index for index, name in enumerate(base.sources)}
    digests = base.digests.copy()
    source_indices = base.source_indices.copy()
    source_rows = base.rows.copy()
    digests[rows] = values.digests
    source_indices[rows] = _shared_source_indices(values, index_of_source)
    source_rows[rows] = values.rows
    return ValueLocations(digests, tuple(index_of_source), source_indices, source_rows)


def prune_sources(locations: ValueLocations) -> ValueLocations:
    """Remove the sources that hold none of the values."""
    used = np.flatnonzero(np.bincount(locations.source_indices, minlength=len(locations.sources)))
    if len(used) == len(locations.sources):
        return locations
    new_indices = np.zeros(len(locations.sources), np.int32)
    new_indices[used] = np.arange(len(used))
    sources = tuple(locations.sources[index] for index in used.tolist())
    return ValueLocations(locations.digests, sources, new_indices[locations.source_indices], locations.rows)


class ColumnContent(Protocol):
    """The content of a column, in memory or in a file."""

    @property
    def chunk_hashes(self) -> bytes: ...
    @property
    def delta(self) -> ColumnDelta | None: ...
    def locations(self) -> ValueLocations: ...
    def take(self, rows: Rows) -> ValueLocations: ...
    def digest_slice(self, begin: int, end: int) -> Digests: ...


class LazyColumn:
    """A column that is identified by its digest and opened on first access.

    Args:
        id: the digest of the column; columns of the same id have the same values.
        length: the number of rows.
        open: opens the content.
    """

    def __init__(self, id: str, length: int, open: Callable[[], ColumnContent]) -> None:
        self.id = id
        self.length = length
        self._open = open

    @classmethod
    def from_locations(cls, locations: ValueLocations) -> LazyColumn:
        """Create a column in memory."""
        content = _MemoryColumn(locations)
        return cls(column_digest(content.chunk_hashes, len(locations)), len(locations), lambda: content)

    def __len__(self) -> int:
        return self.length

    @cached_property
    def _content(self) -> ColumnContent:
        return self._open()

    @cached_property
    def locations(self) -> ValueLocations:
        """All values."""
        return self._content.locations()

    @property
    def digests(self) -> Digests:
        return self.locations.digests

    def take(self, rows: Rows) -> ValueLocations:
        """Return the values at some rows, without reading the others."""
        return self.locations.take(rows) if "locations" in self.__dict__ else self._content.take(rows)

    @property
    def delta(self) -> ColumnDelta | None:
        """The difference from another column as which this one is stored, or None if it is stored in full."""
        return self._content.delta

    @property
    def chunk_hashes(self) -> bytes:
        """The SHA-256 of each chunk of rows, concatenated."""
        return self._content.chunk_hashes

    def digest_slice(self, begin: int, end: int) -> Digests:
        """Return the digests of the rows from ``begin`` up to ``end``."""
        return self._content.digest_slice(begin, end)


@dataclass(frozen=True)
class ColumnDelta:
    """The values of a column that differ from those of another column.

    Attributes:
        base: the other column, which is stored in full.
        rows: the rows that differ, ascending.
        values: the values at these rows.
    """

    base: LazyColumn
    rows: Rows
    values: ValueLocations


def _hash_chunks(digests: Digests) -> bytes:
    content = np.ascontiguousarray(digests, "<u8").tobytes()
    chunk_bytes = 16 * CHUNK_ROWS
    return b"".join(
        sha256(content[start : start + chunk_bytes]).digest() for start in range(0, len(content), chunk_bytes)
    )


def chunk_count(row_count: int) -> int:
    """Return the number of chunks of a column with that many rows."""
    return -(-row_count // CHUNK_ROWS)


def column_digest(chunk_hashes: bytes, row_count: int) -> str:
    """Return the digest of a column as a hexadecimal SHA-256."""
    return sha256(struct.pack("<Q", row_count) + chunk_hashes).hexdigest()


class _MemoryColumn:
    delta = None

    def __init__(self, locations: ValueLocations) -> None:
        self._locations = locations
        self.chunk_hashes = _hash_chunks(locations.digests)

    def locations(self) -> ValueLocations:
        return self._locations

    def take(self, rows: Rows) -> ValueLocations:
        return self._locations.take(rows)

    def digest_slice(self, begin: int, end: int) -> Digests:
        return self._locations.digests[begin:end]


class DeltaColumn:
    """The content of a column that is stored as a delta."""

    def __init__(self, delta: ColumnDelta) -> None:
        self.delta = delta

    @property
    def chunk_hashes(self) -> bytes:
        """The hashes of the base; only chunks with changed rows are hashed again."""
        base = self.delta.base
        rows = self.delta.rows
        hashes = bytearray(base.chunk_hashes)
        for chunk in np.unique(rows // CHUNK_ROWS).tolist():
            begin = chunk * CHUNK_ROWS
            first, last = np.searchsorted(rows, [begin, begin + CHUNK_ROWS]).tolist()
            digests = np.array(base.digest_slice(begin, min(begin + CHUNK_ROWS, len(base))))
            digests[rows[first:last] - begin] = self.delta.values.digests[first:last]
            hashes[32 * chunk : 32 * chunk + 32] = _hash_chunks(digests)
        return bytes(hashes)

    def locations(self) -> ValueLocations:
        return _overlay(self.delta.base.locations, self.delta.rows, self.delta.values)

    def take(self, rows: Rows) -> ValueLocations:
        base = self.delta.base.take(rows)
        positions = np.minimum(np.searchsorted(self.delta.rows, rows), len(self.delta.rows) - 1)
        changed = np.flatnonzero(self.delta.rows[positions] == rows)
        return _overlay(base, changed, self.delta.values.take(positions[changed])) if len(changed) else base

    def digest_slice(self, begin: int, end: int) -> Digests:
        return self.take(np.arange(begin, end)).digests


def with_changes(column: LazyColumn, rows: Rows, values: ValueLocations) -> LazyColumn:
    """Replace the values of a column at some rows; few changes are stored as a delta.

    Args:
        column: the original column.
        rows: the rows to change, ascending and unique.
        values: the new values at these rows.
    """
    base = column
    if column.delta is not None:
        # Deltas never chain: combine the old and the new changes over the same base.
        base = column.delta.base
        unchanged = np.flatnonzero(~np.isin(column.delta.rows, rows))
        rows = np.concatenate([column.delta.rows[unchanged], rows])
        order = np.argsort(rows)
        rows = rows[order]
        values = concat_locations([column.delta.values.take(unchanged), values]).take(order)
    differing = np.flatnonzero(np.any(base.take(rows).digests != values.digests, axis=1))
    rows = rows[differing]
    values = values.take(differing)
    if not len(rows):
        return base
    if _MIN_ROWS_PER_CHANGE * len(rows) > len(base):
        return LazyColumn.from_locations(_overlay(base.locations, rows, values))
    content = DeltaColumn(ColumnDelta(base, rows, values))
    return LazyColumn(column_digest(content.chunk_hashes, len(base)), len(base), lambda: content)


def changed_rows(before: LazyColumn, after: LazyColumn) -> Rows | None:
    """Return the rows in which two columns of the same length differ, ascending.

    Returns None if the columns have no common base, since only a full comparison would then tell.
    """
    bases = [column.delta.base.id if column.delta else column.id for column in (before, after)]
    if bases[0] != bases[1]:
        return None
    empty = np.empty(0, np.int64)
    candidates = np.union1d(*(column.delta.rows if column.delta else empty for column in (before, after)))
    rows: Rows = candidates[np.any(before.take(candidates).digests != after.take(candidates).digests, axis=1)]
    return rows
