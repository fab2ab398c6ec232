"""The ways to write on top of a snapshot; each gives the next one, which nobody sees until the catalog has it."""

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
from saccade.core.progress import Progress, Silent
from saccade.core.schema import KEY, Schema
from saccade.store.arrow.codec import POSITION, arrow_schema
from saccade.store.arrow.columns import to_list
from saccade.store.datasets.row_diff import Comparison, column_of, differing
from saccade.store.table.lance_table import create_table, manifest_of, overwrite, update, with_schema
from saccade.store.table.row_index import Rows
from saccade.store.table.snapshot import Snapshot
from saccade.store.table.staging import Spill, Staged

_TOGETHER = 16
"""Batches whose keys are matched at once."""
_FEW, _MANY = 4096, 32
"""More fragments than so many that have fewer rows than those are put together, so that thousands of small edits are
no thousands of files to look into."""
_BATCH = 1024


@dataclass(frozen=True)
class Change:
    """A snapshot to be committed, and what it changes."""

    snapshot: Snapshot
    items: int
    added: int = 0
    removed: int = 0
    changed: int = 0


def _conform(batch: pa.RecordBatch | pa.Table, schema: pa.Schema, positions: npt.NDArray[np.int64]) -> pa.RecordBatch:
    """A batch with all columns of the table: nulls where it has none."""
    rows = pa.table(batch) if isinstance(batch, pa.RecordBatch) else batch
    arrays = [
        pa.array(positions, pa.int64()) if field.name == POSITION else column_of(rows, field.name, field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def _numbered(schema: pa.Schema, start: int) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    following = start

    def align(batch: pa.RecordBatch) -> pa.RecordBatch:
        nonlocal following
        positions = np.arange(following, following + len(batch))
        following += len(batch)
        return _conform(batch, schema, positions)

    return align


def _snapshot(folder: Path, table: LanceDataset, schema: Schema) -> Snapshot:
    return Snapshot(folder, str(table.version), schema)


def _drop_step(head: Snapshot, base: LanceDataset, table: LanceDataset) -> None:
    """A version that was only a step from the head to the result is needed by neither."""
    if base.version not in (head.table.version, table.version):
        manifest_of(base, head.folder).unlink(missing_ok=True)


def create(root: Path, staged: Staged) -> Change:
    """A new table under ``root``."""
    folder = root / f"{uuid.uuid4().hex}.lance"
    schema = arrow_schema(staged.schema)
    table = create_table(folder, staged.spill.reader(schema, _numbered(schema, 0)))
    return Change(_snapshot(folder, table, staged.schema), staged.spill.rows, added=staged.spill.rows)


def replace_all(head: Snapshot, staged: Staged) -> Change:
    """All items and columns of the snapshot give way to others."""
    schema = arrow_schema(staged.schema)
    table = overwrite(head.table, staged.spill.reader(schema, _numbered(schema, 0)))
    return between(head, _snapshot(head.folder, table, staged.schema))


def between(head: Snapshot, after: Snapshot) -> Change:
    """The change from one snapshot to another that is there already."""
    return Change(after, len(after.index), **Comparison(head, after).counts())


def append(head: Snapshot, staged: Staged) -> Change:
    """New items at the end; ConflictError where a key is there already."""
    keys = [
        key for some in staged.keys_in_parts() for key in to_list(some.filter(pa.array(head.index.match(some) >= 0)))
    ]
    if keys:
        raise ConflictError(
            f"{len(keys)} of the new items are there already: {', '.join(keys[:5])}{' …' if len(keys) > 5 else ''}.",
            hint="Write with mode 'merge' to change them.",
        )
    schema = head.schema.merged(staged.schema)
    base = table = with_schema(head.table, arrow_schema(schema))
    if staged.spill.rows:
        new = staged.spill.reader(base.schema, _numbered(base.schema, head.index.next_position))
        table = _update(head, base, np.empty(0, np.uint64), new)
    _drop_step(head, base, table)
    return Change(_snapshot(head.folder, table, schema), len(head.index) + staged.spill.rows, added=staged.spill.rows)


class _Merge:
    """The rows that a merge writes, batch by batch, and what it has seen on the way."""

    def __init__(self, head: Snapshot, schema: pa.Schema) -> None:
        self.head = head
        self.schema = schema
        self.added = 0
        self.replaced: list[npt.NDArray[np.uint64]] = [np.empty(0, np.uint64)]
        self._next = head.index.next_position

    def rows(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch, rows in self._matched(batches):
            yield from self._changed(pa.table(batch.filter(pa.array(rows >= 0))), rows[rows >= 0])
            new = batch.filter(pa.array(rows < 0))
            if len(new):
                yield _conform(new, self.schema, np.arange(self._next, self._next + len(new)))
                self._next += len(new)
                self.added += len(new)

    def _matched(self, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, Rows]]:
        """Each batch with its rows in the head; several are matched at once, which takes hardly longer than one."""
        waiting = iter(batches)
        while group := list(islice(waiting, _TOGETHER)):
            rows = self.head.index.match(pa.concat_arrays([batch.column(KEY) for batch in group]))
            ends = np.cumsum([len(batch) for batch in group])
            yield from zip(group, np.split(rows, ends[:-1]), strict=True)

    def _changed(self, new: pa.Table, rows: Rows) -> Iterator[pa.RecordBatch]:
        """Old rows with the new values in place of those that differ; rows without a difference are left alone."""
        if not len(rows):
            return
        old = self.head.take(rows, [KEY, *self.head.schema.names])
        names = [name for name in new.schema.names if name != KEY]
        masks = [
            differing(
                column_of(old, name, new.schema.field(name).type), column_of(new, name, new.schema.field(name).type)
            )
            for name in names
        ]
        apart = np.any([np.zeros(len(rows), bool), *masks], axis=0)
        if not apart.any():
            return
        for name in names:
            place = old.schema.names.index(name) if name in old.schema.names else -1
            field, values = new.schema.field(name), new.column(name)
            old = old.append_column(field, values) if place < 0 else old.set_column(place, field, values)
        rows = rows[apart]
        self.replaced.append(self.head.index.addresses[rows])
        yield _conform(old.filter(pa.array(apart)), self.schema, self.head.index.positions[rows])


def merge(head: Snapshot, staged: Staged, folder: Path) -> Change:
    """New values for items that are there, in the columns that are given, and new items at the end."""
    return combined(head, head.schema.merged(staged.schema), staged.spill.read(), (), folder)


def combined(
    head: Snapshot,
    schema: Schema,
    batches: Iterable[pa.RecordBatch],
    removed: Iterable[str],
    folder: Path,
    progress: Progress | None = None,
) -> Change:
    """The snapshot with other rows in place of those with the same keys, new ones at the end, and without some.

    Args:
        schema: that of the result; at least the columns of the snapshot and of the batches.
        batches: a key and any columns; the other columns stay as they are.
        progress: told of the rows of the batches, and then of those that are stored.
    """
    progress = progress or Silent()
    base = with_schema(head.table, arrow_schema(schema))
    merging = _Merge(head, base.schema)
    spill = Spill(folder / f"{uuid.uuid4().hex}.arrow", base.schema)
    spill.write(merging.rows(_counted(batches, progress)))
    gone = head.index.addresses[head.index.rows_of(removed)]
    replaced = np.concatenate(merging.replaced)
    table = base
    if spill.rows or len(gone):
        progress.start("Storing", spill.rows)
        table = _update(head, base, np.concatenate([replaced, gone]), _counted(spill.read(), progress))
    _drop_step(head, base, table)
    items = len(head.index) + merging.added - len(gone)
    return Change(_snapshot(head.folder, table, schema), items, merging.added, len(gone), len(replaced))


def _counted(batches: Iterable[pa.RecordBatch], progress: Progress) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch
        progress.advance(len(batch))


def _update(
    head: Snapshot, base: LanceDataset, without: npt.NDArray[np.uint64], batches: Iterable[pa.RecordBatch]
) -> LanceDataset:
    """The base, which has the rows of the head, without some and with others; what lies in small parts lies together.

    Nothing is an item's worse for that: its row has the place in the order that it had.
    """
    rows = _scattered(head)
    rows = rows[~np.isin(head.index.addresses[rows], without)]
    gone = np.concatenate([without, head.index.addresses[rows]])
    new = chain(batches, _again(head, base.schema, rows))
    return update(base, gone, pa.RecordBatchReader.from_batches(base.schema, new))


def _scattered(head: Snapshot) -> Rows:
    """The rows in fragments of few, where there are many of those."""
    small = [rows for rows in head.index.fragments().values() if rows.stop - rows.start < _FEW]
    if len(small) <= _MANY:
        return np.empty(0, np.int64)
    return np.concatenate([np.arange(rows.start, rows.stop) for rows in small])


def _again(head: Snapshot, schema: pa.Schema, rows: Rows) -> Iterator[pa.RecordBatch]:
    """Rows of the head as they are, in the order of the items."""
    rows = head.index.in_order(rows)
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        yield _conform(head.take(part, [KEY, *head.schema.names]), schema, head.index.positions[part])


def delete(head: Snapshot, keys: Iterable[str]) -> Change:
    """Without some items; NotFoundError for a key that is not there."""
    rows = head.index.rows_of(keys)
    table = update(head.table, head.index.addresses[rows])
    return Change(_snapshot(head.folder, table, head.schema), len(head.index) - len(rows), removed=len(rows))
