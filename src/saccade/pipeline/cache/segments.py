"""Segments: immutable files with the results of a batch of items.

A segment consists of a header, the digests of the input items, the number of output rows of each, the failures as JSON,
the output rows as an Arrow stream, and a CRC32C over everything before it.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google_crc32c import value as crc32c

from saccade.core.errors import WorkspaceError
from saccade.pipeline.hashing.columns import Digests

_MAGIC = b"SACSEG1\n"
_HEADER = struct.Struct("<8sQQQ")
"""Magic number, number of items, length of the failures, length of the rows."""
_CHECKSUM = struct.Struct("<Q")


@dataclass(frozen=True)
class SegmentBatch:
    """The results of a batch of items.

    Attributes:
        items: the digest of each input item, uint64 (N, 2).
        counts: the number of output rows of each item, int32 (N,).
        failures: the error text of each failed item, by its index.
        rows: the output rows of all items in order; with a column ``key`` if an item may have several.
    """

    items: Digests
    counts: npt.NDArray[np.int32]
    failures: dict[int, str]
    rows: pa.RecordBatch


def serialize_batch(batch: SegmentBatch) -> bytes:
    """Serialize a batch as the content of a segment file."""
    failures = _pad(json.dumps({str(index): text for index, text in batch.failures.items()}).encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.rows.schema) as stream:
        stream.write_batch(batch.rows)
    rows = sink.getvalue().to_pybytes()
    header = _HEADER.pack(_MAGIC, len(batch.items), len(failures), len(rows))
    counts = np.ascontiguousarray(batch.counts, "<i4").tobytes()
    counts += b"\0" * (-len(counts) % 8)  # keeps what follows aligned
    body = header + np.ascontiguousarray(batch.items, "<u8").tobytes() + counts + failures + rows
    content: bytes = body + _CHECKSUM.pack(crc32c(body))
    return content


class CorruptCacheError(WorkspaceError):
    """A file of the cache is missing or damaged; the affected results are computed again."""

    code = "cache"


class Segment:
    """A segment in its file. The checksum is verified before results are read.

    Raises:
        CorruptCacheError: on access, if the file is missing or its size does not match the header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _layout(self) -> tuple[pa.Buffer, int, int, int]:
        """The content, the number of items, and the lengths of the failures and of the rows in bytes."""
        try:
            with pa.memory_map(str(self.path)) as file:
                buffer = file.read_buffer()
            view = memoryview(buffer).cast("B")
            magic, count, failures_length, rows_length = _HEADER.unpack_from(view)
            size = _counts_offset(count) + _counts_length(count) + failures_length + rows_length + _CHECKSUM.size
            if magic != _MAGIC or size != len(view):
                raise ValueError("the file size does not match the header")
        except (OSError, ValueError, struct.error, pa.ArrowException) as error:
            raise self._corrupt_error(error) from error
        return buffer, count, failures_length, rows_length

    def _corrupt_error(self, reason: object) -> CorruptCacheError:
        return CorruptCacheError(f"A result in the cache cannot be read: {self.path.name}: {reason}.")

    def __len__(self) -> int:
        return self._layout[1]

    @property
    def items(self) -> Digests:
        """The digests of the items, for lookups; not covered by a checksum check."""
        buffer, count, _, _ = self._layout
        return np.frombuffer(buffer, "<u8", 2 * count, _HEADER.size).reshape(count, 2)

    @property
    def may_hold_failures(self) -> bool:
        """Whether the failures are not empty; the answer needs no checksum check."""
        return self._layout[2] > len(_pad(b"{}"))

    @cached_property
    def batch(self) -> SegmentBatch:
        """The verified content.

        Raises:
            CorruptCacheError: the content does not match its checksum.
        """
        buffer, count, failures_length, rows_length = self._layout
        view = memoryview(buffer).cast("B")
        checksum = _CHECKSUM.unpack_from(view, len(view) - _CHECKSUM.size)[0]
        if crc32c(view[: -_CHECKSUM.size].tobytes()) != checksum:
            raise self._corrupt_error("the checksum does not match")
        failures_offset = _counts_offset(count) + _counts_length(count)
        counts = np.frombuffer(buffer, "<i4", count, _counts_offset(count))
        try:
            failures = json.loads(bytes(view[failures_offset : failures_offset + failures_length]))
            with pa.ipc.open_stream(buffer.slice(failures_offset + failures_length, rows_length)) as stream:
                rows = stream.read_next_batch()
            return SegmentBatch(self.items, counts, {int(index): text for index, text in failures.items()}, rows)
        except (ValueError, pa.ArrowException) as error:
            raise self._corrupt_error(error) from error

    @cached_property
    def row_offsets(self) -> npt.NDArray[np.int64]:
        """The first row of each item."""
        counts = self.batch.counts.astype(np.int64)
        return np.cumsum(counts) - counts


def _counts_offset(count: int) -> int:
    return _HEADER.size + 16 * count


def _counts_length(count: int) -> int:
    return 4 * count + (-4 * count % 8)


def _pad(failures: bytes) -> bytes:
    return failures + b" " * (-len(failures) % 8)
