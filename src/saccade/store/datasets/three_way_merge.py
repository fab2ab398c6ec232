"""Merging one branch of a dataset into another."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from saccade.core.class_edits import LABEL_KINDS
from saccade.core.merge import Choose, MergeConflictError, Merged, Merger, Values
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, ClassInfo, Schema
from saccade.store.arrow.codec import arrow_schema, decode_batch, encode_items
from saccade.store.datasets.classes import renamed, rows_with
from saccade.store.datasets.mutations import Change, combined
from saccade.store.datasets.row_diff import Comparison
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import Spill

_BATCH = 1024


def common_base(parents: Mapping[int, tuple[int | None, int | None]], first: int, second: int) -> int:
    """The youngest version that led to both; a version's number is larger than those of its parents.

    Args:
        parents: for each version its parent and the version that was merged into it.
    """
    before_first, before_second = _ancestors(parents, first), _ancestors(parents, second)
    return max(before_first & before_second)


def _ancestors(parents: Mapping[int, tuple[int | None, int | None]], number: int) -> set[int]:
    found, waiting = {number}, [number]
    while waiting:
        for parent in parents.get(waiting.pop(), (None, None)):
            if parent is not None and parent not in found:
                found.add(parent)
                waiting.append(parent)
    return found


class Merging:
    """A merge on top of a head: what has to be written, and the conflicts.

    A merge adds columns and classes, and takes none away. A class that one side called otherwise, or merged into
    another, is called so in what the other side made of it too.
    """

    def __init__(
        self, base: Snapshot, head: Snapshot, theirs: Snapshot, choose: Choose, folder: Path, progress: Progress
    ) -> None:
        self._sides = self._base, self._head, self._theirs = base, head, theirs
        self._folder, self._progress = folder, progress
        progress.start("Comparing")
        schema = head.schema.merged(theirs.schema)
        self._names = {
            column.name: names for column in schema.of_kind(*LABEL_KINDS) if (names := self._now(column.name))
        }
        self._merger = Merger(schema.columns, choose)
        self._schema = self._with_merged_classes(schema)
        ours, other = Comparison(base, head), Comparison(base, theirs)
        touched = {*ours.added, *ours.removed, *_changed_keys(ours)}
        came, went, changed = other.added, other.removed, _changed_keys(other)
        self._taken = [key for key in (*changed, *came) if key not in touched]
        self._removed = [key for key in went if key not in touched]
        both = [key for key in (*changed, *came, *went) if key in touched]
        self._elsewhere = self._called_otherwise([*self._taken, *self._removed, *both])
        progress.start("Merging items", len(both))
        self._spill = Spill(folder / f"{uuid.uuid4().hex}.arrow", arrow_schema(self._schema, position=False))
        self._spill.write(self._merge_items(both))

    def change(self) -> Change:
        """The change to be committed; MergeConflictError where a conflict is open."""
        if self._merger.open:
            raise MergeConflictError(self._merger.open)
        self._progress.start("Changing items", len(self._taken) + len(self._elsewhere) + self._spill.rows)
        return combined(self._head, self._schema, self._batches(), self._removed, self._folder, self._progress)

    def described(self, facts: Merged[DatasetVersion]) -> Merged[DatasetVersion]:
        """With the numbers of items added, removed and changed, and with the conflicts."""
        there = self._head.index.match(pa.array(self._taken, pa.string())) >= 0
        added, changed = int((~there).sum()), int(there.sum()) + len(self._elsewhere)
        for batch in self._spill.read():
            known = int((self._head.index.match(batch.column(KEY)) >= 0).sum())
            added, changed = added + len(batch) - known, changed + known
        removed, conflicts = len(self._removed), tuple(self._merger.conflicts)
        return replace(facts, added=added, removed=removed, changed=changed, conflicts=conflicts)

    def _with_merged_classes(self, schema: Schema) -> Schema:
        columns = []
        for column in schema.columns:
            old, ours, theirs = (self._classes(side, column.name) for side in self._sides)
            names = self._names.get(column.name, {})
            classes = tuple(
                self._merger.class_info(column.name, old.get(name), ours[name], theirs[name])
                if name in ours and name in theirs
                else ours.get(name) or theirs[name]
                for name in dict.fromkeys(names.get(name, name) for name in column.class_names)
            )
            columns.append(replace(column, classes=classes))
        return Schema(tuple(columns))

    def _now(self, column: str) -> dict[str, str]:
        """What classes that both sides began with are called in the end, where one side calls them otherwise."""
        if not all(column in side.schema for side in self._sides):
            return {}
        found = {}
        for name in self._base.schema[column].class_names:
            ours, theirs = (side.schema[column].class_now(name) for side in (self._head, self._theirs))
            now = theirs if ours == name else ours
            if now is not None and now != name and theirs in (name, now):
                found[name] = now
        return found

    def _classes(self, side: Snapshot, column: str) -> dict[str, ClassInfo]:
        """The classes of a side by the names that they have in the end; of two, that which is called so already."""
        if column not in side.schema:
            return {}
        names = self._names.get(column, {})
        classes = sorted(side.schema[column].classes, key=lambda info: info.name not in names)
        renamed = (
            replace(
                info, name=names.get(info.name, info.name), parent=info.parent and names.get(info.parent, info.parent)
            )
            for info in classes
        )
        return {info.name: info for info in renamed}

    def _called_otherwise(self, but: list[str]) -> Rows:
        """The rows of ours with a class which is called otherwise in the end, but for those with some keys."""
        found = [rows_with(self._head, self._head.schema[name], names) for name, names in self._names.items()]
        if not found:
            return np.empty(0, np.int64)
        return np.setdiff1d(np.concatenate(found), self._head.index.match(pa.array(but, pa.string())))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Rows to be put in place of those with the same keys: first what only they changed, as it is stored."""
        rows = self._theirs.index.match(pa.array(self._taken, pa.string()))
        for table in self._theirs.batches([KEY, *self._theirs.schema.names], rows, _BATCH):
            yield from renamed(table, self._theirs.schema, self._names).combine_chunks().to_batches()
        for table in self._head.batches([KEY, *self._names], self._elsewhere, _BATCH):
            yield from renamed(table, self._head.schema, self._names).combine_chunks().to_batches()
        yield from self._spill.read()

    def _merge_items(self, keys: list[str]) -> Iterator[pa.RecordBatch]:
        """Items that both sides touched, merged; those that go in the end are only noted."""
        for start in range(0, len(keys), _BATCH):
            part = keys[start : start + _BATCH]
            rows = [_rows(side, part) for side in self._sides]
            base, ours, theirs = map(self._items, self._sides, rows)
            as_stored = _decoded(self._head, rows[1]) if self._names else ours
            made = []
            for key in part:
                before = ours.get(key)
                after = self._merger.item(
                    key,
                    base.get(key),
                    self._completed(before, base.get(key), self._head.schema),
                    self._completed(theirs.get(key), base.get(key), self._theirs.schema),
                )
                if after is None and before is not None:
                    self._removed.append(key)
                elif after is not None and after != as_stored.get(key):
                    made.append(Item(key, {name: after.get(name) for name in self._schema.names}))
            if made:
                yield encode_items(made, self._schema)
            self._progress.advance(len(part))

    def _items(self, side: Snapshot, rows: pa.Table) -> dict[str, Values]:
        """Items of a side, with the classes as they are called in the end."""
        return _decoded(side, renamed(rows, side.schema, self._names))

    def _completed(self, values: Values | None, base: Values | None, schema: Schema) -> Values | None:
        """A side's values with those of the base in the columns that the side does not have."""
        if values is None or base is None:
            return values
        return {**{name: value for name, value in base.items() if name not in schema}, **values}


def _changed_keys(comparison: Comparison) -> list[str]:
    """The items that differ in a column that the side after has."""
    found = comparison.changed
    masks = [mask for name, mask in found.columns.items() if name in comparison.after.schema]
    apart = np.any([np.zeros(len(found.keys), bool), *masks], axis=0)
    return [key for key, differs in zip(found.keys, apart.tolist(), strict=True) if differs]


def _rows(snapshot: Snapshot, keys: list[str]) -> pa.Table:
    found = snapshot.index.match(pa.array(keys, pa.string()))
    return snapshot.take(found[found >= 0], [KEY, *snapshot.schema.names])


def _decoded(snapshot: Snapshot, rows: pa.Table) -> dict[str, Values]:
    return {item.key: item.values for item in decode_batch(rows, snapshot.schema.columns)}
