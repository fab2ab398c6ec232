"""Upload items and their media files to be written as a version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow as pa

from saccade.client.api import ApiClient
from saccade.client.uploads import FileUpload, RemoteBlobs, create_upload, upload_files
from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import FileRef, ImageRef, Kind, MediaRef, Schema, VideoRef
from saccade.store.arrow.codec import arrow_schema, encode_items

_BATCH_ITEMS = 512
_MAX_PART_BYTES = 64 << 20
_MAX_LOOKUP_FILES = 5000
_MEDIA_KINDS = {ImageRef: "image", VideoRef: "video", FileRef: "file"}
_BlobId = tuple[str, str, int | None]


class RemoteWriter:
    """Upload items as Arrow files of limited size, and the media files that the project does not have yet."""

    def __init__(self, api: ApiClient, blobs: RemoteBlobs, schema: Schema, progress: Progress) -> None:
        self._api = api
        self._blobs = blobs
        self._schema = schema
        self._progress = progress
        self._media_columns = [column.name for column in schema.columns_of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE)]
        self._checked: set[_BlobId] = set()
        self._uploaded_digests: set[str] = set()
        self.upload = create_upload(api)

    def write(self, items: Iterable[Item]) -> None:
        """Upload all items.

        Raises:
            InvalidValueError: A value does not match the kind of its column, or a ``uri`` is not a local file.
            NotFoundError: A media file is neither in the project nor on this machine.
        """
        remaining = iter(items)
        number = 0
        while self._write_part(remaining, number):
            number += 1

    def _write_part(self, items: Iterator[Item], number: int) -> int:
        """Upload one Arrow file; returns its number of items.

        The first file is uploaded even if it is empty: it carries the schema.
        """
        count = 0
        with tempfile.TemporaryDirectory(prefix="saccade-") as folder:
            path = Path(folder) / "items.arrow"
            schema = arrow_schema(self._schema, position=False)
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, schema) as stream:
                while file.tell() < _MAX_PART_BYTES and (batch := list(islice(items, _BATCH_ITEMS))):
                    stream.write_batch(encode_items([self._strip_uris(item) for item in batch], self._schema))
                    self._upload_media(ref for item in batch for ref in self._media_refs(item))
                    self._progress.advance(len(batch))
                    count += len(batch)
            if count or not number:
                self._upload([FileUpload(f"items-{number:06}.arrow", path)])
        return count

    def _media_refs(self, item: Item) -> Iterator[MediaRef]:
        return (item.values[name] for name in self._media_columns if item.values.get(name) is not None)

    def _strip_uris(self, item: Item) -> Item:
        """Remove the URIs of media files, which are valid on this machine only."""
        stripped = {
            name: replace(value, uri=None)
            for name in self._media_columns
            if isinstance(value := item.values.get(name), ImageRef | VideoRef | FileRef) and value.uri is not None
        }
        return Item(item.key, {**item.values, **stripped}) if stripped else item

    def _upload_media(self, refs: Iterable[MediaRef]) -> None:
        """Upload those media files that the project does not have."""
        new = {blob_id: ref for ref in refs if (blob_id := _blob_id(ref)) not in self._checked}
        blob_ids = list(new)
        for start in range(0, len(blob_ids), _MAX_LOOKUP_FILES):
            batch = blob_ids[start : start + _MAX_LOOKUP_FILES]
            body = {"files": [dict(zip(("kind", "digest", "frame"), blob_id, strict=True)) for blob_id in batch]}
            existing = self._api.post("/blobs/exists", body)["existing"]
            for blob_id, exists in zip(batch, existing, strict=True):
                if exists:
                    new.pop(blob_id)
        missing = {ref.digest: ref for ref in new.values() if ref.digest not in self._uploaded_digests}
        self._upload(FileUpload(f"files/{digest}", self._local_path(ref)) for digest, ref in missing.items())
        self._uploaded_digests.update(missing)
        self._checked.update(blob_ids)

    def _upload(self, files: Iterable[FileUpload]) -> None:
        for _ in upload_files(self._api, self.upload, files):
            pass

    def _local_path(self, ref: MediaRef) -> Path:
        path = self._blobs.path(ref.digest) or (None if ref.uri is None else _path_of_uri(ref.uri))
        if path is None:
            raise NotFoundError(
                f"The server's project has no file '{ref.name}' ({ref.digest}).",
                hint="Set its uri to a local file, or register it first: workspace.blobs.put_file(path).",
            )
        if not path.is_file():
            raise NotFoundError(f"There is no file {path}.", hint=f"The uri of '{ref.name}' refers to it.")
        return path


def _blob_id(ref: MediaRef) -> _BlobId:
    return _MEDIA_KINDS[type(ref)], ref.digest, ref.frame if isinstance(ref, ImageRef) else None


def _path_of_uri(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.scheme != "file":
        raise InvalidValueError(f"'{uri}' is not a local file.", hint="Download it first, or import it by its URL.")
    return Path(url2pathname(parts.path))
