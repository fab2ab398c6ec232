"""Reads the media files that items refer to: blobs of the workspace, or linked files outside of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

from saccade.core.digest import digest_bytes
from saccade.core.errors import MediaError, NotFoundError
from saccade.core.schema import MediaRef
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.io.urls import open_uri

_MISSING_HINT = "It was linked, not copied: put it back, or run: saccade doctor --relink FOLDER"


def read_media(blobs: BlobStore, ref: MediaRef) -> bytes:
    """Return the content of a media file.

    Raises:
        NotFoundError: the file is missing.
        MediaError: a linked file has changed or cannot be read.
    """
    if ref.uri is None:
        with _name_missing_file(ref):
            return blobs.read(ref.digest)
    if blobs.contains(ref.digest, ref.size):  # for example after a pull
        return blobs.read(ref.digest)
    *others, last = blobs.candidate_uris(ref.digest, ref.uri)
    for uri in others:
        with suppress(NotFoundError, MediaError):
            return _read_linked(ref, uri)
    return _read_linked(ref, last)


def open_media(blobs: BlobStore, ref: MediaRef) -> BinaryIO:
    """Open a media file for reading; the file is seekable. The digest of a linked file is not checked.

    Raises:
        NotFoundError: the file is missing.
        MediaError: a linked file has another size or cannot be read.
    """
    if ref.uri is None or blobs.contains(ref.digest, ref.size):
        with _name_missing_file(ref):
            return blobs.open(ref.digest)
    *others, last = blobs.candidate_uris(ref.digest, ref.uri)
    for uri in others:
        with suppress(NotFoundError, MediaError):
            return _open_linked(ref, uri)
    return _open_linked(ref, last)


@contextmanager
def _name_missing_file(ref: MediaRef) -> Iterator[None]:
    """Add the file name to the error for a missing blob."""
    try:
        yield
    except NotFoundError:
        raise NotFoundError(
            f"The file '{ref.name}' ({ref.digest}) is not in the workspace.",
            hint="'saccade doctor' lists missing files.",
        ) from None


@contextmanager
def _wrap_errors(uri: str) -> Iterator[None]:
    """Turn OSError into NotFoundError or MediaError."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"The linked file '{uri}' is missing.", hint=_MISSING_HINT) from None
    except OSError as error:
        raise MediaError(f"The linked file '{uri}' cannot be read: {error}.") from error


def _changed_error(ref: MediaRef, uri: str, size: int) -> MediaError:
    return MediaError(
        f"The linked file '{uri}' has changed since it was imported ({ref.size} bytes then, {size} now).",
        hint="Import it again, with --copy to store a copy in the workspace.",
    )


def _read_linked(ref: MediaRef, uri: str) -> bytes:
    with _wrap_errors(uri), open_uri(uri) as file:
        data = file.read()
    if len(data) != ref.size or digest_bytes(data) != ref.digest:
        raise _changed_error(ref, uri, len(data))
    return data


def _open_linked(ref: MediaRef, uri: str) -> BinaryIO:
    """Open a linked file and check its size; hashing the content would take too long for a film."""
    with _wrap_errors(uri):
        file = open_uri(uri)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
    if size != ref.size:
        file.close()
        raise _changed_error(ref, uri, size)
    return file
