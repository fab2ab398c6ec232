"""Diff of two dataset versions: schema, items and objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from saccade.core.class_history import compare_classes
from saccade.core.objects import Objects
from saccade.core.records.datasets import ClassChange, ItemChange, ObjectsChange, SchemaChange
from saccade.core.schema import KEY, Column, Kind, Schema
from saccade.store.arrow.codec import decode_column
from saccade.store.datasets.row_diff import ChangedRows, Comparison, column_as
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot

ColumnHistories = Callable[[str], tuple[Sequence[Column], Sequence[Column]]]
"""Returns a column from the common ancestor of two versions to each of them; empty if there is no such history."""


def _no_histories(column: str) -> tuple[Sequence[Column], Sequence[Column]]:
    return (), ()


def diff_schemas(before: Schema, after: Schema, histories: ColumnHistories = _no_histories) -> SchemaChange:
    """Compare two schemas.

    Args:
        before: the first schema.
        after: the second schema.
        histories: the columns in the versions between them, to follow renamed and merged classes.
    """
    common = [name for name in before.names if name in after]
    changes = {}
    for name in common:
        if before[name].classes != after[name].classes:
            to_before, to_after = histories(name)
            changes[name] = compare_classes(before[name], after[name], to_before=to_before, to_after=to_after)
    return SchemaChange(
        tuple(name for name in after.names if name not in before),
        tuple(name for name in before.names if name not in after),
        {
            name: (str(before[name].kind), str(after[name].kind))
            for name in common
            if before[name].kind is not after[name].kind
        },
        _class_names(changes, lambda change: () if change.before else change.after),
        _class_names(changes, lambda change: () if change.after else change.before),
        {
            name: renamed
            for name, column_changes in changes.items()
            if (renamed := tuple(c for c in column_changes if c.before and c.after and c.before != c.after))
        },
    )


def _class_names(
    changes: Mapping[str, Sequence[ClassChange]], select: Callable[[ClassChange], tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    names = {column: tuple(chain.from_iterable(map(select, entries))) for column, entries in changes.items()}
    return {column: selected for column, selected in names.items() if selected}


def diff_objects(before: Objects | None, after: Objects | None) -> ObjectsChange:
    """Compare the objects of an item, matched by id."""
    old = {obj.id: obj for obj in before or ()}
    new = {obj.id: obj for obj in after or ()}
    return ObjectsChange(
        tuple(object_id for object_id in new if object_id not in old),
        tuple(object_id for object_id in old if object_id not in new),
        tuple(object_id for object_id in new if object_id in old and new[object_id] != old[object_id]),
    )


class DatasetDiff:
    """Diff from version ``before`` to version ``after`` (both exact references).

    Keys are in the order of the items of their version. Computed lazily; rows that both versions share are not read.
    """

    def __init__(
        self, before: str, after: str, comparison: Comparison, histories: ColumnHistories = _no_histories
    ) -> None:
        self.before = before
        self.after = after
        self._comparison = comparison
        self._histories = histories

    @property
    def added(self) -> list[str]:
        return self._comparison.added

    @property
    def removed(self) -> list[str]:
        return self._comparison.removed

    @cached_property
    def schema(self) -> SchemaChange:
        return diff_schemas(self._comparison.before.schema, self._comparison.after.schema, self._histories)

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of items added, removed and changed."""
        return self._comparison.counts()

    @cached_property
    def changed(self) -> dict[str, ItemChange]:
        """The changed items, by key."""
        changed_rows = self._comparison.changed
        object_changes = self._object_changes(changed_rows)
        return {
            key: ItemChange(
                key,
                tuple(name for name, mask in changed_rows.columns.items() if mask[index]),
                {name: changes[key] for name, changes in object_changes.items() if key in changes},
            )
            for index, key in enumerate(changed_rows.keys)
        }

    def _object_changes(self, changed_rows: ChangedRows) -> dict[str, dict[str, ObjectsChange]]:
        """Return the changed objects by column and key."""
        before = self._comparison.before
        columns = self._comparison.after.schema.columns_of_kind(Kind.OBJECTS)
        return {
            column.name: self._column_changes(column, changed_rows)
            for column in columns
            if column.name in before.schema
        }

    def _column_changes(self, column: Column, changed_rows: ChangedRows) -> dict[str, ObjectsChange]:
        indices = np.flatnonzero(changed_rows.columns[column.name])
        arrow_type = self._comparison.after.table.schema.field(column.name).type

        def objects(snapshot: Snapshot, rows: Rows) -> list[Any]:
            table = snapshot.index.take(rows[indices], [KEY, column.name])
            return decode_column(column, column_as(table, column.name, arrow_type))

        old = objects(self._comparison.before, changed_rows.rows_before)
        new = objects(self._comparison.after, changed_rows.rows_after)
        keys = [changed_rows.keys[index] for index in indices.tolist()]
        return {key: diff_objects(before, after) for key, before, after in zip(keys, old, new, strict=True)}

    def _repr_html_(self) -> str:
        from saccade.html_report.notebook import diff_html

        return diff_html(self.before, self.after, self.counts, self.added, self.removed, self.changed, self.schema)

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before,
            "after": self.after,
            "counts": self.counts,
            "schema": self.schema.to_json(),
            "added": self.added,
            "removed": self.removed,
            "changed": [
                {
                    "key": change.key,
                    "columns": list(change.columns),
                    "objects": {
                        name: {"added": objects.added, "removed": objects.removed, "changed": objects.changed}
                        for name, objects in change.objects.items()
                    },
                }
                for change in self.changed.values()
            ],
        }
