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
from saccade.pipeline.hashing.columns import Digests

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
    failures = _padded(failures)
    head = _HEAD.pack(_MARK, len(batch.items), len(failures), len(rows))
    counts = np.ascontiguousarray(batch.counts, "<i4").tobytes()
    counts += b"\0" * (-len(counts) % 8)
    body = head + np.ascontiguousarray(batch.items, "<u8").tobytes() + counts + failures + rows
    content: bytes = body + _SUM.pack(crc32c(body))
    return content


class DamagedError(WorkspaceError):
    """A file of the cache is gone or not what it was; what needs it is made again."""

    code = "cache"


class Segment:
    """A segment in its file; its content is checked when results are taken from it.

    Raises:
        DamagedError: it is gone, or has not the lengths that it states.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _parts(self) -> tuple[pa.Buffer, int, int, int]:
        """The content, how many items there are, and the lengths of the failures and of the rows."""
        try:
            with pa.memory_map(str(self.path)) as file:
                buffer = file.read_buffer()
            view = memoryview(buffer).cast("B")
            mark, count, failed, length = _HEAD.unpack_from(view)
            if mark != _MARK or _counts_at(count) + _counts_of(count) + failed + length + _SUM.size != len(view):
                raise ValueError("its parts have not the lengths that it states")
        except (OSError, ValueError, struct.error, pa.ArrowException) as error:
            raise self._damaged(error) from error
        return buffer, count, failed, length

    def _damaged(self, why: object) -> DamagedError:
        return DamagedError(f"A result in the cache cannot be read: {self.path.name}: {why}.")

    def __len__(self) -> int:
        return self._parts[1]

    @property
    def items(self) -> Digests:
        """The digests of the items, to look for one; they are not checked."""
        buffer, count, _, _ = self._parts
        return np.frombuffer(buffer, "<u8", 2 * count, _HEAD.size).reshape(count, 2)

    @property
    def may_hold_failures(self) -> bool:
        return self._parts[2] > len(_padded(b"{}"))

    @cached_property
    def batch(self) -> Batch:
        """All that is in it, checked."""
        buffer, count, failed, length = self._parts
        view = memoryview(buffer).cast("B")
        if crc32c(view[: -_SUM.size].tobytes()) != _SUM.unpack_from(view, len(view) - _SUM.size)[0]:
            raise self._damaged("its content has not the check sum that it states")
        failures_at = _counts_at(count) + _counts_of(count)
        counts = np.frombuffer(buffer, "<i4", count, _counts_at(count))
        try:
            texts = json.loads(bytes(view[failures_at : failures_at + failed]))
            with pa.ipc.open_stream(buffer.slice(failures_at + failed, length)) as stream:
                rows = stream.read_next_batch()
            return Batch(self.items, counts, {int(number): text for number, text in texts.items()}, rows)
        except (ValueError, pa.ArrowException) as error:
            raise self._damaged(error) from error

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """The first row of each item."""
        counts = self.batch.counts.astype(np.int64)
        return np.cumsum(counts) - counts


def _counts_at(count: int) -> int:
    return _HEAD.size + 16 * count


def _counts_of(count: int) -> int:
    return 4 * count + (-4 * count % 8)


def _padded(failures: bytes) -> bytes:
    return failures + b" " * (-len(failures) % 8)
