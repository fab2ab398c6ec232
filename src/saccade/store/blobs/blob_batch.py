"""Batches of blobs that become durable together."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from saccade.core.digest import copy_with_digest, digest_bytes, digest_file
from saccade.core.errors import MediaError, WorkspaceError
from saccade.io.atomic import create_file, make_private_dir
from saccade.store.blobs.packs import MAX_PACKED_BYTES, PackWriter, count_partial, finalize_pack, recover_partial

if TYPE_CHECKING:
    from saccade.store.blobs.blob_store import BlobStore

_MIN_PACKED_BLOBS = 256
"""A pack is not worth it for fewer small blobs than this."""


class PendingFiles(Mapping[str, Path]):
    """Temporary files by digest, which is also their file name; compact enough for millions of them."""

    def __init__(self) -> None:
        self._folders: dict[bytes, str] = {}

    def add(self, digest: str, folder: str) -> str:
        """Add a file in ``folder``, unless there is one with this digest; returns the folder of the kept file."""
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
        """Yield each digest and its path as text, which is faster than ``items()`` for many files."""
        return ((name := digest.hex(), f"{folder}{os.sep}{name}") for digest, folder in self._folders.items())


class BlobBatch:
    """A batch of blobs on their way into a store; thread-safe.

    Flushing each file on its own would be most of the time of an import of many small ones. Here they wait in a
    temporary folder until :meth:`finish`; nothing gets its final name before its content is on the disk.

    Args:
        store: where the blobs go.
        folder: a temporary folder on the same file system as a local store.
        packed: combine small blobs of a local store into packs, if there are many.
    """

    def __init__(self, store: BlobStore, folder: Path, *, packed: bool = False) -> None:
        self._store = store
        self._folder = folder
        self._folder_name = str(folder)
        self._pending = PendingFiles()
        self._pack_writer = PackWriter(folder) if packed and store.is_local else None
        self._attached_packs: set[Path] = set()

    @property
    def is_local(self) -> bool:
        return self._store.is_local

    def worker_settings(self) -> dict[str, Any]:
        """Return what a worker process needs to open its own batch for this one, in a new folder.

        Each process gets a folder because processes that create files in the same one block each other.
        """
        folder = self._folder / uuid.uuid4().hex
        make_private_dir(folder)
        return {
            "url": self._store.url,
            "scratch": self._store.scratch_root,
            "folder": str(folder),
            "packed": self._pack_writer is not None,
        }

    def detach(self) -> dict[str, list[str]]:
        """Hand over the pending files and packs of this batch, for another process to :meth:`attach`."""
        files = [path for _, path in self._pending.paths()]
        self._pending = PendingFiles()
        packs = []
        if self._pack_writer is not None:
            self._pack_writer.flush()
            packs = [str(path) for path in self._pack_writer.paths]
        return {"files": files, "packs": packs}

    def attach(self, detached: Mapping[str, list[str]]) -> None:
        """Take over what another process has detached; it may continue to write to the same packs."""
        for path in detached["files"]:
            folder, digest = os.path.split(path)
            if self._pending.add(digest, folder) != folder:
                Path(path).unlink()  # a duplicate
        self._attached_packs.update(map(Path, detached["packs"]))

    def put_bytes(self, data: bytes) -> str:
        """Add a blob; returns its digest.

        Raises:
            WorkspaceError: it cannot be written.
        """
        digest = digest_bytes(data)
        if digest in self._pending or self._is_packed(digest):
            return digest
        stored_size = self._store.stored_size(digest)
        if stored_size == len(data):
            return digest
        if not self._store.is_local:
            return self._store.put_bytes(data)
        try:
            # A stored file of another size is damaged, and must be overwritten by a file.
            if self._pack_writer is not None and len(data) <= MAX_PACKED_BYTES and stored_size is None:
                self._pack_writer.put(bytes.fromhex(digest), data)
            else:
                self._write(digest, data)
        except OSError as error:
            raise WorkspaceError(f"A blob cannot be written: {error}.", hint="Is the disk full?") from error
        return digest

    def _is_packed(self, digest: str) -> bool:
        return self._pack_writer is not None and bytes.fromhex(digest) in self._pack_writer

    def _write(self, digest: str, data: bytes) -> None:
        try:
            create_file(self._folder / digest, data)
        except FileExistsError:  # another thread writes the same content
            return
        self._pending.add(digest, self._folder_name)

    def put_file(self, path: Path) -> str:
        """Add the content of a file; returns its digest.

        Raises:
            OSError: the file cannot be read.
            MediaError: the file changed while it was read.
            WorkspaceError: the blob cannot be written.
        """
        digest = digest_file(path)
        size = path.stat().st_size
        if digest in self._pending or self._store.contains(digest, size):
            return digest
        with path.open("rb") as stream:
            if not self.put_stream(stream, digest, size):
                raise MediaError(f"'{path}' changed while it was read.", hint="Import it when it is no longer written.")
        return digest

    def put_stream(self, stream: IO[bytes], digest: str, size: int) -> bool:
        """Add the content of a stream.

        Args:
            stream: the content; at most ``size`` + 1 bytes are read.
            digest: its expected digest.
            size: its expected size in bytes.

        Returns:
            False if digest or size do not match; then nothing is added.

        Raises:
            WorkspaceError: the blob cannot be written.
        """
        if self._pack_writer is not None and size <= MAX_PACKED_BYTES:
            data = stream.read(size + 1)
            return len(data) == size and digest_bytes(data) == digest and self.put_bytes(data) == digest
        path = self._folder / f"{digest}.{uuid.uuid4().hex}"
        try:
            with path.open("xb") as file:
                matches = copy_with_digest(stream, file, size) == digest
        except OSError as error:
            raise WorkspaceError(f"A blob cannot be written: {error}.", hint="Is the disk full?") from error
        if not matches:
            path.unlink()
            return False
        if self._store.is_local:
            path.replace(self._folder / digest)
            self._pending.add(digest, self._folder_name)
            return True
        self._store.put_file(path)
        path.unlink()
        return True

    def finish(self) -> None:
        """Make all blobs durable and visible. Call it when no thread adds any more.

        Raises:
            WorkspaceError: they cannot be written.
        """
        try:
            packs = dict(self._finalize_packs())
        except OSError as error:
            raise WorkspaceError(f"Blobs cannot be written: {error}.", hint="Is the disk full?") from error
        self._store.commit_files(self._pending, packs)
        self._pending = PendingFiles()

    def close(self) -> None:
        """Close open files. What has not been finished is dropped."""
        if self._pack_writer is not None:
            self._pack_writer.close()

    def _finalize_packs(self) -> Iterator[tuple[str, Path]]:
        """Yield the packs with their final names; the blobs of too small a batch become files instead."""
        paths = list(self._attached_packs)
        if self._pack_writer is not None:
            self._pack_writer.close()
            paths += self._pack_writer.paths
            self._pack_writer = PackWriter(self._folder)
        self._attached_packs = set()
        if sum(map(count_partial, paths)) >= _MIN_PACKED_BLOBS:
            yield from ((finalize_pack(path), path) for path in paths)
            return
        for path in paths:
            for digest, data in recover_partial(path):
                self._write(digest.hex(), data)
