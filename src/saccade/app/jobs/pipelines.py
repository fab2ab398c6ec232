"""Job types that plan and run pipelines.

A pipeline that a client sends is untrusted: it may use installed operations only, and reaches the workspace but no
other files of the server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from saccade.app.jobs.job_type import JobContext, JobParameters, JobType
from saccade.app.pipelines.run import create_subset, explain, plan_pipeline, run_pipeline
from saccade.core.errors import InvalidValueError, PipelineError
from saccade.io.atomic import make_private_dir
from saccade.operations import OPERATIONS
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.runner import ItemSubset
from saccade.pipeline.explain.render import layout_graph
from saccade.store.workspace import Workspace

MAIN_FILE = "pipeline.yaml"
PIPELINE_DIR = "pipeline"
"""Subfolder of a job's folder with the files of its pipeline."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml")


class PlanParameters(JobParameters):
    pipeline: str = Field(max_length=100_000, description="The pipeline as YAML, of installed operations.")
    files: dict[str, Annotated[str, Field(max_length=100_000)]] = Field(
        {}, max_length=20, description="Files that the pipeline refers to, such as a recipe: .yaml name to content."
    )
    variables: dict[str, str | int | float | bool] = Field({}, max_length=100)
    only: list[str] = Field(
        [], max_length=1000, fail_fast=True, description="Only these steps and those that they depend on."
    )
    sample: int | None = Field(None, ge=1, description="Only this number of random items.")
    keys: list[str] | None = Field(
        None, max_length=10_000, fail_fast=True, description="Only the items with these keys."
    )
    keys_of: str | None = Field(None, max_length=200, description="Only the items with the keys of this dataset.")
    retry: bool = Field(False, description="Retry items that failed before.")
    item: str | None = Field(None, max_length=2000, description="The key of an item to explain.")

    def all_files(self) -> dict[str, str]:
        return {**self.files, MAIN_FILE: self.pipeline}


class PipelineParameters(PlanParameters):
    item: None = None


def _load_graph(context: JobContext, params: PlanParameters) -> Graph:
    graph = build_graph(params.all_files(), params.variables, context.output_dir.parent / PIPELINE_DIR)
    return graph.subgraph(params.only) if params.only else graph


def _subset(context: JobContext, params: PlanParameters) -> ItemSubset:
    return create_subset(context.workspace, sample=params.sample, keys=params.keys, keys_of=params.keys_of)


def run_pipeline_job(context: JobContext, params: PipelineParameters) -> dict[str, Any]:
    """Run a pipeline. Steps that were finished before a worker died are not repeated."""
    graph = _load_graph(context, params)
    config = params.model_dump(exclude={"item"}, exclude_defaults=True)
    result = run_pipeline(
        context.workspace,
        graph,
        subset=_subset(context, params),
        retry=params.retry,
        progress=context.progress,
        config=config,
    )
    return {"run": result.run.id, "outputs": list(result.run.outputs), "metrics": dict(result.run.metrics)}


def plan_pipeline_job(context: JobContext, params: PlanParameters) -> dict[str, Any]:
    """Report what a run of the pipeline would do and why, without running it. Optionally explain one item."""
    graph = _load_graph(context, params)
    context.progress.start("Planning")
    plan = plan_pipeline(context.workspace, graph, subset=_subset(context, params), retry=params.retry)
    causes = []
    if params.item is not None:
        causes = [cause.to_json() for cause in explain(context.workspace, graph, params.item)]
    return {**plan.to_json(), "graph": layout_graph(graph).to_json(), "causes": causes}


def validate_pipeline(files: Mapping[str, str]) -> str:
    """Validate the files of a pipeline and return the name of the pipeline.

    Args:
        files: The contents by file name; :data:`MAIN_FILE` is the pipeline.

    Raises:
        InvalidValueError: A file name is not a plain name that ends in .yaml.
        PipelineError: A file is not YAML, or a step uses something other than an installed operation or one of the
            files. Python files and other files of the machine can be used only by ``saccade run``.
    """
    for name in files:
        if not _NAME.fullmatch(name):
            raise InvalidValueError(f"Invalid file name {ascii(name)[:100]} in a pipeline.", hint="Example: a.yaml.")
    for name, text in files.items():
        for step, operation in _step_operations(name, text):
            if operation not in OPERATIONS and not (operation in files and operation != MAIN_FILE):
                raise PipelineError(
                    f"it uses {ascii(operation)[:100]}, which is not an operation of this server.",
                    step=step,
                    hint="Run a pipeline with its own Python files on the command line: saccade run.",
                )
    content = _parse_yaml(MAIN_FILE, files[MAIN_FILE])
    return str(content.get("name") or "pipeline")[:100] if isinstance(content, dict) else "pipeline"


def build_graph(files: Mapping[str, str], variables: Mapping[str, Any], folder: Path) -> Graph:
    """Validate the files of a pipeline, write them to a folder, and load the graph.

    Args:
        files: The contents by file name.
        variables: The values of the pipeline's variables.
        folder: The folder to write to.

    Raises:
        InvalidValueError: As in :func:`validate_pipeline`.
        PipelineError: As in :func:`validate_pipeline`, or a parameter is a path of another file.
    """
    validate_pipeline(files)
    make_private_dir(folder)
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    graph = load_graph(folder / MAIN_FILE, variables)
    allowed_paths = {(folder / name).resolve() for name in files}
    for step in graph:
        fields = OPERATIONS.get(step.operation).parameters.model_fields
        for name, value in step.parameters.items():
            is_path = name in fields and "Path" in str(fields[name].annotation)
            if is_path and (step.folder / str(value)).resolve() not in allowed_paths:
                raise PipelineError(
                    f"'{name}' must be one of the files of this request, not {str(value)[:100]!a}.",
                    step=step.name,
                    hint="Import and export data by jobs of their own.",
                )
    return graph


def _parse_yaml(name: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise PipelineError(f"{name} is not YAML: {str(error)[:500]}.") from None


def _step_operations(name: str, text: str) -> list[tuple[str, str]]:
    """Return each step of a file with the value of its ``use``; none for a recipe, which has no steps."""
    content = _parse_yaml(name, text)
    steps = content.get("steps") if isinstance(content, dict) else None
    if not isinstance(steps, dict):
        return []
    return [(str(step), str(body.get("use")) if isinstance(body, dict) else "") for step, body in steps.items()]


def _precheck(workspace: Workspace, params: PlanParameters) -> None:
    validate_pipeline(params.all_files())


PIPELINE = JobType(
    PipelineParameters, lambda params: f"Run {validate_pipeline(params.all_files())}", run_pipeline_job, _precheck
)
PLAN = JobType(
    PlanParameters, lambda params: f"Plan {validate_pipeline(params.all_files())}", plan_pipeline_job, _precheck
)
