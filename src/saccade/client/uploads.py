"""Upload files to a server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.client.api import ApiClient
from saccade.client.decoding import api_path
from saccade.core.digest import digest_bytes, digest_file

_MAX_REQUEST_BYTES = 32 << 20
_MAX_REQUEST_FILES = 1000
"""Limits of one request. What the server has acknowledged need not be sent again, so requests are kept small."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileUpload:
    """A local file, and its name in the upload."""

    name: str
    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def create_upload(api: ApiClient) -> str:
    """Start an upload; returns its id, which jobs refer to."""
    return str(api.post("/uploads")["id"])


def delete_upload(api: ApiClient, upload: str) -> None:
    """Delete an upload and its files."""
    api.send("DELETE", api_path("uploads", upload))


def upload_files(api: ApiClient, upload: str, files: Iterable[FileUpload]) -> Iterator[Sequence[FileUpload]]:
    """Upload files, several per request.

    Args:
        api: The client.
        upload: Id of the upload.
        files: The files to send.

    Returns:
        Iterator over the batches of files, each after the server has stored it. Nothing is sent until it is consumed.
    """
    for batch in _batches(files):
        headers = [json.dumps({"name": file.name, "size": file.size}).encode() + b"\n" for file in batch]
        length = sum(len(header) + file.size for header, file in zip(headers, batch, strict=True))
        api.send(
            "POST",
            api_path("uploads", upload, "files"),
            content=_body(headers, batch),
            headers={"Content-Length": str(length)},
        )
        yield batch


def _batches(files: Iterable[FileUpload]) -> Iterator[list[FileUpload]]:
    batch: list[FileUpload] = []
    size = 0
    for file in files:
        if batch and (size > _MAX_REQUEST_BYTES or len(batch) == _MAX_REQUEST_FILES):
            yield batch
            batch = []
            size = 0
        batch.append(file)
        size += file.size
    if batch:
        yield batch


def _body(headers: Iterable[bytes], files: Iterable[FileUpload]) -> Iterator[bytes]:
    for header, file in zip(headers, files, strict=True):
        yield header
        with file.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk


class RemoteBlobs:
    """Files to be written with items. They stay on this machine until a version that refers to them is written."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="saccade-")
        self._paths: dict[str, Path] = {}

    def put_bytes(self, data: bytes) -> str:
        """Store bytes in a temporary file; returns their digest."""
        digest = digest_bytes(data)
        if digest not in self._paths:
            path = Path(self._folder.name) / digest
            path.write_bytes(data)
            self._paths[digest] = path
        return digest

    def put_file(self, path: Path) -> str:
        """Register a local file; returns its digest. The file must not change until it is uploaded."""
        digest = digest_file(path)
        self._paths.setdefault(digest, path.resolve())
        return digest

    def path(self, digest: str) -> Path | None:
        """Return the local path of a file, or None if it was not put."""
        return self._paths.get(digest)

    def close(self) -> None:
        """Delete the temporary files."""
        self._folder.cleanup()
