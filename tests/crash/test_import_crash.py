"""An import killed at any moment leaves a whole dataset or none."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from tests.crash.forker import forker

from saccade.app.ingest.importing import import_dataset
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "12"))
COPIES = 30


def check(location: Path, expected: list[str]) -> int:
    """Every dataset is whole, with its pictures, and nothing is wrong; returns how many there are."""
    with Workspace.open(location) as workspace:
        found = workspace.datasets.list()
        for info in found:
            version = workspace.datasets.open(info.name)
            assert [item.key for item in version.items()] == expected
            for item in version.items(["image"]):
                assert len(version.read_media(item["image"])) == item["image"].size
        assert [problem for problem in doctor(workspace, deep=True) if problem.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace, deep=True) == []
        return len(found)


def write_pictures(source: Path, pictures: Path) -> None:
    """Pictures, each of a content that was not there before, so that all of them have to be kept."""
    for path in (pictures / "images").iterdir():
        for copy in range(COPIES):
            (source / f"{path.stem}-{copy}.jpg").write_bytes(path.read_bytes() + os.urandom(8))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_imports_leave_the_old_state_or_the_new_one(tmp_path: Path, pictures: Path) -> None:
    chance = random.Random(5)
    source, location = tmp_path / "photos", tmp_path / "home"
    source.mkdir()
    write_pictures(source, pictures)
    with Workspace.create(location) as workspace:
        began = time.monotonic()
        version = import_dataset(workspace, source, "d0").version
        seconds = time.monotonic() - began
        expected = [item.key for item in version.items()]
    assert len(expected) == 10 * COPIES
    kills, before = 0, 1
    with forker("tests.crash.import_task", location, source) as killed:
        while kills < KILLS:
            was_at_work = killed.kill_after(chance.uniform(0, 1.2) * seconds)
            kills += was_at_work
            write_pictures(source, pictures)
            now = check(location, expected)
            assert now in ((before, before + 1) if was_at_work else (before + 1,))
            before = now
        killed.start()
        assert killed.wait() == 0
    assert check(location, expected) == before + 1
