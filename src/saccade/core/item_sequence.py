"""Access to the items of a version as to a sequence: ``version[0]``, ``version["key"]``, ``version[2:10]``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from operator import index
from typing import Any, overload

from saccade.core.errors import NotFoundError
from saccade.core.reader import Item
from saccade.core.text import format_count
from saccade.runtime.late_import import load

_BATCH_ITEMS = 64
_CONVERTERS = "app.datasets.converters"
_HTML = "html_report.notebook"


class ItemSequence(ABC):
    """Base class of dataset versions: indexing by position, key and slice, iteration and ``in``.

    Items that are read by indexing know their version, so that a notebook can show their images.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def get(self, key: str) -> Item:
        """Return the item with a key.

        Raises:
            NotFoundError: if there is none.
        """

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Iterate over all items in order."""

    @abstractmethod
    def _items_at_positions(self, positions: Sequence[int]) -> list[Item]:
        """Read the items at valid positions, in the order of ``positions``."""

    @overload
    def __getitem__(self, position: slice) -> ItemSlice: ...

    @overload
    def __getitem__(self, position: int | str) -> Item: ...

    def __getitem__(self, position: int | str | slice) -> Item | ItemSlice:
        """Return an item by position (negative: from the end) or key, or a lazy view of the items of a slice.

        Raises:
            IndexError: there is no item at the position.
            NotFoundError: there is no item with the key.
        """
        if isinstance(position, slice):
            return ItemSlice(self, range(len(self))[position])
        if isinstance(position, str):
            return replace(self.get(position), source=self)
        (item,) = self._items_at_positions([_check_position(position, len(self))])
        return replace(item, source=self)

    def __iter__(self) -> Iterator[Item]:
        return self.items()

    def __contains__(self, value: object) -> bool:
        """Check whether there is an item with this key, or an equal item."""
        key = value.key if isinstance(value, Item) else value
        if not isinstance(key, str):
            return False
        try:
            item = self.get(key)
        except NotFoundError:
            return False
        return item == value if isinstance(value, Item) else True

    def to_pandas(self, objects_column: str | None = None) -> Any:
        """Return a pandas DataFrame with a row per item, or with ``objects_column`` a row per object of that column.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return load(_CONVERTERS, "to_pandas")(self, objects_column)

    def to_torch(self, transform: Callable[[dict[str, Any]], Any] | None = None) -> Any:
        """Return a map-style PyTorch dataset whose samples are dicts of tensors by column.

        It is pickled as a reference to the version, for DataLoader workers. Create the loader with
        ``multiprocessing_context="spawn"``: the storage engine does not support fork.

        Args:
            transform: called with each sample.

        Raises:
            MissingExtraError: PyTorch is not installed.
        """
        return load(_CONVERTERS, "to_torch")(self, transform)

    def to_hf(self) -> Any:
        """Return a Hugging Face ``datasets.Dataset`` with the columns and the encoded images.

        Raises:
            MissingExtraError: the library is not installed.
        """
        return load(_CONVERTERS, "to_hf")(self)

    def to_supervision(self, objects_column: str | None = None) -> Any:
        """Return a ``supervision.DetectionDataset`` that decodes images on use.

        Args:
            objects_column: column of objects; default: the first.

        Raises:
            InvalidValueError: there is no image column or no column of objects.
            MissingExtraError: the library is not installed.
        """
        return load(_CONVERTERS, "to_supervision")(self, objects_column)

    def _repr_html_(self) -> str:
        html: str = load(_HTML, "dataset_html")(self, repr(self), self)
        return html


class ItemSlice(Sequence[Item]):
    """A lazy view of some items of a version: it reads items only when they are used, in batches if iterated."""

    def __init__(self, version: ItemSequence, positions: range) -> None:
        self.version = version
        self.positions = positions

    def __len__(self) -> int:
        return len(self.positions)

    def __repr__(self) -> str:
        return f"<{format_count(len(self), 'item')} of {self.version!r}>"

    def _repr_html_(self) -> str:
        html: str = load(_HTML, "dataset_html")(self.version, repr(self), self)
        return html

    @overload
    def __getitem__(self, position: int) -> Item: ...

    @overload
    def __getitem__(self, position: slice) -> ItemSlice: ...

    def __getitem__(self, position: int | slice) -> Item | ItemSlice:
        if isinstance(position, slice):
            return ItemSlice(self.version, self.positions[position])
        return self.version[self.positions[_check_position(position, len(self))]]

    def __iter__(self) -> Iterator[Item]:
        for start in range(0, len(self), _BATCH_ITEMS):
            batch = self.positions[start : start + _BATCH_ITEMS]
            for item in self.version._items_at_positions(batch):
                yield replace(item, source=self.version)


def _check_position(position: int, length: int) -> int:
    """Return the position counted from the start.

    Raises:
        IndexError: there is no item at the position.
    """
    number = index(position)
    if not -length <= number < length:
        raise IndexError(f"There is no item at position {number}: the valid positions are {-length} to {length - 1}.")
    return number % length
