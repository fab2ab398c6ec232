"""The files that items refer to, kept in the workspace or linked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from saccade.core.digest import digest_bytes
from saccade.core.errors import MediaError, NotFoundError
from saccade.core.schema import MediaRef
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.io.urls import open_uri

_GONE = "It was linked, not copied: bring it back, or run saccade doctor --relink FOLDER."


def read_media(objects: ObjectStore, ref: MediaRef) -> bytes:
    """The bytes of a file; NotFoundError where it is gone, MediaError where a linked one has changed."""
    if ref.uri is None:
        with _named(ref):
            return objects.read(ref.digest)
    if objects.is_held(ref.digest, ref.size):  # as after a pull
        return objects.read(ref.digest)
    *others, last = objects.places(ref.digest, ref.uri)
    for uri in others:
        with suppress(NotFoundError, MediaError):
            return _read_linked(ref, uri)
    return _read_linked(ref, last)


def open_media(objects: ObjectStore, ref: MediaRef) -> BinaryIO:
    """A file, open for reading anywhere in it; the content of a linked one is not compared."""
    if ref.uri is None or objects.is_held(ref.digest, ref.size):
        with _named(ref):
            return objects.open(ref.digest)
    *others, last = objects.places(ref.digest, ref.uri)
    for uri in others:
        with suppress(NotFoundError, MediaError):
            return _open_linked(ref, uri)
    return _open_linked(ref, last)


@contextmanager
def _named(ref: MediaRef) -> Iterator[None]:
    """That an object is not there, with the name of the file."""
    try:
        yield
    except NotFoundError:
        raise NotFoundError(
            f"The file '{ref.name}' ({ref.digest}) is not in the workspace.",
            hint="'saccade doctor' lists what is missing.",
        ) from None


@contextmanager
def _linked(uri: str) -> Iterator[None]:
    """What goes wrong with a linked file, with its URI."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"The file '{uri}' is gone.", hint=_GONE) from None
    except OSError as error:
        raise MediaError(f"The file '{uri}' cannot be read: {error}.") from error


def _changed(ref: MediaRef, uri: str, size: int) -> MediaError:
    return MediaError(
        f"The file '{uri}' has changed since it was imported ({ref.size} bytes then, {size} now).",
        hint="Import it again, with --copy to keep a copy in the workspace.",
    )


def _read_linked(ref: MediaRef, uri: str) -> bytes:
    with _linked(uri), open_uri(uri) as file:
        data = file.read()
    if len(data) != ref.size or digest_bytes(data) != ref.digest:
        raise _changed(ref, uri, len(data))
    return data


def _open_linked(ref: MediaRef, uri: str) -> BinaryIO:
    """A linked file whose size is right; its content is not compared, as it may be as long as a film."""
    with _linked(uri):
        file = open_uri(uri)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    if size != ref.size:
        file.close()
        raise _changed(ref, uri, size)
    return file
