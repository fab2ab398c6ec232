"""The making of a step's result, item by item or from everything at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.core.errors import PipelineError
from saccade.core.progress import Progress
from saccade.core.schema import KEY, Schema
from saccade.operations.base import Granularity, PortType
from saccade.pipeline.cache.cache import selection
from saccade.pipeline.cache.column import Cells, Rows, patched
from saccade.pipeline.data.results import Record, keep_all, with_classes
from saccade.pipeline.execution.bound_step import Change, ReadyStep
from saccade.pipeline.execution.dataset_step import WholeWork
from saccade.pipeline.execution.engine import Engine
from saccade.pipeline.execution.isolated import make_alone
from saccade.pipeline.execution.task import Task, Work
from saccade.pipeline.execution.writer import new_values, note_files, refuse_repeated
from saccade.store.arrow.columns import to_list

_SHOWN_FAILURES = 100


def make(ready: ReadyStep, engine: Engine, progress: Progress, *, retry: bool, folder: Path) -> tuple[Record, int]:
    """Make the result of a step; returns its record and how many items were worked on.

    Args:
        retry: work again on items that failed before.
        folder: for results in files.
    """
    if not ready.operation.is_by_item:
        record = make_alone(ready, folder) if ready.operation.isolated else WholeWork(ready).make(progress, folder)
        return record, 0
    work = ItemWork(ready)
    record, worked = work.make(engine, progress, retry=retry)
    if not ready.has_files(record):  # of results that a run which did not end has left, and gc has cleared
        record, more = work.make(engine, progress, retry=False)
        worked += more
    return record, worked


class ItemWork:
    """Makes the result of a step that works by item or by group: what is not known of it is worked on."""

    def __init__(self, ready: ReadyStep) -> None:
        self.ready = ready

    def make(self, engine: Engine, progress: Progress, *, retry: bool) -> tuple[Record, int]:
        if self.ready.change is not None and not retry:
            record, worked = self._changed(self.ready.change, engine, progress)
            if record is not None:
                return record, worked
            return self._gathered(self.ready.memo.find(self.ready.item_digests)), worked
        known = self.ready.memo.find(self.ready.item_digests)
        todo = known < 0
        if retry:
            todo[np.flatnonzero(~todo)[list(self.ready.memo.failures(known[~todo]))]] = True
        missing, before = np.flatnonzero(todo), len(self.ready.memo)
        if len(missing):
            self._work_on(missing, engine, progress)
            known[missing] = self.ready.memo.find(self.ready.item_digests[missing], since=before)
        return self._gathered(known), len(missing)

    def _changed(self, change: Change, engine: Engine, progress: Progress) -> tuple[Record | None, int]:
        """What came of the step before, with what comes of the changed items; None where it takes all to say that."""
        memo, rows = self.ready.memo, change.rows
        digests = self.ready.digests_at(rows)
        known = memo.find(digests)
        missing = np.flatnonzero(known < 0)
        if len(missing):
            self._work_on(rows[missing], engine, progress)
            known[missing] = memo.find(digests[missing])
        if memo.failures(known):
            return None, len(missing)
        which, places, items = memo.rows(known)
        if not self._stay(change, items):
            return None, len(missing)
        cells = {}
        for column in self.ready.work_columns.columns:
            values = memo.column(column.name, which, places)
            if with_classes(column, self.ready.house.values, values) != column:
                return None, len(missing)
            before = self.ready.house.cache.cells(*change.record.columns[column.name])
            cells[column.name] = patched(before, rows, values)
        columns = keep_all(self.ready.house.cache, cells)
        return replace(change.record, columns=columns, segments=self._segments()), len(missing)

    def _stay(self, change: Change, items: Rows) -> bool:
        """Whether those of the changed items that are let through are those that were; ``items`` are now."""
        if self.ready.operation.granularity is Granularity.ITEM or change.record.rows is None:
            return len(items) == len(change.rows)
        through = self.ready.house.cache.cells(*change.record.rows).places.rows
        return bool(np.array_equal(change.rows[items], change.rows[np.isin(change.rows, through)]))

    def _segments(self) -> tuple[str, ...]:
        return tuple(f"segment:{self.ready.memo.name}/{one.path.name}" for one in self.ready.memo.segments)

    def _work_on(self, missing: Rows, engine: Engine, progress: Progress) -> None:
        _, first = np.unique(self.ready.digests_at(missing), axis=0, return_index=True)
        todo = missing[np.sort(first)]  # items that are alike are worked on once
        supply = _Supply(self.ready, todo)
        progress.start(self.ready.step.name, len(todo))
        results = engine.run(self._work(), self.ready.operation, supply.take, len(todo))
        try:
            for content in results:
                batch = self.ready.memo.add_packed(content)
                progress.advance(len(batch.items))
        finally:
            close = getattr(results, "close", None)
            if close is not None:
                close()
            progress.finish()

    def _work(self) -> Work:
        objects = self.ready.house.workspace.objects
        table = self.ready.tables[0]
        parameters = self.ready.parameters.model_dump(mode="json")
        ready = self.ready
        workspace = ready.house.workspace.reference if ready.operation.needs_workspace else None
        return Work(
            ready.step.operation,
            parameters,
            table.schema.select(ready.read[0]),
            ready.work_columns,
            ready.step.seed,
            (objects.url, objects.scratch_root),
            self._other_inputs(),
            workspace,
            ready.operation.isolated,
            *((ready.step.seconds, ready.step.memory) if ready.operation.isolated else (None, None)),
        )

    def _other_inputs(self) -> dict[str, Any]:
        """What comes in that is no dataset, by port."""
        return {
            port: results[0].value
            for port, results in self.ready.inputs.items()
            if results and results[0].table is None
        }

    def _gathered(self, known: Rows) -> Record:
        """The record of the results of all items, once they are known."""
        cache = self.ready.house.cache
        failures = self.ready.memo.failures(known)
        self._check_failures(failures, len(known))
        which, rows, items = self.ready.memo.rows(known)
        places = {
            column.name: self.ready.memo.column(column.name, which, rows) for column in self.ready.work_columns.columns
        }
        schema = Schema(
            tuple(
                with_classes(one, self.ready.house.values, places[one.name]) for one in self.ready.work_columns.columns
            )
        )
        cells = {name: Cells.of(one) for name, one in places.items()}
        record = Record(PortType.DATASET, schema, keep_all(cache, cells))
        note_files(self.ready, schema, cells)
        if self.ready.operation.granularity is Granularity.MANY:
            keys = Cells.of(self.ready.memo.column(KEY, which, rows))
            refuse_repeated(self.ready, keys)
            record.keys = keep_all(cache, {KEY: keys})[KEY]
        if self.ready.operation.granularity is Granularity.GROUP and len(self.ready.tables) < 2:
            record.whole = True
            groups = self.ready.groups[0]
            record.keys = new_values(self.ready, {KEY: [groups[at] for at in items.tolist()]}, Schema())[KEY]
        elif len(items) != len(known) or bool(np.any(items != np.arange(len(known)))):
            record.rows = keep_all(cache, {"rows": selection(items)})["rows"]
        record.failed = len(failures)
        names = self._names_of(list(failures)[:_SHOWN_FAILURES])
        record.failures = tuple(zip(names, list(failures.values())[:_SHOWN_FAILURES], strict=True))
        record.segments = self._segments()
        return record

    def _names_of(self, rows: Sequence[int]) -> list[str]:
        if not rows:
            return []
        if self.ready.operation.granularity is Granularity.GROUP:
            return [self.ready.groups[0][row] for row in rows]
        return to_list(self.ready.house.values.of(self.ready.tables[0].keys, pa.string(), np.array(rows)))

    def _check_failures(self, failures: Mapping[int, str], count: int) -> None:
        most = self.ready.step.failures * count if self.ready.step.failures < 1 else self.ready.step.failures
        if not failures or (len(failures) <= most and len(failures) < count):
            return
        first = next(iter(failures))
        name = self._names_of([first])[0]
        raise PipelineError(
            f"{len(failures)} of {count} items failed; the first, '{name}': {failures[first]}",
            step=self.ready.step.name,
            hint="Once the cause is gone: run it with --retry. 'failures:' of the step says how many are let pass.",
        )


class _Supply:
    """Gives out items as tasks, from first to last."""

    def __init__(self, step: ReadyStep, rows: Rows) -> None:
        self._step, self._rows = step, rows
        self._at = 0
        self._parts: Iterator[Task] | None = None

    def take(self, count: int) -> Task | None:
        """The next task of up to so many items."""
        rows = self._rows[self._at : self._at + count]
        if not len(rows):
            return None
        self._at += len(rows)
        step = self._step
        digests = step.digests_at(rows)
        columns = step.tables[0].schema.select(step.read[0]).columns
        reader = step.house.reader(step.tables[0])
        if step.operation.granularity is not Granularity.GROUP:
            return Task(digests, reader.batch(columns, rows))
        _, order, counts = step.groups
        starts = np.cumsum(counts) - counts
        members = np.concatenate([order[starts[row] : starts[row] + counts[row]] for row in rows.tolist()])
        whole = None
        if len(step.tables) > 1:
            whole = step.house.reader(step.tables[1]).batch((), rows)
        return Task(digests, reader.batch(columns, members), counts[rows], whole)
