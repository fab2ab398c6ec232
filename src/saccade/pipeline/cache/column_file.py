"""Columns of results in files, which are looked into where they lie."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google_crc32c import value as crc32c

from saccade.pipeline.cache.column import Cells, Content, Patch, Patched, Places, Rows, chunks_in, id_of
from saccade.pipeline.cache.segments import DamagedError
from saccade.pipeline.hashing.columns import Digests

_WHOLE, _PATCH = b"SACCEL2\n", b"SACPAT1\n"
_HEAD = struct.Struct("<8sQQQQ")
_ID = 64


def pack_cells(cells: Cells) -> bytes:
    """The content of a file that keeps a column: mark, lengths and check sum; sources; then what is in it.

    Of a column that stands on its own these are the hashes of chunks, digests, and runs of values that lie one after
    another in a source: the number of the first, its row there, its source. Of one over another the other's id before
    the sources, and then rows, digests, rows in the source and sources.
    """
    patch = cells.patch
    places = cells.places if patch is None else patch.values
    names = "\n".join(places.sources).encode()
    names += b"\n" * (-len(names) % 8)
    digests = np.ascontiguousarray(places.digests, "<u8").tobytes()
    if patch is not None:
        parts = [patch.base.id.encode(), names, _whole(patch.rows), digests, _whole(places.rows), _whole(places.which)]
        count = len(places)
    else:
        starts = _starts_of_runs(places)
        runs = [_whole(starts), _whole(places.rows[starts]), _whole(places.which[starts])]
        parts, count = [names, cells.hashes, digests, *runs], len(starts)
    body = b"".join(parts)
    return _HEAD.pack(_WHOLE if patch is None else _PATCH, len(cells), len(names), count, crc32c(body)) + body


def _whole(numbers: npt.NDArray[np.int32] | Rows) -> bytes:
    return numbers.astype("<i8").tobytes()


def _starts_of_runs(places: Places) -> Rows:
    if not len(places.rows):
        return np.empty(0, np.int64)
    goes_on = (np.diff(places.rows) == 1) & (np.diff(places.which) == 0)
    return np.concatenate([[0], np.flatnonzero(~goes_on) + 1])


class KeptColumn:
    """A column in its file; it is looked into where it lies.

    Args:
        id: of the column.
        cells: gives the column of another id.

    Raises:
        DamagedError: it is gone, or has not the lengths that it states.
    """

    def __init__(self, path: Path, id: str, cells: Callable[[str, int], Cells]) -> None:
        self.path, self._id, self._cells = path, id, cells
        try:
            with path.open("rb") as file:
                self._view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            head: tuple[bytes, int, int, int, int] = _HEAD.unpack_from(self._view)
            self._mark, self._count, self._names, self._parts, self._sum = head
            if self._mark not in (_WHOLE, _PATCH) or len(self._view) != self._size():
                raise ValueError("its parts have not the lengths that it states")
        except (OSError, ValueError, struct.error) as error:
            raise self._damaged(error) from error

    def _damaged(self, why: object) -> DamagedError:
        return DamagedError(f"The column {self._id} in the cache cannot be read: {why}.")

    def _size(self) -> int:
        if self._mark == _PATCH:
            return _HEAD.size + _ID + self._names + 40 * self._parts
        return _HEAD.size + self._names + 32 * self._chunks + 16 * self._count + 24 * self._parts

    @property
    def _chunks(self) -> int:
        return chunks_in(self._count)

    def check(self) -> None:
        """DamagedError where the content is not what was written."""
        if self._sum != crc32c(memoryview(self._view)[_HEAD.size :].tobytes()):
            raise self._damaged("its content has not the check sum that it states")
        if self._mark == _WHOLE and id_of(self.hashes, self._count) != self._id:
            raise self._damaged("it is another column")

    @property
    def sources(self) -> tuple[str, ...]:
        """What holds its values; of one over another, those that differ."""
        at = _HEAD.size + (_ID if self._mark == _PATCH else 0)
        names = self._view[at : at + self._names].decode().rstrip("\n")
        return tuple(names.split("\n")) if names else ()

    @property
    def base(self) -> str | None:
        """The id of the column that it is kept over."""
        return self._view[_HEAD.size : _HEAD.size + _ID].decode() if self._mark == _PATCH else None

    def open(self) -> Content:
        """What is in it."""
        if self.base is None:
            return self
        self.check()
        at, count = _HEAD.size + _ID + self._names, self._parts
        rows = self._numbers(at, count)
        digests = np.frombuffer(self._view, "<u8", 2 * count, at + 8 * count).reshape(count, 2)
        where, which = (self._numbers(at + 24 * count + 8 * count * number, count) for number in range(2))
        values = Places(digests, self.sources, which.astype(np.int32), where)
        return Patched(Patch(self._cells(self.base, self._count), rows, values))

    def _numbers(self, at: int, count: int) -> Rows:
        return np.frombuffer(self._view, "<i8", count, at)

    # Of one that stands on its own

    patch = None

    @property
    def hashes(self) -> bytes:
        at = _HEAD.size + self._names
        return self._view[at : at + 32 * self._chunks]

    @cached_property
    def _digests(self) -> Digests:
        at = _HEAD.size + self._names + 32 * self._chunks
        return np.frombuffer(self._view, "<u8", 2 * self._count, at).reshape(self._count, 2)

    @cached_property
    def _runs(self) -> tuple[Rows, Rows, Rows]:
        at = _HEAD.size + self._names + 32 * self._chunks + 16 * self._count
        starts, rows, which = (self._numbers(at + 8 * self._parts * number, self._parts) for number in range(3))
        return starts, rows, which

    def places(self) -> Places:
        self.check()
        starts, rows, which = self._runs
        lengths = np.diff(np.append(starts, self._count))
        within = np.arange(self._count) - np.repeat(starts, lengths)
        return Places(
            self._digests, self.sources, np.repeat(which, lengths).astype(np.int32), np.repeat(rows, lengths) + within
        )

    def at(self, rows: Rows) -> Places:
        starts, first, which = self._runs
        run = np.searchsorted(starts, rows, "right") - 1
        return Places(self._digests[rows], self.sources, which[run].astype(np.int32), first[run] + rows - starts[run])

    def between(self, begin: int, end: int) -> Digests:
        return self._digests[begin:end]
