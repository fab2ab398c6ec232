"""Running pipelines: failed items, limits, subsets, retries, and interrupted runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.conftest import COUNT, SCHEMA, Harness

from saccade.app.pipelines.run import cancel_run, run_pipeline
from saccade.core.errors import PipelineError
from saccade.core.reader import Item
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.runner import ItemSubset, Runner
from saccade.store.workspace import Workspace

BAD = """
import os, time
import numpy as np
from saccade.operations import Column, Context, Item, Kind, Parameters, Selection
from saccade.operations import dataset_op, filter_op, one_to_many, per_item

class Settings(Parameters):
    bad: list[str] = ["k03"]
    how: str = "raise"

@per_item("odd", parameters=Settings, input_columns=lambda settings, schema: ["x"],
          output_columns=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True)
def odd(item, settings, context):
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    if item.key in settings.bad and not os.path.exists(os.environ["WORKED"] + ".mended"):
        if settings.how == "raise":
            return 1 / 0
        if settings.how == "hang":
            time.sleep(60)
        if settings.how == "memory":
            return {"y": float(len(bytearray(1 << 40)))}
        if settings.how == "die":
            os.kill(os.getpid(), 9)
        if settings.how == "type":
            return {"y": "three"}
        if settings.how == "shape":
            return 3
        if settings.how == "column":
            return {"z": 3.0}
        if settings.how == "print":
            print("to standard output")
    return {"y": item["x"]}

@one_to_many("same", input_columns=lambda settings, schema: ["x"], output_columns=lambda settings, schema: [])
def same(item, settings, context):
    return [Item("always the same", {})]

@filter_op("maybe", input_columns=lambda settings, schema: ["x"])
def maybe(item, settings, context):
    return "yes"

@dataset_op("broken")
def broken(inputs, settings, context):
    raise KeyError("whole")

@dataset_op("hungry")
def hungry(inputs, settings, context):
    return Selection(np.arange(len(bytearray(1 << 40))))

@dataset_op("endless")
def endless(inputs, settings, context):
    time.sleep(100)

@dataset_op("deadly")
def deadly(inputs, settings, context):
    os.kill(os.getpid(), 9)

@dataset_op("last", reads_key=True)
def last(inputs, settings, context):
    print("to standard output")
    items = list(inputs["data"].items())[-2:]
    rows = np.arange(len(inputs["data"]))[-2:]
    return Selection(rows, columns={"note": [item["note"] + "!" for item in items]})

@dataset_op("wrong")
def wrong(inputs, settings, context):
    return 3
"""


def failing_graph(harness: Harness, name: str = "odd", how: str = "raise", **settings: Any) -> Graph:
    (harness.folder / "bad.py").write_text(BAD)
    parameters = {"how": how} if name == "odd" else {}
    step = harness.build_step("made", f"{harness.folder}/bad.py:{name}", parameters, ["data"], **settings)
    return Graph("test", (harness.build_step("data", "dataset", {"name": "d"}), step))


REASONS = {
    "raise": "ZeroDivisionError.*line",
    "hang": "exceeded the time limit of 1 seconds",
    "memory": "MemoryError",
    "die": "exited unexpectedly",
    "type": "needs a value of kind number, not 'three'",
    "shape": "values by column, not int",
    "column": "does not declare: 'z'",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", REASONS)
def test_a_failed_item_is_skipped_and_reported(how: str, harness: Harness) -> None:
    graph = failing_graph(harness, how=how, seconds=1.0)
    outcome = harness.run(graph)
    step = outcome.steps[1]
    assert step.failed == 1
    assert step.failures[0][0] == "k03"
    assert re.search(REASONS[how], step.failures[0][1], re.DOTALL), step.failures[0][1]
    table = outcome["made"].table
    assert table is not None
    assert len(table) == COUNT - 1
    assert harness.run(graph).steps[1].action == "skip", "it is not retried by itself"


@pytest.mark.slow
def test_retry_computes_failed_items_again(harness: Harness) -> None:
    graph = failing_graph(harness)
    assert harness.run(graph).steps[1].failed == 1
    Path(f"{harness.log}.mended").touch()
    assert harness.computed_keys(graph) == []
    assert harness.computed_keys(graph, retry=True) == ["k03"]
    outcome = harness.run(graph)
    assert outcome.steps[1].failed == 0
    assert [item.key for item in harness.items(graph, "made")] == [f"k{at:02}" for at in range(COUNT)]


@pytest.mark.slow
@pytest.mark.parametrize("failures", [0.0, 0.05])
def test_too_many_failures_fail_the_step(failures: float, harness: Harness) -> None:
    graph = failing_graph(harness, failures=failures)
    with pytest.raises(PipelineError, match=r"Step 'made': 1 of 12 items failed; the first, 'k03': ZeroDivisionError"):
        harness.run(graph)
    Path(f"{harness.log}.mended").touch()
    assert harness.computed_keys(graph, retry=True) == ["k03"], "finished items stay cached"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("same", "Step 'made': the output key 'always the same' is not unique"),
        ("maybe", "Step 'made'.*True or False, not str"),
        ("broken", "Step 'made': KeyError: 'whole'.*line"),
        ("hungry", "Step 'made': MemoryError"),
        ("endless", "Step 'made': it exceeded the time limit of 0.2 seconds per item"),
        ("deadly", "Step 'made': its process exited unexpectedly"),
        ("wrong", "Step 'made': it must return items, not int"),
    ],
)
def test_operations_with_invalid_results(name: str, message: str, harness: Harness) -> None:
    with pytest.raises(PipelineError, match=f"(?s){message}"):
        harness.run(failing_graph(harness, name, seconds=0.2 if name == "endless" else 300.0))


@pytest.mark.slow
def test_isolated_dataset_operation(harness: Harness) -> None:
    graph = failing_graph(harness, "last")
    assert [(item.key, item["note"], item["x"]) for item in harness.items(graph, "made")] == [
        ("k10", "n!", 10.0),
        ("k11", "n!", 11.0),
    ]
    assert harness.run(graph).steps[1].action == "skip"


@pytest.mark.slow
def test_printing_does_not_corrupt_the_protocol(harness: Harness) -> None:
    assert harness.run(failing_graph(harness, how="print")).steps[1].failed == 0


def test_a_missing_column_names_the_step(harness: Harness) -> None:
    graph = harness.graph({"data": ("dataset", {"name": "d"}), "some": ("filter", {"where": "widht > 3"}, ["data"])})
    with pytest.raises(PipelineError, match=r"Step 'some'.*widht"):
        harness.run(graph)


def test_a_step_adds_a_column_to_an_empty_dataset(harness: Harness) -> None:
    graph = harness.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "none": ("filter", {"where": "x < 0"}, ["data"]),
            "made": ("calculate", {"column": "y", "value": "x + 1"}, ["none"]),
        }
    )
    table = harness.run(graph)["made"].table
    assert table is not None
    assert (len(table), table.schema.names[-1]) == (0, "y")


@pytest.mark.slow
def test_subsets(harness: Harness) -> None:
    """A run on a subset computes only its items and has no side effects; a later run computes the rest."""
    graph = harness.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "made": ("steps.py:shift", {}, ["data"]),
            "kept": ("materialise", {"name": "out"}, ["made"]),
        }
    )
    assert harness.computed_keys(graph, subset=ItemSubset(keys=frozenset({"k01", "k05", "missing"}))) == ["k01", "k05"]
    assert not harness.workspace.datasets.exists("out")
    assert len(harness.computed_keys(graph, subset=ItemSubset(sample=4, seed=1))) in (2, 3, 4)
    outcome = harness.run(graph, subset=ItemSubset(sample=4, seed=1))
    assert [str(step.action) for step in outcome.steps] == ["skip", "skip", "omit"]
    harness.computed_keys(graph)
    assert harness.workspace.datasets.open("out").keys() == harness.workspace.datasets.open("d").keys()
    assert harness.workspace.datasets.open("out").schema["y"].kind == "number"


@pytest.mark.slow
def test_a_sample_counts_output_items(harness: Harness) -> None:
    """The sample grows until enough items pass the filter."""
    graph = harness.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "made": ("steps.py:shift", {}, ["data"]),
            "few": ("filter", {"where": "x > 8"}, ["made"]),
            "kept": ("materialise", {"name": "out"}, ["few"]),
        }
    )
    outcome = harness.run(graph, subset=ItemSubset(sample=2))
    assert outcome["few"].items in (2, 3)
    assert 2 <= len(harness.log.read_text().split()) <= COUNT
    assert harness.run(graph, subset=ItemSubset(sample=5))["few"].items == 3, "no more items exist"
    assert len(harness.log.read_text().split()) == COUNT, "no item is computed twice"


@pytest.mark.slow
def test_materialise_writes_a_version_only_on_change(harness: Harness) -> None:
    graph = harness.graph({"data": ("dataset", {"name": "d"}), "kept": ("materialise", {"name": "out"}, ["data"])})
    harness.run(graph)
    harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
    harness.run(graph)
    assert harness.workspace.datasets.open("out").number == 2
    harness.workspace.datasets.restore("d", 1)
    harness.workspace.datasets.restore("out", 1)
    harness.run(graph)
    assert harness.workspace.datasets.open("out").number in (1, 3)
    assert next(iter(harness.workspace.datasets.open("out").items(keys=["k03"])))["x"] == 3.0


@pytest.mark.slow
def test_the_plan_matches_the_run(harness: Harness) -> None:
    graph = harness.step()
    plan = Runner(harness.workspace, graph).plan()
    assert [(step.step, str(step.action)) for step in plan.steps] == [("data", "run"), ("made", "wait")]
    harness.run(graph)
    harness.merge(Item("k03", {"x": 77.0}), columns=("x",))
    harness.run(graph.subgraph(["data"]))
    planned = Runner(harness.workspace, graph).plan().steps[1]
    assert (str(planned.action), planned.items, planned.todo) == ("partial", COUNT, 1)
    assert planned.reasons == ("input 'data': column x changed",)
    assert harness.run(graph).steps[1].computed == 1


@pytest.mark.slow
def test_worker_processes_give_the_same_result(harness: Harness) -> None:
    items = [Item(f"n{at:04}", {"x": float(at), "note": "", "objects": None}) for at in range(300)]
    harness.workspace.datasets.write("e", SCHEMA, items, mode="create")
    graph = harness.step(source="e")
    harness.run(graph, processes=2)
    assert [item["y"] for item in harness.items(graph, "made")] == [4.0 * at + 1 for at in range(300)]


SLEEPY = """
import os, time
from saccade.operations import Column, Kind, per_item

@per_item("slow", input_columns=lambda settings, schema: ["x"],
          output_columns=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True)
def slow(item, settings, context):
    time.sleep(0.05)
    with open(os.environ["WORKED"], "a") as log:
        log.write(item.key + "\\n")
    return {"y": item["x"] * 2}
"""
PIPELINE = """
name: slow
steps:
  data: {use: dataset, with: {name: e}}
  made: {use: "slow.py:slow", from: data}
"""


def slow_run(harness: Harness, count: int) -> tuple[list[str], Path]:
    items = [Item(f"n{at:04}", {"x": float(at), "note": "", "objects": None}) for at in range(count)]
    harness.workspace.datasets.write("e", SCHEMA, items, mode="create")
    (harness.folder / "slow.py").write_text(SLEEPY)
    path = harness.folder / "slow.yaml"
    path.write_text(PIPELINE)
    home = harness.workspace.location.parent
    return [sys.executable, "-m", "saccade", "run", str(path), "-w", str(home), "--quiet"], path


@pytest.mark.skipif(os.name == "nt", reason="no signals on Windows")
def test_a_swallowed_interrupt_still_stops_the_run(harness: Harness) -> None:
    """An interrupt may arrive in code that catches everything, such as a finalizer."""

    def swallow_interrupt(event: Mapping[str, Any]) -> None:
        if event["event"] == "begin":
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(harness.workspace, load_graph(slow_run(harness, 200)[1]), listener=swallow_interrupt)
    assert [run.state for run in harness.workspace.runs.list("pipeline")] == ["stopped"]
    assert len(harness.log.read_text().split()) < 200


@pytest.mark.slow
def test_progress_events(harness: Harness) -> None:
    events: list[Mapping[str, Any]] = []

    def listener(event: Mapping[str, Any]) -> None:
        events.append(event)
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(harness.workspace, load_graph(slow_run(harness, 100)[1]), listener=listener, processes=2)
    assert [event["event"] for event in events] == ["start", "begin", "step", "begin", "progress", "end"]
    progress = events[-2]
    assert progress["phase"] == "made"
    assert 0 < progress["done"] < progress["total"] == 100
    assert progress["seconds_left"] == pytest.approx((100 - progress["done"]) / progress["rate"], rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no signals on Windows")
@pytest.mark.parametrize("how", ["Ctrl-C", "runs cancel"])
def test_a_cancelled_run_stops_quickly_and_resumes(harness: Harness, how: str) -> None:
    command, path = slow_run(harness, 200)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(harness.log.read_text().split()) < 40:
        time.sleep(0.01)
    started = time.monotonic()
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        cancel_run(harness.workspace, harness.workspace.runs.list("pipeline")[0].id)
    assert process.wait() == 130
    assert time.monotonic() - started < 5  # the remaining work takes longer, and batches in flight are not awaited
    done = len(harness.log.read_text().split())
    assert done < 200
    again = harness.computed_keys(load_graph(path), processes=2)
    assert done + len(again) <= 200 + 60, "at most one batch per process is repeated"
    with Workspace.open(harness.workspace.location) as workspace:
        assert [run.state for run in workspace.runs.list("pipeline")] == ["stopped"]
