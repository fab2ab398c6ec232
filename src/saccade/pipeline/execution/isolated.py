"""Strange code on whole sets of items, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saccade.core.errors import PipelineError, SaccadeError
from saccade.core.progress import Silent
from saccade.core.schema import Schema
from saccade.operations.base import PortType
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.data.results import Record, Result, keep_all
from saccade.pipeline.data.table import Table
from saccade.pipeline.definition.graph import Step
from saccade.pipeline.definition.loader import find_operation
from saccade.store.io.process import limit_memory
from saccade.store.workspace import Workspace

if TYPE_CHECKING:
    from saccade.pipeline.execution.bound_step import ReadyStep

_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from saccade.pipeline.execution.isolated import serve; serve()"
)


def make_alone(step: ReadyStep, folder: Path) -> Record:
    """Make the result of a step on the whole; PipelineError where its code fails, or goes beyond its limits."""
    message = {
        "workspace": step.house.workspace.reference,
        "step": {**asdict(step.step), "folder": str(step.step.folder)},
        "parameters": step.parameters.model_dump(mode="json"),
        "inputs": {port: [_told(step.house.cache, one) for one in results] for port, results in step.inputs.items()},
        "folder": str(folder),
    }
    limit = step.step.seconds
    # In a session of its own: Ctrl-C ends this process, and this one ends that.
    process = subprocess.Popen(  # noqa: S603 (this very interpreter, with a program of ours)
        [sys.executable, "-c", _PROGRAM, json.dumps(sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        items = sum(len(table) for table in step.tables)
        out, _ = process.communicate(json.dumps(message).encode(), None if limit is None else limit * max(1, items))
    except subprocess.TimeoutExpired:
        raise PipelineError(f"it took longer than {limit:g} seconds for each item.", step=step.step.name) from None
    finally:
        process.kill()
        process.communicate()
    answer = json.loads(out or b"{}")
    if "error" in answer:
        raise PipelineError(answer["error"], step=step.step.name, hint=answer["hint"])
    if "record" not in answer:
        raise PipelineError(f"its process ended by itself (code {process.returncode}).", step=step.step.name)
    return Record.from_json(answer["record"])


def _told(cache: Cache, result: Result) -> dict[str, Any]:
    if result.table is None:
        return {"type": str(result.type), "value": result.value}
    table = result.table
    return {
        "type": str(result.type),
        "schema": table.schema.to_json(),
        "keys": keep_all(cache, {"keys": table.keys})["keys"],
        "columns": keep_all(cache, table.columns),
    }


def _heard(cache: Cache, told: Mapping[str, Any]) -> Result:
    if "value" in told:
        return Result(PortType(told["type"]), value=told["value"])
    columns = {name: cache.cells(id, length) for name, (id, length) in told["columns"].items()}
    keys = cache.cells(*told["keys"])
    return Result(PortType(told["type"]), Table(Schema.from_json(told["schema"]), keys, columns))


def serve() -> None:
    """Make what standard input tells, and answer on standard output; what the code prints goes to the error stream."""
    from saccade.pipeline.execution.bound_step import ReadyStep
    from saccade.pipeline.execution.dataset_step import WholeWork
    from saccade.pipeline.execution.environment import cache_of, house_of

    told = json.loads(sys.stdin.buffer.read())
    answer_to = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    facts = told["step"]
    step = Step(**{**facts, "folder": Path(facts["folder"])})
    try:
        with Workspace.open(*told["workspace"]) as workspace:
            cache = cache_of(workspace)
            inputs = {port: [_heard(cache, one) for one in results] for port, results in told["inputs"].items()}
            operation = find_operation(step.operation)
            parameters = operation.parameters.model_validate(told["parameters"])
            ready = ReadyStep(house_of(workspace, cache), step, operation, parameters, inputs)
            limit_memory(step.memory)
            answer: dict[str, Any] = {"record": WholeWork(ready).make(Silent(), Path(told["folder"])).to_json()}
    except PipelineError as error:
        answer = {"error": error.message.removeprefix(f"Step '{step.name}': "), "hint": error.hint}
    except SaccadeError as error:
        answer = {"error": error.message, "hint": error.hint}
    except MemoryError:
        answer = {"error": f"It took more memory than its limit of {step.memory} bytes.", "hint": ""}
    with suppress(BrokenPipeError):
        answer_to.write(json.dumps(answer).encode())
        answer_to.close()
