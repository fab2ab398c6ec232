"""A training killed at any moment and resumed ends with the weights of one that nobody disturbed."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

import pytest
from tests.crash.forker import forker

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.models.artifact import WEIGHTS
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "4"))


def prepare(location: Path, pictures: Path) -> Path:
    with Workspace.create(location) as workspace:
        import_dataset(workspace, pictures, "harbour", split=SplitRequest({"train": 0.6, "val": 0.2, "test": 0.2}))
    return location


def models(location: Path) -> set[str]:
    """Digests of the weights of all versions; the workspace is sound."""
    with Workspace.open(location) as workspace:
        assert len(workspace.datasets.open("harbour")) == 10
        assert [problem for problem in doctor(workspace) if problem.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace) == []
        if not workspace.models.list():
            return set()
        return {
            hashlib.sha256(version.read_file(WEIGHTS)).hexdigest() for version in workspace.models.versions("ships")
        }


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_trainings_end_with_the_same_weights(tmp_path: Path, pictures: Path) -> None:
    chance = random.Random(11)
    calm = prepare(tmp_path / "calm", pictures)
    with forker("tests.crash.train_task", calm) as undisturbed:
        began = time.monotonic()
        undisturbed.start()
        assert undisturbed.wait() == 0
        seconds = time.monotonic() - began
    expected = models(calm)
    assert len(expected) == 1
    kills = rounds = 0
    while kills < KILLS:
        location = prepare(tmp_path / f"killed{rounds}", pictures)
        rounds += 1
        with forker("tests.crash.train_task", location) as disturbed:
            while not models(location) and kills < KILLS:
                kills += disturbed.kill_after(chance.uniform(0.1, 0.6) * seconds)
            disturbed.start()
            assert disturbed.wait() == 0
        assert models(location) == expected
