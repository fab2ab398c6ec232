"""Explanations of an item: back through all inputs, groups and renamed keys."""

from __future__ import annotations

import pytest
from tests.pipeline.conftest import SCHEMA, Harness

from saccade.core.errors import NotFoundError
from saccade.core.reader import Item
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.execution.runner import Runner
from saccade.pipeline.explain.item import ItemExplanation, explain_item

pytestmark = pytest.mark.slow


def explanations(harness: Harness, graph: Graph, key: str) -> dict[str, ItemExplanation]:
    return {entry.step: entry for entry in explain_item(Runner(harness.workspace, graph), key)}


def test_items_of_a_second_input_are_traced(harness: Harness) -> None:
    items = [Item("k03", {"x": 9.0, "note": "", "objects": None}), Item("m", {"x": 1.0, "note": "", "objects": None})]
    harness.workspace.datasets.write("e", SCHEMA, items, mode="create")
    graph = harness.graph(
        {
            "one": ("dataset", {"name": "d"}),
            "two": ("dataset", {"name": "e"}),
            "doubled": ("calculate", {"column": "x", "value": "x * 2"}, ["two"]),
            "both": ("union", {"duplicates": "rename"}, ["one", "doubled"]),
            "made": ("steps.py:shift", {}, ["both"]),
        }
    )
    harness.run(graph)
    assert list(explanations(harness, graph, "m")) == ["made", "both", "doubled", "two"]
    result = harness.run(graph)["both"].table
    assert result is not None
    keys = Runner(harness.workspace, graph).environment.reader(result).keys()
    renamed = [key for key in keys if "k03" in key]
    other = next(key for key in renamed if key != "k03")
    explained = explanations(harness, graph, other)
    assert {"made", "both", "doubled", "two"} <= set(explained), "a renamed item leads back to its original key"
    assert explained["two"].key == "k03"
    with pytest.raises(NotFoundError):
        explanations(harness, graph, "missing")


def test_the_changed_column_is_named(harness: Harness) -> None:
    graph = harness.step()
    harness.run(graph)
    harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
    harness.run(harness.graph({"data": ("dataset", {"name": "d"})}))
    explained = explanations(harness, graph, "k03")
    assert explained["made"].known is False
    assert explained["made"].reasons == ("its 'x' changed",)
    assert explanations(harness, graph, "k04")["made"].known is True


def test_a_member_leads_to_its_group(harness: Harness) -> None:
    (harness.folder / "grouped.py").write_text(
        """
from saccade.operations import Column, Kind, by_group

@by_group("total", group_by=lambda settings: "note", input_columns=lambda settings, schema: ["x"],
           output_columns=lambda settings, schema: [Column("sum", Kind.NUMBER)])
def total(whole, members, settings, context):
    return {"sum": sum(member["x"] for member in members)}
"""
    )
    step = f"{harness.folder}/grouped.py:total"
    graph = harness.graph({"data": ("dataset", {"name": "d"}), "sums": (step, {}, ["data"])})
    harness.run(graph)
    explained = explanations(harness, graph, "k05")
    assert explained["sums"].key == "n"
    assert explained["data"].known is True
