"""Runs, evaluations and lineage."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from sqlalchemy import update
from tests.store.conftest import SCHEMA, item

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.runtime.process import is_alive, lease_owner_id
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.tables import RunRow, now
from saccade.store.workspace import Workspace


def test_ids_are_short_and_sort_by_time() -> None:
    ids = []
    for _ in range(20):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(set(ids))
    assert {len(run_id) for run_id in ids} == {12}


def test_a_run_from_start_to_finish(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    run = workspace.runs.start("train", "ships", {"epochs": 3, "sizes": (1, 2)}, ["d"])
    assert run.folder.is_dir()
    assert (run.state, run.inputs, run.config) == ("running", ("d@1",), {"epochs": 3, "sizes": [1, 2]})
    assert workspace.runs.get(run.id) == run
    workspace.runs.heartbeat(run.id, {"loss": 1.5})
    assert workspace.runs.get(run.id).metrics == {"loss": 1.5}
    done = workspace.runs.finish(run.id, "finished", {"loss": float("inf")}, ["d@1"])
    assert (done.state, done.metrics, done.outputs) == ("finished", {"loss": None}, ("d@1",))
    assert done.finished is not None
    assert done.finished >= done.created
    with pytest.raises(ConflictError, match="has already ended: it is finished"):
        workspace.runs.finish(run.id, "failed")


def test_list_and_latest(workspace: Workspace) -> None:
    names = [("train", "a"), ("train", "b"), ("import", "a"), ("train", "a")]
    runs = []
    for kind, name in names:
        runs.append(workspace.runs.start(kind, name, {}))
        time.sleep(0.002)
    workspace.runs.finish(runs[0].id, "failed", error="boom")
    ids = [run.id for run in runs]
    assert [run.id for run in workspace.runs.list()] == ids[::-1]
    assert [run.id for run in workspace.runs.list("train", "a")] == [ids[3], ids[0]]
    assert [run.id for run in workspace.runs.list(kind="import")] == [ids[2]]
    latest = workspace.runs.latest
    assert [getattr(latest("train", "a", states), "id", None) for states in (None, ["failed"], ["stopped"])] == [
        ids[3],
        ids[0],
        None,
    ]
    assert workspace.runs.get(ids[0]).error == "boom"


def test_invalid_ids_states_and_inputs(workspace: Workspace) -> None:
    for call in (workspace.runs.get, workspace.runs.resume, lambda name: workspace.runs.finish(name, "failed")):
        with pytest.raises(NotFoundError, match="no run 'none'"):
            call("none")
    run = workspace.runs.start("train", "a", {})
    with pytest.raises(InvalidValueError, match="cannot end as 'running'"):
        workspace.runs.finish(run.id, "running")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(NotFoundError, match="no dataset 'none'"):
        workspace.runs.start("train", "a", {}, ["none"])
    assert [path.name for path in (workspace.location / "runs").iterdir()] == [run.id]


CHILD = """
import os, sys
from saccade.store.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
print(workspace.runs.start("train", "a", {}).id, flush=True)
sys.stdin.read()
os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_run_whose_process_died_is_interrupted_and_can_be_resumed(workspace: Workspace) -> None:
    command = [sys.executable, "-c", CHILD, str(workspace.location)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        name = child.stdout.readline().strip()
        assert workspace.runs.get(name).state == "running"
        with pytest.raises(ConflictError, match="cannot be resumed: it is running"):
            workspace.runs.resume(name)
        child.communicate()
    assert child.returncode == -9
    assert workspace.runs.get(name).state == "interrupted"
    assert workspace.runs.latest("train", "a", ["interrupted"]) is not None
    assert workspace.runs.resume(name).state == "running"
    assert workspace.runs.finish(name, "finished").state == "finished"
    with pytest.raises(ConflictError, match="it is finished"):
        workspace.runs.resume(name)


def test_the_lease_of_a_run_on_another_machine_expires(workspace: Workspace) -> None:
    run = workspace.runs.start("train", "a", {})
    for age, state in ((timedelta(seconds=10), "running"), (timedelta(hours=1), "interrupted")):
        with workspace.catalog.write_tx() as session:
            values = {"process": "another-host~1~1", "heartbeat": now() - age}
            session.execute(update(RunRow).where(RunRow.id == run.id).values(**values))
        assert workspace.runs.get(run.id).state == state


def test_a_reused_process_id_is_another_process() -> None:
    host, _, started = lease_owner_id().split("~")
    assert is_alive(lease_owner_id()) is True
    assert is_alive(f"{host}~{os.getpid()}~{int(started or 0) + 1}") is False
    assert is_alive(f"{host}~999999999~1") is False
    assert is_alive(f"not-{host}~1~1") is None


def test_evaluations(workspace: Workspace) -> None:
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    workspace.datasets.write("d", SCHEMA, [item("a")], mode="append")
    for name in ("m", "mm"):
        workspace.models.add(name, files={}, manifest={}, metrics={})
    add = workspace.evaluations.add
    first = add("m", "d@1", "val", "boxes", {"map": 0.5}, b"<html>")
    second = add(None, "d", "test", "boxes", {"map": 0.25, "per class": {"a": float("nan")}})
    third = add("mm@1", "d", "val", "boxes", {})
    assert (first.model, first.dataset, first.report) == ("m@1", "d@1", b"<html>")
    assert (second.model, second.dataset, second.report) == (None, "d@2", None)
    assert workspace.evaluations.get(first.id) == first
    list_evaluations = workspace.evaluations.list
    assert {evaluation.id for evaluation in list_evaluations()} == {first.id, second.id, third.id}
    assert [evaluation.id for evaluation in list_evaluations(model="m")] == [first.id]
    assert [evaluation.id for evaluation in list_evaluations(dataset="d@1")] == [first.id]
    assert [evaluation.id for evaluation in list_evaluations(model="mm@latest", dataset="d")] == [third.id]
    with pytest.raises(NotFoundError, match="no evaluation 'x'"):
        workspace.evaluations.get("x")
    with pytest.raises(NotFoundError, match="no model 'none'"):
        add("none", "d", "val", "boxes", {})
    with pytest.raises(ConflictError, match="used by evaluation"):
        workspace.datasets.remove("d")


def test_lineage_is_complete(workspace: Workspace) -> None:
    datasets = workspace.datasets
    import_run = workspace.runs.start("import", "raw", {"source": "folder"})
    datasets.write("raw", SCHEMA, [item("a")], mode="create", run_id=import_run.id)
    datasets.write("cells", SCHEMA, [item("a")], mode="create", inputs=["raw"])
    datasets.write("cells", SCHEMA, [item("a", 1)], mode="merge", author="ann", message="labelled")
    train = workspace.runs.start("train", "ships", {"epochs": 3}, ["cells"])
    workspace.models.add("ships", files={}, manifest={}, metrics={"m": 1}, run_id=train.id, inputs=["cells"])
    tree = workspace.lineage("ships@latest")
    assert (tree["type"], tree["ref"], tree["metrics"]) == ("model", "ships@1", {"m": 1})
    assert tree["run"]["recipe"] == {"epochs": 3}
    (cells,) = tree["run"]["inputs"]
    assert (cells["ref"], cells["author"], cells["message"]) == ("cells@2", "ann", "labelled")
    assert tree["inputs"] == [{"type": "dataset", "ref": "cells@2"}], "described once, then only named"
    (before,) = cells["history"]
    assert before["ref"] == "cells@1"
    (raw,) = before["inputs"]
    assert (raw["ref"], raw["run"]["recipe"]) == ("raw@1", {"source": "folder"})
    assert workspace.lineage("raw@1") == raw
    datasets.remove("raw", force=True)
    assert workspace.lineage("cells@1")["inputs"] == [{"type": "missing", "ref": "raw@1"}]
    with pytest.raises(NotFoundError):
        workspace.lineage("nothing")


def test_an_ambiguous_name_needs_a_prefix(workspace: Workspace) -> None:
    workspace.datasets.write("x", SCHEMA, [], mode="create")
    workspace.models.add("x", files={}, manifest={}, metrics={}, inputs=["x"])
    with pytest.raises(ConflictError, match="dataset:x or model:x"):
        workspace.lineage("x")
    assert workspace.lineage("model:x")["type"] == "model"
    assert workspace.lineage("dataset:x")["type"] == "dataset"
    run = workspace.runs.start("predict", "x", {}, ["model:x", "x"])
    assert run.inputs == ("model:x@1", "x@1")
