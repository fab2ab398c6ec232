"""Commits, merges, pushes, pulls, removals and collections, killed at any moment: nothing is lost, nothing is half.

The number of kills is that of the environment variable SACCADE_KILLS, else few enough for every day.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest
from tests.crash.forker import forker
from tests.crash.keeping_task import PICTURES, SCHEMA, content, items

from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.transfer import pull_dataset
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "10"))


THOROUGH, NEWEST = 8, 3
"""After so many kills everything is looked at, after the others so many versions: what is lost does not come back."""


def check(location: Path, *, thorough: bool = True) -> int:
    """The newest versions of every dataset, or all, are whole, with pictures; returns how many versions "d" has."""
    with Workspace.open(location) as workspace:
        for info in workspace.datasets.list():
            for log in workspace.datasets.log(info.name)[: None if thorough else NEWEST]:
                version = workspace.datasets.open(f"{info.name}@{log.number}")
                found = list(version.items())
                assert len(found) == len(version) >= PICTURES
                for item in found if version.number == info.latest else found[:3]:
                    assert version.read_media(item["image"]) == content(item.key)
        assert [problem for problem in doctor(workspace, deep=thorough) if problem.level == "error"] == []
        doctor(workspace, repair=True)
        assert doctor(workspace) == []
        return workspace.datasets.open("d").number


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_at_random_moments_of_anything(tmp_path: Path) -> None:
    chance = random.Random(11)
    location, place, said = tmp_path / "home", tmp_path / "place", tmp_path / "said"
    with Workspace.create(location) as workspace:
        made = items(workspace, [f"k{number}" for number in range(PICTURES)], "first")
        workspace.datasets.write("d", SCHEMA, made, mode="create")
    before, most = 1, 0.8
    with forker("tests.crash.keeping_task", location, place, said) as killed:
        for kill in range(KILLS):
            assert killed.kill_after(chance.uniform(0.02, most)), "the task never ends by itself"
            now = check(location, thorough=(kill + 1) % THOROUGH == 0)
            assert now >= before
            # On a busy machine a task takes longer to do a thing.
            most = min(4.0, max(0.8, most * (1.5 if now == before else 0.9)))
            before = now
    assert check(location) >= before
    words = Counter(said.read_text().splitlines())
    assert before > KILLS / 4, words
    assert len([word for word in words if word.endswith("done")]) >= 5, words
    if (place / "datasets").exists():
        with Workspace.create(tmp_path / "fresh") as fresh:
            pull_dataset(fresh, str(place))
            assert doctor(fresh, deep=True) == []
