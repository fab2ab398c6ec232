"""The blob store: content-addressed files, named by their SHA-256 digest."""

from __future__ import annotations

import heapq
import io
import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from saccade.core.digest import digest_bytes, digest_file, digest_stream
from saccade.core.errors import InvalidValueError, NotFoundError, WorkspaceError
from saccade.io.atomic import atomic_replace, atomic_write, create_file, fsync_dir, fsync_many, make_private_dir
from saccade.store.io.scratch import ScratchDir
from saccade.store.io.urls import fsspec_errors, get_filesystem

if TYPE_CHECKING:
    from saccade.store.blobs.blob_batch import BlobBatch, PendingFiles
    from saccade.store.blobs.packs import PackFolder

_RELOCATION_SUFFIX = ".moved"
_PACKS_DIR = "packs"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BlobStore:
    """Blobs under a URL, as ``ab/cdef…`` for the digest ``abcdef…``.

    A local blob is written to a temporary file, flushed and renamed, so that a file with its final name is complete;
    many small blobs of an import share one file in ``packs/``. To other stores a blob is sent in one piece, which
    object stores make visible when it is complete.

    Args:
        url: a folder, or any URL that fsspec supports.
        scratch: the folder for temporary files, on the same disk as a local store.
    """

    def __init__(self, url: str, scratch: ScratchDir) -> None:
        self.url = url
        self._scratch = scratch
        # Without the listings cache, because other processes write too.
        self._fs, self._root = get_filesystem(url, **({"use_listings_cache": False} if "://" in url else {}))
        self._local = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    @cached_property
    def _packs(self) -> PackFolder | None:
        from saccade.store.blobs.packs import PackFolder  # imports NumPy, which many commands do not need

        return None if self._local is None else PackFolder(self._local / _PACKS_DIR)

    @classmethod
    def reopen(cls, url: str, scratch_root: str) -> BlobStore:
        """Open the store in another process, with its ``url`` and ``scratch_root``."""
        return cls(url, ScratchDir(Path(scratch_root)))

    @property
    def scratch_root(self) -> str:
        return str(self._scratch.root)

    def _wrap_errors(self) -> AbstractContextManager[None]:
        """Turn errors of a remote store into WorkspaceError; errors of a local disk pass through."""
        return nullcontext() if self._local is not None else fsspec_errors(self.url)

    @contextmanager
    def _wrap_upload_errors(self) -> Iterator[None]:
        """Like :func:`fsspec_errors`, and FileNotFoundError is an error, too: the bucket does not exist."""
        try:
            with fsspec_errors(self.url):
                yield
        except FileNotFoundError as error:
            raise WorkspaceError(
                f"'{self.url}' cannot be reached: {error}.", hint="Create the bucket or folder first."
            ) from error

    def _name(self, digest: str) -> str:
        if not _DIGEST.fullmatch(digest):
            raise InvalidValueError(f"A digest has 64 hexadecimal digits; {digest!r} does not.")
        return f"{self._root}/{digest[:2]}/{digest[2:]}"

    def stored_size(self, digest: str) -> int | None:
        """Return the size of a blob in bytes, or None if it is not in the store."""
        try:
            if self._local is not None:
                return os.stat(self._name(digest)).st_size  # noqa: PTH116 (called for every image of an import)
            with fsspec_errors(self.url):
                return int(self._fs.info(self._name(digest))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None if self._packs is None else self._packs.size(bytes.fromhex(digest))

    @contextmanager
    def batch(self, *, packed: bool = False) -> Iterator[BlobBatch]:
        """Yield a batch of blobs that become durable together with :meth:`BlobBatch.finish`; else all are dropped.

        Args:
            packed: combine small blobs into packs, if the batch has many.
        """
        from saccade.store.blobs.blob_batch import BlobBatch

        with self._scratch.shared() as folder, closing(BlobBatch(self, folder, packed=packed)) as batch:
            yield batch

    @contextmanager
    def gc_guard(self) -> Iterator[None]:
        """Prevent garbage collection, from adding blobs until a version refers to them."""
        with self._scratch.shared():
            yield

    def contains(self, digest: str, size: int) -> bool:
        """Return whether the store has a blob with this digest and size."""
        return self.stored_size(digest) == size

    @property
    def is_local(self) -> bool:
        return self._local is not None

    def put_bytes(self, data: bytes) -> str:
        """Store a blob, unless it exists; returns its digest.

        Raises:
            WorkspaceError: it cannot be written.
        """
        digest = digest_bytes(data)
        if self.stored_size(digest) == len(data):
            return digest
        if self._local is None:
            with self._wrap_upload_errors():
                self._fs.pipe_file(self._name(digest), data)
            return digest
        try:
            with self._scratch.path() as temporary:
                create_file(temporary, data)
                self._commit(temporary, digest)
        except OSError as error:
            raise WorkspaceError(f"A blob cannot be written: {error}.", hint="Is the disk full?") from error
        return digest

    def put_file(self, path: Path) -> str:
        """Store the content of a file, unless it exists; returns its digest.

        Raises:
            OSError: the file cannot be read.
            WorkspaceError: the blob cannot be written.
        """
        digest = digest_file(path)
        if self.stored_size(digest) == path.stat().st_size:
            return digest
        if self._local is None:
            with self._wrap_upload_errors():
                self._fs.put_file(str(path), self._name(digest))
            return digest
        with self._scratch.path() as temporary:
            try:
                shutil.copyfile(path, temporary)
                digest = digest_file(temporary)  # the file may have changed since the first digest
                self._commit(temporary, digest)
            except OSError as error:
                raise WorkspaceError(f"'{path}' cannot be copied: {error}.", hint="Is the disk full?") from error
        return digest

    def _commit(self, temporary: Path, digest: str) -> None:
        atomic_replace(temporary, self._prepare_path(digest[:2], digest[2:]))

    def _prepare_path(self, folder: str, name: str) -> Path:
        """Return the path of a file, and create its folder durably."""
        path = Path(self._root, folder, name)
        if not path.parent.is_dir():
            make_private_dir(path.parent)
            fsync_dir(path.parent.parent)
        return path

    def commit_files(self, files: PendingFiles, packs: Mapping[str, Path]) -> None:
        """Rename finished temporary files to their final names, after flushing the content of all of them.

        Args:
            files: blobs by digest.
            packs: packs by final name.

        Raises:
            WorkspaceError: they cannot be written.
        """
        try:
            fsync_many([*packs.values(), *files.values()] if packs else files.values(), self._scratch.root)
            folders: set[str] = set()
            for name, pack in packs.items():
                pack.replace(self._prepare_path(_PACKS_DIR, name))
                folders.add(_PACKS_DIR)
            for digest, temporary in files.paths():
                if digest[:2] not in folders:
                    self._prepare_path(digest[:2], digest[2:])
                    folders.add(digest[:2])
                os.replace(temporary, self._name(digest))  # noqa: PTH105 (Path objects are slower for many files)
            fsync_many([Path(self._root) / folder for folder in folders], Path(self._root))
        except OSError as error:
            raise WorkspaceError(f"Blobs cannot be written: {error}.", hint="Is the disk full?") from error

    def read(self, digest: str) -> bytes:
        """Return the content of a blob.

        Raises:
            NotFoundError: there is no such blob.
        """
        name = self._name(digest)
        with suppress(WorkspaceError):  # if a pack is damaged, the blob may exist as a file, too
            if self._packs is not None and (data := self._packs.read(bytes.fromhex(digest))) is not None:
                return data
        try:
            with self._wrap_errors():
                return bytes(self._fs.cat_file(name))
        except FileNotFoundError:
            return self._read_packed(digest)

    def _read_packed(self, digest: str) -> bytes:
        data = None if self._packs is None else self._packs.read(bytes.fromhex(digest))
        if data is None:
            raise self._not_found(digest)
        return data

    def open(self, digest: str) -> BinaryIO:
        """Open a blob for reading; the file is seekable.

        Raises:
            NotFoundError: there is no such blob.
        """
        try:
            with self._wrap_errors():
                file: BinaryIO = self._fs.open(self._name(digest), "rb")
        except FileNotFoundError:
            return io.BytesIO(self._read_packed(digest))
        return file

    def local_path(self, digest: str) -> Path | None:
        """Return the path of a blob if the store is local and has it as a file of its own, else None."""
        if self._local is None:
            return None
        path = Path(self._name(digest))
        return path if path.exists() else None

    def add_relocation(self, digest: str, uri: str) -> None:
        """Record the new URI of a linked file, where readers look first."""
        name = self._relocation_name(digest)
        if self._local is None:
            with self._wrap_upload_errors():
                self._fs.pipe_file(name, uri.encode())
            return
        path = Path(name)
        make_private_dir(path.parent)
        atomic_write(path, uri.encode())

    def candidate_uris(self, digest: str, uri: str | None) -> list[str]:
        """Return the URIs where a linked file may be: its relocation, if there is one, then ``uri``."""
        uris = [] if uri is None else [uri]
        with suppress(FileNotFoundError), self._wrap_errors():
            uris.insert(0, bytes(self._fs.cat_file(self._relocation_name(digest))).decode())
        return uris

    def _relocation_name(self, digest: str) -> str:
        return f"{self._name(digest)}{_RELOCATION_SUFFIX}"

    def exists(self, digest: str) -> bool:
        return self.stored_size(digest) is not None

    def size(self, digest: str) -> int:
        """Return the size of a blob in bytes.

        Raises:
            NotFoundError: there is no such blob.
        """
        size = self.stored_size(digest)
        if size is None:
            raise self._not_found(digest)
        return size

    def digests(self) -> Iterator[tuple[str, int]]:
        """Yield the digest and size in bytes of every blob, ordered by digest."""
        with self._wrap_errors():
            listing = self._fs.find(self._root, detail=True)
        names = (("".join(path.split("/")[-2:]), int(info["size"])) for path, info in listing.items())
        files = sorted(pair for pair in names if _DIGEST.fullmatch(pair[0]))
        packs = [] if self._packs is None else self._packs.list_packs()
        packed = [((entry.digest.hex(), entry.size) for entry in pack.entries()) for pack in packs]
        for _, duplicates in groupby(heapq.merge(files, *packed), itemgetter(0)):
            yield next(duplicates)

    def relocations(self) -> Iterator[str]:
        """Yield the digests of linked files that have a relocation."""
        with self._wrap_errors():
            listing = self._fs.find(self._root)
        for path in listing:
            digest = "".join(path.split("/")[-2:]).removesuffix(_RELOCATION_SUFFIX)
            if path.endswith(_RELOCATION_SUFFIX) and _DIGEST.fullmatch(digest):
                yield digest

    def delete_many(self, digests: Collection[str]) -> None:
        """Delete unreferenced blobs, and merge small packs. There must be no writers.

        If the process is killed, some of the blobs remain.
        """
        for digest in digests:
            self._delete_file(self._name(digest))
        from saccade.store.blobs.blob_batch import PendingFiles

        if self._packs is None:
            return
        with self._scratch.subfolder() as folder:
            for old_packs, packs in self._packs.rewrite_without({bytes.fromhex(digest) for digest in digests}, folder):
                self.commit_files(PendingFiles(), packs)
                for pack in old_packs:  # only now: until here the old packs have the blobs
                    pack.unlink(missing_ok=True)

    def delete(self, digest: str) -> None:
        """Delete an unreferenced blob; see :meth:`delete_many`."""
        self.delete_many([digest])

    def delete_relocation(self, digest: str) -> None:
        self._delete_file(self._relocation_name(digest))

    def _delete_file(self, name: str) -> None:
        with suppress(FileNotFoundError), self._wrap_errors():
            self._fs.rm_file(name)

    def verify(self, digest: str) -> bool:
        """Read a blob and return whether its content matches its digest. Raises NotFoundError if there is none."""
        with self.open(digest) as file:
            return digest_stream(file) == digest

    def _not_found(self, digest: str) -> NotFoundError:
        return NotFoundError(f"There is no blob {digest}.", hint="'saccade doctor' lists missing blobs.")
