"""Executes steps: per-item operations here, whole-dataset operations through their own executors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from saccade.core.errors import PipelineError
from saccade.core.progress import Progress
from saccade.core.schema import KEY, Schema
from saccade.operations.base import Granularity, PortType
from saccade.pipeline.cache.cache import row_column
from saccade.pipeline.cache.column import LazyColumn, Rows, with_changes
from saccade.pipeline.data.results import CachedResult, add_observed_classes, put_columns
from saccade.pipeline.execution.bound_step import BoundStep, StepDelta
from saccade.pipeline.execution.dataset_step import DatasetStepExecutor
from saccade.pipeline.execution.engine import Engine
from saccade.pipeline.execution.isolated import run_isolated
from saccade.pipeline.execution.task import StepSpec, TaskBatch
from saccade.pipeline.execution.writer import check_unique_keys, record_file_digests, store_values
from saccade.store.arrow.columns import to_list

_MAX_REPORTED_FAILURES = 100


def execute_step(
    step: BoundStep, engine: Engine, progress: Progress, *, retry: bool, folder: Path
) -> tuple[CachedResult, int]:
    """Compute the result of a step.

    Args:
        step: the step.
        engine: runs per-item operations.
        progress: receives the progress.
        retry: compute items again that failed before.
        folder: the folder for output files.

    Returns:
        The result, and the number of items that were computed.
    """
    if not step.operation.is_per_item:
        if step.operation.isolated:
            return run_isolated(step, folder), 0
        return DatasetStepExecutor(step).execute(progress, folder), 0
    executor = ItemStepExecutor(step)
    result, computed = executor.execute(engine, progress, retry=retry)
    if not step.has_media(result):  # cached items of an interrupted run whose files were garbage-collected
        result, recomputed = executor.execute(engine, progress, retry=False)
        computed += recomputed
    return result, computed


class ItemStepExecutor:
    """Executes a per-item or group operation on the items without a cached result."""

    def __init__(self, step: BoundStep) -> None:
        self._step = step

    def execute(self, engine: Engine, progress: Progress, *, retry: bool) -> tuple[CachedResult, int]:
        """Compute what is missing and assemble the result.

        Args:
            engine: runs the operation.
            progress: receives the progress.
            retry: compute items again that failed before.

        Returns:
            The result, and the number of items that were computed.

        Raises:
            PipelineError: too many items failed, or the output keys are not unique.
        """
        step = self._step
        if step.delta is not None and not retry:
            result, computed = self._execute_delta(step.delta, engine, progress)
            if result is not None:
                return result, computed
            return self._assemble(step.memo.find(step.item_digests)), computed
        numbers = step.memo.find(step.item_digests)
        is_missing = numbers < 0
        if retry:
            is_missing[np.flatnonzero(~is_missing)[list(step.memo.failures(numbers[~is_missing]))]] = True
        missing = np.flatnonzero(is_missing)
        stored_before = len(step.memo)
        if len(missing):
            self._compute(missing, engine, progress)
            # Search only new segments: a retried item has an earlier result as well.
            numbers[missing] = step.memo.find(step.item_digests[missing], first_item=stored_before)
        return self._assemble(numbers), len(missing)

    def _execute_delta(self, delta: StepDelta, engine: Engine, progress: Progress) -> tuple[CachedResult | None, int]:
        """Update the previous result with the changed items; None if that takes the results of all items."""
        step = self._step
        rows = delta.rows
        digests = step.digests_at(rows)
        numbers = step.memo.find(digests)
        missing = np.flatnonzero(numbers < 0)
        if len(missing):
            self._compute(rows[missing], engine, progress)
            numbers[missing] = step.memo.find(digests[missing])
        if step.memo.failures(numbers):
            return None, len(missing)
        segment_indices, segment_rows, items = step.memo.result_rows(numbers)
        if not self._is_selection_unchanged(delta, items):
            return None, len(missing)
        cache = step.environment.cache
        changed = {}
        for column in step.output_columns.columns:
            values = step.memo.column(column.name, segment_indices, segment_rows)
            if add_observed_classes(column, step.environment.loader, values) != column:
                return None, len(missing)
            previous = cache.column(*delta.previous.columns[column.name])
            changed[column.name] = with_changes(previous, rows, values)
        columns = put_columns(cache, changed)
        return replace(delta.previous, columns=columns, segments=self._segment_sources()), len(missing)

    def _is_selection_unchanged(self, delta: StepDelta, items: Rows) -> bool:
        """Whether the operation keeps the same ones of the changed items as before.

        Args:
            delta: the changed rows and the previous result.
            items: the positions within the changed rows of the items that are kept now.
        """
        if self._step.operation.granularity is Granularity.ITEM or delta.previous.rows is None:
            return len(items) == len(delta.rows)
        kept_before = self._step.environment.cache.column(*delta.previous.rows).locations.rows
        return bool(np.array_equal(delta.rows[items], delta.rows[np.isin(delta.rows, kept_before)]))

    def _segment_sources(self) -> tuple[str, ...]:
        memo = self._step.memo
        return tuple(f"segment:{memo.name}/{segment.path.name}" for segment in memo.segments)

    def _compute(self, rows: Rows, engine: Engine, progress: Progress) -> None:
        """Run the operation on items and add the results to the memo; identical items are computed once."""
        step = self._step
        _, first = np.unique(step.digests_at(rows), axis=0, return_index=True)
        unique_rows = rows[np.sort(first)]
        source = _TaskSource(step, unique_rows)
        progress.start(step.step.name, len(unique_rows))
        segments = engine.run(self._spec(), step.operation, source.next_task, len(unique_rows))
        try:
            for content in segments:
                batch = step.memo.add_serialized(content)
                progress.advance(len(batch.items))
        finally:
            # Close the generator now, not when it is collected: that ends the worker processes.
            close = getattr(segments, "close", None)
            if close is not None:
                close()
            progress.finish()

    def _spec(self) -> StepSpec:
        step = self._step
        workspace = step.environment.workspace
        is_isolated = step.operation.isolated
        return StepSpec(
            step.step.operation,
            step.parameters.model_dump(mode="json"),
            step.tables[0].schema.select(step.input_columns[0]),
            step.output_columns,
            step.step.seed,
            (workspace.blobs.url, workspace.blobs.scratch_root),
            self._scalar_inputs(),
            workspace.open_args if step.operation.needs_workspace else None,
            is_isolated,
            step.step.seconds if is_isolated else None,
            step.step.memory if is_isolated else None,
        )

    def _scalar_inputs(self) -> dict[str, Any]:
        """Return the inputs that are not datasets, by port name."""
        return {
            port: results[0].value
            for port, results in self._step.inputs.items()
            if results and results[0].table is None
        }

    def _assemble(self, numbers: Rows) -> CachedResult:
        """Assemble the result of a step from the memo.

        Args:
            numbers: the memo's number of each input item.
        """
        step = self._step
        cache = step.environment.cache
        failures = step.memo.failures(numbers)
        self._check_failures(failures, len(numbers))
        segment_indices, segment_rows, items = step.memo.result_rows(numbers)
        locations = {
            column.name: step.memo.column(column.name, segment_indices, segment_rows)
            for column in step.output_columns.columns
        }
        schema = Schema(
            tuple(
                add_observed_classes(column, step.environment.loader, locations[column.name])
                for column in step.output_columns.columns
            )
        )
        columns = {name: LazyColumn.from_locations(part) for name, part in locations.items()}
        result = CachedResult(PortType.DATASET, schema, put_columns(cache, columns))
        record_file_digests(step, schema, columns)
        granularity = step.operation.granularity
        if granularity is Granularity.MANY:
            keys = LazyColumn.from_locations(step.memo.column(KEY, segment_indices, segment_rows))
            check_unique_keys(step, keys)
            result.keys = put_columns(cache, {KEY: keys})[KEY]
        if granularity is Granularity.GROUP and len(step.tables) < 2:
            result.is_standalone = True
            group_names = step.groups[0]
            result.keys = store_values(step, {KEY: [group_names[item] for item in items.tolist()]}, Schema())[KEY]
        elif len(items) != len(numbers) or bool(np.any(items != np.arange(len(numbers)))):
            result.rows = put_columns(cache, {"rows": row_column(items)})["rows"]
        result.failed = len(failures)
        reported = list(failures.items())[:_MAX_REPORTED_FAILURES]
        names = self._row_names([row for row, _ in reported])
        result.failures = tuple(zip(names, [error for _, error in reported], strict=True))
        result.segments = self._segment_sources()
        return result

    def _row_names(self, rows: Sequence[int]) -> list[str]:
        """Return the keys of items, or the names of groups."""
        if not rows:
            return []
        step = self._step
        if step.operation.granularity is Granularity.GROUP:
            return [step.groups[0][row] for row in rows]
        return to_list(step.environment.loader.load_column(step.tables[0].keys, pa.string(), np.array(rows)))

    def _check_failures(self, failures: Mapping[int, str], count: int) -> None:
        limit = self._step.step.failures
        max_failures = limit * count if limit < 1 else limit
        if not failures or (len(failures) <= max_failures and len(failures) < count):
            return
        first = next(iter(failures))
        name = self._row_names([first])[0]
        raise PipelineError(
            f"{len(failures)} of {count} items failed; the first, '{name}': {failures[first]}",
            step=self._step.step.name,
            hint="Fix the cause and run again with --retry, or allow more failures with the step's 'failures:'.",
        )


class _TaskSource:
    """Hands out the items of a step in batches, in order."""

    def __init__(self, step: BoundStep, rows: Rows) -> None:
        self._step = step
        self._rows = rows
        self._position = 0

    def next_task(self, count: int) -> TaskBatch | None:
        """Return the next batch of at most ``count`` items, or None if no items remain."""
        rows = self._rows[self._position : self._position + count]
        if not len(rows):
            return None
        self._position += len(rows)
        step = self._step
        digests = step.digests_at(rows)
        columns = step.tables[0].schema.select(step.input_columns[0]).columns
        reader = step.environment.reader(step.tables[0])
        if step.operation.granularity is not Granularity.GROUP:
            return TaskBatch(digests, reader.batch(columns, rows))
        _, order, counts = step.groups
        starts = np.cumsum(counts) - counts
        members = np.concatenate([order[starts[row] : starts[row] + counts[row]] for row in rows.tolist()])
        group_keys = None
        if len(step.tables) > 1:
            group_keys = step.environment.reader(step.tables[1]).batch((), rows)
        return TaskBatch(digests, reader.batch(columns, members), counts[rows], group_keys)
