"""Mutations of a dataset's table. Each writes a table version that stays invisible until the catalog refers to it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance import LanceDataset

from saccade.core.errors import ConflictError
from saccade.core.progress import NullProgress, Progress
from saccade.core.schema import KEY, Schema
from saccade.store.arrow.codec import POSITION, arrow_schema
from saccade.store.arrow.columns import to_list
from saccade.store.datasets.row_diff import Comparison, column_as, unequal_mask
from saccade.store.table.lance_table import commit_update, create_table, evolve_schema, manifest_path, overwrite
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import SpillFile, StagedItems

_BATCHES_PER_LOOKUP = 16
"""Batches whose keys are looked up at once: each lookup reads all keys of the table."""
_SMALL_FRAGMENT_ROWS = 4096
_MAX_SMALL_FRAGMENTS = 32
"""If more fragments are small, the next mutation rewrites their rows into one: each edit adds a fragment, and thousands
of files make reads slow (300 edits of one item took 41 s and then a filter 1.3 s; with compaction 14 s and 0.07 s)."""
_BATCH_SIZE = 1024


@dataclass(frozen=True)
class Mutation:
    """A snapshot to commit, and how many items it adds, removes and changes.

    Attributes:
        snapshot: the new snapshot.
        items: number of items in it.
        added, removed, changed: numbers of items, compared with the head.
    """

    snapshot: Snapshot
    items: int
    added: int = 0
    removed: int = 0
    changed: int = 0


def _conform(batch: pa.RecordBatch | pa.Table, schema: pa.Schema, positions: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """Convert rows to a batch with all columns of a table. Missing columns become null."""
    rows = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
    arrays = [
        pa.array(positions, pa.int64()) if field.name == POSITION else column_as(rows, field.name, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def _with_positions(schema: pa.Schema, start: int) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    next_position = start

    def align(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal next_position
        positions = np.arange(next_position, next_position + len(batch))
        next_position += len(batch)
        return _conform(batch, schema, positions)

    return align


def _snapshot(folder: Path, table: LanceDataset, schema: Schema) -> Snapshot:
    return Snapshot(folder, str(table.version), schema)


def _delete_intermediate_version(head: Snapshot, base: LanceDataset, table: LanceDataset) -> None:
    """Delete the manifest of ``base`` if it was only an intermediate step from the head to the result."""
    if base.version not in (head.table.version, table.version):
        manifest_path(base, head.folder).unlink(missing_ok=True)


def create(root: Path, staged: StagedItems) -> Mutation:
    """Create a table in the folder ``root``."""
    folder = root / f"{uuid.uuid4().hex}.lance"
    schema = arrow_schema(staged.schema)
    table = create_table(folder, staged.spill.reader(schema, _with_positions(schema, 0)))
    return Mutation(_snapshot(folder, table, staged.schema), staged.spill.rows, added=staged.spill.rows)


def replace_all(head: Snapshot, staged: StagedItems) -> Mutation:
    """Replace all items and columns."""
    schema = arrow_schema(staged.schema)
    table = overwrite(head.table, staged.spill.reader(schema, _with_positions(schema, 0)))
    return fast_forward(head, _snapshot(head.folder, table, staged.schema))


def delete_intermediate(head: Snapshot, between: Snapshot, after: Snapshot) -> None:
    """Delete the manifest of a snapshot that was only a step from the head to the result."""
    _delete_intermediate_version(head, between.table, after.table)


def fast_forward(head: Snapshot, after: Snapshot) -> Mutation:
    """Return the mutation that makes an existing snapshot the next version, without writing data."""
    return Mutation(after, len(after.index), **Comparison(head, after).counts())


def append(head: Snapshot, staged: StagedItems) -> Mutation:
    """Append new items.

    Raises:
        ConflictError: if a key already exists.
    """
    existing_keys: list[str] = []
    for keys in staged.key_batches():
        exists = pa.array(head.index.rows_for_keys(keys) >= 0)
        existing_keys += to_list(keys.filter(exists))
    if existing_keys:
        examples = f"{', '.join(existing_keys[:5])}{' …' if len(existing_keys) > 5 else ''}"
        raise ConflictError(
            f"{len(existing_keys)} of the new items already exist: {examples}.",
            hint="Write with mode 'merge' to change them.",
        )
    schema = head.schema.union(staged.schema)
    base = evolve_schema(head.table, arrow_schema(schema))
    table = base
    if staged.spill.rows:
        rows = staged.spill.reader(base.schema, _with_positions(base.schema, head.index.next_position))
        table = _commit_rows(head, base, np.empty(0, np.uint64), rows)
    _delete_intermediate_version(head, base, table)
    return Mutation(_snapshot(head.folder, table, schema), len(head.index) + staged.spill.rows, added=staged.spill.rows)


class _Upsert:
    """Produces the rows that an upsert writes, and collects what it replaces and adds.

    Attributes:
        added: number of new items so far.
        replaced: addresses of the rows that are replaced.
    """

    def __init__(self, head: Snapshot, schema: pa.Schema) -> None:
        self.head = head
        self.schema = schema
        self.added = 0
        self.replaced: list[npt.NDArray[np.uint64]] = [np.empty(0, np.uint64)]
        self._next_position = head.index.next_position

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield the changed and new rows of batches of a key and any columns, with all columns of the table."""
        for batch, rows in self._match_keys(batches):
            yield from self._changed_rows(pa.table(batch.filter(pa.array(rows >= 0))), rows[rows >= 0])
            new = batch.filter(pa.array(rows < 0))
            if len(new):
                yield _conform(new, self.schema, np.arange(self._next_position, self._next_position + len(new)))
                self._next_position += len(new)
                self.added += len(new)

    def _match_keys(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, Rows]]:
        """Yield each batch with its rows in the head. Looking up several batches takes hardly longer than one."""
        remaining = iter(batches)
        while group := list(islice(remaining, _BATCHES_PER_LOOKUP)):
            rows = self.head.index.rows_for_keys(pa.concat_arrays([batch.column(KEY) for batch in group]))
            ends = np.cumsum([len(batch) for batch in group])
            yield from zip(group, np.split(rows, ends[:-1]), strict=True)

    def _changed_rows(self, new: pa.Table, rows: Rows) -> Iterator[pa.RecordBatch]:
        """Yield the existing rows with their new values. Rows that are equal are not rewritten."""
        if not len(rows):
            return
        merged = self.head.take(rows, [KEY, *self.head.schema.names])
        names = [name for name in new.schema.names if name != KEY]
        types = {name: new.schema.field(name).type for name in names}
        masks = [
            unequal_mask(column_as(merged, name, types[name]), column_as(new, name, types[name])) for name in names
        ]
        is_changed = np.any([np.zeros(len(rows), bool), *masks], axis=0)
        if not is_changed.any():
            return
        for name in names:
            field = new.schema.field(name)
            values = new.column(name)
            if name in merged.schema.names:
                merged = merged.set_column(merged.schema.names.index(name), field, values)
            else:
                merged = merged.append_column(field, values)
        rows = rows[is_changed]
        self.replaced.append(self.head.index.addresses[rows])
        yield _conform(merged.filter(pa.array(is_changed)), self.schema, self.head.index.positions[rows])


def merge(head: Snapshot, staged: StagedItems, folder: Path) -> Mutation:
    """Change existing items in the staged columns, and append new items.

    Args:
        head: the snapshot to change.
        staged: the items.
        folder: where a temporary file is created.
    """
    return upsert(head, head.schema.union(staged.schema), staged.spill.read(), (), folder)


def upsert(
    head: Snapshot,
    schema: Schema,
    batches: Iterable[pa.RecordBatch],
    removed_keys: Iterable[str],
    folder: Path,
    progress: Progress | None = None,
) -> Mutation:
    """Update items by key, append new ones and remove others.

    Args:
        head: the snapshot to change.
        schema: schema of the result, with at least the columns of the snapshot and of the batches.
        batches: a key and any columns; values in other columns stay.
        removed_keys: keys of the items to remove.
        folder: where a temporary file is created.
        progress: advanced by the rows of the batches, and then by the rows that are stored.

    Raises:
        NotFoundError: if a key to remove does not exist.
    """
    progress = progress or NullProgress()
    base = evolve_schema(head.table, arrow_schema(schema))
    operation = _Upsert(head, base.schema)
    spill = SpillFile(folder / f"{uuid.uuid4().hex}.arrow", base.schema)
    spill.write(operation.rows(_with_progress(batches, progress)))
    removed = head.index.addresses[head.index.require_rows(removed_keys)]
    replaced = np.concatenate(operation.replaced)
    table = base
    if spill.rows or len(removed):
        progress.start("Storing", spill.rows)
        table = _commit_rows(head, base, np.concatenate([replaced, removed]), _with_progress(spill.read(), progress))
    _delete_intermediate_version(head, base, table)
    items = len(head.index) + operation.added - len(removed)
    return Mutation(_snapshot(head.folder, table, schema), items, operation.added, len(removed), len(replaced))


def _with_progress(batches: Iterable[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress.advance(len(batch))


def _commit_rows(
    head: Snapshot, base: LanceDataset, deleted_addresses: npt.NDArray[np.uint64], batches: Iterable[pa.RecordBatch]
) -> LanceDataset:
    """Commit deleted and new rows, and compact small fragments if there are many.

    Compaction keeps the order of the items, which the position column defines.
    """
    compacted = _rows_to_compact(head)
    compacted = compacted[~np.isin(head.index.addresses[compacted], deleted_addresses)]
    all_deleted = np.concatenate([deleted_addresses, head.index.addresses[compacted]])
    rows = chain(batches, _reread_rows(head, base.schema, compacted))
    return commit_update(base, all_deleted, pa.RecordBatchReader.from_batches(base.schema, rows))


def _rows_to_compact(head: Snapshot) -> Rows:
    """Return the rows of small fragments, or none if there are few such fragments."""
    small = [rows for rows in head.index.fragment_slices().values() if rows.stop - rows.start < _SMALL_FRAGMENT_ROWS]
    if len(small) <= _MAX_SMALL_FRAGMENTS:
        return np.empty(0, np.int64)
    return np.concatenate([np.arange(rows.start, rows.stop) for rows in small])


def _reread_rows(head: Snapshot, schema: pa.Schema, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Yield unchanged rows of the head, in the order of the items."""
    rows = head.index.sort_by_position(rows)
    for start in range(0, len(rows), _BATCH_SIZE):
        batch_rows = rows[start : start + _BATCH_SIZE]
        yield _conform(head.take(batch_rows, [KEY, *head.schema.names]), schema, head.index.positions[batch_rows])


def delete(head: Snapshot, keys: Iterable[str]) -> Mutation:
    """Delete items.

    Raises:
        NotFoundError: if a key does not exist.
    """
    rows = head.index.require_rows(keys)
    table = commit_update(head.table, head.index.addresses[rows])
    return Mutation(_snapshot(head.folder, table, head.schema), len(head.index) - len(rows), removed=len(rows))
