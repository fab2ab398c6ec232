"""What is written for a version that does not come to be: gone, and nothing else with it."""

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

from saccade.core.class_edits import RenameClass, plan_classes
from saccade.core.errors import NotFoundError
from saccade.core.progress import Silent
from saccade.store.datasets.datasets import Mode
from saccade.store.datasets.rows import check_head
from saccade.store.datasets.version import DatasetVersion
from saccade.store.maintenance.doctor import doctor
from saccade.store.table import uncommitted
from saccade.store.table.uncommitted import Written
from saccade.store.workspace import Workspace


def _written(workspace: Workspace, mode: Mode) -> DatasetVersion:
    return workspace.datasets.write("d", SCHEMA, [item("e")], mode=mode)


def _somebody_writes_in_between(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, after the next version is written and before it is committed."""
    sync, times = Written.sync, []

    def before_the_commit(written: Written) -> None:
        sync(written)
        times.append(written)
        if len(times) == 1:
            workspace.datasets.write("d", SCHEMA, [item("between")], mode="append")

    monkeypatch.setattr(Written, "sync", before_the_commit)


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda workspace: workspace.datasets.restore("d", 3), ["a", "b", "c"]),
        (lambda workspace: workspace.datasets.merge("d@work").version, ["a", "b", "between", "c"]),
        (lambda workspace: _written(workspace, "append"), ["a", "b", "between", "e"]),
        (lambda workspace: _written(workspace, "replace"), ["e"]),
        (lambda workspace: workspace.datasets.delete_items("d", ["b"]), ["a", "between"]),
    ],
    ids=["restore", "merge", "append", "replace", "delete"],
)
def test_whoever_comes_second_takes_nothing_of_a_version_away(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Workspace], DatasetVersion],
    keys: list[str],
) -> None:
    """What a restored or merged version is made of belongs to that version, and is no attempt's to remove."""
    datasets = workspace.datasets
    datasets.write("d", SCHEMA, [item("a")], mode="create")
    datasets.write("d", SCHEMA, [item("b")], mode="append")
    datasets.branch("d", "work", "main")
    datasets.write("d", SCHEMA, [item("c")], mode="append", branch="work")
    before = {number: list(datasets.open(f"d@{number}").items()) for number in (1, 2, 3)}
    _somebody_writes_in_between(workspace, monkeypatch)
    assert make(workspace).keys() == keys
    assert {number: list(datasets.open(f"d@{number}").items()) for number in before} == before
    assert doctor(workspace) == []


class _Interrupting(Silent):
    """Sends this process a real signal after so many steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, count: int = 1, note: str = "") -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


def _files(workspace: Workspace) -> set[Path]:
    parts = ("data", "_deletions", "_versions")
    return {path for part in parts for path in (workspace.location / "datasets").glob(f"*/{part}/*")}


@pytest.mark.slow
@pytest.mark.parametrize("workspace", ["sqlite"], indirect=True)  # what is written is the same with all
@pytest.mark.parametrize("what", ["create", "merge", "replace", "relabel"])
def test_an_interrupt_leaves_nothing_of_a_version(workspace: Workspace, what: str) -> None:
    """Wherever it comes: while items are read, while Lance writes what was read, after that."""
    datasets = workspace.datasets
    items = [item(f"{number:04}") for number in range(3_000)]
    changed = [item(f"{number:04}", 5) for number in range(1, 3_000)]
    datasets.write("d", SCHEMA, items, mode="create")
    before, steps = _files(workspace), 0

    def make(progress: Silent) -> None:
        if what == "relabel":
            acts = [RenameClass(name="cell", to="nucleus")]
            datasets.relabel("d", lambda schema: plan_classes(schema, acts), progress=progress)
        elif what == "create":
            datasets.write("e", SCHEMA, changed, mode="create", progress=progress)
        else:
            datasets.write("d", SCHEMA, changed, mode="merge" if what == "merge" else "replace", progress=progress)

    while True:
        steps += 1
        progress = _Interrupting(steps)
        if _is_made(make, progress):
            break
        assert _files(workspace) == before
        assert doctor(workspace) == []
    assert steps > 3
    assert doctor(workspace) == []


def _is_made(make: Callable[[Silent], None], progress: _Interrupting) -> bool:
    """Whether something was made without having been interrupted."""
    try:
        make(progress)
    except KeyboardInterrupt:
        return False
    assert progress.left > 0
    return True


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # lost where Python collects rubbish
def test_an_interrupt_at_any_moment(tmp_path: Path) -> None:
    """From another thread, as Ctrl-C comes: there is a version with everything, or there is nothing of it."""
    with Workspace.create(tmp_path / "home") as workspace:
        datasets = workspace.datasets
        items = [item(f"{number:04}") for number in range(3_000)]
        datasets.write("d", SCHEMA, items, mode="create")
        began = time.monotonic()
        datasets.write("d", SCHEMA, [item("0000", 1), *items[1:]], mode="replace")
        took = time.monotonic() - began
        chance, versions, interrupted = random.Random(7), 2, 0
        for number in range(40):
            delay = chance.uniform(0, took)
            sent = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
            before = _files(workspace)
            try:
                sent.start()
                datasets.write("d", SCHEMA, [item("0000", number), *items[1:]], mode="replace")
                sent.join()
                time.sleep(0.01)
            except KeyboardInterrupt:
                interrupted += 1
            made = len(datasets.log("d")) - versions
            versions += made
            assert (made == 1) or (_files(workspace) == before)
            assert doctor(workspace) == []
        assert interrupted > 5


def test_all_of_a_new_table_is_on_the_disk_before_anybody_knows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the manifest that Lance itself begins a table with, and the folders that name them."""
    synced: set[Path] = set()
    monkeypatch.setattr(uncommitted, "sync_files", synced.update)
    monkeypatch.setattr(uncommitted, "sync_folder", synced.add)
    with Workspace.create(tmp_path / "home") as workspace:
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
        home = workspace.location / "datasets"
        there = {path for path in home.rglob("*") if path.is_file() or path.suffix == ".lance"} | {home}
    assert any(path.suffix == ".manifest" for path in there)
    assert there <= synced


@pytest.mark.parametrize("what", ["restore", "merge"])
def test_a_version_of_a_dataset_that_was_removed_is_not_taken_up(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Also where there is another dataset of that name by then: its versions have other numbers."""
    datasets, times = workspace.datasets, []
    datasets.write("d", SCHEMA, [item("a")], mode="create")
    datasets.branch("d", "work", "main")
    datasets.write("d", SCHEMA, [item("b")], mode="append", branch="work")

    def after_somebody_began_anew(*given: Any) -> None:
        times.append(given)
        if len(times) == 1:
            datasets.remove("d")
            datasets.write("d", SCHEMA, [item("new")], mode="create")
        check_head(*given)

    monkeypatch.setattr("saccade.store.datasets.datasets.check_head", after_somebody_began_anew)
    with pytest.raises(NotFoundError):
        datasets.restore("d", 2) if what == "restore" else datasets.merge("d@2")
    assert [info.number for info in datasets.log("d")] == [3]
    assert datasets.open("d").keys() == ["new"]
    found = [problem.what for problem in doctor(workspace)]
    assert found == ([] if what == "restore" else ["1 pieces of table data that no version needs."]), (
        "a merge was at work"
    )
