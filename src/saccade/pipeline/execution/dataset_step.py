"""Executes steps whose operation works on whole datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.digest import digest_json
from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, Schema
from saccade.operations.base import ExistingVersion, ModelInput, NewItems, PortType, Selection
from saccade.pipeline.cache.cache import row_column
from saccade.pipeline.data.results import CachedResult, Result, put_columns
from saccade.pipeline.execution.bound_step import BoundStep
from saccade.pipeline.execution.context import StepContext
from saccade.pipeline.execution.task import format_error
from saccade.pipeline.execution.writer import check_unique_keys, store_values
from saccade.runtime.signals import reraise_interrupts


class DatasetStepExecutor:
    """Executes a dataset operation in this process."""

    def __init__(self, step: BoundStep) -> None:
        self._step = step

    def execute(self, progress: Progress, folder: Path) -> CachedResult:
        """Run the operation and store its result.

        Args:
            progress: receives the progress of the operation.
            folder: the folder for output files.

        Raises:
            PipelineError: the operation failed, or its result is invalid.
        """
        name = self._step.step.name
        operation = self._step.operation
        workspace = self._step.environment.workspace
        inputs = {port.name: self._port_inputs(port.name, multiple=port.multiple) for port in operation.inputs}
        with workspace.blobs.batch() as batch:
            context = StepContext(
                workspace.blobs,
                batch,
                self._step.step.seed,
                folder=folder,
                progress=progress,
                workspace=workspace if operation.needs_workspace else None,
            )
            try:
                with reraise_interrupts():
                    output = operation.function(inputs, self._step.parameters, context)
                    result = self._to_cached_result(output)
            except SaccadeError as error:
                raise PipelineError(error.message, step=name, hint=error.hint) from error
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception as error:
                raise PipelineError(format_error(error), step=name) from error
            batch.finish()
        return result

    def _port_inputs(self, port: str, *, multiple: bool) -> Any:
        inputs = [self._operation_input(result) for result in self._step.inputs.get(port, ())]
        if multiple:
            return inputs
        return inputs[0] if inputs else None

    def _operation_input(self, result: Result) -> Any:
        if result.table is not None:
            return self._step.environment.reader(result.table)
        if result.type is PortType.MODEL:
            return ModelInput(result.value["ref"], result.value["digest"])
        return result.value

    def _to_cached_result(self, output: Any) -> CachedResult:
        output_type = self._step.operation.output
        if output_type is not PortType.DATASET:
            if isinstance(output, ModelInput):
                output = {"ref": output.ref, "digest": output.digest}
            digest_json(output)  # raises if the value is not JSON
            return CachedResult(output_type, value=output)
        if isinstance(output, ExistingVersion):
            return CachedResult(output_type, ref=output.ref)
        if isinstance(output, Selection):
            return self._from_selection(output)
        if isinstance(output, NewItems):
            return self._from_items(output)
        raise PipelineError(f"it must return items, not {type(output).__name__}.")

    def _from_selection(self, selection: Selection) -> CachedResult:
        cache = self._step.environment.cache
        # Row numbers of the result count through all input tables, one after the other.
        table_offsets = np.cumsum([0, *map(len, self._step.tables)])
        rows = np.asarray(selection.rows, np.int64)
        if selection.table_indices is not None:
            rows = rows + table_offsets[np.asarray(selection.table_indices, np.int64)]
        columns = tuple(column for column in self._step.schema.columns if column.name in selection.columns)
        values = {name: list(column_values) for name, column_values in selection.columns.items()}
        result = CachedResult(PortType.DATASET, Schema(columns))
        result.columns = store_values(self._step, values, result.schema, result)
        if len(rows) != table_offsets[-1] or bool(np.any(rows != np.arange(len(rows)))):
            result.rows = put_columns(cache, {"rows": row_column(rows)})["rows"]
        if selection.keys is not None:
            result.keys = store_values(self._step, {KEY: list(selection.keys)}, Schema(), result)[KEY]
        table = self._step.result(result).table
        assert table is not None
        check_unique_keys(self._step, table.keys)
        return result

    def _from_items(self, new_items: NewItems) -> CachedResult:
        schema = new_items.schema or self._step.schema
        items: list[Item] = list(new_items.items)
        result = CachedResult(PortType.DATASET, schema, is_standalone=True)
        values = {column.name: [item.values.get(column.name) for item in items] for column in schema.columns}
        result.columns = store_values(self._step, {KEY: [item.key for item in items], **values}, schema, result)
        result.keys = result.columns.pop(KEY)
        check_unique_keys(self._step, self._step.environment.cache.column(*result.keys))
        return result
