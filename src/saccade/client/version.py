"""A version of a dataset on a server."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, BinaryIO

import httpx
import pyarrow as pa

from saccade.client.api import Http
from saccade.client.decoding import made, path_of
from saccade.core.errors import NotFoundError
from saccade.core.reader import Item
from saccade.core.schema import KEY, FileRef, ImageRef, MediaRef, Schema, VideoRef
from saccade.store.arrow.codec import SCHEMA_METADATA, decode_batch
from saccade.store.datasets.version import VersionInfo

_SMALL, _PIECE = 16 << 20, 1 << 20
_KEYS = 200
"""So many keys are asked for at a time: they stand in the address."""


class RemoteVersion:
    """An immutable version of a dataset; a :class:`~saccade.core.reader.Reader`, as one on this machine is."""

    def __init__(self, http: Http, facts: dict[str, Any]) -> None:
        self._http = http
        self.ref: str = facts["ref"]
        self.name = self.ref.partition("@")[0]
        self.info = made(VersionInfo, facts)
        self._places: dict[str, tuple[str, str]] = {}

    @property
    def number(self) -> int:
        return self.info.number

    def __len__(self) -> int:
        return self.info.items

    def __repr__(self) -> str:
        return f"<{self.ref} at {self._http.address}, {len(self)} items>"

    @property
    def _path(self) -> str:
        return path_of("datasets", self.ref)

    @cached_property
    def schema(self) -> Schema:
        """Its columns with their classes."""
        with self._http.stream(f"{self._path}/arrow", only_keys=True, limit=0) as answer:
            return _schema_of(pa.ipc.open_stream(io.BytesIO(answer.read())).schema)

    def keys(self) -> list[str]:
        """All keys in order."""
        return self._keys()

    def where(self, query: str | None, order: str | None = None, *, descending: bool = False) -> list[str]:
        """The keys of the items for which a query holds, in order; InvalidValueError where the query is wrong."""
        return self._keys(where=query, order=order, descending=descending)

    def items(
        self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None, where: str | None = None
    ) -> Iterator[Item]:
        """Items in order, with only these columns, and only these keys or those for which a query holds."""
        names = None if columns is None else list(self.schema.select(columns).names)
        if keys is None:
            yield from self._some(names, where=where)
            return
        place = {key: at for at, key in enumerate(self.keys())}
        wanted = set(keys)
        if missing := wanted - place.keys():
            raise NotFoundError(f"There is no item '{min(missing)}'.")
        ordered = iter(sorted(wanted, key=place.__getitem__))
        while some := list(islice(ordered, _KEYS)):
            yield from self._some(names, key=some, where=where)

    def get(self, key: str) -> Item:
        """The item of that key; NotFoundError where there is none."""
        return next(self._some(None, key=[key]))

    def stats(self) -> dict[str, Any]:
        """Counts by split and class, and sizes."""
        found: dict[str, Any] = self._http.get(f"{self._path}/stats")
        return found

    def histogram(
        self, expression: str, *, over: str | None = None, where: str | None = None, bins: int = 20
    ) -> dict[str, Any]:
        """How often each value of an expression occurs."""
        found: dict[str, Any] = self._http.get(
            f"{self._path}/histogram", value=expression, over=over, where=where, bins=bins
        )
        return found

    def read_media(self, ref: MediaRef) -> bytes:
        """The bytes of a file of an item that was read from here; NotFoundError for any other."""
        with self.open_media(ref) as file:
            return file.read()

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """A file of an item, fetched whole; one that is large lies in a temporary file meanwhile."""
        if ref.digest not in self._places:
            raise NotFoundError(f"No item that was read from {self.ref} has the file '{ref.name}' ({ref.digest}).")
        key, column = self._places[ref.digest]
        file: Any = tempfile.SpooledTemporaryFile(_SMALL)  # noqa: SIM115 (whoever asked closes it)
        with self._http.stream(f"{self._path}/file", key=key, column=column) as answer:
            for piece in answer.iter_bytes(_PIECE):
                file.write(piece)
        file.seek(0)
        found: BinaryIO = file
        return found

    def _keys(self, **query: Any) -> list[str]:
        return [key for batch in self._batches(only_keys=True, **query) for key in batch.column(KEY).to_pylist()]

    def _some(self, names: list[str] | None, **query: Any) -> Iterator[Item]:
        columns = self.schema.columns if names is None else self.schema.select(names).columns
        given = {"only_keys": True} if names == [] else {"column": names}
        for batch in self._batches(**given, **query):
            for item in decode_batch(batch, columns):
                for name, value in item.values.items():
                    if isinstance(value, ImageRef | VideoRef | FileRef):
                        self._places[value.digest] = item.key, name
                yield item

    def _batches(self, **query: Any) -> Iterator[pa.RecordBatch]:
        with self._http.stream(f"{self._path}/arrow", **query) as answer:
            yield from pa.ipc.open_stream(pa.PythonFile(_Read(answer), "r"))


class _Read(io.RawIOBase):
    """An answer as a file that is read from its beginning to its end."""

    def __init__(self, answer: httpx.Response) -> None:
        self._pieces = answer.iter_bytes(1 << 16)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._rest) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        end = len(self._rest) if size < 0 else size
        found, self._rest = self._rest[:end], self._rest[end:]
        return found


def _schema_of(arrow: pa.Schema) -> Schema:
    import json

    return Schema.from_json(json.loads(arrow.metadata[SCHEMA_METADATA]))
