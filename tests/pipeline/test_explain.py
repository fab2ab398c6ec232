"""The chain of causes of an item: back through every input, groups and other keys."""

from __future__ import annotations

import pytest
from tests.pipeline.conftest import SCHEMA, Field

from saccade.core.errors import NotFoundError
from saccade.core.reader import Item
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.execution.runner import Runner
from saccade.pipeline.explain.item import Cause, explain_item

pytestmark = pytest.mark.slow


def causes(field: Field, graph: Graph, key: str) -> dict[str, Cause]:
    return {cause.step: cause for cause in explain_item(Runner(field.workspace, graph), key)}


def test_items_of_a_second_input_are_followed(field: Field) -> None:
    items = [Item("k03", {"x": 9.0, "note": "", "objects": None}), Item("m", {"x": 1.0, "note": "", "objects": None})]
    field.workspace.datasets.write("e", SCHEMA, items, mode="create")
    graph = field.graph(
        {
            "one": ("dataset", {"name": "d"}),
            "two": ("dataset", {"name": "e"}),
            "doubled": ("calculate", {"column": "x", "value": "x * 2"}, ["two"]),
            "both": ("union", {"duplicates": "rename"}, ["one", "doubled"]),
            "made": ("steps.py:shift", {}, ["both"]),
        }
    )
    field.run(graph)
    assert list(causes(field, graph, "m")) == ["made", "both", "doubled", "two"]
    result = field.run(graph)["both"].table
    assert result is not None
    keys = Runner(field.workspace, graph).house.reader(result).keys()
    renamed = [key for key in keys if "k03" in key]
    other = next(key for key in renamed if key != "k03")
    found = causes(field, graph, other)
    assert {"made", "both", "doubled", "two"} <= set(found), "an item with a new key leads to what it was"
    assert found["two"].key == "k03"
    with pytest.raises(NotFoundError):
        causes(field, graph, "nobody")


def test_a_changed_item_is_named_with_what_changed(field: Field) -> None:
    graph = field.step()
    field.run(graph)
    field.merge(Item("k03", {"x": 77.0}), columns=("x",))
    field.run(field.graph({"data": ("dataset", {"name": "d"})}))
    found = causes(field, graph, "k03")
    assert found["made"].known is False
    assert found["made"].reasons == ("its 'x' changed",)
    assert causes(field, graph, "k04")["made"].known is True


def test_a_group_leads_to_its_members(field: Field) -> None:
    (field.folder / "grouped.py").write_text(
        """
from saccade.operations import Column, Kind, by_group

@by_group("total", group_by=lambda settings: "note", reads=lambda settings, schema: ["x"],
           writes=lambda settings, schema: [Column("sum", Kind.NUMBER)])
def total(whole, members, settings, context):
    return {"sum": sum(member["x"] for member in members)}
"""
    )
    step = f"{field.folder}/grouped.py:total"
    graph = field.graph({"data": ("dataset", {"name": "d"}), "sums": (step, {}, ["data"])})
    field.run(graph)
    found = causes(field, graph, "k05")
    assert found["sums"].key == "n"
    assert found["data"].known is True
