"""The store after ``kill -9`` at any moment: the old state or the new one, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from tests.crash import store_writer
from tests.crash.store_writer import SCHEMA, content, expected, items, write_next

from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "12"))


def lines_of(done: Path) -> list[list[str]]:
    """What the children have said that they finished."""
    return [line.split() for line in done.read_text().splitlines()] if done.exists() else []


class Writer:
    """The process that forks children which write."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout

    def _line(self) -> str:
        return self._output.readline().strip()

    def wait_ready(self) -> None:
        assert self._line() == "ready"

    def write_and_be_killed_after(self, done: Path, steps: int, seconds: float) -> None:
        """Let a child finish some steps and go on for some seconds: the machine's speed does not matter much."""
        before = lines_of(done)
        self._input.write("write\n")
        self._input.flush()
        child = int(self._line())
        deadline = time.monotonic() + 30
        while len(lines_of(done)) < len(before) + steps and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        assert self._line() == "gone"


@contextmanager
def writer(location: Path, done: Path) -> Iterator[Writer]:
    command = [sys.executable, store_writer.__file__, str(location), str(done)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        made = Writer(process)
        made.wait_ready()
        yield made
        process.communicate()


def contents(workspace: Workspace, ref: str) -> dict[str, object]:
    return {item.key: item.values for item in workspace.datasets.open(ref).items()}


def check_everything(workspace: Workspace, done: Path) -> int:
    """What was acknowledged is there, and what is there is whole; returns how much was acknowledged."""
    said = lines_of(done)
    names = {found.name for found in workspace.datasets.list()}
    latest = workspace.datasets.open("d").number
    for what, value, *more in said:
        if what == "version":
            assert int(value) <= latest
        elif what == "object":
            assert workspace.objects.read(value) == content(int(more[0]))
        else:
            assert value in names
    for number in (latest, max(1, latest - 1)):
        assert list(contents(workspace, f"d@{number}").items()) == list(expected(number).items())
    assert [version.number for version in workspace.datasets.log("d")] == list(range(latest, 0, -1))
    for name in names - {"d"}:
        assert contents(workspace, name) == expected(1), "a dataset is there whole or not at all"
    for path in (workspace.location / "objects").glob("*/*"):
        assert workspace.objects.is_sound(path.parent.name + path.name)
    return len(said)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_killed_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(7)
    done = tmp_path / "done"
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, items(1), mode="create")
        location = workspace.location
    acknowledged = 0
    with writer(location, done) as killed:
        for _ in range(KILLS):
            killed.write_and_be_killed_after(done, chance.randrange(4), chance.uniform(0, 0.3))
            with Workspace.open(location) as workspace:
                acknowledged = check_everything(workspace, done)
                before = workspace.datasets.open("d").number
                assert write_next(workspace) == before + 1
                doctor(workspace, repair=True)
                assert doctor(workspace) == []
                check_everything(workspace, done)
    assert acknowledged >= KILLS, "the kills came before anything was written"
