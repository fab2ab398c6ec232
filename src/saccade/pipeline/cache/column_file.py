"""Columns of step results in memory-mapped files."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google_crc32c import value as crc32c

from saccade.pipeline.cache.column import (
    ColumnContent,
    ColumnDelta,
    DeltaColumn,
    LazyColumn,
    Rows,
    ValueLocations,
    chunk_count,
    column_digest,
)
from saccade.pipeline.cache.segments import CorruptCacheError
from saccade.pipeline.hashing.columns import Digests

_FULL_MAGIC = b"SACCEL2\n"
_DELTA_MAGIC = b"SACPAT1\n"
_HEADER = struct.Struct("<8sQQQQ")
"""Magic number, number of rows, length of the source names, number of runs (or changed rows), CRC32C of the body."""
_ID_LENGTH = 64


def serialize_column(column: LazyColumn) -> bytes:
    """Serialize a column.

    After the header, a column that is stored in full has: the names of the sources; the hashes of the chunks; the
    digests; and the runs of values that are consecutive rows of one source, as three arrays (the first row of each run,
    its row in the source, the index of the source).

    A delta has: the id of its base; the names of the sources; and for each changed row its number, digest, row in the
    source and index of the source.
    """
    delta = column.delta
    locations = column.locations if delta is None else delta.values
    names = "\n".join(locations.sources).encode()
    names += b"\n" * (-len(names) % 8)  # keeps the arrays aligned
    digests = np.ascontiguousarray(locations.digests, "<u8").tobytes()
    if delta is not None:
        parts = [
            delta.base.id.encode(),
            names,
            _int64_bytes(delta.rows),
            digests,
            _int64_bytes(locations.rows),
            _int64_bytes(locations.source_indices),
        ]
        count = len(locations)
    else:
        starts = _run_starts(locations)
        runs = [
            _int64_bytes(starts),
            _int64_bytes(locations.rows[starts]),
            _int64_bytes(locations.source_indices[starts]),
        ]
        parts = [names, column.chunk_hashes, digests, *runs]
        count = len(starts)
    body = b"".join(parts)
    magic = _FULL_MAGIC if delta is None else _DELTA_MAGIC
    return _HEADER.pack(magic, len(column), len(names), count, crc32c(body)) + body


def _int64_bytes(numbers: npt.NDArray[np.int32] | Rows) -> bytes:
    return numbers.astype("<i8").tobytes()


def _run_starts(locations: ValueLocations) -> Rows:
    if not len(locations.rows):
        return np.empty(0, np.int64)
    continues = (np.diff(locations.rows) == 1) & (np.diff(locations.source_indices) == 0)
    return np.concatenate([[0], np.flatnonzero(~continues) + 1])


class ColumnFile:
    """A column in a memory-mapped file; only the parts that are accessed are read.

    Args:
        path: the file.
        id: the id of the column.
        open_column: opens the column of another id and length, for the base of a delta.

    Raises:
        CorruptCacheError: the file is missing, or its size does not match the header.
    """

    def __init__(self, path: Path, id: str, open_column: Callable[[str, int], LazyColumn]) -> None:
        self.path = path
        self._id = id
        self._open_column = open_column
        try:
            with path.open("rb") as file:
                self._view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            header: tuple[bytes, int, int, int, int] = _HEADER.unpack_from(self._view)
            self._magic, self._row_count, self._names_length, self._run_count, self._checksum = header
            if self._magic not in (_FULL_MAGIC, _DELTA_MAGIC) or len(self._view) != self._expected_size():
                raise ValueError("the file size does not match the header")
        except (OSError, ValueError, struct.error) as error:
            raise self._corrupt_error(error) from error

    def _corrupt_error(self, reason: object) -> CorruptCacheError:
        return CorruptCacheError(f"The column {self._id} in the cache cannot be read: {reason}.")

    def _expected_size(self) -> int:
        if self._magic == _DELTA_MAGIC:
            return _HEADER.size + _ID_LENGTH + self._names_length + 40 * self._run_count
        return self._digests_offset + 16 * self._row_count + 24 * self._run_count

    @property
    def _hashes_offset(self) -> int:
        return _HEADER.size + self._names_length

    @property
    def _digests_offset(self) -> int:
        return self._hashes_offset + 32 * chunk_count(self._row_count)

    def verify(self) -> None:
        """Check the content against its checksum and, if the column is stored in full, against its id.

        Raises:
            CorruptCacheError: the content is damaged, or belongs to another column.
        """
        if self._checksum != crc32c(memoryview(self._view)[_HEADER.size :].tobytes()):
            raise self._corrupt_error("the checksum does not match")
        if self._magic == _FULL_MAGIC and column_digest(self.chunk_hashes, self._row_count) != self._id:
            raise self._corrupt_error("the file contains another column")

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources of the values; for a delta, of the changed values."""
        offset = _HEADER.size + (_ID_LENGTH if self._magic == _DELTA_MAGIC else 0)
        names = self._view[offset : offset + self._names_length].decode().rstrip("\n")
        return tuple(names.split("\n")) if names else ()

    @property
    def base_id(self) -> str | None:
        """The id of the base of a delta, or None for a column that is stored in full."""
        return self._view[_HEADER.size : _HEADER.size + _ID_LENGTH].decode() if self._magic == _DELTA_MAGIC else None

    def open(self) -> ColumnContent:
        """Open the content; a delta is verified and read as a whole.

        Raises:
            CorruptCacheError: a delta is damaged.
        """
        if self.base_id is None:
            return self
        self.verify()
        offset = _HEADER.size + _ID_LENGTH + self._names_length
        count = self._run_count
        rows = self._int64_array(offset, count)
        digests = np.frombuffer(self._view, "<u8", 2 * count, offset + 8 * count).reshape(count, 2)
        source_rows = self._int64_array(offset + 24 * count, count)
        source_indices = self._int64_array(offset + 32 * count, count)
        values = ValueLocations(digests, self.sources, source_indices.astype(np.int32), source_rows)
        return DeltaColumn(ColumnDelta(self._open_column(self.base_id, self._row_count), rows, values))

    def _int64_array(self, offset: int, count: int) -> Rows:
        return np.frombuffer(self._view, "<i8", count, offset)

    # The content of a column that is stored in full

    delta = None

    @property
    def chunk_hashes(self) -> bytes:
        return self._view[self._hashes_offset : self._digests_offset]

    @cached_property
    def _digests(self) -> Digests:
        digests = np.frombuffer(self._view, "<u8", 2 * self._row_count, self._digests_offset)
        return digests.reshape(self._row_count, 2)

    @cached_property
    def _runs(self) -> tuple[Rows, Rows, Rows]:
        """The first row of each run, its row in the source, and the index of the source."""
        offset = self._digests_offset + 16 * self._row_count
        starts = self._int64_array(offset, self._run_count)
        source_rows = self._int64_array(offset + 8 * self._run_count, self._run_count)
        source_indices = self._int64_array(offset + 16 * self._run_count, self._run_count)
        return starts, source_rows, source_indices

    def locations(self) -> ValueLocations:
        self.verify()
        starts, source_rows, source_indices = self._runs
        lengths = np.diff(np.append(starts, self._row_count))
        within_run = np.arange(self._row_count) - np.repeat(starts, lengths)
        return ValueLocations(
            self._digests,
            self.sources,
            np.repeat(source_indices, lengths).astype(np.int32),
            np.repeat(source_rows, lengths) + within_run,
        )

    def take(self, rows: Rows) -> ValueLocations:
        starts, source_rows, source_indices = self._runs
        run = np.searchsorted(starts, rows, "right") - 1
        return ValueLocations(
            self._digests[rows],
            self.sources,
            source_indices[run].astype(np.int32),
            source_rows[run] + rows - starts[run],
        )

    def digest_slice(self, begin: int, end: int) -> Digests:
        return self._digests[begin:end]
