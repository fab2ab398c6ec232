"""A workspace with a little data, and steps in a Python file that say what they worked on."""

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
from saccade.pipeline.execution.runner import Part, Runner, RunOutcome
from saccade.store.workspace import Workspace

SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("note", Kind.TEXT),
        Column("objects", Kind.OBJECTS, (ClassInfo("car"), ClassInfo("bus"))),
    )
)
COUNT = 12

STEPS = '''"""Steps that write down what they work on."""

import os

from helpers import double

from saccade.operations import Column, Context, Item, Kind, Parameters, per_item

OFFSET = 1


class Settings(Parameters):
    factor: float = 2


@per_item(
    "shift", parameters=Settings, reads=lambda settings, schema: ["x"],
    writes=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True, libraries=["numpy"],
)
def shift(item: Item, settings: Settings, context: Context) -> dict:
    """Shift a number."""
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": double(item["x"]) * settings.factor + OFFSET}


@per_item(
    "count", reads=lambda settings, schema: ["objects"],
    writes=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True,
)
def count(item: Item, settings: Parameters, context: Context) -> dict:
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": float(len(item["objects"]))}
'''
HELPERS = '''"""What the steps lean on."""


def double(value: float) -> float:
    return value * 2


def unused(value: float) -> float:
    return value * 3
'''


def boxes(number: int) -> tuple[Object, ...]:
    return tuple(Object(str(at), "car", Box(at, 0, at + 5, 5)) for at in range(number % 3))


@dataclass
class Field:
    """A workspace, the folder of the steps' files, and the log of what was worked on."""

    workspace: Workspace
    folder: Path
    log: Path

    def step(self, name: str = "shift", *, source: str = "d", **parameters: Any) -> Graph:
        """The items of a dataset, and a step of the file on them."""
        return self.graph({"data": ("dataset", {"name": source}), "made": (f"steps.py:{name}", parameters, ["data"])})

    def graph(self, steps: Mapping[str, Any]) -> Graph:
        """A graph of operations, parameters and what leads there."""
        return Graph("test", tuple(self._step(name, *facts) for name, facts in steps.items()))

    def _step(self, name: str, operation: str, parameters: Any = None, sources: Any = (), **settings: Any) -> Step:
        if operation.startswith("steps.py"):
            operation = f"{self.folder}/{operation}"
        inputs = sources if isinstance(sources, dict) else {"data": tuple(sources)} if sources else {}
        return Step(name, operation, parameters or {}, inputs, folder=self.folder, **settings)

    def run(self, graph: Graph, *, part: Part | None = None, retry: bool = False, processes: int = 1) -> RunOutcome:
        runner = Runner(self.workspace, graph, engine=LocalEngine(processes), part=part, retry=retry)
        return runner.run()

    def worked(self, graph: Graph, **options: Any) -> list[str]:
        """Run, and say on which items it really worked."""
        self.log.write_text("")
        self.run(graph, **options)
        return sorted(self.log.read_text().split())

    def items(self, graph: Graph, step: str, **options: Any) -> list[Item]:
        """The items that a step gives."""
        runner = Runner(self.workspace, graph, engine=LocalEngine(1))
        table = self.run(graph, **options)[step].table
        assert table is not None
        return list(runner.house.reader(table).items())

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def merge(self, *items: Item, columns: tuple[str, ...] = SCHEMA.names) -> None:
        self.workspace.datasets.write("d", SCHEMA.select(columns), items, mode="merge")


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
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
        yield Field(workspace, folder, log)
