"""Pipelines that are left to the server: whoever leaves one reaches its workspace, and nothing else of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from saccade.core.errors import InvalidValueError, PipelineError
from saccade.operations import OPERATIONS
from saccade.pipeline.file import load_graph
from saccade.pipeline.graph import Graph

MAIN = "pipeline.yaml"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\.ya?ml")


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
                    f"it uses {ascii(use)[:100]}, which is no operation of this server.", step=step,
                    hint="A pipeline with Python files of its own is run at the machine: saccade run.",
                )  # fmt: skip
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
                    f"'{name}' is to be one of the files that came with it.", step=step.name,
                    hint="Imports and exports are jobs of their own.",
                )  # fmt: skip
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
