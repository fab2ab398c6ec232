"""Objects on their way into a store, which become durable together."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from saccade.core.digest import digest_bytes, digest_file
from saccade.core.errors import MediaError, WorkspaceError
from saccade.store.blobs.packs import SMALL, Packing, count_unfinished, finish, unfinished
from saccade.store.io.atomic import write_new

if TYPE_CHECKING:
    from saccade.store.blobs.blob_store import ObjectStore

_PIECE = 1 << 20
_FEW = 256
"""Fewer small objects than this are not worth a pack."""


class Waiting(Mapping[str, Path]):
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

    Args:
        packed: put small objects of a local store together into packs, where there are many of them.
    """

    def __init__(self, store: ObjectStore, folder: Path, *, packed: bool = False) -> None:
        self._store, self._folder = store, folder
        self._waiting = Waiting()
        self._place = str(folder)
        self._packing = Packing(folder) if packed and store.is_local else None
        self._packs: set[Path] = set()

    @property
    def is_local(self) -> bool:
        return self._store.is_local

    def for_process(self) -> dict[str, Any]:
        """What another process needs to put objects for this batch, into a folder of its own.

        Processes that make files in one folder wait for each other.
        """
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir()
        return {
            "url": self._store.url,
            "scratch": self._store.scratch_root,
            "folder": str(folder),
            "packed": self._packing is not None,
        }

    def handed_over(self) -> dict[str, list[str]]:
        """What waits here, for the batch that is to :meth:`adopt` it; its files wait here no more."""
        files, self._waiting = [path for _, path in self._waiting.paths()], Waiting()
        packs = []
        if self._packing is not None:
            self._packing.flush()
            packs = [str(path) for path in self._packing.paths]
        return {"files": files, "packs": packs}

    def adopt(self, given: Mapping[str, list[str]]) -> None:
        """Take over what another process has put; it may go on with packs that it has handed over before."""
        for path in given["files"]:
            folder, digest = os.path.split(path)
            if self._waiting.add(digest, folder) != folder:
                Path(path).unlink()  # that content is there already
        self._packs.update(map(Path, given["packs"]))

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes from :meth:`finish` on; returns their digest."""
        digest = digest_bytes(data)
        if digest in self._waiting or self._is_packed(digest):
            return digest
        held = self._store.held_size(digest)
        if held == len(data):
            return digest
        if not self._store.is_local:
            return self._store.put_bytes(data)
        try:
            # One that is there and damaged has to be written over.
            if self._packing is not None and len(data) <= SMALL and held is None:
                self._packing.put(bytes.fromhex(digest), data)
            else:
                self._write(digest, data)
        except OSError as error:
            raise WorkspaceError(f"An object cannot be written: {error}.", hint="Is the disk full?") from error
        return digest

    def _is_packed(self, digest: str) -> bool:
        return self._packing is not None and bytes.fromhex(digest) in self._packing

    def _write(self, digest: str, data: bytes) -> None:
        try:
            write_new(self._folder / digest, data)
        except FileExistsError:  # another thread writes the same content
            return
        self._waiting.add(digest, self._place)

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
        if self._packing is not None and size <= SMALL:
            data = stream.read(size + 1)
            return len(data) == size and digest_bytes(data) == digest and self.put_bytes(data) == digest
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
        try:
            packs = dict(self._finished_packs())
        except OSError as error:
            raise WorkspaceError(f"Objects cannot be written: {error}.", hint="Is the disk full?") from error
        self._store.place_all(self._waiting, packs)
        self._waiting = Waiting()

    def close(self) -> None:
        """Put away what is open; what is not finished is not kept."""
        if self._packing is not None:
            self._packing.close()

    def _finished_packs(self) -> Iterator[tuple[str, Path]]:
        """The packs by the names that they are to have; what a few objects wait in becomes files."""
        paths = list(self._packs)
        if self._packing is not None:
            self._packing.close()
            paths += self._packing.paths
            self._packing = Packing(self._folder)
        self._packs = set()
        if sum(map(count_unfinished, paths)) >= _FEW:
            yield from ((finish(path), path) for path in paths)
            return
        for path in paths:
            for digest, data in unfinished(path):
                self._write(digest.hex(), data)
