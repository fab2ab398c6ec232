"""Rollback: a failed or interrupted write leaves no files, and deletes none of another version."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.store.conftest import SCHEMA, item

from saccade.core.class_edits import RenameClass, plan_class_edits
from saccade.core.errors import NotFoundError
from saccade.core.progress import NullProgress
from saccade.core.records.datasets import WriteMode
from saccade.store.datasets.rows import check_head
from saccade.store.datasets.version import DatasetVersion
from saccade.store.maintenance.doctor import doctor
from saccade.store.table import uncommitted
from saccade.store.table.uncommitted import UncommittedFiles
from saccade.store.workspace import Workspace


def _write(workspace: Workspace, mode: WriteMode) -> DatasetVersion:
    return workspace.datasets.write("d", SCHEMA, [item("e")], mode=mode)


def _commit_before_next(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make another commit once, after the next version is written and before it is committed."""
    sync = UncommittedFiles.sync
    calls = []

    def sync_then_commit(files: UncommittedFiles) -> None:
        sync(files)
        calls.append(files)
        if len(calls) == 1:
            workspace.datasets.write("d", SCHEMA, [item("between")], mode="append")

    monkeypatch.setattr(UncommittedFiles, "sync", sync_then_commit)


@pytest.mark.parametrize(
    ("commit", "keys"),
    [
        (lambda workspace: workspace.datasets.restore("d", 3), ["a", "b", "c"]),
        (lambda workspace: workspace.datasets.merge("d@work").version, ["a", "b", "between", "c"]),
        (lambda workspace: _write(workspace, "append"), ["a", "b", "between", "e"]),
        (lambda workspace: _write(workspace, "replace"), ["e"]),
        (lambda workspace: workspace.datasets.delete_items("d", ["b"]), ["a", "between"]),
    ],
    ids=["restore", "merge", "append", "replace", "delete"],
)
def test_a_failed_attempt_deletes_no_file_of_another_version(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    commit: Callable[[Workspace], DatasetVersion],
    keys: list[str],
) -> None:
    """A restore or fast-forward refers to files of an existing version; a failed attempt must not delete them."""
    datasets = workspace.datasets
    datasets.write("d", SCHEMA, [item("a")], mode="create")
    datasets.write("d", SCHEMA, [item("b")], mode="append")
    datasets.branch("d", "work", "main")
    datasets.write("d", SCHEMA, [item("c")], mode="append", branch="work")
    before = {number: list(datasets.open(f"d@{number}").items()) for number in (1, 2, 3)}
    _commit_before_next(workspace, monkeypatch)
    assert commit(workspace).keys() == keys
    assert {number: list(datasets.open(f"d@{number}").items()) for number in before} == before
    assert doctor(workspace) == []


class _Interrupting(NullProgress):
    """Sends this process a real signal at the n-th step."""

    def __init__(self, step: int) -> None:
        self.remaining = step

    def advance(self, count: int = 1, message: str = "") -> None:
        self.remaining -= 1
        if self.remaining == 0:
            signal.raise_signal(signal.SIGINT)


def _files(workspace: Workspace) -> set[Path]:
    folders = ("data", "_deletions", "_versions")
    return {path for folder in folders for path in (workspace.location / "datasets").glob(f"*/{folder}/*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "workspace", ["sqlite"], indirect=True
)  # the files are the same with every catalog and blob store
@pytest.mark.parametrize("operation", ["create", "merge", "replace", "relabel"])
def test_an_interrupt_leaves_no_files(workspace: Workspace, operation: str) -> None:
    """Interrupts while items are read, while Lance writes them, and after that."""
    datasets = workspace.datasets
    items = [item(f"{number:04}") for number in range(3_000)]
    changed = [item(f"{number:04}", 5) for number in range(1, 3_000)]
    datasets.write("d", SCHEMA, items, mode="create")
    before = _files(workspace)
    step = 0

    def commit(progress: NullProgress) -> None:
        if operation == "relabel":
            acts = [RenameClass(name="cell", new_name="nucleus")]
            datasets.relabel("d", lambda schema: plan_class_edits(schema, acts), progress=progress)
        elif operation == "create":
            datasets.write("e", SCHEMA, changed, mode="create", progress=progress)
        else:
            datasets.write("d", SCHEMA, changed, mode="merge" if operation == "merge" else "replace", progress=progress)

    while True:
        step += 1
        progress = _Interrupting(step)
        if _completes(commit, progress):
            break
        assert _files(workspace) == before
        assert doctor(workspace) == []
    assert step > 3
    assert doctor(workspace) == []


def _completes(commit: Callable[[NullProgress], None], progress: _Interrupting) -> bool:
    """Run a commit. Returns whether it completed without an interrupt."""
    try:
        commit(progress)
    except KeyboardInterrupt:
        return False
    assert progress.remaining > 0
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # an interrupt may hit a finalizer
def test_an_interrupt_at_any_moment(tmp_path: Path) -> None:
    """Send signals from another thread, like Ctrl-C: the version is either complete or leaves no files."""
    with Workspace.create(tmp_path / "home") as workspace:
        datasets = workspace.datasets
        items = [item(f"{number:04}") for number in range(3_000)]
        datasets.write("d", SCHEMA, items, mode="create")
        start = time.monotonic()
        datasets.write("d", SCHEMA, [item("0000", 1), *items[1:]], mode="replace")
        duration = time.monotonic() - start
        rng = random.Random(7)
        versions = 2
        interrupted = 0
        for number in range(40):
            delay = rng.uniform(0, duration)
            timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            before = _files(workspace)
            try:
                timer.start()
                datasets.write("d", SCHEMA, [item("0000", number), *items[1:]], mode="replace")
                timer.join()
                time.sleep(0.01)
            except KeyboardInterrupt:
                interrupted += 1
            new_versions = len(datasets.log("d")) - versions
            versions += new_versions
            assert (new_versions == 1) or (_files(workspace) == before)
            assert doctor(workspace) == []
        assert interrupted > 5


def test_a_new_table_is_fsynced_before_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files, with the first manifest of Lance, and the folders that contain them."""
    synced: set[Path] = set()
    monkeypatch.setattr(uncommitted, "fsync_files", synced.update)
    monkeypatch.setattr(uncommitted, "fsync_dir", synced.add)
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
        folder = workspace.location / "datasets"
        paths = {path for path in folder.rglob("*") if path.is_file() or path.suffix == ".lance"} | {folder}
    assert any(path.suffix == ".manifest" for path in paths)
    assert paths <= synced


@pytest.mark.parametrize("operation", ["restore", "merge"])
def test_a_version_of_a_removed_dataset_is_not_committed_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    """Not even if a new dataset has the name by then: version numbers are not reused."""
    datasets = workspace.datasets
    calls = []
    datasets.write("d", SCHEMA, [item("a")], mode="create")
    datasets.branch("d", "work", "main")
    datasets.write("d", SCHEMA, [item("b")], mode="append", branch="work")

    def recreate_then_check(*args: Any) -> None:
        calls.append(args)
        if len(calls) == 1:
            datasets.remove("d")
            datasets.write("d", SCHEMA, [item("new")], mode="create")
        check_head(*args)

    monkeypatch.setattr("saccade.store.datasets.datasets.check_head", recreate_then_check)
    with pytest.raises(NotFoundError):
        datasets.restore("d", 2) if operation == "restore" else datasets.merge("d@2")
    assert [info.number for info in datasets.log("d")] == [3]
    assert datasets.open("d").keys() == ["new"]
    issues = [issue.what for issue in doctor(workspace)]
    assert issues == ([] if operation == "restore" else ["1 orphaned table files."]), (
        "remove() does not delete the table while the merge holds the lock"
    )
