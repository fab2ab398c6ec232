"""Columns of results: the digest of every value, and where the values lie.

A column that differs from another in few rows is kept as those rows, over the other one: what is done about an edit
then costs what the edit touches, not what the dataset holds.
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
CHUNK = 4096
"""Rows that are hashed together."""
_FEW = 8
"""A patch holds at most one of so many rows."""


@dataclass(frozen=True)
class Places:
    """The digest and place of every value of a column.

    Attributes:
        digests: uint64 (N, 2).
        sources: what holds values: ``segment:MEMO/NAME#COLUMN`` or ``dataset:NAME@VERSION#COLUMN``.
        which: the number of the source of each value, int32 (N,).
        rows: its row there, int64 (N,).
    """

    digests: Digests
    sources: tuple[str, ...]
    which: npt.NDArray[np.int32]
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Rows) -> Places:
        """These values, in this order."""
        return Places(self.digests[rows], self.sources, self.which[rows], self.rows[rows])


def joined(parts: Sequence[Places]) -> Places:
    """Several columns, one after another."""
    numbers: dict[str, int] = {}
    which = [_renumbered(part, numbers) for part in parts]
    return Places(
        np.concatenate([np.empty((0, 2), np.uint64), *(part.digests for part in parts)]),
        tuple(numbers),
        np.concatenate([np.empty(0, np.int32), *which]),
        np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)]),
    )


def _renumbered(part: Places, numbers: dict[str, int]) -> npt.NDArray[np.int32]:
    """The source of each value by the numbers of several columns together, which learn of new ones."""
    return np.array([numbers.setdefault(name, len(numbers)) for name in part.sources] or [0], np.int32)[part.which]


def _overlaid(below: Places, at: Rows, values: Places) -> Places:
    """A column with other values at some rows."""
    numbers = {name: number for number, name in enumerate(below.sources)}
    digests, which, rows = below.digests.copy(), below.which.copy(), below.rows.copy()
    digests[at], which[at], rows[at] = values.digests, _renumbered(values, numbers), values.rows
    return Places(digests, tuple(numbers), which, rows)


def used_only(places: Places) -> Places:
    """Without the sources that hold none of the values."""
    used = np.flatnonzero(np.bincount(places.which, minlength=len(places.sources)))
    if len(used) == len(places.sources):
        return places
    numbers = np.zeros(len(places.sources), np.int32)
    numbers[used] = np.arange(len(used))
    sources = tuple(places.sources[number] for number in used.tolist())
    return Places(places.digests, sources, numbers[places.which], places.rows)


class Content(Protocol):
    """What a column holds, in memory or in a file."""

    @property
    def hashes(self) -> bytes: ...
    @property
    def patch(self) -> Patch | None: ...
    def places(self) -> Places: ...
    def at(self, rows: Rows) -> Places: ...
    def between(self, begin: int, end: int) -> Digests: ...


class Cells:
    """A column by its digest, which is looked into when that is needed.

    Args:
        id: the digest of the column; two columns of the same id hold the same values.
        open: gives what it holds.
    """

    def __init__(self, id: str, length: int, open: Callable[[], Content]) -> None:
        self.id, self.length, self._open = id, length, open

    @classmethod
    def of(cls, places: Places) -> Cells:
        content = _InMemory(places)
        return cls(id_of(content.hashes, len(places)), len(places), lambda: content)

    def __len__(self) -> int:
        return self.length

    @cached_property
    def _content(self) -> Content:
        return self._open()

    @cached_property
    def places(self) -> Places:
        """All values."""
        return self._content.places()

    @property
    def digests(self) -> Digests:
        return self.places.digests

    def at(self, rows: Rows) -> Places:
        """The values at some rows; no more than these is looked into."""
        return self.places.take(rows) if "places" in self.__dict__ else self._content.at(rows)

    @property
    def patch(self) -> Patch | None:
        """How it is kept over another column; None where it stands on its own."""
        return self._content.patch

    @property
    def hashes(self) -> bytes:
        """The SHA-256 of each chunk of rows."""
        return self._content.hashes

    def between(self, begin: int, end: int) -> Digests:
        """The digests of some rows on end."""
        return self._content.between(begin, end)


@dataclass(frozen=True)
class Patch:
    """Values that differ from those of another column.

    Attributes:
        base: the other column, which stands on its own.
        rows: where they differ, ascending.
    """

    base: Cells
    rows: Rows
    values: Places


def _hashes_of(digests: Digests) -> bytes:
    content = np.ascontiguousarray(digests, "<u8").tobytes()
    return b"".join(sha256(content[at : at + 16 * CHUNK]).digest() for at in range(0, len(content), 16 * CHUNK))


def chunks_in(count: int) -> int:
    """How many chunks so many rows make."""
    return -(-count // CHUNK)


def id_of(hashes: bytes, count: int) -> str:
    return sha256(struct.pack("<Q", count) + hashes).hexdigest()


class _InMemory:
    patch = None

    def __init__(self, places: Places) -> None:
        self._places = places
        self.hashes = _hashes_of(places.digests)

    def places(self) -> Places:
        return self._places

    def at(self, rows: Rows) -> Places:
        return self._places.take(rows)

    def between(self, begin: int, end: int) -> Digests:
        return self._places.digests[begin:end]


class Patched:
    def __init__(self, patch: Patch) -> None:
        self.patch = patch

    @property
    def hashes(self) -> bytes:
        """Those of the base, but for the chunks in which something differs."""
        base, rows = self.patch.base, self.patch.rows
        found = bytearray(base.hashes)
        for chunk in np.unique(rows // CHUNK).tolist():
            begin = chunk * CHUNK
            first, last = np.searchsorted(rows, [begin, begin + CHUNK]).tolist()
            digests = np.array(base.between(begin, min(begin + CHUNK, len(base))))
            digests[rows[first:last] - begin] = self.patch.values.digests[first:last]
            found[32 * chunk : 32 * chunk + 32] = _hashes_of(digests)
        return bytes(found)

    def places(self) -> Places:
        return _overlaid(self.patch.base.places, self.patch.rows, self.patch.values)

    def at(self, rows: Rows) -> Places:
        below = self.patch.base.at(rows)
        where = np.minimum(np.searchsorted(self.patch.rows, rows), len(self.patch.rows) - 1)
        here = np.flatnonzero(self.patch.rows[where] == rows)
        return _overlaid(below, here, self.patch.values.take(where[here])) if len(here) else below

    def between(self, begin: int, end: int) -> Digests:
        return self.at(np.arange(begin, end)).digests


def patched(before: Cells, rows: Rows, values: Places) -> Cells:
    """A column with other values at some rows; of few ones only the difference is held.

    Args:
        rows: ascending, and none twice.
    """
    base = before
    if before.patch is not None:
        base, kept = before.patch.base, np.flatnonzero(~np.isin(before.patch.rows, rows))
        rows = np.concatenate([before.patch.rows[kept], rows])
        order = np.argsort(rows)
        rows, values = rows[order], joined([before.patch.values.take(kept), values]).take(order)
    differing = np.flatnonzero(np.any(base.at(rows).digests != values.digests, axis=1))
    rows, values = rows[differing], values.take(differing)
    if not len(rows):
        return base
    if _FEW * len(rows) > len(base):
        return Cells.of(_overlaid(base.places, rows, values))
    content = Patched(Patch(base, rows, values))
    return Cells(id_of(content.hashes, len(base)), len(base), lambda: content)


def difference(one: Cells, two: Cells) -> Rows | None:
    """The rows in which two columns of a length differ, ascending; None where that is not known without much work."""
    parts = [(cells.patch.base.id, cells.patch.rows) if cells.patch else (cells.id, None) for cells in (one, two)]
    if parts[0][0] != parts[1][0]:
        return None
    empty = np.empty(0, np.int64)
    rows = np.union1d(*(empty if rows is None else rows for _, rows in parts))
    found: Rows = rows[np.any(one.at(rows).digests != two.at(rows).digests, axis=1)]
    return found
