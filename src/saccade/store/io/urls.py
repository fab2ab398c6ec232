"""URLs that fsspec knows, with errors that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from saccade.core.errors import MissingExtraError, NotFoundError, SaccadeError, WorkspaceError

_EXTRAS = {"s3": "s3", "s3a": "s3"}


def filesystem_of(url: str, **options: Any) -> tuple[Any, str]:
    """The file system of a URL and the path in it.

    MissingExtraError, WorkspaceError and NotFoundError say what is missing for URLs of that kind. ``options`` are those
    of fsspec.
    """
    import fsspec

    scheme = url.partition("://")[0]
    try:
        filesystem, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        if scheme in _EXTRAS:
            raise MissingExtraError(f"'{url}'", _EXTRAS[scheme]) from error
        raise WorkspaceError(f"'{url}' needs a package that is not installed: {error}.") from error
    except ValueError as error:
        hint = "Give a folder, a file or a URL."
        raise NotFoundError(f"'{url}' cannot be reached: {error}.", hint=hint) from error
    return filesystem, root.rstrip("/")


@contextmanager
def reached(url: str) -> Iterator[None]:
    """WorkspaceError for whatever a package for URLs raises: their errors have no base class of their own.

    That a file is not there, or is there already, is left as it is.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, SaccadeError):
        raise
    except Exception as error:
        raise WorkspaceError(
            f"'{url}' cannot be reached: {error}.", hint="Check the address, the network and your credentials."
        ) from error


def local_path(uri: str) -> Path | None:
    """The file of this machine that a URI or a plain path names, None for any other address."""
    if uri.startswith("file://"):
        return Path(unquote(uri.removeprefix("file://")))
    return None if "://" in uri else Path(uri)


def open_uri(uri: str) -> BinaryIO:
    """A file by its URI or plain path, open for reading anywhere in it; OSError where that cannot be."""
    if path := local_path(uri):
        return path.open("rb")
    import fsspec

    file: BinaryIO = fsspec.open(uri, "rb").open()
    return file
