"""Files on their way to a server."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from saccade.client.api import Http
from saccade.client.decoding import path_of
from saccade.core.digest import digest_bytes, digest_file

_BYTES, _FILES, _PIECE = 32 << 20, 1000, 1 << 20
"""So much is sent in one request: what it has acknowledged is kept, and need not be sent again."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A file, and the name under which it is sent."""

    name: str
    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def new_upload(http: Http) -> str:
    """Begin to send files; the id of the upload, for jobs."""
    return str(http.post("/uploads")["id"])


def forget_upload(http: Http, upload: str) -> None:
    """Let what was sent go."""
    http.send("DELETE", path_of("uploads", upload))


def send_files(http: Http, upload: str, files: Iterable[Outgoing]) -> Iterator[Sequence[Outgoing]]:
    """Send files, some in each request; gives them when they are kept."""
    for group in _grouped(files):
        heads = [json.dumps({"name": one.name, "size": one.size}).encode() + b"\n" for one in group]
        length = sum(len(head) + one.size for head, one in zip(heads, group, strict=True))
        http.send(
            "POST",
            path_of("uploads", upload, "files"),
            content=_body(heads, group),
            headers={"Content-Length": str(length)},
        )
        yield group


def _grouped(files: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
    group: list[Outgoing] = []
    size = 0
    for file in files:
        if group and (size > _BYTES or len(group) == _FILES):
            yield group
            group, size = [], 0
        group.append(file)
        size += file.size
    if group:
        yield group


def _body(heads: Iterable[bytes], files: Iterable[Outgoing]) -> Iterator[bytes]:
    for head, file in zip(heads, files, strict=True):
        yield head
        with file.path.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece


class RemoteObjects:
    """Files that are to be written with items; they wait on this machine until a version that needs them is written."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="saccade-")
        self._paths: dict[str, Path] = {}

    def put_bytes(self, data: bytes) -> str:
        """Keep bytes until items that refer to them are written; returns their digest."""
        digest = digest_bytes(data)
        if digest not in self._paths:
            path = Path(self._folder.name) / digest
            path.write_bytes(data)
            self._paths[digest] = path
        return digest

    def put_file(self, path: Path) -> str:
        """Keep in mind where a file lies; returns its digest. It may not change before it is written."""
        digest = digest_file(path)
        self._paths.setdefault(digest, path.resolve())
        return digest

    def path(self, digest: str) -> Path | None:
        """Where a file lies on this machine; None where it was not put."""
        return self._paths.get(digest)

    def close(self) -> None:
        self._folder.cleanup()
