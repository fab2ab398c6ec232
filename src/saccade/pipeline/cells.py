"""Columns of results: the digest of every value, and where the values lie."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from google_crc32c import value as crc32c

from saccade.pipeline.digests import Digests, column_digest
from saccade.pipeline.segments import DamagedError

Rows = npt.NDArray[np.int64]
_MARK = b"SACCEL1\n"
_HEAD = struct.Struct("<8sQQQQ")


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

    def take(self, rows: Rows) -> Places:
        """These values, in this order."""
        return Places(self.digests[rows], self.sources, self.which[rows], self.rows[rows])


def joined(parts: Sequence[Places]) -> Places:
    """Several columns, one after another."""
    numbers: dict[str, int] = {}
    which = [
        np.array([numbers.setdefault(name, len(numbers)) for name in part.sources] or [0], np.int32)[part.which]
        for part in parts
    ]
    return Places(
        np.concatenate([np.empty((0, 2), np.uint64), *(part.digests for part in parts)]),
        tuple(numbers),
        np.concatenate([np.empty(0, np.int32), *which]),
        np.concatenate([np.empty(0, np.int64), *(part.rows for part in parts)]),
    )


class Cells:
    """A column by its digest, which is looked into when that is needed.

    Args:
        id: the digest of the column; two columns of the same id hold the same values.
        load: gives the places.
    """

    def __init__(self, id: str, length: int, load: Callable[[], Places]) -> None:
        self.id, self.length, self._load = id, length, load

    @classmethod
    def of(cls, places: Places) -> Cells:
        made = cls(column_digest(places.digests), len(places.rows), lambda: places)
        made.__dict__["places"] = places
        return made

    def __len__(self) -> int:
        return self.length

    @cached_property
    def places(self) -> Places:
        return self._load()

    @property
    def digests(self) -> Digests:
        return self.places.digests


def pack_places(places: Places) -> bytes:
    """The content of a file that keeps a column: mark, lengths and check sum; sources; digests; runs.

    A run is of values that lie one after another in a source: the first one's number, its source, and its row there.
    """
    names = "\n".join(places.sources).encode()
    names += b"\n" * (-len(names) % 8)
    starts = _starts_of_runs(places)
    body = b"".join(
        [
            names,
            np.ascontiguousarray(places.digests, "<u8").tobytes(),
            starts.astype("<i8").tobytes(),
            places.rows[starts].astype("<i8").tobytes(),
            places.which[starts].astype("<i8").tobytes(),
        ]
    )
    return _HEAD.pack(_MARK, len(places.rows), len(names), len(starts), crc32c(body)) + body


def _starts_of_runs(places: Places) -> Rows:
    if not len(places.rows):
        return np.empty(0, np.int64)
    goes_on = (np.diff(places.rows) == 1) & (np.diff(places.which) == 0)
    return np.concatenate([[0], np.flatnonzero(~goes_on) + 1])


def unpack_places(path: Path, id: str) -> Places:
    """The column ``id`` that a file keeps; DamagedError where it is gone or damaged."""
    try:
        content = path.read_bytes()
        mark, count, length, runs, checksum = _HEAD.unpack_from(content)
        if mark != _MARK or len(content) != _HEAD.size + length + 16 * count + 24 * runs:
            raise ValueError("its parts have not the lengths that it states")
        if checksum != crc32c(memoryview(content)[_HEAD.size :].tobytes()):
            raise ValueError("its content has not the check sum that it states")
    except (OSError, ValueError, struct.error) as error:
        raise DamagedError(f"The column {id} in the cache cannot be read: {error}.") from error
    at = _HEAD.size
    names = content[at : at + length].decode().rstrip("\n")
    digests = np.frombuffer(content, "<u8", 2 * count, at + length).reshape(count, 2)
    at += length + 16 * count
    starts, rows, which = (np.frombuffer(content, "<i8", runs, at + 8 * runs * number) for number in range(3))
    lengths = np.diff(np.append(starts, count))
    within = np.arange(count) - np.repeat(starts, lengths)
    sources = tuple(names.split("\n")) if names else ()
    return Places(digests, sources, np.repeat(which, lengths).astype(np.int32), np.repeat(rows, lengths) + within)
