"""Results of a batch of items in a file that is whole or not there.

A segment begins with a mark and lengths, then come the digests and counts of the items that went in, what failed of
them, and the rows that came out as an Arrow stream; at the end stands the SHA-256 of all before.
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
from saccade.pipeline.digests import Digests

_MARK = b"SACSEG1\n"
_HEAD = struct.Struct("<8sQQQ")
_SUM = struct.Struct("<Q")


@dataclass(frozen=True)
class Batch:
    """What came of some items.

    Attributes:
        items: the digest of each item, uint64 (N, 2).
        counts: how many rows came of each, int32 (N,).
        failures: why, by the number of an item that failed.
        rows: the rows of all, one item after another; with ``key`` where an item gives several.
    """

    items: Digests
    counts: npt.NDArray[np.int32]
    failures: dict[int, str]
    rows: pa.RecordBatch


def packed(batch: Batch) -> bytes:
    """A batch as the content of a segment."""
    failures = json.dumps({str(at): text for at, text in batch.failures.items()}).encode()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.rows.schema) as stream:
        stream.write_batch(batch.rows)
    rows = sink.getvalue().to_pybytes()
    failures += b" " * (-len(failures) % 8)
    head = _HEAD.pack(_MARK, len(batch.items), len(failures), len(rows))
    counts = np.ascontiguousarray(batch.counts, "<i4").tobytes()
    counts += b"\0" * (-len(counts) % 8)
    body = head + np.ascontiguousarray(batch.items, "<u8").tobytes() + counts + failures + rows
    content: bytes = body + _SUM.pack(crc32c(body))
    return content


def unpacked(buffer: pa.Buffer) -> Batch:
    """The batch of a segment; ValueError where it is damaged."""
    view = memoryview(buffer).cast("B")
    if len(view) < _HEAD.size + _SUM.size:
        raise ValueError("it is too short")
    mark, count, failed, length = _HEAD.unpack_from(view)
    at = _HEAD.size
    counts_at = at + 16 * count
    failures_at = counts_at + 4 * count + (-4 * count % 8)
    rows_at = failures_at + failed
    if mark != _MARK or rows_at + length + _SUM.size != len(view):
        raise ValueError("its parts have not the lengths that it states")
    if crc32c(view[: -_SUM.size].tobytes()) != _SUM.unpack_from(view, len(view) - _SUM.size)[0]:
        raise ValueError("its content has not the check sum that it states")
    items = np.frombuffer(view, "<u8", 2 * count, at).reshape(count, 2)
    counts = np.frombuffer(view, "<i4", count, counts_at)
    failures = {int(number): text for number, text in json.loads(bytes(view[failures_at:rows_at])).items()}
    with pa.ipc.open_stream(buffer.slice(rows_at, length)) as stream:
        rows = stream.read_next_batch()
    return Batch(items, counts, failures, rows)


class DamagedError(WorkspaceError):
    """A file of the cache is gone or not what it was; what needs it is made again."""

    code = "cache"


class Segment:
    """A segment in its file, opened and checked when it is first looked into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def batch(self) -> Batch:
        try:
            with pa.memory_map(str(self.path)) as file:
                return unpacked(file.read_buffer())
        except (OSError, ValueError, pa.ArrowException) as error:
            raise DamagedError(f"A result in the cache cannot be read: {self.path.name}: {error}.") from error

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first row of each item."""
        counts = self.batch.counts.astype(np.int64)
        return np.cumsum(counts) - counts
