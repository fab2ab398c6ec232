"""fsspec URLs, with readable errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from saccade.core.errors import MissingExtraError, NotFoundError, SaccadeError, WorkspaceError

_EXTRAS = {"s3": "s3", "s3a": "s3"}


def get_filesystem(url: str, **options: Any) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it.

    Args:
        url: a URL or a local path.
        **options: passed to fsspec.

    Raises:
        MissingExtraError: the URL needs an extra of Saccade that is not installed.
        WorkspaceError: the URL needs another package that is not installed.
        NotFoundError: the URL is not valid.
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
        raise NotFoundError(f"'{url}' cannot be reached: {error}.", hint="Give a folder, a file or a URL.") from error
    return filesystem, root.rstrip("/")


@contextmanager
def fsspec_errors(url: str) -> Iterator[None]:
    """Turn the errors of fsspec's back ends into WorkspaceError; they have no common base class.

    FileNotFoundError and FileExistsError pass through.
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
    """Return the local path of a ``file://`` URI or plain path, None for any other URI."""
    if uri.startswith("file://"):
        return Path(unquote(uri.removeprefix("file://")))
    return None if "://" in uri else Path(uri)


def open_uri(uri: str) -> BinaryIO:
    """Open a URI or plain path for reading; the file is seekable. Raises OSError if it cannot be opened."""
    if path := local_path(uri):
        return path.open("rb")
    import fsspec

    file: BinaryIO = fsspec.open(uri, "rb").open()
    return file
