"""A full or read-only disk: the workspace opens with the old state or the new one.

The tests mount file systems in memory, and are skipped if they may not.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tests.crash.maintenance_task import SCHEMA, content, items
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
    """A small file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: Path, free_bytes: int) -> Path:
    """Write a file that leaves at most this much space free."""
    path = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    path.write_bytes(bytes(max(0, free - free_bytes)))
    return path


def check(location: Path, before: int) -> int:
    """Check that the data before the failure is intact; returns the number of the last version."""
    with Workspace.open(location) as workspace:
        version = workspace.datasets.open("d")
        assert version.number in (before, before + 1)
        for item in version.items():
            assert version.read_media(item["image"]) == content(item.key)
        assert [issue for issue in doctor(workspace, deep=True) if issue.level == "error"] == []
        return version.number


def _write(workspace: Workspace, disk: Path, number: int) -> None:
    with workspace.blobs.gc_guard():
        new_items = items(workspace, [f"new{number}", *KEYS[:3]], f"note {number}")
        workspace.datasets.write("d", SCHEMA, new_items, mode="merge")


def _batch(workspace: Workspace, disk: Path, number: int) -> None:
    with workspace.blobs.batch() as batch:
        for key in range(5):
            batch.put_bytes(content(f"batch{number}-{key}"))
        batch.finish()


def _push(workspace: Workspace, disk: Path, number: int) -> None:
    push_dataset(workspace, "d", str(disk / "remote"))


def _pull(workspace: Workspace, disk: Path, number: int) -> None:
    if (disk / "remote" / "datasets").exists():
        pull_dataset(workspace, str(disk / "remote"), as_name=f"copy{number}")


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
    rng = random.Random(3)
    location = disk / "home"
    with Workspace.create(location) as workspace:
        workspace.datasets.write("d", SCHEMA, items(workspace, KEYS, "first"), mode="create")
        push_dataset(workspace, "d", str(disk / "remote"))
    number = 1
    failed = 0
    for attempt in range(60):
        name = sorted(TASKS)[attempt % len(TASKS)]
        filler = fill(disk, rng.choice([0, 4096, 20_000, 70_000, 150_000, 400_000]))
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


def test_a_read_only_disk(disk: Path, command: Command) -> None:
    location = disk / "home"
    with Workspace.create(location) as workspace:
        workspace.datasets.write("d", SCHEMA, items(workspace, KEYS, "first"), mode="create")
    with Workspace.open(location) as workspace:
        workspace.datasets.alias("d", "gold", 1)
        files = [path for path in workspace.location.glob("catalog.db*") if not path.name.endswith("-shm")]
        assert len(files) == 2
        unflushed = {path: path.read_bytes() for path in files}
    for path, data in unflushed.items():
        path.write_bytes(data)  # as after a kill: the write-ahead log was not applied to the catalog
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
        assert [issue for issue in doctor(workspace) if issue.level == "error"] == []
    assert command.json("datasets", "show", "d", "-w", location)["items"] == len(KEYS)
    result = command("datasets", "alias", "d@1", "silver", "-w", location)
    assert (result.code, result.err.startswith("Error: ")) == (1, True)
    assert "Traceback" not in result.err
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    assert check(location, 1) == 1
