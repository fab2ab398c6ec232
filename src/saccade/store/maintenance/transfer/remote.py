"""Remote stores for copies of datasets: a folder, a ZIP archive, or any URL that fsspec supports."""

from __future__ import annotations

import os
import shutil
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Any, Protocol, Self

from saccade.core.errors import ConflictError, FormatError, NotFoundError
from saccade.io.atomic import atomic_replace, fsync_dir, fsync_file
from saccade.runtime.permissions import apply_user_umask
from saccade.store.io.urls import fsspec_errors, get_filesystem

CHUNK_BYTES = 1 << 20
_PARTIAL_DIR = "partial"
_PARTIAL_MAX_AGE_S = 86_400


class RemoteStore(Protocol):
    """Files by name, with '/' as the separator; a file with its final name is complete.

    Attributes:
        url: the location, for messages.
        threads: how many threads may use the store at the same time.
    """

    url: str
    threads: int

    def names(self, folder: str) -> list[str]:
        """List the names in a folder, none if it does not exist."""
        ...

    def size(self, name: str) -> int | None:
        """Return the size of a file in bytes, or None if it does not exist."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading. Raises NotFoundError if it does not exist."""
        ...

    def put(self, name: str, path: Path) -> None:
        """Store a copy of a local file."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a new file; returns False if it exists."""
        ...

    def remove(self, name: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _RemoteBase:
    url: str
    threads = 8

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _not_found(self, name: str) -> NotFoundError:
        return NotFoundError(f"'{self.url}' has no file '{name}'.", hint="The copy is incomplete: push it again.")


class DirRemote(_RemoteBase):
    """A folder. Files are written to ``partial/`` first, flushed to the disk, and then renamed."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self._folder = folder

    def _path(self, name: str) -> Path:
        return self._folder / PurePosixPath(name)

    def names(self, folder: str) -> list[str]:
        path = self._path(folder)
        return sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []

    def size(self, name: str) -> int | None:
        try:
            return self._path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._path(name).open("rb")
        except FileNotFoundError:
            raise self._not_found(name) from None

    def put(self, name: str, path: Path) -> None:
        with self._partial() as partial:
            shutil.copyfile(path, partial)
            apply_user_umask(partial)
            atomic_replace(partial, self._prepare_path(name))

    def create(self, name: str, data: bytes) -> bool:
        with self._partial() as partial:
            partial.write_bytes(data)
            apply_user_umask(partial)
            fsync_file(partial)
            final = self._prepare_path(name)
            try:
                os.link(partial, final)  # unlike a rename, it never replaces a file
            except FileExistsError:
                return False
            fsync_dir(final.parent)
            return True

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _prepare_path(self, name: str) -> Path:
        final = self._path(name)
        if not final.parent.is_dir():
            self._make_folder(final.parent)
            fsync_dir(final.parent.parent)
        return final

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and its parents; other users may be allowed to read the remote."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            apply_user_umask(folder, recursive=False)

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        folder = self._folder / _PARTIAL_DIR
        self._make_folder(folder)
        path = folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete what killed pushes left more than a day ago; younger files may belong to a running push."""
        with suppress(OSError):
            for path in (self._folder / _PARTIAL_DIR).glob("*"):
                if time.time() - path.stat().st_mtime > _PARTIAL_MAX_AGE_S:
                    path.unlink(missing_ok=True)
            (self._folder / _PARTIAL_DIR).rmdir()


class FsspecRemote(_RemoteBase):
    """A URL. A file is sent in one piece, which object stores make visible when it is complete."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = get_filesystem(url)

    def _full_name(self, name: str) -> str:
        return f"{self._root}/{name}"

    def names(self, folder: str) -> list[str]:
        try:
            with fsspec_errors(self.url):
                self._fs.invalidate_cache()
                paths: list[str] = self._fs.ls(self._full_name(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).name for path in paths)

    def size(self, name: str) -> int | None:
        try:
            with fsspec_errors(self.url):
                return int(self._fs.info(self._full_name(name))["size"])
        except FileNotFoundError:
            return None

    def open(self, name: str) -> IO[bytes]:
        try:
            with fsspec_errors(self.url):
                file: IO[bytes] = self._fs.open(self._full_name(name), "rb")
        except FileNotFoundError:
            raise self._not_found(name) from None
        return file

    def put(self, name: str, path: Path) -> None:
        with fsspec_errors(self.url):
            self._fs.put_file(str(path), self._full_name(name))

    def create(self, name: str, data: bytes) -> bool:
        try:
            with fsspec_errors(self.url):
                self._fs.pipe_file(self._full_name(name), data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), fsspec_errors(self.url):
            self._fs.rm_file(self._full_name(name))


class ZipRemoteWriter(_RemoteBase):
    """A new ZIP archive, written to a temporary file that is renamed at the end."""

    threads = 1

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ConflictError(
                f"'{path}' already exists.", hint="Choose another name; only a folder or URL can be updated."
            )
        self.url = str(path)
        self._path = path
        self._partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        self._archive = zipfile.ZipFile(self._partial, "w", zipfile.ZIP_STORED)
        self._sizes: dict[str, int] = {}

    def names(self, folder: str) -> list[str]:
        return []

    def size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def open(self, name: str) -> IO[bytes]:
        raise self._not_found(name)

    def put(self, name: str, path: Path) -> None:
        self._archive.write(path, name)
        self._sizes[name] = path.stat().st_size

    def create(self, name: str, data: bytes) -> bool:
        self._archive.writestr(name, data)
        self._sizes[name] = len(data)
        return True

    def remove(self, name: str) -> None:
        raise AssertionError("a new archive has no files to remove")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._archive.close()
            if error is None:
                atomic_replace(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


class ZipRemoteReader(_RemoteBase):
    """A ZIP archive, for reading."""

    threads = 1

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file '{path}'.") from None
        except zipfile.BadZipFile as error:
            raise FormatError(f"'{path}' is not a complete ZIP archive: {error}.") from error
        self._sizes = {info.filename: info.file_size for info in self._archive.infolist()}

    def names(self, folder: str) -> list[str]:
        paths = (PurePosixPath(name) for name in self._sizes if name.startswith(f"{folder}/"))
        return sorted({part for path in paths for part in path.relative_to(folder).parts[:1]})

    def size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._archive.open(name)
        except KeyError:
            raise self._not_found(name) from None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise FormatError(f"'{name}' in '{self.url}' cannot be read: {error}.") from error

    def put(self, name: str, path: Path) -> None:
        raise AssertionError("the archive is read-only")

    def create(self, name: str, data: bytes) -> bool:
        raise AssertionError("the archive is read-only")

    def remove(self, name: str) -> None:
        raise AssertionError("the archive is read-only")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


def open_remote_for_writing(location: str) -> RemoteStore:
    """Open a folder, a new ``.zip`` or a URL for a push.

    Raises:
        ConflictError: the archive exists.
        NotFoundError: the URL is not valid.
    """
    path = _local_path(location)
    if path is None:
        return FsspecRemote(location)
    return ZipRemoteWriter(path) if path.suffix.lower() == ".zip" else DirRemote(path)


def open_remote(location: str) -> RemoteStore:
    """Open a folder, ``.zip`` or URL for a pull.

    Raises:
        NotFoundError: the folder or archive does not exist, or the URL is not valid.
        FormatError: the archive is damaged.
    """
    path = _local_path(location)
    if path is None:
        return FsspecRemote(location)
    if path.suffix.lower() == ".zip" and not path.is_dir():
        return ZipRemoteReader(path)
    if not path.is_dir():
        raise NotFoundError(f"There is no folder '{path}'.", hint="Give the folder, .zip or URL that was pushed to.")
    return DirRemote(path)


def _local_path(location: str) -> Path | None:
    if location.startswith("file://"):
        return Path(location.removeprefix("file://"))
    return None if "://" in location else Path(location).expanduser()


def read_bounded(remote: RemoteStore, name: str, max_bytes: int) -> bytes:
    """Read a file of limited size.

    Args:
        remote: the store.
        name: the file.
        max_bytes: the largest size that is accepted.

    Raises:
        NotFoundError: the file does not exist.
        FormatError: the file is larger.
    """
    with remote.open(name) as file:
        data: Any = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FormatError(f"'{name}' in '{remote.url}' is larger than {max_bytes:,} bytes.")
    return bytes(data)
