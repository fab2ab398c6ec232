"""The store after ``kill -9`` at any moment: the old state or the new one; no acknowledged write is lost."""

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


def read_log(log_path: Path) -> list[list[str]]:
    """Read the acknowledged writes of the children."""
    return [line.split() for line in log_path.read_text().splitlines()] if log_path.exists() else []


class Writer:
    """The client of the process that forks writers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[str] = process.stdin
        self._output: IO[str] = process.stdout

    def _line(self) -> str:
        return self._output.readline().strip()

    def wait_ready(self) -> None:
        assert self._line() == "ready"

    def write_and_kill(self, log_path: Path, steps: int, seconds: float) -> None:
        """Start a writer, and kill it some seconds after it has finished some steps.

        Counting steps makes the test independent of the speed of the machine.
        """
        before = read_log(log_path)
        self._input.write("write\n")
        self._input.flush()
        child = int(self._line())
        deadline = time.monotonic() + 30
        while len(read_log(log_path)) < len(before) + steps and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        assert self._line() == "exited"


@contextmanager
def run_writer(location: Path, log_path: Path) -> Iterator[Writer]:
    command = [sys.executable, store_writer.__file__, str(location), str(log_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        writer = Writer(process)
        writer.wait_ready()
        yield writer
        process.communicate()


def contents(workspace: Workspace, ref: str) -> dict[str, object]:
    return {item.key: item.values for item in workspace.datasets.open(ref).items()}


def check_everything(workspace: Workspace, log_path: Path) -> int:
    """Check that acknowledged writes exist and all data is complete; returns the number of acknowledged writes."""
    acknowledged = read_log(log_path)
    names = {dataset.name for dataset in workspace.datasets.list()}
    latest = workspace.datasets.open("d").number
    for what, value, *details in acknowledged:
        if what == "version":
            assert int(value) <= latest
        elif what == "blob":
            assert workspace.blobs.read(value) == content(int(details[0]))
        else:
            assert value in names
    for number in (latest, max(1, latest - 1)):
        assert list(contents(workspace, f"d@{number}").items()) == list(expected(number).items())
    assert [version.number for version in workspace.datasets.log("d")] == list(range(latest, 0, -1))
    for name in names - {"d"}:
        assert contents(workspace, name) == expected(1), "a dataset is complete or does not exist"
    for path in (workspace.location / "objects").glob("*/*"):
        assert workspace.blobs.verify(path.parent.name + path.name)
    return len(acknowledged)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGKILL on Windows")
def test_writers_killed_at_random_moments(tmp_path: Path) -> None:
    rng = random.Random(7)
    log_path = tmp_path / "log"
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, items(1), mode="create")
        location = workspace.location
    acknowledged = 0
    with run_writer(location, log_path) as writer:
        for _ in range(KILLS):
            writer.write_and_kill(log_path, rng.randrange(4), rng.uniform(0, 0.3))
            with Workspace.open(location) as workspace:
                acknowledged = check_everything(workspace, log_path)
                before = workspace.datasets.open("d").number
                assert write_next(workspace) == before + 1
                doctor(workspace, repair=True)
                assert doctor(workspace) == []
                check_everything(workspace, log_path)
    assert acknowledged >= KILLS, "the kills came before anything was written"
