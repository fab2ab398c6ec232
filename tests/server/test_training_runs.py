"""HTTP API: the progress and log of training runs, resuming them, and the runs of jobs and pipelines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import ServerHarness
from tests.server.test_jobs import process_jobs
from tests.support.http_receiver import until
from tests.support.tiny_workspace import RECIPE

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.core.roles import Role
from saccade.server.permissions import API


@pytest.fixture
def ships(server: ServerHarness, pictures: Path) -> str:
    """The recipe of a short training, whose dataset has splits."""
    import_dataset(server.workspace, pictures, "moored", split=SplitRequest({"train": 0.6, "val": 0.4}))
    return RECIPE.replace("harbour", "moored")


def start_job(client: Any, kind: str, **parameters: Any) -> str:
    created = client.post(f"{API}/jobs", json={"kind": kind, "parameters": parameters})
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


def test_a_training_of_a_job_is_read_by_viewers(server: ServerHarness, ships: str) -> None:
    manager, viewer = server.signed_in(Role.MANAGER), server.signed_in(Role.VIEWER)
    job = start_job(manager, "train", recipe=ships)
    assert viewer.get(f"{API}/runs", params={"job": job}).json() == []
    process_jobs(server)
    [run] = viewer.get(f"{API}/runs", params={"job": job}).json()
    assert (run["state"], run["kind"]) == ("finished", "train")
    assert viewer.get(f"{API}/runs", params={"job": job, "kind": "import"}).json() == []
    progress = viewer.get(f"{API}/runs/{run['id']}/progress").json()
    assert (progress["state"], progress["phase"], progress["can_resume"]) == ("finished", "ended", False)
    assert progress["step"] == progress["steps"] == len(progress["points"])
    assert (progress["epoch"], progress["epochs"], progress["is_reset"]) == (2, 2, True)
    assert progress["updated"].startswith("20")
    later = viewer.get(f"{API}/runs/{run['id']}/progress", params={"cursor": progress["cursor"]}).json()
    assert (later["points"], later["is_reset"], later["step"]) == ([], False, progress["step"])
    assert later["learning_rate"] == progress["learning_rate"]
    assert viewer.get(f"{API}/runs/{run['id']}/progress", params={"cursor": "?"}).status_code == 422
    log = viewer.get(f"{API}/runs/{run['id']}/log")
    assert log.headers["Content-Type"].startswith("text/plain")
    lines = log.text.splitlines()
    assert "Training ships on moored@1" in lines[0]
    assert "Model ships@1" in lines[-1]
    assert (
        viewer.get(f"{API}/runs/{run['id']}/log", params={"tail": len(lines[-1]) + 2}).text.splitlines() == lines[-1:]
    )
    imported = viewer.get(f"{API}/runs", params={"kind": "import"}).json()[0]["id"]
    assert viewer.get(f"{API}/runs/{imported}/progress").json()["phase"] == "starting"
    assert viewer.get(f"{API}/runs/{imported}/log").text == ""
    assert viewer.get(f"{API}/runs/nothing/progress").status_code == 404


def test_a_training_of_another_process_is_followed_stopped_and_resumed(
    server: ServerHarness, ships: str, tmp_path: Path
) -> None:
    """A training that was started on the command line, and then killed, is continued by a job."""
    manager = server.signed_in(Role.MANAGER)
    recipe = tmp_path / "ships.yaml"
    recipe.write_text(ships)
    command = [sys.executable, "-m", "saccade", "train", str(recipe), "--set", "train.epochs=500", "--workspace"]
    process = subprocess.Popen(
        [*command, str(tmp_path / "home")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )

    def run() -> dict[str, Any]:
        runs = manager.get(f"{API}/runs", params={"kind": "train"}).json()
        return dict(runs[0]) if runs else {}

    def progress(cursor: str = "") -> dict[str, Any]:
        return dict(manager.get(f"{API}/runs/{run()['id']}/progress", params={"cursor": cursor}).json())

    try:
        until(lambda: bool(run()))
        until(lambda: progress()["step"] > 2)
        first = progress()
        assert (first["state"], first["epochs"]) == ("running", 500)
        until(lambda: progress()["step"] > first["step"] + 1)
        second = progress(first["cursor"])
        steps = [point["step"] for point in first["points"] + second["points"]]
        assert steps == list(range(1, len(steps) + 1))
        until(lambda: len(manager.get(f"{API}/runs/{run()['id']}/metrics").json()) > 1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert progress()["state"] == "interrupted"
        assert progress()["can_resume"]
    finally:
        process.kill()
    config = manager.get(f"{API}/runs/{run()['id']}").json()["config"]
    config["train"]["epochs"] = progress()["epoch"] + 1
    job = start_job(manager, "train", recipe=json.dumps(config), resume_run=run()["id"])
    assert manager.get(f"{API}/jobs/{job}").json()["title"] == "Resume ships"
    process_jobs(server)
    assert (run()["state"], run()["job"]) == ("finished", job)
    assert [entry["id"] for entry in manager.get(f"{API}/runs", params={"job": job}).json()] == [run()["id"]]
    points = [point["step"] for point in progress()["points"]]
    assert points == list(range(1, len(points) + 1))
    body = {"kind": "train", "parameters": {"recipe": ships, "resume_run": run()["id"]}}
    refused = manager.post(f"{API}/jobs", json=body)
    assert (refused.status_code, "cannot be resumed" in refused.text) == (409, True)


def test_the_trainings_of_a_pipeline_are_listed(server: ServerHarness, ships: str, tmp_path: Path) -> None:
    manager = server.signed_in(Role.MANAGER)
    steps = {
        "data": {"use": "dataset", "with": {"name": "moored"}},
        "learn": {"use": "train", "from": "data", "with": {"recipe": "ships.yaml"}},
    }
    job = start_job(manager, "pipeline", pipeline=json.dumps({"steps": steps}), files={"ships.yaml": ships})
    process_jobs(server)
    pipeline = manager.get(f"{API}/jobs/{job}").json()["result"]["run"]
    started = manager.get(f"{API}/runs", params={"started_by": pipeline, "kind": "train"}).json()
    assert [run["name"] for run in started] == ["ships"]
    time.sleep(0.01)
    start_job(manager, "train", recipe=ships)
    process_jobs(server)
    again = manager.get(f"{API}/runs", params={"started_by": pipeline, "kind": "train"}).json()
    assert again == started, "a later training of the same process is not one of the pipeline"
