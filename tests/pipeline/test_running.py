"""Running: failures set aside, limits, parts, retries, and what is kept when it ends early."""

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
from tests.pipeline.conftest import COUNT, SCHEMA, Field

from saccade.app.pipelines.run import cancel_run, run_pipeline
from saccade.core.errors import PipelineError
from saccade.core.reader import Item
from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.definition.yaml_loader import load_graph
from saccade.pipeline.execution.runner import Part, Runner
from saccade.store.workspace import Workspace

BAD = """
import os, time
import numpy as np
from saccade.operations import Column, Context, Item, Kind, Parameters, per_item, one_to_many, keeping, on_whole, Chosen

class Settings(Parameters):
    bad: list[str] = ["k03"]
    how: str = "raise"

@per_item("odd", parameters=Settings, reads=lambda settings, schema: ["x"],
          writes=lambda settings, schema: [Column("y", Kind.NUMBER)], reads_key=True)
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

@one_to_many("same", reads=lambda settings, schema: ["x"], writes=lambda settings, schema: [])
def same(item, settings, context):
    return [Item("always the same", {})]

@keeping("maybe", reads=lambda settings, schema: ["x"])
def maybe(item, settings, context):
    return "yes"

@on_whole("broken")
def broken(inputs, settings, context):
    raise KeyError("whole")

@on_whole("hungry")
def hungry(inputs, settings, context):
    return Chosen(np.arange(len(bytearray(1 << 40))))

@on_whole("endless")
def endless(inputs, settings, context):
    time.sleep(100)

@on_whole("deadly")
def deadly(inputs, settings, context):
    os.kill(os.getpid(), 9)

@on_whole("last", reads_key=True)
def last(inputs, settings, context):
    print("to standard output")
    items = list(inputs["data"].items())[-2:]
    rows = np.arange(len(inputs["data"]))[-2:]
    return Chosen(rows, columns={"note": [item["note"] + "!" for item in items]})

@on_whole("wrong")
def wrong(inputs, settings, context):
    return 3
"""


def graph_of(field: Field, name: str = "odd", how: str = "raise", **step: Any) -> Graph:
    (field.folder / "bad.py").write_text(BAD)
    parameters = {"how": how} if name == "odd" else {}
    made = field._step("made", f"{field.folder}/bad.py:{name}", parameters, ["data"], **step)
    return Graph("test", (field._step("data", "dataset", {"name": "d"}), made))


REASONS = {
    "raise": "ZeroDivisionError.*line",
    "hang": "longer than the limit of 1 seconds",
    "memory": "MemoryError",
    "die": "ended by itself",
    "type": "needs a value of kind number, not 'three'",
    "shape": "values by column, not int",
    "column": "does not declare: 'z'",
}


@pytest.mark.slow
@pytest.mark.parametrize("how", REASONS)
def test_an_item_that_fails_is_set_aside_with_its_reason(how: str, field: Field) -> None:
    graph = graph_of(field, how=how, seconds=1.0)
    outcome = field.run(graph)
    step = outcome.steps[1]
    assert step.failed == 1
    assert step.failures[0][0] == "k03"
    assert re.search(REASONS[how], step.failures[0][1], re.DOTALL), step.failures[0][1]
    table = outcome["made"].table
    assert table is not None
    assert len(table) == COUNT - 1
    assert field.run(graph).steps[1].action == "skip", "it is not tried again by itself"


@pytest.mark.slow
def test_what_failed_is_tried_again_when_asked(field: Field) -> None:
    graph = graph_of(field)
    assert field.run(graph).steps[1].failed == 1
    Path(f"{field.log}.mended").touch()
    assert field.worked(graph) == []
    assert field.worked(graph, retry=True) == ["k03"]
    outcome = field.run(graph)
    assert outcome.steps[1].failed == 0
    assert [item.key for item in field.items(graph, "made")] == [f"k{at:02}" for at in range(COUNT)]


@pytest.mark.slow
@pytest.mark.parametrize("failures", [0.0, 0.05])
def test_too_many_failures_fail_the_step(failures: float, field: Field) -> None:
    graph = graph_of(field, failures=failures)
    with pytest.raises(PipelineError, match=r"Step 'made': 1 of 12 items failed; the first, 'k03': ZeroDivisionError"):
        field.run(graph)
    Path(f"{field.log}.mended").touch()
    assert field.worked(graph, retry=True) == ["k03"], "what was done is kept"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("same", "Step 'made': the key 'always the same' comes out more than once"),
        ("maybe", "Step 'made'.*True or False, not str"),
        ("broken", "Step 'made': KeyError: 'whole'.*line"),
        ("hungry", "Step 'made': MemoryError"),
        ("endless", "Step 'made': it took longer than 0.2 seconds for each item"),
        ("deadly", "Step 'made': its process ended by itself"),
        ("wrong", "Step 'made': it is to give items, not int"),
    ],
)
def test_operations_that_break_their_word(name: str, said: str, field: Field) -> None:
    with pytest.raises(PipelineError, match=f"(?s){said}"):
        field.run(graph_of(field, name, seconds=0.2 if name == "endless" else 300.0))


@pytest.mark.slow
def test_strange_code_on_the_whole(field: Field) -> None:
    graph = graph_of(field, "last")
    assert [(item.key, item["note"], item["x"]) for item in field.items(graph, "made")] == [
        ("k10", "n!", 10.0),
        ("k11", "n!", 11.0),
    ]
    assert field.run(graph).steps[1].action == "skip"


@pytest.mark.slow
def test_what_an_operation_prints_does_no_harm(field: Field) -> None:
    assert field.run(graph_of(field, how="print")).steps[1].failed == 0


def test_a_missing_column_names_the_step(field: Field) -> None:
    graph = field.graph({"data": ("dataset", {"name": "d"}), "some": ("filter", {"where": "widht > 3"}, ["data"])})
    with pytest.raises(PipelineError, match=r"Step 'some'.*widht"):
        field.run(graph)


@pytest.mark.slow
def test_parts(field: Field) -> None:
    """Some items are worked on, and the rest later; a part has no effects outside."""
    graph = field.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "made": ("steps.py:shift", {}, ["data"]),
            "kept": ("materialise", {"name": "out"}, ["made"]),
        }
    )
    assert field.worked(graph, part=Part(keys=frozenset({"k01", "k05", "nobody"}))) == ["k01", "k05"]
    assert not field.workspace.datasets.exists("out")
    assert len(field.worked(graph, part=Part(sample=4, seed=1))) in (2, 3, 4)
    done = field.run(graph, part=Part(sample=4, seed=1))
    assert [str(step.action) for step in done.steps] == ["skip", "skip", "leave"]
    field.worked(graph)
    assert field.workspace.datasets.open("out").keys() == field.workspace.datasets.open("d").keys()
    assert field.workspace.datasets.open("out").schema["y"].kind == "number"


@pytest.mark.slow
def test_a_sample_is_of_what_comes_out(field: Field) -> None:
    """Of the items that go in as many are taken as it needs, where a step lets few of them through."""
    graph = field.graph(
        {
            "data": ("dataset", {"name": "d"}),
            "made": ("steps.py:shift", {}, ["data"]),
            "few": ("filter", {"where": "x > 8"}, ["made"]),
            "kept": ("materialise", {"name": "out"}, ["few"]),
        }
    )
    done = field.run(graph, part=Part(sample=2))
    assert done["few"].items in (2, 3)
    assert 2 <= len(field.log.read_text().split()) <= COUNT
    assert field.run(graph, part=Part(sample=5))["few"].items == 3, "there are no more"
    assert len(field.log.read_text().split()) == COUNT, "no item is worked on twice"


@pytest.mark.slow
def test_a_version_is_only_made_where_something_changed(field: Field) -> None:
    graph = field.graph({"data": ("dataset", {"name": "d"}), "kept": ("materialise", {"name": "out"}, ["data"])})
    field.run(graph)
    field.merge(Item("k03", {"x": 77.0}), columns=("x",))
    field.run(graph)
    assert field.workspace.datasets.open("out").number == 2
    field.workspace.datasets.restore("d", 1)
    field.workspace.datasets.restore("out", 1)
    field.run(graph)
    assert field.workspace.datasets.open("out").number in (1, 3)
    assert next(iter(field.workspace.datasets.open("out").items(keys=["k03"])))["x"] == 3.0


@pytest.mark.slow
def test_the_plan_says_what_a_run_then_does(field: Field) -> None:
    graph = field.step()
    plan = Runner(field.workspace, graph).plan()
    assert [(step.step, str(step.action)) for step in plan.steps] == [("data", "run"), ("made", "wait")]
    field.run(graph)
    field.merge(Item("k03", {"x": 77.0}), columns=("x",))
    field.run(graph.upto(["data"]))
    made = Runner(field.workspace, graph).plan().steps[1]
    assert (str(made.action), made.items, made.todo) == ("partial", COUNT, 1)
    assert made.reasons == ("input 'data': column x changed",)
    assert field.run(graph).steps[1].worked == 1


@pytest.mark.slow
def test_several_processes_give_the_same(field: Field) -> None:
    items = [Item(f"n{at:04}", {"x": float(at), "note": "", "objects": None}) for at in range(300)]
    field.workspace.datasets.write("e", SCHEMA, items, mode="create")
    graph = field.step(source="e")
    field.run(graph, processes=2)
    found = field.items(graph, "made")
    assert [item["y"] for item in found] == [4.0 * at + 1 for at in range(300)]


SLEEPY = """
import os, time
from saccade.operations import Column, Kind, per_item

@per_item("slow", reads=lambda settings, schema: ["x"], writes=lambda settings, schema: [Column("y", Kind.NUMBER)],
          reads_key=True)
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


def slow_run(field: Field, count: int) -> tuple[list[str], Path]:
    items = [Item(f"n{at:04}", {"x": float(at), "note": "", "objects": None}) for at in range(count)]
    field.workspace.datasets.write("e", SCHEMA, items, mode="create")
    (field.folder / "slow.py").write_text(SLEEPY)
    path = field.folder / "slow.yaml"
    path.write_text(PIPELINE)
    home = field.workspace.location.parent
    return [sys.executable, "-m", "saccade", "run", str(path), "-w", str(home), "--quiet"], path


@pytest.mark.skipif(os.name == "nt", reason="no signals on Windows")
def test_an_interrupt_that_is_lost_stops_a_run_all_the_same(field: Field) -> None:
    """An interrupt may arrive in code that catches all, as what Python calls when an object goes."""

    def lose_it(event: Mapping[str, Any]) -> None:
        if event["event"] == "begin":
            with suppress(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(field.workspace, load_graph(slow_run(field, 200)[1]), listener=lose_it)
    assert [run.state for run in field.workspace.runs.list("pipeline")] == ["stopped"]
    assert len(field.log.read_text().split()) < 200


@pytest.mark.slow
def test_progress_is_told(field: Field) -> None:
    told: list[Mapping[str, Any]] = []

    def hear(event: Mapping[str, Any]) -> None:
        told.append(event)
        if event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(field.workspace, load_graph(slow_run(field, 100)[1]), listener=hear, processes=2)
    assert [event["event"] for event in told] == ["start", "begin", "step", "begin", "progress", "end"]
    progress = told[-2]
    assert progress["what"] == "made"
    assert 0 < progress["done"] < progress["total"] == 100
    assert progress["seconds_left"] == pytest.approx((100 - progress["done"]) / progress["rate"], rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no signals on Windows")
@pytest.mark.parametrize("how", ["Ctrl-C", "runs cancel"])
def test_a_run_is_cancelled_within_a_second_and_goes_on(field: Field, how: str) -> None:
    command, path = slow_run(field, 200)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(field.log.read_text().split()) < 40:
        time.sleep(0.01)
    began = time.monotonic()
    if how == "Ctrl-C":
        process.send_signal(signal.SIGINT)
    else:
        cancel_run(field.workspace, field.workspace.runs.list("pipeline")[0].id)
    assert process.wait() == 130
    assert time.monotonic() - began < 5  # the work that is left takes longer, and what was under way is not waited for
    done = len(field.log.read_text().split())
    assert done < 200
    again = field.worked(load_graph(path), processes=2)
    assert done + len(again) <= 200 + 60, "at most a batch for each process is repeated"
    with Workspace.open(field.workspace.location) as workspace:
        assert [run.state for run in workspace.runs.list("pipeline")] == ["stopped"]
