"""Content-addressed objects: bytes under the name of their SHA-256 digest."""

from __future__ import annotations

import hashlib
import heapq
import io
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from fsspec.implementations.local import LocalFileSystem

from saccade.core.digest import digest_bytes, digest_file
from saccade.core.errors import InvalidValueError, NotFoundError, WorkspaceError
from saccade.store.blobs.blob_batch import ObjectBatch, Waiting
from saccade.store.blobs.packs import Packs
from saccade.store.io.atomic import Scratch, put_in_place, sync_folder, sync_many, write_whole
from saccade.store.io.urls import filesystem_of, reached

_PIECE = 1 << 20
_MOVED = ".moved"
_PACKS = "packs"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectStore:
    """Objects under a URL, as ``ab/cdef…`` for the digest ``abcdef…``.

    On a local disk an object is written under another name, forced to the disk and renamed, so that what has its
    name is whole; many small ones of an import lie in one file of ``packs/`` instead. Elsewhere an object is sent in
    one piece, which object stores make visible when it is complete.

    Args:
        url: a folder, or any URL that fsspec knows.
        scratch: where temporary files are made; on the same disk as a local store.
    """

    def __init__(self, url: str, scratch: Scratch) -> None:
        self.url = url
        self._scratch = scratch
        # What is there is asked anew each time: others write too.
        self._fs, self._root = filesystem_of(url, **({"use_listings_cache": False} if "://" in url else {}))
        self._local = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None
        self._packs = None if self._local is None else Packs(self._local / _PACKS)

    @classmethod
    def at(cls, url: str, scratch_root: str) -> ObjectStore:
        """The same store again, in another process."""
        return cls(url, Scratch(Path(scratch_root)))

    @property
    def scratch_root(self) -> str:
        return str(self._scratch.root)

    def _reached(self) -> AbstractContextManager[None]:
        """What goes wrong on the way to a store elsewhere; a disk's errors are left as they are."""
        return nullcontext() if self._local is not None else reached(self.url)

    @contextmanager
    def _sending(self) -> Iterator[None]:
        """As :func:`reached`; that something is not there, as a bucket, is an error here."""
        try:
            with reached(self.url):
                yield
        except FileNotFoundError as error:
            raise WorkspaceError(f"'{self.url}' cannot be reached: {error}.", hint="Make the place first.") from error

    def _name(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise InvalidValueError(f"A digest is 64 hexadecimal digits, not {digest!r}.")
        return f"{self._root}/{digest[:2]}/{digest[2:]}"

    def held_size(self, digest: str) -> int | None:
        """Bytes of an object, None where there is none."""
        try:
            if self._local is not None:
                return os.stat(self._name(digest)).st_size  # noqa: PTH116 (asked for every image of an import)
            with reached(self.url):
                return int(self._fs.info(self._name(digest))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None if self._packs is None else self._packs.size(bytes.fromhex(digest))

    @contextmanager
    def batch(self, *, packed: bool = False) -> Iterator[ObjectBatch]:
        """Many objects that become durable together, by :meth:`ObjectBatch.finish`; without it none is kept.

        Args:
            packed: put small ones together into packs, where the batch has many.
        """
        with self._scratch.working() as folder, closing(ObjectBatch(self, folder, packed=packed)) as batch:
            yield batch

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """From putting objects until something refers to them: meanwhile no object is cleared away."""
        with self._scratch.working():
            yield

    def is_held(self, digest: str, size: int) -> bool:
        """Whether an object of that size is there."""
        return self.held_size(digest) == size

    @property
    def is_local(self) -> bool:
        return self._local is not None

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes; returns their digest. Writes nothing where they are already kept."""
        digest = digest_bytes(data)
        if self.held_size(digest) == len(data):
            return digest
        if self._local is None:
            with self._sending():
                self._fs.pipe_file(self._name(digest), data)
            return digest
        try:
            with self._scratch.path() as temporary:
                temporary.write_bytes(data)
                self._place(temporary, digest)
        except OSError as error:
            raise WorkspaceError(f"An object cannot be written: {error}.", hint="Is the disk full?") from error
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file's content; returns its digest. OSError where the file cannot be read."""
        digest = digest_file(path)
        if self.held_size(digest) == path.stat().st_size:
            return digest
        if self._local is None:
            with self._sending():
                self._fs.put_file(str(path), self._name(digest))
            return digest
        with self._scratch.path() as temporary:
            try:
                shutil.copyfile(path, temporary)
                digest = digest_file(temporary)  # the file may have changed since it was first read
                self._place(temporary, digest)
            except OSError as error:
                raise WorkspaceError(f"'{path}' cannot be copied: {error}.", hint="Is the disk full?") from error
        return digest

    def _place(self, temporary: Path, digest: str) -> None:
        put_in_place(temporary, self._prepared(digest[:2], digest[2:]))

    def _prepared(self, folder: str, name: str) -> Path:
        """The path of a file in a folder that is there, durably."""
        final = Path(self._root, folder, name)
        if not final.parent.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(final.parent.parent)
        return final

    def place_all(self, files: Waiting, packs: Mapping[str, Path]) -> None:
        """Give finished temporary files their names: first all contents are on the disk, then all names.

        Args:
            files: by digest.
            packs: by the names that they are to have.
        """
        try:
            sync_many([*packs.values(), *files.values()] if packs else files.values(), self._scratch.root)
            folders: set[str] = set()
            for name, pack in packs.items():
                pack.replace(self._prepared(_PACKS, name))
                folders.add(_PACKS)
            for digest, temporary in files.paths():
                if digest[:2] not in folders:
                    self._prepared(digest[:2], digest[2:])
                    folders.add(digest[:2])
                os.replace(temporary, self._name(digest))  # noqa: PTH105 (for many files, paths as objects take longer)
            sync_many([Path(self._root) / folder for folder in folders], Path(self._root))
        except OSError as error:
            raise WorkspaceError(f"Objects cannot be written: {error}.", hint="Is the disk full?") from error

    def read(self, digest: str) -> bytes:
        """The bytes of an object; NotFoundError where there is none."""
        name = self._name(digest)
        with suppress(WorkspaceError):  # a pack that is damaged: there may be a file as well
            if self._packs is not None and (data := self._packs.read(bytes.fromhex(digest))) is not None:
                return data
        try:
            with self._reached():
                return bytes(self._fs.cat_file(name))
        except FileNotFoundError:
            return self._packed(digest)

    def _packed(self, digest: str) -> bytes:
        data = None if self._packs is None else self._packs.read(bytes.fromhex(digest))
        if data is None:
            raise self._missing(digest)
        return data

    def open(self, digest: str) -> BinaryIO:
        """An object, open for reading anywhere in it; NotFoundError where there is none."""
        try:
            with self._reached():
                found: BinaryIO = self._fs.open(self._name(digest), "rb")
        except FileNotFoundError:
            return io.BytesIO(self._packed(digest))
        return found

    def open_path(self, digest: str) -> Path | None:
        """The file of an object, where the store is on this machine and holds it as a file of its own."""
        if self._local is None:
            return None
        path = Path(self._name(digest))
        return path if path.exists() else None

    def relink(self, digest: str, uri: str) -> None:
        """Note where a file that is only referred to lies now; whoever reads it looks there."""
        name = self._moved_name(digest)
        if self._local is None:
            with self._sending():
                self._fs.pipe_file(name, uri.encode())
            return
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, uri.encode())

    def places(self, digest: str, uri: str | None) -> list[str]:
        """Where a file that is referred to may lie: where it was moved to, and ``uri``."""
        found = [] if uri is None else [uri]
        with suppress(FileNotFoundError), self._reached():
            found.insert(0, bytes(self._fs.cat_file(self._moved_name(digest))).decode())
        return found

    def _moved_name(self, digest: str) -> str:
        return f"{self._name(digest)}{_MOVED}"

    def exists(self, digest: str) -> bool:
        return self.held_size(digest) is not None

    def size(self, digest: str) -> int:
        """Bytes of an object; NotFoundError where there is none."""
        held = self.held_size(digest)
        if held is None:
            raise self._missing(digest)
        return held

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every object there is, with its size, ordered by digest."""
        with self._reached():
            everything = self._fs.find(self._root, detail=True)
        found = (("".join(path.split("/")[-2:]), int(facts["size"])) for path, facts in everything.items())
        files = sorted(one for one in found if _DIGEST.fullmatch(one[0]))
        packs = [] if self._packs is None else self._packs.all()
        packed = [((row.digest.hex(), row.size) for row in pack.rows()) for pack in packs]
        for _, alike in groupby(heapq.merge(files, *packed), itemgetter(0)):
            yield next(alike)

    def moves(self) -> Iterator[str]:
        """The digests of files of which is noted that they moved."""
        with self._reached():
            everything = self._fs.find(self._root)
        for path in everything:
            digest = "".join(path.split("/")[-2:]).removesuffix(_MOVED)
            if path.endswith(_MOVED) and _DIGEST.fullmatch(digest):
                yield digest

    def remove_all(self, digests: Collection[str]) -> None:
        """Remove objects that nothing refers to, while nobody writes. Small packs become one on the way.

        Killed on the way, some of them are there still.
        """
        for digest in digests:
            self._remove(self._name(digest))
        if self._packs is None:
            return
        with self._scratch.subfolder() as folder:
            for olds, packs in self._packs.without({bytes.fromhex(digest) for digest in digests}, folder):
                self.place_all(Waiting(), packs)
                for old in olds:
                    old.unlink(missing_ok=True)

    def remove(self, digest: str) -> None:
        """Remove an object that nothing refers to; see :meth:`remove_all`."""
        self.remove_all([digest])

    def forget_move(self, digest: str) -> None:
        self._remove(self._moved_name(digest))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._reached():
            self._fs.rm_file(name)

    def is_sound(self, digest: str) -> bool:
        """Whether the content of an object still has its digest; reads it all."""
        found = hashlib.sha256()
        with self.open(digest) as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        return found.hexdigest() == digest

    def _missing(self, digest: str) -> NotFoundError:
        return NotFoundError(f"There is no object {digest}.", hint="'saccade doctor' lists what is missing.")
