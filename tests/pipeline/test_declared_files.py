"""Steps that read files beside them and import helpers late; what a run leaves behind."""

from __future__ import annotations

from tests.pipeline.conftest import COUNT, Harness

STEPS = """
import os
from pathlib import Path

from saccade.operations import Column, Kind, per_item


@per_item(
    "scale", input_columns=lambda settings, schema: ["x"], reads_key=True, files=lambda settings: ["table.txt"],
    output_columns=lambda settings, schema: [Column("y", Kind.NUMBER)],
)
def scale(item, settings, context):
    import late_helper

    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": late_helper.scale(float(Path(__file__).with_name("table.txt").read_text()))}
"""


def test_declared_file_and_late_helper(harness: Harness) -> None:
    (harness.folder / "steps.py").write_text(STEPS)
    (harness.folder / "late_helper.py").write_text("def scale(value):\n    return value * 2\n")
    (harness.folder / "table.txt").write_text("3")
    graph = harness.step("scale")
    assert len(harness.computed_keys(graph)) == COUNT
    assert [item["y"] for item in harness.items(graph, "made")] == [6] * COUNT
    assert harness.computed_keys(graph) == []
    (harness.folder / "table.txt").write_text("4")
    assert len(harness.computed_keys(graph)) == COUNT
    assert [item["y"] for item in harness.items(graph, "made")] == [8] * COUNT
    harness.edit("late_helper.py", "* 2", "* 3")
    assert len(harness.computed_keys(graph)) == COUNT
    assert [item["y"] for item in harness.items(graph, "made")] == [12] * COUNT
    assert list(harness.workspace.scratch.root.glob("*/*")) == []
