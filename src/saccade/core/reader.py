"""How training, inference, evaluation and operations see data: items of typed columns, whatever holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, Protocol, runtime_checkable

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.schema import MediaRef, Schema, Value


@dataclass(frozen=True, slots=True)
class Item:
    """One row: its key and the value of each column that was asked for."""

    key: str
    values: Mapping[str, Value] = field(default_factory=dict)

    def __getitem__(self, column: str) -> Value:
        return self.values[column]


@runtime_checkable
class Reader(Protocol):
    """Items in a fixed order. Implemented by dataset versions and by :class:`MemoryReader`."""

    @property
    def schema(self) -> Schema: ...

    def __len__(self) -> int: ...

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        """Items in order, with only these columns, and only these keys where given (in the order of the reader).

        A key or column that does not exist raises NotFoundError.
        """
        ...

    def read_media(self, ref: MediaRef) -> bytes:
        """The bytes of a file of this reader; NotFoundError where it is gone."""
        ...

    def open_media(self, ref: MediaRef) -> BinaryIO:
        """A file of this reader, open for reading anywhere in it; NotFoundError where it is gone."""
        ...


class MemoryReader:
    """Items held in memory, with their media by digest."""

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
        wanted = None if keys is None else set(keys)
        if wanted is not None and (unknown := wanted - self._items.keys()):
            raise NotFoundError(f"There is no item '{min(unknown)}'.")
        for item in self._items.values():
            if wanted is None or item.key in wanted:
                yield Item(item.key, {name: item.values.get(name) for name in names})

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return BytesIO(self.read_media(ref))

    def read_media(self, ref: MediaRef) -> bytes:
        try:
            return self._media[ref.digest]
        except KeyError:
            raise NotFoundError(f"The file '{ref.name}' ({ref.digest}) is not there.") from None
