"""Commits, merges, pushes, pulls, removals and garbage collections, killed at any moment: no data is lost.

The environment variable SACCADE_KILLS sets the number of kills.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.crash.fork_server import fork_server
from tests.crash.maintenance_task import IMAGES, SCHEMA, content, items

from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.transfer import pull_dataset
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "10"))

THOROUGH_EVERY = 8
NEWEST = 3
"""Every eighth check covers all versions, the others the newest three: what is lost does not come back."""


def check(location: Path, *, thorough: bool = True) -> int:
    """Check that the newest versions of every dataset, or all, are complete; returns the number of versions of "d"."""
    with Workspace.open(location) as workspace:
        for info in workspace.datasets.list():
            for log in workspace.datasets.log(info.name)[: None if thorough else NEWEST]:
                version = workspace.datasets.open(f"{info.name}@{log.number}")
                version_items = list(version.items())
                assert len(version_items) == len(version) >= IMAGES
                for item in version_items if version.number == info.latest else version_items[:3]:
                    assert version.read_media(item["image"]) == content(item.key)
        assert [issue for issue in doctor(workspace, deep=thorough) if issue.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace) == []
        return workspace.datasets.open("d").number


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_operations_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(11)
    location = tmp_path / "home"
    remote = tmp_path / "remote"
    log_path = tmp_path / "log"
    with Workspace.create(location) as workspace:
        first_items = items(workspace, [f"k{number}" for number in range(IMAGES)], "first")
        workspace.datasets.write("d", SCHEMA, first_items, mode="create")
    before = 1
    max_delay = 0.8
    with fork_server("tests.crash.maintenance_task", location, remote, log_path) as server:
        for kill in range(KILLS):
            assert server.kill_after(rng.uniform(0.02, max_delay)), "the task never ends on its own"
            count = check(location, thorough=(kill + 1) % THOROUGH_EVERY == 0)
            assert count >= before
            # On a busy machine an operation takes longer.
            max_delay = min(4.0, max(0.8, max_delay * (1.5 if count == before else 0.9)))
            before = count
    assert check(location) >= before
    log_lines = Counter(log_path.read_text().splitlines())
    assert before > KILLS / 4, log_lines
    assert len([line for line in log_lines if line.endswith("done")]) >= 5, log_lines
    if (remote / "datasets").exists():
        with Workspace.create(tmp_path / "fresh") as fresh:
            pull_dataset(fresh, str(remote))
            assert doctor(fresh, deep=True) == []
