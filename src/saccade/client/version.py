"""A dataset version on a server."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO

import httpx
import pyarrow as pa

from saccade.client.api import ApiClient
from saccade.client.decoding import api_path, from_json
from saccade.core.errors import NotFoundError
from saccade.core.item_sequence import ItemSequence
from saccade.core.reader import Item
from saccade.core.records.datasets import VersionInfo
from saccade.core.schema import KEY, FileRef, ImageRef, MediaRef, Schema, VideoRef
from saccade.core.text import format_count
from saccade.store.arrow.codec import SCHEMA_METADATA, decode_batch

_MAX_MEMORY_BYTES = 16 << 20
_CHUNK_BYTES = 1 << 20
_MAX_REQUEST_KEYS = 200
"""Keys per request: they are part of the URL, whose length is limited."""


class RemoteVersion(ItemSequence):
    """An immutable version of a dataset; a :class:`~saccade.core.reader.Reader`, like a local version."""

    def __init__(self, api: ApiClient, data: dict[str, Any]) -> None:
        self._api = api
        self.ref: str = data["ref"]
        self.name = self.ref.partition("@")[0]
        self.info = from_json(VersionInfo, data)
        # Item key and column by digest: the API serves media by item, not by digest.
        self._media_locations: dict[str, tuple[str, str]] = {}

    @property
    def number(self) -> int:
        return self.info.number

    def __len__(self) -> int:
        return self.info.items

    def __repr__(self) -> str:
        return f"<{self.ref} at {self._api.address}, {format_count(len(self), 'item')}>"

    @property
    def _path(self) -> str:
        return api_path("datasets", self.ref)

    @cached_property
    def schema(self) -> Schema:
        """The columns with their classes."""
        with self._api.stream(f"{self._path}/arrow", only_keys=True, limit=0) as response:
            schema = pa.ipc.open_stream(io.BytesIO(response.read())).schema
        return Schema.from_json(json.loads(schema.metadata[SCHEMA_METADATA]))

    def keys(self) -> list[str]:
        """Return all keys in order."""
        return list(self._all_keys)

    @cached_property
    def _all_keys(self) -> list[str]:
        return self._select_keys()

    def where(self, query: str | None, order: str | None = None, *, descending: bool = False) -> list[str]:
        """Select the keys of the items that match a query.

        Args:
            query: The query; all items if None.
            order: Expression to sort by; the order of the version if None.
            descending: Reverse the order.

        Raises:
            InvalidValueError: The query is invalid.
        """
        return self._select_keys(where=query, order=order, descending=descending)

    def items(
        self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None, where: str | None = None
    ) -> Iterator[Item]:
        """Iterate over items in the order of the version.

        Args:
            columns: Names of the columns to read; all if None.
            keys: Keys of the items to read; all if None.
            where: Only the items that match this query.

        Raises:
            NotFoundError: There is no item with one of the keys.
        """
        names = None if columns is None else list(self.schema.select(columns).names)
        if keys is None:
            yield from self._stream_items(names, where=where)
            return
        positions = {key: position for position, key in enumerate(self._all_keys)}
        requested = set(keys)
        if missing := requested - positions.keys():
            raise NotFoundError(f"There is no item '{min(missing)}'.")
        ordered = iter(sorted(requested, key=positions.__getitem__))
        while batch := list(islice(ordered, _MAX_REQUEST_KEYS)):
            yield from self._stream_items(names, key=batch, where=where)

    def get(self, key: str) -> Item:
        """Return the item with this key.

        Raises:
            NotFoundError: There is no such item.
        """
        return next(self._stream_items(None, key=[key]))

    def _items_at_positions(self, positions: Sequence[int]) -> list[Item]:
        keys = [self._all_keys[position] for position in positions]
        items: dict[str, Item] = {}
        for start in range(0, len(keys), _MAX_REQUEST_KEYS):
            batch = keys[start : start + _MAX_REQUEST_KEYS]
            items.update((item.key, item) for item in self._stream_items(None, key=batch))
        return [items[key] for key in keys]

    def stats(self) -> dict[str, Any]:
        """Count items by split and class, and summarize sizes."""
        statistics: dict[str, Any] = self._api.get(f"{self._path}/stats")
        return statistics

    def histogram(
        self, expression: str, *, objects_column: str | None = None, where: str | None = None, bins: int = 20
    ) -> dict[str, Any]:
        """Compute the histogram of an expression.

        Args:
            expression: A number, text or condition.
            objects_column: Column of objects: count the objects instead of the items.
            where: Only the items that match this query.
            bins: Number of bins for numbers.
        """
        histogram: dict[str, Any] = self._api.get(
            f"{self._path}/histogram", expression=expression, objects_column=objects_column, where=where, bins=bins
        )
        return histogram

    def read_media(self, ref: MediaRef) -> bytes:
        """Download a media file of an item that was read from this object.

        Raises:
            NotFoundError: No such item was read.
        """
        with self.open_media(ref) as file:
            return file.read()

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """Download a media file of an item that was read from this object; a large one to a temporary file.

        Raises:
            NotFoundError: No such item was read.
        """
        if ref.digest not in self._media_locations:
            raise NotFoundError(f"No item that was read from {self.ref} has the file '{ref.name}' ({ref.digest}).")
        key, column = self._media_locations[ref.digest]
        buffer: Any = tempfile.SpooledTemporaryFile(_MAX_MEMORY_BYTES)  # noqa: SIM115 (the caller closes it)
        with self._api.stream(f"{self._path}/file", key=key, column=column) as response:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                buffer.write(chunk)
        buffer.seek(0)
        file: BinaryIO = buffer
        return file

    def _select_keys(self, **query: Any) -> list[str]:
        batches = self._stream_batches(only_keys=True, **query)
        return [key for batch in batches for key in batch.column(KEY).to_pylist()]

    def _stream_items(self, names: list[str] | None, **query: Any) -> Iterator[Item]:
        columns = self.schema.columns if names is None else self.schema.select(names).columns
        selection = {"only_keys": True} if names == [] else {"column": names}
        for batch in self._stream_batches(**selection, **query):
            for item in decode_batch(batch, columns):
                for name, value in item.values.items():
                    if isinstance(value, ImageRef | VideoRef | FileRef):
                        self._media_locations[value.digest] = item.key, name
                yield item

    def _stream_batches(self, **query: Any) -> Iterator[pa.RecordBatch]:
        with self._api.stream(f"{self._path}/arrow", **query) as response:
            yield from pa.ipc.open_stream(pa.PythonFile(_ResponseFile(response), "r"))


class _ResponseFile(io.RawIOBase):
    """A streamed response as a sequential file."""

    def __init__(self, response: httpx.Response) -> None:
        self._chunks = response.iter_bytes(1 << 16)
        self._buffer = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._buffer) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._buffer += chunk
        end = len(self._buffer) if size < 0 else size
        content = self._buffer[:end]
        self._buffer = self._buffer[end:]
        return content
