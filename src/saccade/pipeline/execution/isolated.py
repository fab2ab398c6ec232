"""Executes untrusted dataset operations in a separate process with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import NullProgress
from saccade.core.schema import Schema
from saccade.operations.base import PortType
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.data.results import CachedResult, Result, put_columns
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Step
from saccade.pipeline.definition.loader import load_operation
from saccade.runtime.child_process import (
    ChildProcess,
    open_message_streams,
    read_message,
    worker_command,
    write_message,
)
from saccade.runtime.process import limit_memory
from saccade.store.workspace import Workspace

if TYPE_CHECKING:
    from saccade.pipeline.execution.bound_step import BoundStep


def run_isolated(step: BoundStep, folder: Path) -> CachedResult:
    """Execute a dataset operation in a separate process.

    Args:
        step: the step.
        folder: the folder for output files.

    Raises:
        PipelineError: the operation failed or exceeded its limits.
    """
    name = step.step.name
    request = {
        "workspace": step.environment.workspace.open_args,
        "step": {**asdict(step.step), "folder": str(step.step.folder)},
        "parameters": step.parameters.model_dump(mode="json"),
        "inputs": {
            port: [_encode_input(step.environment.cache, result) for result in results]
            for port, results in step.inputs.items()
        },
        "folder": str(folder),
    }
    limit = step.step.seconds
    items = sum(len(table) for table in step.tables)
    process = ChildProcess(worker_command("saccade.pipeline.execution.isolated"))
    try:
        process.send(json.dumps(request).encode())
        response = json.loads(process.receive(None if limit is None else limit * max(1, items)) or b"{}")
    except TimeoutError:
        raise PipelineError(f"it exceeded the time limit of {limit:g} seconds per item.", step=name) from None
    finally:
        process.close()
    if "error" in response:
        raise PipelineError(response["error"], step=name, hint=response["hint"])
    if "result" not in response:
        raise PipelineError(f"its process exited unexpectedly (code {process.exit_code}).", step=name)
    return CachedResult.from_json(response["result"])


def _encode_input(cache: Cache, result: Result) -> dict[str, Any]:
    if result.table is None:
        return {"type": str(result.type), "value": result.value}
    table = result.table
    return {
        "type": str(result.type),
        "schema": table.schema.to_json(),
        "keys": put_columns(cache, {"keys": table.keys})["keys"],
        "columns": put_columns(cache, table.columns),
    }


def _decode_input(cache: Cache, data: Mapping[str, Any]) -> Result:
    if "value" in data:
        return Result(PortType(data["type"]), value=data["value"])
    columns = {name: cache.column(id, length) for name, (id, length) in data["columns"].items()}
    keys = cache.column(*data["keys"])
    return Result(PortType(data["type"]), Table(Schema.from_json(data["schema"]), keys, columns))


def main() -> None:
    """Execute one request and write the response."""
    from saccade.pipeline.execution.bound_step import BoundStep
    from saccade.pipeline.execution.dataset_step import DatasetStepExecutor
    from saccade.pipeline.execution.environment import create_environment, open_cache

    requests, responses = open_message_streams()
    request = json.loads(read_message(requests) or b"{}")
    step_data = request["step"]
    step = Step(**{**step_data, "folder": Path(step_data["folder"])})
    try:
        with Workspace.open(*request["workspace"]) as workspace:
            cache = open_cache(workspace)
            inputs = {
                port: [_decode_input(cache, data) for data in results] for port, results in request["inputs"].items()
            }
            operation = load_operation(step.operation)
            parameters = operation.parameters.model_validate(request["parameters"])
            bound = BoundStep(create_environment(workspace, cache), step, operation, parameters, inputs)
            limit_memory(step.memory)
            result = DatasetStepExecutor(bound).execute(NullProgress(), Path(request["folder"]))
            response: dict[str, Any] = {"result": result.to_json()}
    except PipelineError as error:
        # The parent process adds the name of the step again.
        response = {"error": error.message.removeprefix(f"Step '{step.name}': "), "hint": error.hint}
    except SaccadeError as error:
        response = {"error": error.message, "hint": error.hint}
    except MemoryError:
        response = {"error": f"It exceeded the memory limit of {step.memory} bytes.", "hint": ""}
    with suppress(BrokenPipeError):
        write_message(responses, json.dumps(response).encode())
