"""A training killed at any moment and resumed ends with the same weights as an uninterrupted one."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import pytest
from tests.crash.fork_server import fork_server

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.models.artifact import WEIGHTS_FILE
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "4"))


def prepare(location: Path, pictures: Path) -> Path:
    with Workspace.create(location) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.2, "test": 0.2}))
    return location


def weight_digests(location: Path) -> set[str]:
    """Check the workspace; returns the digests of the weights of all model versions."""
    with Workspace.open(location) as workspace:
        assert len(workspace.datasets.open("harbour")) == 10
        assert [issue for issue in doctor(workspace) if issue.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace) == []
        if not workspace.models.list():
            return set()
        return {
            hashlib.sha256(version.read_file(WEIGHTS_FILE)).hexdigest()
            for version in workspace.models.versions("ships")
        }


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_trainings_end_with_the_same_weights(tmp_path: Path, pictures: Path) -> None:
    rng = random.Random(11)
    uninterrupted = prepare(tmp_path / "uninterrupted", pictures)
    with fork_server("tests.crash.train_task", uninterrupted) as server:
        start_time = time.monotonic()
        server.start()
        assert server.wait() == 0
        seconds = time.monotonic() - start_time
    expected = weight_digests(uninterrupted)
    assert len(expected) == 1
    kills = 0
    rounds = 0
    while kills < KILLS:
        location = prepare(tmp_path / f"killed{rounds}", pictures)
        rounds += 1
        with fork_server("tests.crash.train_task", location) as server:
            while not weight_digests(location) and kills < KILLS:
                kills += server.kill_after(rng.uniform(0.1, 0.6) * seconds)
            server.start()
            assert server.wait() == 0
        assert weight_digests(location) == expected
