"""Pipelines in two projects: names resolve within the project, and so do cached results."""

from __future__ import annotations

from pathlib import Path

import pytest

from saccade.app.pipelines.run import run_pipeline
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("x", Kind.NUMBER),))
PIPELINE = """
name: same
steps:
  data: {use: dataset, with: {name: d}}
  some: {use: filter, from: data, with: {where: x > 1}}
  more: {use: "steps.py:more", from: some}
  kept: {use: materialise, from: more, with: {name: out}}
"""
STEPS = """
from saccade.operations import Column, Kind, per_item

@per_item("more", input_columns=lambda s, schema: ["x"], output_columns=lambda s, schema: [Column("y", Kind.NUMBER)])
def more(item, settings, context):
    return {"y": item["x"] * 10}
"""


@pytest.mark.slow
def test_each_project_has_its_own_results(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "same.yaml").write_text(PIPELINE)
    graph = load_graph(tmp_path / "same.yaml")
    with Workspace.create(tmp_path / "home") as one:
        one.projects.add("other")
        other = one.scoped_to_project("other")
        for workspace, numbers in ((one, (1, 2, 3)), (other, (7, 0))):
            items = [Item(f"k{number}", {"x": float(number)}) for number in numbers]
            workspace.datasets.write("d", SCHEMA, items, mode="create")
            run_pipeline(workspace, graph)
        assert {item.key: item["y"] for item in one.datasets.open("out").items()} == {"k2": 20, "k3": 30}
        assert {item.key: item["y"] for item in other.datasets.open("out").items()} == {"k7": 70}
        assert len(one.runs.list()) == len(other.runs.list()) == 1
        again = run_pipeline(one, graph)
        assert one.datasets.open("out").number == 1
        assert again.outcome.steps
        collect_garbage(one)
        for workspace in (one, other):
            run_pipeline(workspace, graph)
            assert workspace.datasets.open("out").number == 1, "nothing was computed again"
        collect_garbage(one, cache=True)
        assert list((one.location / "cache").glob("pipelines*")) == []
