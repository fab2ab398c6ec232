"""Packs: many small objects together in one file, because a disk takes longer to make a file than to write a small one.

A pack never changes once it has its name. It holds the contents one after another; then a row for each, ordered by
digest: the digest, where its content begins, and how long that is; then the first eight bytes of every digest, which is
what a digest is looked for in; and last how many there are.
"""

from __future__ import annotations

import hashlib
import os
import struct
import threading
import time
import uuid
import zlib
from collections.abc import Container, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from saccade.core.errors import WorkspaceError

SMALL = 1 << 18
"""Bytes up to which an object may go into a pack."""
_LARGEST = 1 << 30
_SUFFIX = ".pack"
_ROW = struct.Struct("<32sQQ")
_END = struct.Struct("<8sQQQ")
_MARK = b"saccade1"
_REMEMBERED = 200_000
_SETTLED = 2.0
_TOGETHER = 1 << 14
_LITTLE = 1 << 26
"""Packs below so many bytes are worth being joined."""
Prefixes = npt.NDArray[np.uint64]


class Row(NamedTuple):
    """Where the content of a digest lies in a pack."""

    digest: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack. It keeps no file open, and eight bytes of memory for each object.

    Attributes:
        length: bytes of all contents, behind which the rows begin.
    """

    path: Path
    length: int
    prefixes: Prefixes

    @classmethod
    def open(cls, path: Path) -> Self:
        """WorkspaceError where the file is no whole pack, FileNotFoundError where there is none."""
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size >= _END.size:
                mark, count, length, check = _END.unpack(_read(file, size - _END.size, _END.size))
                if mark == _MARK and size == length + count * (_ROW.size + 8) + _END.size:
                    found = _read(file, length + count * _ROW.size, count * 8)
                    if zlib.crc32(found) == check:
                        return cls(path, length, np.frombuffer(found, "<u8"))
        raise WorkspaceError(f"The pack '{path.name}' is damaged.", hint="Restore it from a backup.")

    def __len__(self) -> int:
        return len(self.prefixes)

    def find(self, digest: bytes) -> Row | None:
        """Where an object lies, None where it is not in this pack; FileNotFoundError where the pack is gone."""
        with self.path.open("rb", buffering=0) as file:
            return self._row(file, digest)

    def read(self, digest: bytes) -> bytes | None:
        """The content of an object; as :meth:`find`."""
        with self.path.open("rb", buffering=0) as file:
            row = self._row(file, digest)
            return None if row is None else _read(file, row.offset, row.size)

    def may_have(self, digest: bytes) -> bool:
        """Whether it is worth looking into the file."""
        return next(self._places(digest), None) is not None

    def _row(self, file: BinaryIO, digest: bytes) -> Row | None:
        for place in self._places(digest):
            row = Row(*_ROW.unpack(_read(file, self.length + place * _ROW.size, _ROW.size)))
            if row.digest == digest:
                return row
        return None

    def _places(self, digest: bytes) -> Iterator[int]:
        """The rows of digests that begin as this one does."""
        prefix = np.uint64(int.from_bytes(digest[:8], "big"))
        for place in range(int(np.searchsorted(self.prefixes, prefix)), len(self)):
            if self.prefixes[place] != prefix:
                return
            yield place

    def contents(self) -> Iterator[tuple[bytes, bytes]]:
        """The digest and content of each object, as they lie in the file."""
        with self.path.open("rb") as file:
            for row in sorted(self.rows(), key=lambda row: row.offset):
                yield row.digest, _read(file, row.offset, row.size)

    def rows(self) -> Iterator[Row]:
        """All rows, ordered by digest."""
        with self.path.open("rb") as file:
            for first in range(0, len(self), _TOGETHER):
                count = min(_TOGETHER, len(self) - first)
                for row in _ROW.iter_unpack(_read(file, self.length + first * _ROW.size, count * _ROW.size)):
                    yield Row(*row)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    found = file.read(size)
    while found and len(found) < size:  # the system may give less at a time
        more = file.read(size - len(found))
        if not more:
            break
        found += more
    if len(found) != size:
        raise WorkspaceError("A pack is shorter than it says.", hint="Run: saccade doctor --deep")
    return found


class Packs:
    """The packs in a folder. Others add to them and take away from them; what has been opened is remembered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, Pack] = {}
        self._seen = (-1, 0.0)

    def read(self, digest: bytes) -> bytes | None:
        """The content of an object, None where no pack has it."""
        for pack in self._with(digest):
            try:
                if (data := pack.read(digest)) is not None:
                    return data
            except FileNotFoundError:  # it went into another one
                self._seen = (-1, 0.0)
                return self.read(digest)
        return None

    def size(self, digest: bytes) -> int | None:
        """Bytes of an object, None where no pack has it."""
        for pack in self._with(digest):
            try:
                if (row := pack.find(digest)) is not None:
                    return row.size
            except FileNotFoundError:
                self._seen = (-1, 0.0)
                return self.size(digest)
        return None

    def _with(self, digest: bytes) -> list[Pack]:
        return [pack for pack in self.all() if pack.may_have(digest)]

    def without(self, digests: Container[bytes], folder: Path) -> Iterator[tuple[list[Path], dict[str, Path]]]:
        """What to put in the place of packs that have objects which are to go, or are little ones that can be joined.

        Yields paths of packs, and by their names new ones for them, written into a folder.
        """
        packs = self.all()
        little = [pack for pack in packs if pack.length < _LITTLE]
        for group in (*([pack] for pack in packs if pack.length >= _LITTLE), little):
            if len(group) < 2 and not any(row.digest in digests for pack in group for row in pack.rows()):
                continue
            packing = Packing(folder)
            for pack in group:
                for digest, data in pack.contents():
                    if digest not in digests:
                        packing.put(digest, data)
            packing.close()
            made = {finish(path): path for path in packing.paths}
            yield [pack.path for pack in group if pack.path.name not in made], made

    def all(self) -> list[Pack]:
        """All packs as they are now; a damaged one is left out, so that what it held is missing."""
        try:
            changed = self.folder.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return []
        seen, when = self._seen
        # A folder that changed a moment before it was looked at may have changed again in the same tick of its clock.
        if changed != seen or when - changed / 1e9 < _SETTLED:
            self._look(changed)
        return list(self._known.values())

    def _look(self, changed: int) -> None:
        when, known = time.time(), self._known
        found = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            with suppress(FileNotFoundError, WorkspaceError):
                found[path.name] = known.get(path.name) or Pack.open(path)
        self._known, self._seen = found, (changed, when)


class Packing:
    """A pack that is being written; may be used by several threads at once.

    Its contents and its rows stand in two files, so that another process can finish what this one has written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._recent: set[bytes] = set()
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        self._end = 0
        self.paths: list[Path] = []

    def __contains__(self, digest: bytes) -> bool:
        """Whether that content came not long ago."""
        return digest in self._recent

    def put(self, digest: bytes, data: bytes) -> None:
        with self._lock:
            if digest in self._recent:
                return
            if self._files is None or self._end + len(data) > _LARGEST:
                self._begin()
            assert self._files is not None
            contents, rows = self._files
            contents.write(data)
            rows.write(_ROW.pack(digest, self._end, len(data)))
            self._end += len(data)
            if len(self._recent) == _REMEMBERED:
                self._recent.clear()  # what comes again is written again, and counts once
            self._recent.add(digest)

    def _begin(self) -> None:
        self.close()
        path = self._folder / uuid.uuid4().hex
        self._files, self._end = (path.open("xb"), _rows_of(path).open("xb")), 0
        self.paths.append(path)

    def flush(self) -> None:
        """Hand everything to the system, for whoever finishes the packs."""
        for file in self._files or ():
            file.flush()

    def close(self) -> None:
        for file in self._files or ():
            file.close()
        self._files = None


def _rows_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.rows")


def unfinished(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """The digests and contents of a pack that is not finished."""
    with path.open("rb") as file:
        for digest, offset, size in _ROW.iter_unpack(_rows_of(path).read_bytes()):
            yield digest, _read(file, offset, size)


def count_unfinished(path: Path) -> int:
    """How many contents were put into a pack that is not finished."""
    return _rows_of(path).stat().st_size // _ROW.size


def finish(path: Path) -> str:
    """Add what makes a pack of its contents; returns the name that is to be given to it once it is on the disk."""
    rows = _rows_of(path)
    table = np.fromfile(rows, "<u8").reshape(-1, _ROW.size // 8)
    digests = table[:, :4].copy().byteswap()  # as numbers, which are ordered as the digests are
    order = np.lexsort(digests.T[::-1])
    first = np.ones(len(order), bool)
    first[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    order = order[first]
    ordered, prefixes = np.ascontiguousarray(table[order]).tobytes(), digests[order, 0].astype("<u8").tobytes()
    with path.open("ab") as file:
        length = file.tell()
        file.write(ordered)
        file.write(prefixes)
        file.write(_END.pack(_MARK, len(order), length, zlib.crc32(prefixes)))
    rows.unlink()
    return f"{hashlib.sha256(ordered).hexdigest()}{_SUFFIX}"
