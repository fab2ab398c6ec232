"""The making of a step's result from everything at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.digest import digest_json
from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import KEY, Schema
from saccade.operations.base import Chosen, Kept, Made, ModelInput, PortType
from saccade.pipeline.cache.cache import selection
from saccade.pipeline.data.results import Record, Result, keep_all
from saccade.pipeline.execution.bound_step import ReadyStep
from saccade.pipeline.execution.context import StepContext
from saccade.pipeline.execution.task import why
from saccade.pipeline.execution.writer import new_values, refuse_repeated
from saccade.runtime.signals import interrupts_known


class WholeWork:
    """Makes the result of a step that works on everything at once, in this process."""

    def __init__(self, ready: ReadyStep) -> None:
        self.ready = ready

    def make(self, progress: Progress, folder: Path) -> Record:
        workspace = self.ready.house.workspace
        given = {port.name: self._given(port.name, several=port.several) for port in self.ready.operation.inputs}
        with workspace.objects.batch() as kept:
            context = StepContext(
                workspace.objects,
                kept,
                self.ready.step.seed,
                folder=folder,
                progress=progress,
                workspace=workspace if self.ready.operation.needs_workspace else None,
            )
            try:
                with interrupts_known():
                    made = self.ready.operation.function(given, self.ready.parameters, context)
                    record = self._recorded(made)
            except SaccadeError as error:
                raise PipelineError(error.message, step=self.ready.step.name, hint=error.hint) from error
            except (KeyboardInterrupt, SystemExit):
                raise
            except Exception as error:
                raise PipelineError(why(error), step=self.ready.step.name) from error
            kept.finish()
        return record

    def _given(self, port: str, *, several: bool) -> Any:
        found = [self._one_given(result) for result in self.ready.inputs.get(port, ())]
        if several:
            return found
        return found[0] if found else None

    def _one_given(self, result: Result) -> Any:
        if result.table is not None:
            return self.ready.house.reader(result.table)
        if result.type is PortType.MODEL:
            return ModelInput(result.value["ref"], result.value["digest"])
        return result.value

    def _recorded(self, made: Any) -> Record:
        output = self.ready.operation.output
        if output is not PortType.DATASET:
            if isinstance(made, ModelInput):
                made = {"ref": made.ref, "digest": made.digest}
            digest_json(made)  # it is to be JSON
            return Record(output, value=made)
        if isinstance(made, Kept):
            return Record(output, ref=made.ref)
        if isinstance(made, Chosen):
            return self._of_chosen(made)
        if isinstance(made, Made):
            return self._of_made(made)
        raise PipelineError(f"it is to give items, not {type(made).__name__}.")

    def _of_chosen(self, made: Chosen) -> Record:
        cache = self.ready.house.cache
        starts = np.cumsum([0, *map(len, self.ready.tables)])
        rows = np.asarray(made.rows, np.int64)
        if made.tables is not None:
            rows = rows + starts[np.asarray(made.tables, np.int64)]
        columns = tuple(column for column in self.ready.schema.columns if column.name in made.columns)
        given = {name: list(values) for name, values in made.columns.items()}
        record = Record(PortType.DATASET, Schema(columns))
        record.columns = new_values(self.ready, given, record.schema, record)
        if len(rows) != starts[-1] or bool(np.any(rows != np.arange(len(rows)))):
            record.rows = keep_all(cache, {"rows": selection(rows)})["rows"]
        if made.keys is not None:
            record.keys = new_values(self.ready, {KEY: list(made.keys)}, Schema(), record)[KEY]
        keys = self.ready.result(record).table
        assert keys is not None
        refuse_repeated(self.ready, keys.keys)
        return record

    def _of_made(self, made: Made) -> Record:
        schema = made.schema or self.ready.schema
        items: list[Item] = list(made.items)
        record = Record(PortType.DATASET, schema, whole=True)
        values = {column.name: [item.values.get(column.name) for item in items] for column in schema.columns}
        record.columns = new_values(self.ready, {KEY: [item.key for item in items], **values}, schema, record)
        record.keys = record.columns.pop(KEY)
        refuse_repeated(self.ready, self.ready.house.cache.cells(*record.keys))
        return record
