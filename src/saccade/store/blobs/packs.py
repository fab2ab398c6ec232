"""Packs: many small blobs in one file, because creating a file takes a disk longer than writing a small one.

Format: the contents one after another; then an entry per blob, ordered by digest (digest, offset, size); then the first
eight bytes of every digest as the search index; then a footer (magic, count, length of the contents, CRC-32 of the
index). All numbers are little-endian. A pack never changes once it has its final name.
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

MAX_PACKED_BYTES = 1 << 18
"""Size up to which a blob may go into a pack."""
_MAX_PACK_BYTES = 1 << 30
_SMALL_PACK_BYTES = 1 << 26
"""Packs below this size are merged by the garbage collection."""
_SUFFIX = ".pack"
_ENTRY = struct.Struct("<32sQQ")
_FOOTER = struct.Struct("<8sQQQ")
_MAGIC = b"saccade1"
_MAX_RECENT_DIGESTS = 200_000
_ENTRIES_PER_READ = 1 << 14
_SETTLE_S = 2.0
"""A folder modified less than this before it was listed may have been modified again in the same clock tick."""
Prefixes = npt.NDArray[np.uint64]


class PackEntry(NamedTuple):
    """The location of a blob in a pack, in bytes."""

    digest: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack. It keeps no file open, and uses eight bytes of memory per blob.

    Attributes:
        length: bytes of all contents; the entries follow.
        prefixes: the first eight bytes of every digest as big-endian numbers, ascending.
    """

    path: Path
    length: int
    prefixes: Prefixes

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the search index of a pack.

        Raises:
            FileNotFoundError: there is no such file.
            WorkspaceError: the file is damaged.
        """
        with path.open("rb", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size >= _FOOTER.size:
                magic, count, length, checksum = _FOOTER.unpack(_read(file, size - _FOOTER.size, _FOOTER.size))
                if magic == _MAGIC and size == length + count * (_ENTRY.size + 8) + _FOOTER.size:
                    index = _read(file, length + count * _ENTRY.size, count * 8)
                    if zlib.crc32(index) == checksum:
                        return cls(path, length, np.frombuffer(index, "<u8"))
        raise WorkspaceError(f"The pack '{path.name}' is damaged.", hint="Restore it from a backup.")

    def __len__(self) -> int:
        return len(self.prefixes)

    def find(self, digest: bytes) -> PackEntry | None:
        """Return the entry of a blob, or None if it is not in this pack.

        Raises FileNotFoundError if the pack was deleted.
        """
        with self.path.open("rb", buffering=0) as file:
            return self._find(file, digest)

    def read(self, digest: bytes) -> bytes | None:
        """Return the content of a blob, or None if it is not in this pack.

        Raises FileNotFoundError if the pack was deleted.
        """
        with self.path.open("rb", buffering=0) as file:
            entry = self._find(file, digest)
            return None if entry is None else _read(file, entry.offset, entry.size)

    def may_contain(self, digest: bytes) -> bool:
        """Return whether a digest with the same first eight bytes is in the pack, without reading the file."""
        return next(self._positions(digest), None) is not None

    def _find(self, file: BinaryIO, digest: bytes) -> PackEntry | None:
        for position in self._positions(digest):
            entry = PackEntry(*_ENTRY.unpack(_read(file, self.length + position * _ENTRY.size, _ENTRY.size)))
            if entry.digest == digest:
                return entry
        return None

    def _positions(self, digest: bytes) -> Iterator[int]:
        """Yield the positions of entries whose digests have the same first eight bytes."""
        prefix = np.uint64(int.from_bytes(digest[:8], "big"))
        for position in range(int(np.searchsorted(self.prefixes, prefix)), len(self)):
            if self.prefixes[position] != prefix:
                return
            yield position

    def contents(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield the digest and content of each blob, in the order of the file."""
        with self.path.open("rb") as file:
            for entry in sorted(self.entries(), key=lambda entry: entry.offset):
                yield entry.digest, _read(file, entry.offset, entry.size)

    def entries(self) -> Iterator[PackEntry]:
        """Yield all entries, ordered by digest."""
        with self.path.open("rb") as file:
            for first in range(0, len(self), _ENTRIES_PER_READ):
                count = min(_ENTRIES_PER_READ, len(self) - first)
                for fields in _ENTRY.iter_unpack(_read(file, self.length + first * _ENTRY.size, count * _ENTRY.size)):
                    yield PackEntry(*fields)


def _read(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    data = file.read(size)
    while data and len(data) < size:  # an unbuffered read may return less
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    if len(data) != size:
        raise WorkspaceError("A pack is shorter than its index says.", hint="Run: saccade doctor --deep")
    return data


class PackFolder:
    """The packs in a folder, which other processes may add and delete; opened packs are cached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._packs: dict[str, Pack] = {}
        self._last_scan = (-1, 0.0)
        """Modification time of the folder in nanoseconds, and time of the scan in seconds."""

    def read(self, digest: bytes) -> bytes | None:
        """Return the content of a blob, or None if no pack contains it."""
        for pack in self._candidates(digest):
            try:
                if (data := pack.read(digest)) is not None:
                    return data
            except FileNotFoundError:  # another process has rewritten the pack
                self._last_scan = (-1, 0.0)
                return self.read(digest)
        return None

    def size(self, digest: bytes) -> int | None:
        """Return the size of a blob in bytes, or None if no pack contains it."""
        for pack in self._candidates(digest):
            try:
                if (entry := pack.find(digest)) is not None:
                    return entry.size
            except FileNotFoundError:
                self._last_scan = (-1, 0.0)
                return self.size(digest)
        return None

    def _candidates(self, digest: bytes) -> list[Pack]:
        return [pack for pack in self.list_packs() if pack.may_contain(digest)]

    def rewrite_without(self, digests: Container[bytes], folder: Path) -> Iterator[tuple[list[Path], dict[str, Path]]]:
        """Write replacements for packs that contain blobs to delete, and merge small packs.

        Args:
            digests: the blobs to delete.
            folder: where the new packs are written.

        Yields:
            The paths of old packs, and the new packs for them by their final names.
        """
        packs = self.list_packs()
        small = [pack for pack in packs if pack.length < _SMALL_PACK_BYTES]
        for group in (*([pack] for pack in packs if pack.length >= _SMALL_PACK_BYTES), small):
            if len(group) < 2 and not any(entry.digest in digests for pack in group for entry in pack.entries()):
                continue
            writer = PackWriter(folder)
            for pack in group:
                for digest, data in pack.contents():
                    if digest not in digests:
                        writer.put(digest, data)
            writer.close()
            # The name of a pack is a digest of its entries: an unchanged pack gets its own name again.
            replacements = {finalize_pack(path): path for path in writer.paths}
            yield [pack.path for pack in group if pack.path.name not in replacements], replacements

    def list_packs(self) -> list[Pack]:
        """List the current packs. A damaged pack is left out, so its blobs count as missing."""
        try:
            modified = self.folder.stat().st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            return []
        last_modified, scanned_at = self._last_scan
        if modified != last_modified or scanned_at - modified / 1e9 < _SETTLE_S:
            self._rescan(modified)
        return list(self._packs.values())

    def _rescan(self, modified: int) -> None:
        scanned_at = time.time()
        packs = {}
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            with suppress(FileNotFoundError, WorkspaceError):
                packs[path.name] = self._packs.get(path.name) or Pack.open(path)
        self._packs = packs
        self._last_scan = (modified, scanned_at)


class PackWriter:
    """Writes packs; thread-safe.

    Contents and entries go to two files, so that another process can finalize what this one has written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._recent: set[bytes] = set()
        self._files: tuple[BinaryIO, BinaryIO] | None = None
        self._end = 0
        self.paths: list[Path] = []

    def __contains__(self, digest: bytes) -> bool:
        """Whether a blob was added recently; False does not mean that it was not added."""
        return digest in self._recent

    def put(self, digest: bytes, data: bytes) -> None:
        """Add a blob, unless it was added recently."""
        with self._lock:
            if digest in self._recent:
                return
            if self._files is None or self._end + len(data) > _MAX_PACK_BYTES:
                self._start_pack()
            assert self._files is not None
            contents, entries = self._files
            contents.write(data)
            entries.write(_ENTRY.pack(digest, self._end, len(data)))
            self._end += len(data)
            if len(self._recent) == _MAX_RECENT_DIGESTS:
                self._recent.clear()  # duplicates from here on are dropped by finalize_pack
            self._recent.add(digest)

    def _start_pack(self) -> None:
        self.close()
        path = self._folder / uuid.uuid4().hex
        self._files = (path.open("xb"), _entries_path(path).open("xb"))
        self._end = 0
        self.paths.append(path)

    def flush(self) -> None:
        """Write buffered data to the files, for a process that finalizes the packs."""
        for file in self._files or ():
            file.flush()

    def close(self) -> None:
        for file in self._files or ():
            file.close()
        self._files = None


def _entries_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.rows")


def recover_partial(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the digest and content of each blob in a pack that has not been finalized."""
    with path.open("rb") as file:
        for digest, offset, size in _ENTRY.iter_unpack(_entries_path(path).read_bytes()):
            yield digest, _read(file, offset, size)


def count_partial(path: Path) -> int:
    """Return the number of blobs in a pack that has not been finalized."""
    return _entries_path(path).stat().st_size // _ENTRY.size


def finalize_pack(path: Path) -> str:
    """Append the sorted entries, the search index and the footer to a pack.

    Returns:
        The final name of the pack; rename it once its content is on the disk.
    """
    entries_path = _entries_path(path)
    table = np.fromfile(entries_path, "<u8").reshape(-1, _ENTRY.size // 8)
    digests = table[:, :4].copy().byteswap()  # as big-endian numbers, which sort like the digests
    order = np.lexsort(digests.T[::-1])
    is_first = np.ones(len(order), bool)
    is_first[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    order = order[is_first]
    entries = np.ascontiguousarray(table[order]).tobytes()
    index = digests[order, 0].astype("<u8").tobytes()
    with path.open("ab") as file:
        length = file.tell()
        file.write(entries)
        file.write(index)
        file.write(_FOOTER.pack(_MAGIC, len(order), length, zlib.crc32(index)))
    entries_path.unlink()
    return f"{hashlib.sha256(entries).hexdigest()}{_SUFFIX}"
