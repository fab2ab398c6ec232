"""Read a label set as a dataset: the items of its base, with the labels after the last edit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from saccade.annotation.edit_log import item_from_base, read_classes, read_items, read_objects
from saccade.annotation.edits import ItemEdits, ObjectState, resolve_class
from saccade.annotation.items import BaseItem
from saccade.annotation.label_sets import LabelSets, OpenSet
from saccade.annotation.records import ItemState, LabelClass, to_core_objects
from saccade.core.errors import NotFoundError
from saccade.core.objects import Objects
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, MediaRef, Schema

_BATCH_SIZE = 1000
_EXPORTED_STATES = (ItemState.LABELLED, ItemState.EMPTY, ItemState.IN_PROGRESS)


class LabelSetReader:
    """The present state of a label set as a :class:`~saccade.core.reader.Reader`.

    Items that are unlabelled or skipped have no value, as those without objects that were only begun. Each item is in
    one state; edits that are made while items are read appear in those that follow.

    Args:
        label_sets: the label sets of the project.
        name: name of the set.

    Raises:
        NotFoundError: there is no such label set.
    """

    def __init__(self, label_sets: LabelSets, name: str) -> None:
        self._catalog = label_sets.workspace.catalog
        self.label_set: OpenSet = label_sets.open(name)
        with self._catalog.read_tx() as session:
            self.classes = tuple(read_classes(session, self.label_set.id))
        base = self.label_set.items.base
        name = self.label_set.column
        infos = tuple(_class_infos(self.classes, base.schema, name))
        others = (column for column in base.schema.columns if column.name != name)
        # First: formats write the first column of objects.
        self._schema = Schema((Column(name, Kind.OBJECTS, infos), *others))
        self._names = class_names(self.classes)
        keys = self.label_set.items.keys(np.arange(len(self.label_set.items)))
        rows = base.snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
        # The branch may have removed items since the set was created.
        self._keys = [key for key, row in zip(keys, rows.tolist(), strict=True) if row >= 0]

    @property
    def schema(self) -> Schema:
        """The labelled column with the classes of the set, then the other columns of the base."""
        return self._schema

    def __len__(self) -> int:
        return len(self._keys)

    def keys(self) -> list[str]:
        """Return the keys of the items in the order of the set."""
        return list(self._keys)

    def items(self, columns: Sequence[str] | None = None, keys: Iterable[str] | None = None) -> Iterator[Item]:
        """Iterate over the items in the order of the set.

        Args:
            columns: names of the columns to read; None for all.
            keys: keys of the items to read; None for all.

        Raises:
            NotFoundError: a column or key does not exist.
        """
        schema = self._schema if columns is None else self._schema.select(columns)
        requested = self._keys
        if keys is not None:
            selected = set(keys)
            requested = [key for key in self._keys if key in selected]
            if missing := selected.difference(requested):
                raise NotFoundError(f"The label set '{self.label_set.name}' has no item '{min(missing)}'.")
        for start in range(0, len(requested), _BATCH_SIZE):
            yield from self._read(requested[start : start + _BATCH_SIZE], schema)

    def read_media(self, ref: MediaRef) -> bytes:
        return self.label_set.items.base.read_media(ref)

    def open_media(self, ref: MediaRef) -> BinaryIO:
        return self.label_set.items.base.open_media(ref)

    def _read(self, keys: Sequence[str], schema: Schema) -> Iterator[Item]:
        items = self.label_set.items
        column = self.label_set.column
        names = [name for name in schema.names if name != column]
        has_labels = column in schema
        base_items = items.base_values(keys) if has_labels else {}
        with self._catalog.read_tx() as session:
            edited = read_items(session, self.label_set.id, keys) if has_labels else {}
            objects = read_objects(session, self.label_set.id, list(edited))
        values: dict[str, Item] = dict.fromkeys(keys, Item(""))
        if names:
            values = {item.key: item for item in items.base.items(names, keys)}
        for key in keys:
            item = dict(values[key].values)
            if has_labels:
                base_item = base_items.get(key) or BaseItem(items.base.number, None)
                item[column] = self._value(key, base_item, edited.get(key), objects.get(key, ()))
            yield Item(key, {name: item[name] for name in schema.names})

    def _value(
        self, key: str, base_item: BaseItem, edited: ItemEdits | None, objects: Sequence[ObjectState]
    ) -> Objects | None:
        if edited is None:
            if base_item.objects is None:
                return None
            objects = list(item_from_base(key, base_item, self.classes).objects.values())
        elif edited.state not in _EXPORTED_STATES:
            return None
        # Predictions that are not accepted yet are no labels.
        value = to_core_objects((obj.to_object() for obj in objects if obj.accepted), self._names)
        is_begun = edited is not None and edited.state is ItemState.IN_PROGRESS and base_item.objects is None
        return None if is_begun and not value else value


def class_names(classes: Iterable[LabelClass]) -> dict[str, str]:
    """Return the names of the classes by id; also of those that were merged, without those that were deleted."""
    by_id: Mapping[str, LabelClass] = {label_class.id: label_class for label_class in classes}
    names = {}
    for class_id in by_id:
        label_class = resolve_class(class_id, by_id)
        if label_class is not None and not label_class.deleted:
            names[class_id] = label_class.name
    return names


def _class_infos(classes: Iterable[LabelClass], schema: Schema, column: str) -> Iterator[ClassInfo]:
    """Return the classes of a set as those of a column; former names are those of the dataset's column."""
    infos = {info.name: info for info in schema[column].classes} if column in schema else {}
    names = class_names(classes)
    for label_class in classes:
        if label_class.deleted or label_class.successor is not None:
            continue
        info = infos.get(label_class.dataset_name or "") or ClassInfo(label_class.name)
        yield replace(
            info,
            name=label_class.name,
            parent=names.get(label_class.parent or ""),
            color=label_class.color,
            keypoints=label_class.keypoints,
            skeleton=label_class.skeleton,
        )
