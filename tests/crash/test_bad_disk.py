"""A disk that is full or cannot be written: the workspace opens with the old state or the new one.

Real file systems in memory, so only where this may mount them.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.crash.keeping_task import SCHEMA, content, items
from tests.support.command import Command

from saccade.core.errors import SaccadeError
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer import pull_dataset, push_dataset
from saccade.store.workspace import Workspace

SIZE = 24 << 20
KEYS = [f"k{number}" for number in range(20)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, left: int) -> Path:
    """A file that leaves no more than so many bytes."""
    path = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    path.write_bytes(bytes(max(0, free - left)))
    return path


def check(location: Path, before: int) -> int:
    """Everything that was there is there and whole; returns the number of the last version."""
    with Workspace.open(location) as workspace:
        version = workspace.datasets.open("d")
        assert version.number in (before, before + 1)
        for item in version.items():
            assert version.read_media(item["image"]) == content(item.key)
        assert [problem for problem in doctor(workspace, deep=True) if problem.level == "error"] == []
        return version.number


def _write(workspace: Workspace, disk: Path, number: int) -> None:
    with workspace.objects.keeping():
        made = items(workspace, [f"new{number}", *KEYS[:3]], f"note {number}")
        workspace.datasets.write("d", SCHEMA, made, mode="merge")


def _batch(workspace: Workspace, disk: Path, number: int) -> None:
    with workspace.objects.batch() as batch:
        for key in range(5):
            batch.put_bytes(content(f"batch{number}-{key}"))
        batch.finish()


def _push(workspace: Workspace, disk: Path, number: int) -> None:
    push_dataset(workspace, "d", str(disk / "place"))


def _pull(workspace: Workspace, disk: Path, number: int) -> None:
    if (disk / "place" / "datasets").exists():
        pull_dataset(workspace, str(disk / "place"), as_name=f"copy{number}")


def _model(workspace: Workspace, disk: Path, number: int) -> None:
    workspace.models.add("m", files={"w": content(f"weights{number}")}, manifest={}, metrics={})


def _collect(workspace: Workspace, disk: Path, number: int) -> None:
    collect_garbage(workspace)


TASKS: Mapping[str, Callable[[Workspace, Path, int], None]] = {
    "write": _write,
    "batch": _batch,
    "push": _push,
    "pull": _pull,
    "model": _model,
    "gc": _collect,
}


@pytest.mark.slow
def test_a_full_disk(disk: Path) -> None:
    chance = random.Random(3)
    location = disk / "home"
    with Workspace.create(location) as workspace:
        workspace.datasets.write("d", SCHEMA, items(workspace, KEYS, "first"), mode="create")
        push_dataset(workspace, "d", str(disk / "place"))
    number, failed = 1, 0
    for attempt in range(60):
        name = sorted(TASKS)[attempt % len(TASKS)]
        filler = fill(disk, chance.choice([0, 4096, 20_000, 70_000, 150_000, 400_000]))
        try:
            with Workspace.open(location) as workspace:
                TASKS[name](workspace, disk, attempt)
        except (SaccadeError, OSError) as error:
            failed += bool(str(error))
        finally:
            filler.unlink()
        number = check(location, number)
        with Workspace.open(location) as workspace:
            doctor(workspace, repair=True)
            for info in workspace.datasets.list():
                if info.name != "d":
                    workspace.datasets.remove(info.name)
            collect_garbage(workspace)
    assert 10 < failed < 60
    with Workspace.open(location) as workspace:
        for name, task in TASKS.items():
            task(workspace, disk, 1000 + len(name))
    check(location, number)


def test_a_disk_that_cannot_be_written(disk: Path, command: Command) -> None:
    location = disk / "home"
    with Workspace.create(location) as workspace:
        workspace.datasets.write("d", SCHEMA, items(workspace, KEYS, "first"), mode="create")
    with Workspace.open(location) as workspace:
        workspace.datasets.alias("d", "gold", 1)
        files = [path for path in workspace.location.glob("catalog.db*") if not path.name.endswith("-shm")]
        assert len(files) == 2
        as_killed = {path: path.read_bytes() for path in files}
    for path, data in as_killed.items():
        path.write_bytes(data)  # with a log beside the catalog that it has not taken in
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with Workspace.open(location) as workspace:
        assert workspace.is_read_only
        version = workspace.datasets.open("d@gold")
        assert version.where("note == 'first'") == KEYS
        assert version.read_media(next(iter(version.items()))["image"]) == content(KEYS[0])
        for task in TASKS.values():
            if task not in (_pull,):
                with pytest.raises((SaccadeError, OSError)):
                    task(workspace, disk, 1)
        with pytest.raises(SaccadeError, match="readonly"):
            workspace.datasets.alias("d", "silver", 1)
        assert workspace.datasets.aliases("d") == {"gold": 1}
        assert [problem for problem in doctor(workspace) if problem.level == "error"] == []
    assert command.json("datasets", "show", "d", "-w", location)["items"] == len(KEYS)
    told = command("datasets", "alias", "d@1", "silver", "-w", location)
    assert (told.code, told.err.startswith("Error: ")) == (1, True)
    assert "Traceback" not in told.err
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert check(location, 1) == 1
