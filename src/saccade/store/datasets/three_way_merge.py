"""Three-way merge of one branch of a dataset into another."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from saccade.core.class_edits import LABEL_KINDS
from saccade.core.class_merge import ClassMerge
from saccade.core.merge import MergeConflictError, Merged, Merger, Resolver, Values
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, Column, Schema
from saccade.media.colors import keep_colors
from saccade.store.arrow.codec import arrow_schema, decode_batch, encode_items
from saccade.store.datasets.classes import rename_classes, rows_with_classes
from saccade.store.datasets.mutations import Mutation, upsert
from saccade.store.datasets.row_diff import Comparison
from saccade.store.datasets.version import DatasetVersion
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import SpillFile

Histories = Callable[[str], tuple[Sequence[Column], Sequence[Column]]]
"""Returns a column in each version from the common ancestor to our side, and to theirs."""
_NewNames = Mapping[str, Mapping[str, str]]
"""By column, the name in the result of each class whose name changes, by its name in one version."""
_BATCH_SIZE = 1024


class MergeOperation:
    """A merge into a head: the rows to write, and the conflicts.

    A merge adds columns and classes, and removes none. If one side renamed a class, or merged it into another, the
    objects and labels of the other side are renamed too.
    """

    def __init__(
        self,
        base: Snapshot,
        head: Snapshot,
        theirs: Snapshot,
        histories: Histories,
        resolver: Resolver,
        folder: Path,
        progress: Progress,
    ) -> None:
        """Compare the sides and merge the items that both changed.

        Args:
            base: the common ancestor.
            head: our side, the head of the branch to merge into.
            theirs: the side to merge.
            histories: returns a column in each version from the common ancestor to our side, and to theirs.
            resolver: returns the side to take in a conflict; None leaves it unresolved.
            folder: where temporary files are created.
            progress: reports the phases.
        """
        self._base = base
        self._head = head
        self._theirs = theirs
        self._sides = (base, head, theirs)
        self._folder = folder
        self._progress = progress
        progress.start("Comparing")
        schema = head.schema.union(theirs.schema)
        class_merges = {
            name: ClassMerge(
                base.schema[name] if name in base.schema else Column(name, kind),
                head.schema[name],
                theirs.schema[name],
                *histories(name),
            )
            for name, kind in ((column.name, column.kind) for column in schema.columns_of_kind(*LABEL_KINDS))
            if name in head.schema and name in theirs.schema
        }
        self._base_names = {column: merge.base_names for column, merge in class_merges.items()}
        self._our_names = {column: merge.our_names for column, merge in class_merges.items()}
        self._their_names = {column: merge.their_names for column, merge in class_merges.items()}
        self._merger = Merger(schema.columns, resolver)
        merged_columns = (
            keep_colors(head.schema[name], merge.merged_column(self._merger.class_info), merge.previous_names)
            for name, merge in class_merges.items()
        )
        self._schema = schema.with_columns(*merged_columns)
        our_diff = Comparison(base, head)
        their_diff = Comparison(base, theirs)
        # An item whose class names are as before has changed if one of these names denotes another class now.
        our_reused = _keys_with_names(head, {name: merge.our_reused_names for name, merge in class_merges.items()})
        their_reused = _keys_with_names(
            theirs, {name: merge.their_reused_names for name, merge in class_merges.items()}
        )
        our_keys = {*our_diff.added, *our_diff.removed, *_changed_keys(our_diff), *our_reused}
        their_changed = [*_changed_keys(their_diff), *their_diff.added]
        their_keys = dict.fromkeys((*their_changed, *their_reused, *their_diff.removed))
        # What only they changed is adopted as it is stored; only what both changed is decoded and merged.
        merged_keys = our_keys.union(their_reused)
        self._adopted_keys = [key for key in their_changed if key not in merged_keys]
        self._removed_keys = [key for key in their_diff.removed if key not in our_keys]
        shared_keys = [key for key in their_keys if key in merged_keys]
        self._renamed_rows = self._rows_with_renamed_classes(list(their_keys))
        progress.start("Merging items", len(shared_keys))
        self._spill = SpillFile(folder / f"{uuid.uuid4().hex}.arrow", arrow_schema(self._schema, position=False))
        self._spill.write(self._merge_items(shared_keys))

    def mutation(self) -> Mutation:
        """Write the merge result.

        Raises:
            MergeConflictError: if a conflict is unresolved.
        """
        if self._merger.unresolved:
            raise MergeConflictError(self._merger.unresolved)
        self._progress.start("Changing items", len(self._adopted_keys) + len(self._renamed_rows) + self._spill.rows)
        return upsert(self._head, self._schema, self._batches(), self._removed_keys, self._folder, self._progress)

    def summary(self, refs: Merged[DatasetVersion]) -> Merged[DatasetVersion]:
        """Return the result with the numbers of added, removed and changed items, and the conflicts."""
        exists = self._head.index.rows_for_keys(pa.array(self._adopted_keys, pa.string())) >= 0
        added = int((~exists).sum())
        changed = int(exists.sum()) + len(self._renamed_rows)
        for batch in self._spill.read():
            existing = int((self._head.index.rows_for_keys(batch.column(KEY)) >= 0).sum())
            added += len(batch) - existing
            changed += existing
        return replace(
            refs,
            added=added,
            removed=len(self._removed_keys),
            changed=changed,
            conflicts=tuple(self._merger.conflicts),
        )

    def _rows_with_renamed_classes(self, excluded_keys: list[str]) -> Rows:
        """Return the rows of the head that have a renamed class, except those with some keys."""
        rows = _rows_with_names(self._head, self._our_names)
        excluded_rows = self._head.index.rows_for_keys(pa.array(excluded_keys, pa.string()))
        return np.setdiff1d(rows, excluded_rows)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows to upsert: those that only they changed, those with a renamed class, and merged items."""
        rows = self._theirs.index.rows_for_keys(pa.array(self._adopted_keys, pa.string()))
        for table in self._theirs.batches([KEY, *self._theirs.schema.names], rows, _BATCH_SIZE):
            yield from rename_classes(table, self._theirs.schema, self._their_names).combine_chunks().to_batches()
        for table in self._head.batches([KEY, *self._our_names], self._renamed_rows, _BATCH_SIZE):
            yield from rename_classes(table, self._head.schema, self._our_names).combine_chunks().to_batches()
        yield from self._spill.read()

    def _merge_items(self, keys: list[str]) -> Iterator[pa.RecordBatch]:
        """Merge items that both sides changed. Yields the rows that differ from the head, and adds removed keys."""
        for start in range(0, len(keys), _BATCH_SIZE):
            batch_keys = keys[start : start + _BATCH_SIZE]
            rows = [_take_by_key(side, batch_keys) for side in self._sides]
            names = (self._base_names, self._our_names, self._their_names)
            base, ours, theirs = map(_decode_with_new_names, self._sides, rows, names)
            # With the class names as stored, to see whether a rename alone changes an item.
            stored = _decode_by_key(self._head, rows[1]) if any(self._our_names.values()) else ours
            changed_items = []
            for key in batch_keys:
                our_values = ours.get(key)
                merged = self._merger.item(
                    key,
                    base.get(key),
                    self._fill_missing_columns(our_values, base.get(key), self._head.schema),
                    self._fill_missing_columns(theirs.get(key), base.get(key), self._theirs.schema),
                )
                if merged is None and our_values is not None:
                    self._removed_keys.append(key)
                elif merged is not None and merged != stored.get(key):
                    changed_items.append(Item(key, {name: merged.get(name) for name in self._schema.names}))
            if changed_items:
                yield encode_items(changed_items, self._schema)
            self._progress.advance(len(batch_keys))

    def _fill_missing_columns(self, values: Values | None, base: Values | None, schema: Schema) -> Values | None:
        """Add the values of the base for columns that a side does not have."""
        if values is None or base is None:
            return values
        return {**{name: value for name, value in base.items() if name not in schema}, **values}


def _keys_with_names(snapshot: Snapshot, names: Mapping[str, Collection[str]]) -> list[str]:
    keys: list[str] = snapshot.index.keys_at(_rows_with_names(snapshot, names)).to_pylist()
    return keys


def _rows_with_names(snapshot: Snapshot, names: Mapping[str, Collection[str]]) -> Rows:
    """Return the rows that have any of some class names; ``names`` holds those of each column."""
    rows = [
        rows_with_classes(snapshot, snapshot.schema[column], column_names)
        for column, column_names in names.items()
        if column_names
    ]
    return np.unique(np.concatenate([np.empty(0, np.int64), *rows]))


def _changed_keys(comparison: Comparison) -> list[str]:
    """Return the items that differ in a column that the snapshot after has."""
    rows = comparison.changed
    masks = [mask for name, mask in rows.columns.items() if name in comparison.after.schema]
    is_changed = np.any([np.zeros(len(rows.keys), bool), *masks], axis=0)
    return [key for key, changed in zip(rows.keys, is_changed.tolist(), strict=True) if changed]


def _take_by_key(snapshot: Snapshot, keys: list[str]) -> pa.Table:
    rows = snapshot.index.rows_for_keys(pa.array(keys, pa.string()))
    return snapshot.take(rows[rows >= 0], [KEY, *snapshot.schema.names])


def _decode_with_new_names(side: Snapshot, rows: pa.Table, names: _NewNames) -> dict[str, Values]:
    return _decode_by_key(side, rename_classes(rows, side.schema, names))


def _decode_by_key(snapshot: Snapshot, rows: pa.Table) -> dict[str, Values]:
    return {item.key: item.values for item in decode_batch(rows, snapshot.schema.columns)}
