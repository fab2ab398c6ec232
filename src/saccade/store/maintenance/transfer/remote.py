"""Where copies of datasets lie: a folder, a ZIP archive, or any URL that fsspec knows."""

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
from saccade.store.io.atomic import put_in_place, sync_folder
from saccade.store.io.urls import filesystem_of, reached

PIECE = 1 << 20
_DAY = 86_400


class Place(Protocol):
    """Files by name, with '/' between the parts; what has its name is whole.

    Attributes:
        threads: how many may use it at once.
    """

    url: str
    threads: int

    def names(self, folder: str) -> list[str]:
        """The names in a folder, none where it is not there."""
        ...

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where it is not there."""
        ...

    def open(self, name: str) -> IO[bytes]:
        """A file's content; NotFoundError where it is not there."""
        ...

    def put(self, name: str, path: Path) -> None:
        """Keep a copy of a local file."""
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file that is not there yet; whether it was not there."""
        ...

    def remove(self, name: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Place:
    """What all places share: nothing to do at the end."""

    url: str
    threads = 8

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def _missing(self, name: str) -> NotFoundError:
        return NotFoundError(f"'{self.url}' has no file '{name}'.", hint="The copy is not whole: push it again.")


class FolderPlace(_Place):
    """A folder. Files are written to ``partial/`` first, forced to the disk, and then given their names."""

    def __init__(self, folder: Path) -> None:
        self.url = str(folder)
        self._folder = folder

    def _path(self, name: str) -> Path:
        return self._folder / PurePosixPath(name)

    def names(self, folder: str) -> list[str]:
        path = self._path(folder)
        return sorted(found.name for found in path.iterdir()) if path.is_dir() else []

    def size(self, name: str) -> int | None:
        try:
            return self._path(name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._path(name).open("rb")
        except FileNotFoundError:
            raise self._missing(name) from None

    def put(self, name: str, path: Path) -> None:
        with self._partial() as partial:
            shutil.copyfile(path, partial)
            put_in_place(partial, self._prepared(name))

    def create(self, name: str, data: bytes) -> bool:
        with self._partial() as partial:
            partial.write_bytes(data)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            final = self._prepared(name)
            try:
                os.link(partial, final)  # unlike a rename, it never replaces
            except FileExistsError:
                return False
            sync_folder(final.parent)
            return True

    def remove(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _prepared(self, name: str) -> Path:
        final = self._path(name)
        if not final.parent.is_dir():
            final.parent.mkdir(parents=True, exist_ok=True)
            sync_folder(final.parent.parent)
        return final

    @contextmanager
    def _partial(self) -> Iterator[Path]:
        folder = self._folder / "partial"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear what a killed push left more than a day ago."""
        with suppress(OSError):
            for path in (self._folder / "partial").glob("*"):
                if time.time() - path.stat().st_mtime > _DAY:
                    path.unlink(missing_ok=True)
            (self._folder / "partial").rmdir()


class UrlPlace(_Place):
    """A URL. A file is sent in one piece, which object stores make visible when it is complete."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._fs, self._root = filesystem_of(url)

    def _name(self, name: str) -> str:
        return f"{self._root}/{name}"

    def names(self, folder: str) -> list[str]:
        try:
            with reached(self.url):
                self._fs.invalidate_cache()
                found: list[str] = self._fs.ls(self._name(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted(PurePosixPath(path).name for path in found)

    def size(self, name: str) -> int | None:
        try:
            with reached(self.url):
                return int(self._fs.info(self._name(name))["size"])
        except FileNotFoundError:
            return None

    def open(self, name: str) -> IO[bytes]:
        try:
            with reached(self.url):
                opened: IO[bytes] = self._fs.open(self._name(name), "rb")
        except FileNotFoundError:
            raise self._missing(name) from None
        return opened

    def put(self, name: str, path: Path) -> None:
        with reached(self.url):
            self._fs.put_file(str(path), self._name(name))

    def create(self, name: str, data: bytes) -> bool:
        try:
            with reached(self.url):
                self._fs.pipe_file(self._name(name), data, mode="create")
        except FileExistsError:
            return False
        return True

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError), reached(self.url):
            self._fs.rm_file(self._name(name))


class NewZipPlace(_Place):
    """A ZIP archive that is being written: in another file, which takes its name at the end."""

    threads = 1

    def __init__(self, path: Path) -> None:
        if path.exists():
            raise ConflictError(f"'{path}' is there already.", hint="Choose another name; a folder can be added to.")
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
        raise self._missing(name)

    def put(self, name: str, path: Path) -> None:
        self._archive.write(path, name)
        self._sizes[name] = path.stat().st_size

    def create(self, name: str, data: bytes) -> bool:
        self._archive.writestr(name, data)
        self._sizes[name] = len(data)
        return True

    def remove(self, name: str) -> None:
        raise AssertionError("nothing is removed from a new archive")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._archive.close()
            if error is None:
                put_in_place(self._partial, self._path)
        finally:
            self._partial.unlink(missing_ok=True)


class ZipPlace(_Place):
    """A ZIP archive that is read."""

    threads = 1

    def __init__(self, path: Path) -> None:
        self.url = str(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except FileNotFoundError:
            raise NotFoundError(f"There is no file '{path}'.") from None
        except zipfile.BadZipFile as error:
            raise FormatError(f"'{path}' is no whole ZIP archive: {error}.") from error
        self._sizes = {info.filename: info.file_size for info in self._archive.infolist()}

    def names(self, folder: str) -> list[str]:
        inside = (
            PurePosixPath(name).relative_to(folder).parts[:1] for name in self._sizes if name.startswith(f"{folder}/")
        )
        return sorted({part for parts in inside for part in parts})

    def size(self, name: str) -> int | None:
        return self._sizes.get(name)

    def open(self, name: str) -> IO[bytes]:
        try:
            return self._archive.open(name)
        except KeyError:
            raise self._missing(name) from None
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise FormatError(f"'{name}' in '{self.url}' cannot be read: {error}.") from error

    def put(self, name: str, path: Path) -> None:
        raise AssertionError("an archive that is read is not written")

    def create(self, name: str, data: bytes) -> bool:
        raise AssertionError("an archive that is read is not written")

    def remove(self, name: str) -> None:
        raise AssertionError("an archive that is read is not written")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()


def place_to_write(where: str) -> Place:
    """Where something is to be copied to."""
    path = _local(where)
    if path is None:
        return UrlPlace(where)
    return NewZipPlace(path) if path.suffix.lower() == ".zip" else FolderPlace(path)


def place_to_read(where: str) -> Place:
    """Where something is to be copied from; NotFoundError where a local one is not there."""
    path = _local(where)
    if path is None:
        return UrlPlace(where)
    if path.suffix.lower() == ".zip" and not path.is_dir():
        return ZipPlace(path)
    if not path.is_dir():
        raise NotFoundError(f"There is no folder '{path}'.", hint="Give the folder, .zip or URL that was pushed to.")
    return FolderPlace(path)


def _local(where: str) -> Path | None:
    if where.startswith("file://"):
        return Path(where.removeprefix("file://"))
    return None if "://" in where else Path(where).expanduser()


def read_whole(place: Place, name: str, most: int) -> bytes:
    """A small file; FormatError where it is larger than ``most`` bytes."""
    with place.open(name) as file:
        data: Any = file.read(most + 1)
    if len(data) > most:
        raise FormatError(f"'{name}' in '{place.url}' is larger than {most:,} bytes.")
    return bytes(data)
