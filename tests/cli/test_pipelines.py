"""Commands on pipelines: run, explain, operations, runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.command import Command

PIPELINE = """
name: look
vars: {size: 160}
steps:
  harbour: {use: import, with: {source: SOURCE, dataset: harbour}}
  tiles: {use: tile, from: harbour, with: {size: "${size}"}}
  busy: {use: filter, from: tiles, with: {where: len(objects) > 0}}
  shown: {use: render, from: busy}
  counted: {use: statistics, from: busy}
  out: {use: export, from: busy, with: {destination: out, format: yolo}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, pictures: Path) -> Path:
    file = tmp_path / "look.yaml"
    file.write_text(PIPELINE.replace("SOURCE", str(pictures)))
    return file


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_run_prints_events(command: Command, pipeline: Path, tmp_path: Path) -> None:
    ran = command("run", pipeline, "--json")
    assert ran.code == 0, ran.err
    lines = events(ran.out)
    assert lines[0]["event"] == "start"
    assert lines[-1] == {**lines[-1], "event": "end", "state": "finished"}
    steps = {event["step"]: event for event in lines if event["event"] == "step"}
    assert {name: step["action"] for name, step in steps.items()} == dict.fromkeys(steps, "run")
    assert steps["tiles"]["items"] == 40
    assert (tmp_path / "out" / "data.yaml").exists()
    again = events(command("run", pipeline, "--json").out)
    assert {event["action"] for event in again if event["event"] == "step"} == {"skip"}
    text = command("run", pipeline).out
    assert "skip" in text
    assert "finished" in text


@pytest.mark.slow
def test_plan_and_explain(command: Command, pipeline: Path) -> None:
    plan = command.json("run", pipeline, "--plan")
    assert [step["action"] for step in plan["steps"]] == ["run", "wait", "wait", "wait", "wait", "wait"]
    assert command.json("runs", "list") == [], "a plan does not create a run"
    command("run", pipeline)
    plan = command.json("explain", pipeline, "--var", "size=128")
    assert plan["steps"][1]["reasons"] == ["parameter size: 160 → 128"]
    text = command("explain", pipeline, "--var", "size=128").text
    assert "run tiles" in text
    assert "10 of 10" in text
    assert command("explain", pipeline, "--graph", "text").out.splitlines()[1].split()[:3] == ["✓", "tiles", "tile"]
    assert command("explain", pipeline, "--graph", "mermaid").out.startswith("flowchart LR")
    assert command("explain", pipeline, "--graph", "svg").out.startswith("<svg")


@pytest.mark.slow
def test_explain_item(command: Command, pipeline: Path) -> None:
    command("run", pipeline)
    datasets = command.json("datasets", "query", "harbour", "len(objects) > 0")
    key = (datasets["keys"] if isinstance(datasets, dict) else datasets)[0]
    causes = command.json("explain", pipeline, "--item", key)
    assert {cause["step"]: cause["known"] for cause in causes} == {"tiles": True, "harbour": True}
    assert all(cause["since"] for cause in causes if cause["step"] == "tiles")
    tile = command.json("explain", pipeline, "--item", f"{key}_0_0")
    assert [cause["step"] for cause in tile][-2:] == ["tiles", "harbour"]
    assert tile[-1]["key"] == key, "the tile is traced to its image"
    changed = command.json("explain", pipeline, "--item", key, "--var", "size=128")
    assert changed[0]["known"] is False
    assert changed[0]["reasons"] == ["parameter size: 160 → 128"]
    command.fails("explain", pipeline, "--item", "missing", code="not-found")


@pytest.mark.slow
def test_subsets(command: Command, pipeline: Path, tmp_path: Path) -> None:
    sampled = events(command("run", pipeline, "--sample", 3, "--json").out)
    steps = {event["step"]: event for event in sampled if event["event"] == "step"}
    assert steps["tiles"]["items"] == 12
    assert steps["out"]["action"] == "omit"
    assert not (tmp_path / "out").exists()
    only = events(command("run", pipeline, "--only", "tiles", "--json").out)
    assert [event["step"] for event in only if event["event"] == "step"] == ["harbour", "tiles"]
    assert next(event for event in only if event.get("step") == "tiles" and event["event"] == "step")["computed"] == 7


@pytest.mark.slow
def test_exports_replace_only_their_own_output(command: Command, pipeline: Path, tmp_path: Path) -> None:
    command("run", pipeline)
    before = sorted(path.name for path in (tmp_path / "out").rglob("*.jpg"))
    assert command("run", pipeline, "--var", "size=128").code == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.jpg")) != before
    (tmp_path / "out" / "data.yaml").unlink()
    assert command("run", pipeline, "--var", "size=128").code == 0
    assert (tmp_path / "out" / "data.yaml").exists(), "a damaged output is written again"
    text = pipeline.read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.txt").write_text("mine")
    pipeline.write_text(text.replace("destination: out", "destination: mine"))
    refused = command("run", pipeline, "--json")
    assert refused.code == 1
    assert events(refused.out)[-1]["error"]["code"] == "pipeline"  # type: ignore[index]
    assert "nor the output of an earlier command" in command("run", pipeline).text
    assert (tmp_path / "mine" / "precious.txt").read_text() == "mine"


@pytest.mark.slow
def test_runs_of_pipelines(command: Command, pipeline: Path) -> None:
    command("run", pipeline)
    (run,) = command.json("runs", "list", "--kind", "pipeline")
    assert run["metrics"]["steps_run"] == 6
    logs = command.json("runs", "logs", run["id"], "--step", "tiles")
    assert [event["event"] for event in logs] == ["begin", "step"]
    assert "tiles" in command("runs", "logs", run["id"]).out
    command.fails("runs", "cancel", run["id"], code="conflict")
    assert command("runs", "rm", run["id"]).code == 0
    assert command.json("runs", "list", "--kind", "pipeline") == []
    (import_run,) = command.json("runs", "list")
    command.fails("runs", "rm", import_run["id"], code="conflict")


@pytest.mark.slow
def test_operations_and_templates(command: Command, tmp_path: Path, pictures: Path) -> None:
    names = {operation["name"] for operation in command.json("operations", "list")}
    assert {"tile", "train", "render", "split"} <= names
    assert "tile" in command("operations", "list").out
    assert command.json("operations", "show", "tile")["parameters"]["properties"]["size"]["minimum"] == 16
    assert "overlap" in command("operations", "show", "tile").out
    command.fails("operations", "show", "tiel", code="not-found")
    command.fails("operations", "template", tmp_path / "x.py", "--kind", "tensor", code="not-found")
    command("import", pictures, "--dataset", "harbour")
    uses = {"item": "brightness", "filter": "labelled", "many": "copies", "group": "count", "dataset": "newest"}
    for kind, name in uses.items():
        file = tmp_path / f"{kind}.py"
        assert name in command("operations", "template", file, "--kind", kind).out
        setting = "{by: split}" if kind == "group" else "{}"
        (tmp_path / "own.yaml").write_text(
            "name: own\nsteps:\n  data: {use: dataset, with: {name: harbour}}\n"
            "  split: {use: split, from: data}\n"
            f"  own: {{use: '{kind}.py:{name}', from: split, with: {setting}}}\n"
        )
        ran = command("run", tmp_path / "own.yaml")
        assert ran.code == 0, ran.out + ran.err
    command.fails("operations", "template", tmp_path / "item.py", code="conflict")


def test_invalid_pipelines(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("steps:\n  a: {use: dataset, with: {name: missing}}")
    file.write_text("steps:\n  a: {use: dateset}")
    command.fails("run", file, code="pipeline")
    command.fails("run", tmp_path / "none.yaml", code="pipeline")
    command.fails("run", file, "--var", "x", code="pipeline")
    command.fails("explain", file, code="pipeline")
