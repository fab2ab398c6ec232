"""Pipelines that are left to the server: whoever leaves one reaches its workspace, and nothing else of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from saccade.app.jobs.job_type import Doing, JobKind, Parameters
from saccade.app.pipelines.run import explain, part_of, plan_pipeline, run_pipeline
from saccade.core.errors import InvalidValueError, PipelineError
from saccade.operations import OPERATIONS
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.runner import Part
from saccade.pipeline.explain.render import drawing_of
from saccade.store.workspace import Workspace

MAIN = "pipeline.yaml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml")


class PlanParameters(Parameters):
    pipeline: str = Field(max_length=100_000, description="The pipeline as YAML, of operations that are installed.")
    files: dict[str, str] = Field(
        {}, max_length=20, description="What it refers to by name, such as a recipe: texts that end in .yaml."
    )
    variables: dict[str, str | int | float | bool] = Field({}, max_length=100)
    only: list[str] = Field([], max_length=1000, description="Only these steps and those that they need.")
    sample: int | None = Field(None, ge=1, description="Try it on so many items.")
    keys: list[str] | None = Field(None, max_length=10_000, description="Only the items of these keys.")
    keys_of: str | None = Field(None, max_length=200, description="Only the items whose keys a dataset has.")
    retry: bool = Field(False, description="Work again on items that failed before.")
    item: str | None = Field(None, max_length=2000, description="The key of an item: why it is worked on or not.")

    def all_files(self) -> dict[str, str]:
        return {**self.files, MAIN: self.pipeline}


class PipelineParameters(PlanParameters):
    item: None = None


def _graph(doing: Doing, given: PlanParameters) -> Graph:
    graph = graph_of(given.all_files(), given.variables, doing.folder.parent / "pipeline")
    return graph.upto(given.only) if given.only else graph


def _part(doing: Doing, given: PlanParameters) -> Part:
    return part_of(doing.workspace, sample=given.sample, keys=given.keys, keys_of=given.keys_of)


def pipeline(doing: Doing, given: PipelineParameters) -> dict[str, Any]:
    """Run a pipeline; what was done before its worker died is not done again."""
    graph = _graph(doing, given)
    config = given.model_dump(exclude={"item"}, exclude_defaults=True)
    result = run_pipeline(
        doing.workspace, graph, part=_part(doing, given), retry=given.retry, progress=doing.progress, config=config
    )
    return {"run": result.run.id, "outputs": list(result.run.outputs), "metrics": dict(result.run.metrics)}


def plan(doing: Doing, given: PlanParameters) -> dict[str, Any]:
    """Say what a run would do, and why; with a key why that item is worked on or not. Runs nothing."""
    graph = _graph(doing, given)
    doing.progress.start("Planning")
    made = plan_pipeline(doing.workspace, graph, part=_part(doing, given), retry=given.retry)
    causes = [] if given.item is None else [one.to_json() for one in explain(doing.workspace, graph, given.item)]
    return {**made.to_json(), "drawing": drawing_of(graph).to_json(), "causes": causes}


def check_pipeline(files: Mapping[str, str]) -> str:
    """The name of the pipeline in :data:`MAIN`.

    Raises:
        InvalidValueError: a file has no plain name that ends in .yaml.
        PipelineError: one is no YAML, or a step uses what is neither an operation that is installed nor one of the
            files: Python files and files of the machine are for those who sit at it.
    """
    for name in files:
        if not _NAME.fullmatch(name):
            raise InvalidValueError(
                f"A file of a pipeline may not be called {ascii(name)[:100]}.", hint="As in a.yaml."
            )
    for name, text in files.items():
        for step, use in _uses(name, text):
            if use not in OPERATIONS and not (use in files and use != MAIN):
                raise PipelineError(
                    f"it uses {ascii(use)[:100]}, which is no operation of this server.",
                    step=step,
                    hint="A pipeline with Python files of its own is run at the machine: saccade run.",
                )
    data = _read(MAIN, files[MAIN])
    return str(data.get("name") or "pipeline")[:100] if isinstance(data, dict) else "pipeline"


def graph_of(files: Mapping[str, str], variables: Mapping[str, Any], folder: Path) -> Graph:
    """The graph of a pipeline, whose files are written into a folder; errors as of :func:`check_pipeline`."""
    check_pipeline(files)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    graph = load_graph(folder / MAIN, variables)
    known = {(folder / name).resolve() for name in files}
    for step in graph:
        fields = OPERATIONS.get(step.operation).parameters.model_fields
        for name, value in step.parameters.items():
            is_path = name in fields and "Path" in str(fields[name].annotation)
            if is_path and (step.folder / str(value)).resolve() not in known:
                raise PipelineError(
                    f"'{name}' is to be one of the files that came with it.",
                    step=step.name,
                    hint="Imports and exports are jobs of their own.",
                )
    return graph


def _read(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PipelineError(f"{name} is not YAML: {str(error)[:500]}.") from None


def _uses(name: str, text: str) -> list[tuple[str, str]]:
    """What the steps of a file use, as it is written; a recipe has no steps."""
    data = _read(name, text)
    steps = data.get("steps") if isinstance(data, dict) else None
    if not isinstance(steps, dict):
        return []
    return [(str(step), str(body.get("use")) if isinstance(body, dict) else "") for step, body in steps.items()]


def _check(workspace: Workspace, given: PlanParameters) -> None:
    check_pipeline(given.all_files())


PIPELINE = JobKind(PipelineParameters, lambda given: f"Run {check_pipeline(given.all_files())}", pipeline, _check)
PLAN = JobKind(PlanParameters, lambda given: f"Plan {check_pipeline(given.all_files())}", plan, _check)
