"""Content-addressed objects: bytes under the name of their SHA-256 digest."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from saccade.core.digest import digest_bytes, digest_file
from saccade.core.errors import InvalidValueError, MediaError, NotFoundError, WorkspaceError
from saccade.store.files import Scratch, put_in_place, sync_folder, sync_many, write_new, write_whole
from saccade.store.urls import filesystem_of, reached

_PIECE = 1 << 20
_MOVED = ".moved"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ObjectStore:
    """Objects under a URL, as ``ab/cdef…`` for the digest ``abcdef…``.

    On a local disk an object is written under another name, forced to the disk and renamed, so that what has its
    name is whole. Elsewhere it is sent in one piece, which object stores make visible when it is complete.

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

    def _held_size(self, digest: str) -> int | None:
        try:
            if self._local is not None:
                return os.stat(self._name(digest)).st_size  # noqa: PTH116 (asked for every image of an import)
            with reached(self.url):
                return int(self._fs.info(self._name(digest))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextmanager
    def batch(self) -> Iterator[ObjectBatch]:
        """Many objects that become durable together, by :meth:`ObjectBatch.finish`; without it none is kept."""
        with self._scratch.working() as folder:
            yield ObjectBatch(self, folder)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """From putting objects until something refers to them: meanwhile no object is cleared away."""
        with self._scratch.working():
            yield

    def is_held(self, digest: str, size: int) -> bool:
        """Whether an object of that size is there."""
        return self._held_size(digest) == size

    @property
    def is_local(self) -> bool:
        return self._local is not None

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes; returns their digest. Writes nothing where they are already kept."""
        digest = digest_bytes(data)
        if self._held_size(digest) == len(data):
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
        if self._held_size(digest) == path.stat().st_size:
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
        final = self._prepared(digest)
        put_in_place(temporary, final)

    def _prepared(self, digest: str) -> Path:
        """The path of an object in a folder that is there, durably."""
        final = Path(self._name(digest))
        if not final.parent.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(final.parent.parent)
        return final

    def place_all(self, files: _Waiting) -> None:
        """Give finished temporary files their names by digest: first all contents are on the disk, then all names."""
        try:
            sync_many(files.values(), self._scratch.root)
            folders: set[str] = set()
            for digest, temporary in files.paths():
                if digest[:2] not in folders:
                    self._prepared(digest)
                    folders.add(digest[:2])
                os.replace(temporary, self._name(digest))  # noqa: PTH105 (for many files, paths as objects take longer)
            sync_many([Path(self._root) / folder for folder in folders], Path(self._root))
        except OSError as error:
            raise WorkspaceError(f"Objects cannot be written: {error}.", hint="Is the disk full?") from error

    def read(self, digest: str) -> bytes:
        """The bytes of an object; NotFoundError where there is none."""
        try:
            with self._reached():
                return bytes(self._fs.cat_file(self._name(digest)))
        except FileNotFoundError:
            raise self._missing(digest) from None

    def open(self, digest: str) -> BinaryIO:
        """An object, open for reading anywhere in it; NotFoundError where there is none."""
        try:
            with self._reached():
                found: BinaryIO = self._fs.open(self._name(digest), "rb")
        except FileNotFoundError:
            raise self._missing(digest) from None
        return found

    def open_path(self, digest: str) -> Path | None:
        """The file of an object, where the store is on this machine and holds it."""
        if self._local is None or not self.exists(digest):
            return None
        return Path(self._name(digest))

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
        return self._held_size(digest) is not None

    def size(self, digest: str) -> int:
        """Bytes of an object; NotFoundError where there is none."""
        held = self._held_size(digest)
        if held is None:
            raise self._missing(digest)
        return held

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every object there is, with its size."""
        with self._reached():
            everything = self._fs.find(self._root, detail=True)
        for path, facts in everything.items():
            digest = "".join(path.split("/")[-2:])
            if _DIGEST.fullmatch(digest):
                yield digest, int(facts["size"])

    def moves(self) -> Iterator[str]:
        """The digests of files of which is noted that they moved."""
        with self._reached():
            everything = self._fs.find(self._root)
        for path in everything:
            digest = "".join(path.split("/")[-2:]).removesuffix(_MOVED)
            if path.endswith(_MOVED) and _DIGEST.fullmatch(digest):
                yield digest

    def remove(self, digest: str) -> None:
        """Remove an object that nothing refers to."""
        self._remove(self._name(digest))

    def forget_move(self, digest: str) -> None:
        self._remove(self._moved_name(digest))

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError), self._reached():
            self._fs.rm_file(name)

    def is_sound(self, digest: str) -> bool:
        """Whether the content of an object still has its digest; reads it all."""
        found = hashlib.sha256()
        with self._fs.open(self._name(digest), "rb") as file:
            while piece := file.read(_PIECE):
                found.update(piece)
        return found.hexdigest() == digest

    def _missing(self, digest: str) -> NotFoundError:
        return NotFoundError(f"There is no object {digest}.", hint="'saccade doctor' lists what is missing.")


class _Waiting(Mapping[str, Path]):
    """Temporary files by digest, which is the name of each; a million of them take little memory."""

    def __init__(self) -> None:
        self._folders: dict[bytes, str] = {}

    def add(self, digest: str, folder: str) -> str:
        """The folder in which that content waits: this one, but where it waited before."""
        return self._folders.setdefault(bytes.fromhex(digest), folder)

    def __getitem__(self, digest: str) -> Path:
        return Path(self._folders[bytes.fromhex(digest)], digest)

    def __contains__(self, digest: object) -> bool:
        return isinstance(digest, str) and bytes.fromhex(digest) in self._folders

    def __iter__(self) -> Iterator[str]:
        return (digest.hex() for digest in self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    def paths(self) -> Iterator[tuple[str, str]]:
        """Each digest with its file, as text, which for many files takes less time."""
        return ((name := digest.hex(), f"{folder}{os.sep}{name}") for digest, folder in self._folders.items())


class ObjectBatch:
    """Objects on their way into a store; may be used by several threads at once.

    Forcing each file to the disk by itself is most of the time of an import of many small ones. Here they wait in a
    temporary folder, and nothing has its name in the store before its content is on the disk.
    """

    def __init__(self, store: ObjectStore, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._waiting = _Waiting()
        self._place = str(folder)

    @property
    def is_local(self) -> bool:
        return self._store.is_local

    def for_process(self) -> dict[str, str]:
        """What another process needs to put objects for this batch, into a folder of its own.

        Processes that make files in one folder wait for each other.
        """
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return {"url": self._store.url, "scratch": self._store.scratch_root, "folder": str(folder)}

    def handed_over(self) -> list[str]:
        """What waits here, for the batch that is to :meth:`adopt` it; it waits here no more."""
        waiting, self._waiting = [path for _, path in self._waiting.paths()], _Waiting()
        return waiting

    def adopt(self, paths: Iterable[str]) -> None:
        """Take over what another process has put."""
        for path in paths:
            folder, digest = os.path.split(path)
            if self._waiting.add(digest, folder) != folder:
                Path(path).unlink()  # that content is there already

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes from :meth:`finish` on; returns their digest."""
        digest = digest_bytes(data)
        if digest in self._waiting or self._store.is_held(digest, len(data)):
            return digest
        if not self._store.is_local:
            return self._store.put_bytes(data)
        path = self._folder / digest
        try:
            write_new(path, data)
        except FileExistsError:  # another thread writes the same content
            return digest
        except OSError as error:
            raise WorkspaceError(f"An object cannot be written: {error}.", hint="Is the disk full?") from error
        self._waiting.add(digest, self._place)
        return digest

    def put_file(self, path: Path) -> str:
        """Keep a file's content from :meth:`finish` on; returns its digest. OSError where it cannot be read."""
        digest, size = digest_file(path), path.stat().st_size
        if digest in self._waiting or self._store.is_held(digest, size):
            return digest
        with path.open("rb") as stream:
            if not self.put_stream(stream, digest, size):
                raise MediaError(f"'{path}' changed while it was read.", hint="Import it when nobody writes it.")
        return digest

    def put_stream(self, stream: IO[bytes], digest: str, size: int) -> bool:
        """Keep what a stream gives under a digest, from :meth:`finish` on; False where it has not that digest and size.

        No more than ``size`` bytes are kept, however many there are.
        """
        path = self._folder / f"{digest}.{uuid.uuid4().hex}"
        try:
            with path.open("xb") as file:
                found, rest = hashlib.sha256(), size + 1
                while rest and (piece := stream.read(min(rest, _PIECE))):
                    file.write(piece)
                    found.update(piece)
                    rest -= len(piece)
        except OSError as error:
            raise WorkspaceError(f"An object cannot be written: {error}.", hint="Is the disk full?") from error
        if found.hexdigest() != digest or rest != 1:
            path.unlink()
            return False
        if self._store.is_local:
            path.replace(self._folder / digest)
            self._waiting.add(digest, self._place)
            return True
        self._store.put_file(path)
        path.unlink()
        return True

    def finish(self) -> None:
        """Make everything durable and visible; called when no thread puts anything any more."""
        self._store.place_all(self._waiting)
        self._waiting = _Waiting()
