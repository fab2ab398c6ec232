"""A workspace with a small dataset, and steps in a Python file that log the items that they compute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.execution.runner import ItemSubset, Runner, RunOutcome
from saccade.store.workspace import Workspace

SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("note", Kind.TEXT),
        Column("objects", Kind.OBJECTS, (ClassInfo("car"), ClassInfo("bus"))),
    )
)
COUNT = 12

STEPS = '''"""Steps that log the items that they compute."""

import os

from helpers import double

from saccade.operations import Column, Context, Item, Kind, Parameters, per_item

OFFSET = 1


class Settings(Parameters):
    factor: float = 2


@per_item(
    "shift", parameters=Settings, input_columns=lambda settings, schema: ["x"],
    output_columns=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True, libraries=["numpy"],
)
def shift(item: Item, settings: Settings, context: Context) -> dict:
    """Shift a number."""
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": double(item["x"]) * settings.factor + OFFSET}


@per_item(
    "count", input_columns=lambda settings, schema: ["objects"],
    output_columns=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True,
)
def count(item: Item, settings: Parameters, context: Context) -> dict:
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": float(len(item["objects"]))}
'''
HELPERS = '''"""Helpers of the steps."""


def double(value: float) -> float:
    return value * 2


def unused(value: float) -> float:
    return value * 3
'''


def boxes(number: int) -> tuple[Object, ...]:
    return tuple(Object(str(at), "car", Box(at, 0, at + 5, 5)) for at in range(number % 3))


@dataclass
class Harness:
    """A workspace, the folder with the Python files of the steps, and the log of computed items."""

    workspace: Workspace
    folder: Path
    log: Path

    def step(self, name: str = "shift", *, source: str = "d", **parameters: Any) -> Graph:
        """Return a graph with a dataset and one step of the Python file."""
        return self.graph({"data": ("dataset", {"name": source}), "made": (f"steps.py:{name}", parameters, ["data"])})

    def graph(self, steps: Mapping[str, Any]) -> Graph:
        """Return a graph of operations, each with its parameters and sources."""
        return Graph("test", tuple(self.build_step(name, *definition) for name, definition in steps.items()))

    def build_step(self, name: str, operation: str, parameters: Any = None, sources: Any = (), **settings: Any) -> Step:
        if operation.startswith("steps.py"):
            operation = f"{self.folder}/{operation}"
        inputs = sources if isinstance(sources, dict) else {"data": tuple(sources)} if sources else {}
        return Step(name, operation, parameters or {}, inputs, folder=self.folder, **settings)

    def run(
        self, graph: Graph, *, subset: ItemSubset | None = None, retry: bool = False, processes: int = 1
    ) -> RunOutcome:
        runner = Runner(self.workspace, graph, engine=LocalEngine(processes), subset=subset, retry=retry)
        return runner.run()

    def computed_keys(self, graph: Graph, **options: Any) -> list[str]:
        """Run the graph and return the keys of the items that were computed."""
        self.log.write_text("")
        self.run(graph, **options)
        return sorted(self.log.read_text().split())

    def items(self, graph: Graph, step: str, **options: Any) -> list[Item]:
        """Run the graph and return the output items of a step."""
        runner = Runner(self.workspace, graph, engine=LocalEngine(1))
        table = self.run(graph, **options)[step].table
        assert table is not None
        return list(runner.environment.reader(table).items())

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def merge(self, *items: Item, columns: tuple[str, ...] = SCHEMA.names) -> None:
        self.workspace.datasets.write("d", SCHEMA.select(columns), items, mode="merge")


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "steps.py").write_text(STEPS)
    (folder / "helpers.py").write_text(HELPERS)
    log = tmp_path / "worked.txt"
    log.write_text("")
    monkeypatch.setenv("WORKED", str(log))
    with Workspace.create(tmp_path / "home") as workspace:
        items = [Item(f"k{at:02}", {"x": float(at), "note": "n", "objects": boxes(at)}) for at in range(COUNT)]
        workspace.datasets.write("d", SCHEMA, items, mode="create")
        yield Harness(workspace, folder, log)
