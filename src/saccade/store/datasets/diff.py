"""What lies between two versions, as a user wants to see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from saccade.core.objects import Objects
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.store.arrow.codec import decode_column
from saccade.store.datasets.row_diff import Changed, Comparison, column_of


@dataclass(frozen=True, slots=True)
class ObjectsChange:
    """Ids of the objects of one item that came, went or are different."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item that differs: in which columns, and for columns of objects in which objects."""

    key: str
    columns: tuple[str, ...]
    objects: Mapping[str, ObjectsChange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """Columns that came or went, and for columns in both the classes that came or went. Kinds: old and new."""

    columns_added: tuple[str, ...]
    columns_removed: tuple[str, ...]
    kinds_changed: Mapping[str, tuple[str, str]]
    classes_added: Mapping[str, tuple[str, ...]]
    classes_removed: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        parts = (self.columns_added, self.columns_removed, self.kinds_changed, self.classes_added, self.classes_removed)
        return any(parts)


def schema_change(before: Schema, after: Schema) -> SchemaChange:
    both = [name for name in before.names if name in after]
    classes = {name: (before[name].class_names, after[name].class_names) for name in both}
    return SchemaChange(
        tuple(name for name in after.names if name not in before),
        tuple(name for name in before.names if name not in after),
        {
            name: (str(before[name].kind), str(after[name].kind))
            for name in both
            if before[name].kind is not after[name].kind
        },
        {name: new for name, (a, b) in classes.items() if (new := tuple(c for c in b if c not in a))},
        {name: old for name, (a, b) in classes.items() if (old := tuple(c for c in a if c not in b))},
    )


def objects_change(before: Objects | None, after: Objects | None) -> ObjectsChange:
    """Objects are matched by their id."""
    old = {thing.id: thing for thing in before or ()}
    new = {thing.id: thing for thing in after or ()}
    return ObjectsChange(
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(name for name in new if name in old and new[name] != old[name]),
    )


class DatasetDiff:
    """From version ``before`` to version ``after`` (both exact references).

    Keys of items come in the order of their version. Nothing is read before it is asked for, and rows that both
    versions share are never read.
    """

    def __init__(self, before: str, after: str, comparison: Comparison) -> None:
        self.before = before
        self.after = after
        self._comparison = comparison

    @property
    def added(self) -> list[str]:
        return self._comparison.added

    @property
    def removed(self) -> list[str]:
        return self._comparison.removed

    @cached_property
    def schema(self) -> SchemaChange:
        return schema_change(self._comparison.before.schema, self._comparison.after.schema)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of items added, removed and changed."""
        return self._comparison.counts()

    @cached_property
    def changed(self) -> dict[str, ItemChange]:
        """The items that differ, by key."""
        found = self._comparison.changed
        details = self._object_changes(found)
        return {
            key: ItemChange(
                key,
                tuple(name for name, mask in found.columns.items() if mask[place]),
                {name: changes[key] for name, changes in details.items() if key in changes},
            )
            for place, key in enumerate(found.keys)
        }

    def _object_changes(self, found: Changed) -> dict[str, dict[str, ObjectsChange]]:
        before, after = self._comparison.before, self._comparison.after
        both = (column for column in after.schema.of_kind(Kind.OBJECTS) if column.name in before.schema)
        return {column.name: self._changes_of(column, found) for column in both}

    def _changes_of(self, column: Column, found: Changed) -> dict[str, ObjectsChange]:
        places = np.flatnonzero(found.columns[column.name])
        sides = (
            (self._comparison.before, found.rows_before[places]),
            (self._comparison.after, found.rows_after[places]),
        )
        like = sides[1][0].table.schema.field(column.name).type
        old, new = (
            decode_column(column, column_of(side.index.take(rows, [KEY, column.name]), column.name, like))
            for side, rows in sides
        )
        keys = (found.keys[place] for place in places.tolist())
        return {key: objects_change(a, b) for key, a, b in zip(keys, old, new, strict=True)}

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before,
            "after": self.after,
            "counts": self.counts,
            "schema": {name: getattr(self.schema, name) for name in SchemaChange.__slots__},
            "added": self.added,
            "removed": self.removed,
            "changed": [
                {
                    "key": change.key,
                    "columns": list(change.columns),
                    "objects": {
                        name: {"added": part.added, "removed": part.removed, "changed": part.changed}
                        for name, part in change.objects.items()
                    },
                }
                for change in self.changed.values()
            ],
        }
