"""The reader protocol: how training, inference, evaluation and operations see data, as items with typed columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, Protocol, runtime_checkable

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.schema import MediaRef, Schema, Value
from saccade.runtime.late_import import load


@dataclass(frozen=True, slots=True)
class Item:
    """One row: its key and the values of the requested columns.

    ``source`` is the version that the item was read from by indexing, to show its images in a notebook. It is neither
    compared nor pickled.
    """

    key: str
    values: Mapping[str, Value] = field(default_factory=dict)
    source: Any = field(default=None, compare=False, repr=False)

    def __getitem__(self, column: str) -> Value:
        return self.values[column]

    def _repr_html_(self) -> str:
        html: str = load("html_report.notebook", "item_html")(self)
        return html

    def __reduce__(self) -> tuple[type[Item], tuple[str, Mapping[str, Value]]]:
        return type(self), (self.key, self.values)


@runtime_checkable
class Reader(Protocol):
    """Items in a fixed order; implemented by dataset versions and by :class:`MemoryReader`."""

    @property
    def schema(self) -> Schema: ...

    def __len__(self) -> int: ...

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        """Iterate over items in the order of the reader.

        Args:
            columns: columns to read (None: all).
            keys: keys to read (None: all); they do not change the order.

        Raises:
            NotFoundError: a key or column does not exist.
        """
        ...

    def read_media(self, ref: MediaRef) -> bytes:
        """Return the content of a media file.

        Raises:
            NotFoundError: the file is missing.
        """
        ...

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """Open a media file as a seekable binary stream.

        Raises:
            NotFoundError: the file is missing.
        """
        ...


class MemoryReader:
    """A reader over items in memory, with their media by digest."""

    def __init__(self, schema: Schema, items: Iterable[Item], media: Mapping[str, bytes] | None = None) -> None:
        self._schema = schema
        self._items: dict[str, Item] = {}
        for item in items:
            if item.key in self._items:
                raise InvalidValueError(f"The key '{item.key}' occurs twice.", hint="A key names one item.")
            self._items[item.key] = item
        self._media = dict(media or {})

    @property
    def schema(self) -> Schema:
        return self._schema

    def __len__(self) -> int:
        return len(self._items)

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        names = self._schema.names if columns is None else self._schema.select(columns).names
        requested = None if keys is None else set(keys)
        if requested is not None and (unknown := requested - self._items.keys()):
            raise NotFoundError(f"There is no item '{min(unknown)}'.")
        for item in self._items.values():
            if requested is None or item.key in requested:
                yield Item(item.key, {name: item.values.get(name) for name in names})

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return BytesIO(self.read_media(ref))

    def read_media(self, ref: MediaRef) -> bytes:
        try:
            return self._media[ref.digest]
        except KeyError:
            raise NotFoundError(f"The file '{ref.name}' ({ref.digest}) is missing.") from None
