"""The items of a label set, as they are in dataset versions: which ones it has, and their labels without edits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import Lock

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cachetools import LRUCache

from saccade.annotation.predictions import Predictions, PredictionSource
from saccade.annotation.records import ItemState, Start
from saccade.core.objects import Objects
from saccade.core.query import nodes
from saccade.core.query.nodes import Type
from saccade.core.reader import Item
from saccade.core.schema import KEY, Kind
from saccade.store.arrow.codec import POSITION, decode_batch
from saccade.store.arrow.columns import to_list
from saccade.store.datasets.version import DatasetVersion
from saccade.store.query.executor import select_rows

STATES = tuple(ItemState)
_UNLABELLED = STATES.index(ItemState.UNLABELLED)
_EMPTY = STATES.index(ItemState.EMPTY)
_LABELLED = STATES.index(ItemState.LABELLED)
_MAX_CACHED_ITEMS = 256
_MAX_CACHED_SIZES = 100_000
_MAX_INDEXED_ITEMS = 200_000
"""Sets of at most this many items have their keys in memory, about 20 MB."""
States = npt.NDArray[np.uint8]
"""The state of each item, as index into :data:`STATES`."""


@dataclass(frozen=True, slots=True)
class BaseItem:
    """An item as it is in the base version of a set.

    Attributes:
        base: number of that version.
        objects: its objects; None if it is not labelled.
        predicted: the objects that a model predicts for it, if it is not labelled.
        prediction: where these come from; None without predictions.
    """

    base: int
    objects: Objects | None
    predicted: Objects = ()
    prediction: PredictionSource | None = None

    @property
    def state(self) -> ItemState:
        if self.objects is None:
            return ItemState.UNLABELLED
        return ItemState.LABELLED if self.objects else ItemState.EMPTY


class SetItems:
    """The items of a label set. The versions never change, so everything is read once. Thread-safe.

    Args:
        source: the version whose items the set has.
        base: the version that edits are based on.
        column: the labelled column; the base need not have it.
        query: condition on the items of ``source``; None for all.
        start: "empty" ignores the labels of the base.
        predictions: the objects with which items start that the base has no labels of; None without.
    """

    def __init__(
        self,
        source: DatasetVersion,
        base: DatasetVersion,
        column: str,
        query: str | None,
        start: Start,
        predictions: Predictions | None = None,
    ) -> None:
        self.source = source
        self.base = base
        self.column = column
        self._query = query
        self._has_labels = start != "empty" and column in base.schema
        self._predictions = predictions
        self._lock = Lock()
        self._items: OrderedDict[str, BaseItem | None] = OrderedDict()
        self._image_sizes: LRUCache[str, tuple[int, int] | None] = LRUCache(_MAX_CACHED_SIZES)
        images = base.schema.columns_of_kind(Kind.IMAGE)
        self.image_column = images[0].name if images else None

    @cached_property
    def _positions(self) -> npt.NDArray[np.int64] | None:
        """The items, as positions in the order of the source; None for all."""
        return None if self._query is None else np.sort(self.source.positions_where(self._query))

    def __len__(self) -> int:
        return len(self.source) if self._positions is None else len(self._positions)

    def keys(self, indices: npt.NDArray[np.int64]) -> list[str]:
        """Return the keys of items by their places in the set."""
        return self.source.keys_at(indices if self._positions is None else self._positions[indices])

    def index_of(self, key: str) -> int | None:
        """Return the place of an item in the set; None if it is not in it."""
        if self._index is not None:
            return self._index.get(key)
        row = self.source.snapshot.find_by_key(key, [KEY, POSITION])
        if not len(row):
            return None
        position = int(np.searchsorted(self._stored_positions, row.column(POSITION)[0].as_py()))
        if self._positions is None:
            return position
        index = int(np.searchsorted(self._positions, position))
        is_member = index < len(self._positions) and self._positions[index] == position
        return index if is_member else None

    @cached_property
    def _index(self) -> dict[str, int] | None:
        """The place of each item by key; None if there are too many."""
        if len(self.source) > _MAX_INDEXED_ITEMS:
            return None
        return {key: place for place, key in enumerate(self.keys(np.arange(len(self))))}

    @cached_property
    def _base_keys(self) -> frozenset[str] | None:
        """The keys of the base; None if there are too many."""
        if len(self.base) > _MAX_INDEXED_ITEMS:
            return None
        return frozenset(self.base.keys())

    @cached_property
    def _stored_positions(self) -> npt.NDArray[np.int64]:
        """The positions as they are stored, ascending; items that were deleted leave gaps."""
        index = self.source.snapshot.index
        return index.positions[index.order]

    def base_item(self, key: str) -> BaseItem | None:
        """Return an item as it is in the base; None if the set does not have it, or the base does not."""
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                return self._items[key]
        item = self._read_base_item(key)
        with self._lock:
            self._items[key] = item
            while len(self._items) > _MAX_CACHED_ITEMS:
                self._items.popitem(last=False)
        return item

    def has_base_item(self, key: str) -> bool:
        """Return whether :meth:`base_item` returns the item without reading the versions."""
        with self._lock:
            if key in self._items:
                return True
        index = self.__dict__.get("_index")
        base_keys = self.__dict__.get("_base_keys")
        states = self.__dict__.get("states")
        if index is None or base_keys is None or states is None:
            return False
        place = index.get(key)
        if place is None or key not in base_keys:
            return True
        is_read = states[place] == _LABELLED or (states[place] != _EMPTY and self._predictions is not None)
        return not is_read

    def _read_base_item(self, key: str) -> BaseItem | None:
        place = self.index_of(key)
        if place is None:
            return None
        if self._base_keys is not None:
            if key not in self._base_keys:
                return None
            # Most items that are labelled have no objects yet, and reading the version takes milliseconds.
            if self.states[place] != _LABELLED:
                return self._with_predictions(key, () if self.states[place] == _EMPTY else None)
        # Found by its key alone: the index of all keys is large.
        columns = self._columns(with_image=False)
        rows = self.base.snapshot.find_by_key(key, [KEY, *columns])
        items = decode_batch(rows, self.base.schema.select(columns).columns)
        return self._with_predictions(key, items[0].values.get(self.column)) if items else None

    def _with_predictions(self, key: str, objects: Objects | None) -> BaseItem:
        if objects is not None or self._predictions is None:
            return BaseItem(self.base.number, objects)
        return BaseItem(self.base.number, None, self._predictions.objects(key), self._predictions.source)

    def base_values(self, keys: Sequence[str]) -> dict[str, BaseItem]:
        """Return items as they are in the base, by key; without those that the base does not have."""
        return {
            item.key: self._with_predictions(item.key, item.values.get(self.column))
            for item in self._read_base(keys, False)
        }

    def base_pages(self, keys: Sequence[str]) -> dict[str, Item]:
        """Return items of the base with their image and labels; without those that the base does not have."""
        return {item.key: item for item in self._read_base(keys, True)}

    def image_sizes(self, keys: Sequence[str]) -> dict[str, tuple[int, int] | None]:
        """Return the width and height of the images of items in the base, by key; None without an image."""
        sizes = self.cached_image_sizes(keys)
        if sizes is not None:
            return sizes
        sizes = dict.fromkeys(keys)
        if self.image_column is not None:
            rows = self.base.snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
            existing = [key for key, row in zip(keys, rows.tolist(), strict=True) if row >= 0]
            for item in self.base.items([self.image_column], existing) if existing else ():
                image = item.values.get(self.image_column)
                sizes[item.key] = None if image is None else (image.width, image.height)
        with self._lock:
            self._image_sizes.update(sizes)
        return sizes

    def cached_image_sizes(self, keys: Sequence[str]) -> dict[str, tuple[int, int] | None] | None:
        """Return the sizes of images without reading anything; None if one is not known."""
        with self._lock:
            if any(key not in self._image_sizes for key in keys):
                return None
            return {key: self._image_sizes[key] for key in keys}

    def object_counts(self, pages: Mapping[str, Item]) -> dict[str, int]:
        """Return the number of objects of items without edits, by key.

        Args:
            pages: items of the base, from :meth:`base_pages`.
        """
        values = {key: item.values.get(self.column) for key, item in pages.items()}
        counts = {key: len(objects) for key, objects in values.items() if objects is not None}
        if self._predictions is not None:
            unlabelled = [key for key, objects in values.items() if objects is None]
            counts |= {key: len(objects) for key, objects in self._predictions.objects_of(unlabelled).items()}
        return counts

    def _read_base(self, keys: Sequence[str], with_image: bool) -> Iterable[Item]:
        columns = self._columns(with_image)
        rows = self.base.snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
        existing = [key for key, row in zip(keys, rows.tolist(), strict=True) if row >= 0]
        return self.base.items(columns, existing) if existing else ()

    def _columns(self, with_image: bool) -> list[str]:
        columns = [self.column] if self._has_labels else []
        if with_image and self.image_column is not None:
            columns.append(self.image_column)
        return columns

    @cached_property
    def states(self) -> States:
        """The state of each item without edits."""
        states = np.full(len(self), _UNLABELLED, np.uint8)
        if self._has_labels:
            states[self._places(self._rows_with_objects(">"))] = _LABELLED
            states[self._places(self._rows_with_objects("=="))] = _EMPTY
        return states

    def _rows_with_objects(self, op: str) -> npt.NDArray[np.int64]:
        """Return the rows of the base whose number of objects compares to 0; not those of unlabelled items."""
        column = nodes.ColumnValue(Type.OBJECTS, self.base.schema[self.column])
        count = nodes.Call(Type.NUMBER, "len", (column,))
        zero = nodes.Constant(Type.NUMBER, 0.0)
        return select_rows(self.base.snapshot, nodes.Compare(Type.BOOLEAN, "==" if op == "==" else ">", count, zero))

    def _places(self, base_rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the places in the set of rows of the base, without those of other items."""
        return self.places(to_list(self.base.snapshot.index.keys_at(base_rows)))

    def places(self, keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the places of items in the set, without those of other items."""
        index = self.source.snapshot.index
        rows = index.rows_for_keys(pa.array(keys, pa.string()))
        positions = np.searchsorted(self._stored_positions, index.positions[rows[rows >= 0]])
        if self._positions is None:
            return positions
        places = np.searchsorted(self._positions, positions)
        inside = places < len(self._positions)
        inside[inside] = self._positions[places[inside]] == positions[inside]
        return places[inside]
