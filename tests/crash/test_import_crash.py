"""An import killed at any moment leaves a complete dataset or none."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from tests.crash.fork_server import fork_server

from saccade.app.ingest.importing import import_dataset
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "12"))
COPIES = 30


def check(location: Path, expected: list[str]) -> int:
    """Check that every dataset is complete; returns the number of datasets."""
    with Workspace.open(location) as workspace:
        datasets = workspace.datasets.list()
        for info in datasets:
            version = workspace.datasets.open(info.name)
            assert [item.key for item in version.items()] == expected
            for item in version.items(["image"]):
                assert len(version.read_media(item["image"])) == item["image"].size
        assert [issue for issue in doctor(workspace, deep=True) if issue.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace, deep=True) == []
        return len(datasets)


def write_images(source: Path, pictures: Path) -> None:
    """Write images with new content, so that all of them have to be stored."""
    for path in (pictures / "images").iterdir():
        for copy in range(COPIES):
            (source / f"{path.stem}-{copy}.jpg").write_bytes(path.read_bytes() + os.urandom(8))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_imports_leave_the_old_state_or_the_new_one(tmp_path: Path, pictures: Path) -> None:
    rng = random.Random(5)
    source, location = tmp_path / "photos", tmp_path / "home"
    source.mkdir()
    write_images(source, pictures)
    with Workspace.create(location) as workspace:
        start_time = time.monotonic()
        version = import_dataset(workspace, source, "d0").version
        seconds = time.monotonic() - start_time
        expected = [item.key for item in version.items()]
    assert len(expected) == 10 * COPIES
    kills = 0
    before = 1
    with fork_server("tests.crash.import_task", location, source) as server:
        while kills < KILLS:
            was_running = server.kill_after(rng.uniform(0, 1.2) * seconds)
            kills += was_running
            write_images(source, pictures)
            count = check(location, expected)
            assert count in ((before, before + 1) if was_running else (before + 1,))
            before = count
        server.start()
        assert server.wait() == 0
    assert check(location, expected) == before + 1
