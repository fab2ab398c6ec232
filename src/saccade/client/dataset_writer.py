"""Items with their files, sent to a server to become a version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow as pa

from saccade.client.api import Http
from saccade.client.uploads import Outgoing, RemoteObjects, new_upload, send_files
from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import FileRef, ImageRef, Kind, MediaRef, Schema, VideoRef
from saccade.store.arrow.codec import arrow_schema, encode_items

_BATCH, _PART, _ASKED = 512, 64 << 20, 5000
_KINDS = {ImageRef: "image", VideoRef: "video", FileRef: "file"}
_Identity = tuple[str, str, int | None]


class Sender:
    """Sends items as files in Arrow's format, and the files that the project has not yet; a part at a time."""

    def __init__(self, http: Http, objects: RemoteObjects, schema: Schema, progress: Progress) -> None:
        self._http, self._objects, self._schema, self._progress = http, objects, schema, progress
        self._columns = [one.name for one in schema.of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE)]
        self._done: set[_Identity] = set()
        self._sent: set[str] = set()
        self.upload = new_upload(http)

    def send(self, items: Iterable[Item]) -> None:
        """Send all items. A value that is not of its column's kind raises InvalidValueError."""
        waiting, number = iter(items), 0
        while self._part(waiting, number):
            number += 1

    def _part(self, items: Iterator[Item], number: int) -> int:
        """Send as many items as make a file of a certain size; how many. The first file may have none."""
        count = 0
        with tempfile.TemporaryDirectory(prefix="saccade-") as folder:
            path = Path(folder) / "items.arrow"
            arrow = arrow_schema(self._schema, position=False)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, arrow) as stream:
                while file.tell() < _PART and (batch := list(islice(items, _BATCH))):
                    stream.write_batch(encode_items([self._bare(item) for item in batch], self._schema))
                    self._send_files(ref for item in batch for ref in self._refs(item))
                    self._progress.advance(len(batch))
                    count += len(batch)
            if count or not number:
                self._send([Outgoing(f"items-{number:06}.arrow", path)])
        return count

    def _refs(self, item: Item) -> Iterator[MediaRef]:
        return (item.values[name] for name in self._columns if item.values.get(name) is not None)

    def _bare(self, item: Item) -> Item:
        """Without what is of this machine alone: where files lie."""
        bare = {
            name: replace(value, uri=None)
            for name in self._columns
            if isinstance(value := item.values.get(name), ImageRef | VideoRef | FileRef) and value.uri is not None
        }
        return Item(item.key, {**item.values, **bare}) if bare else item

    def _send_files(self, refs: Iterable[MediaRef]) -> None:
        """Send those of some files that the project has not."""
        new = {one: ref for ref in refs if (one := _identity(ref)) not in self._done}
        identities = list(new)
        for start in range(0, len(identities), _ASKED):
            some = identities[start : start + _ASKED]
            body = {"files": [dict(zip(("kind", "digest", "frame"), one, strict=True)) for one in some]}
            held = self._http.post("/files/held", body)["held"]
            for one, is_held in zip(some, held, strict=True):
                if is_held:
                    new.pop(one)
        missing = {ref.digest: ref for ref in new.values() if ref.digest not in self._sent}
        self._send(Outgoing(f"files/{digest}", self._path(ref)) for digest, ref in missing.items())
        self._sent.update(missing)
        self._done.update(identities)

    def _send(self, files: Iterable[Outgoing]) -> None:
        for _ in send_files(self._http, self.upload, files):
            pass

    def _path(self, ref: MediaRef) -> Path:
        path = self._objects.path(ref.digest) or (None if ref.uri is None else _local(ref.uri))
        if path is None:
            raise NotFoundError(
                f"The server's project has no file '{ref.name}' ({ref.digest}).",
                hint="Give it a uri of a file of this machine, or put it first: site.objects.put_file(path).",
            )
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.", hint=f"The item's '{ref.name}' is to lie there.")
        return path


def _identity(ref: MediaRef) -> _Identity:
    return _KINDS[type(ref)], ref.digest, ref.frame if isinstance(ref, ImageRef) else None


def _local(uri: str) -> Path:
    """The path of a file of this machine."""
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise InvalidValueError(f"'{uri}' is no file of this machine.", hint="Fetch it first, or import it by its URL.")
    return Path(url2pathname(parts.path))
