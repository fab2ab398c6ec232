"""Backups: complete, taken during writes, killed at any moment, and moved between databases."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.store.conftest import SCHEMA, item
from tests.support.command import Command

from saccade.app.ingest.importing import import_dataset
from saccade.core.errors import ConflictError, WorkspaceError
from saccade.core.roles import Role
from saccade.store.catalog.tables import Base, SessionRow
from saccade.store.maintenance.backup import back_up, restore
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "4"))

pytestmark = pytest.mark.slow


def rows(workspace: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the catalog except sessions."""
    with workspace.catalog.read_tx() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name != SessionRow.__tablename__]
        return {table.name: sorted(map(tuple, session.execute(table.select())), key=repr) for table in tables}


def filled(workspace: Workspace, pictures: Path) -> None:
    import_dataset(workspace, pictures, "harbour")
    workspace.datasets.write("d", SCHEMA, [item("a", 1), item("b", 2)], mode="create", message="first")
    workspace.datasets.alias("d", "good", 1, fixed=True)
    workspace.users.add("ann@example.org", Role.OWNER, "Ann", "correct horse battery")
    workspace.users.sign_in("ann@example.org", "correct horse battery")
    workspace.jobs.add("import", "Import", {"source": {"url": "https://example.org/a.zip"}, "dataset": "x"})


def test_a_backup_is_complete_and_updated_incrementally(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    filled(workspace, pictures)
    first = back_up(workspace, tmp_path / "copy")
    assert first.files > 10
    assert first.unchanged == 0
    with Workspace.open(tmp_path / "copy") as copy:
        assert copy.id == workspace.id
        assert rows(copy) == rows(workspace)
        assert doctor(copy, deep=True) == []
        version = copy.datasets.open("harbour")
        assert all(len(version.read_media(item["image"])) == item["image"].size for item in version.items())
        with copy.catalog.read_tx() as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == 0, "a backup has no sessions"
    workspace.datasets.write("d", SCHEMA, [item("c", 3)], mode="append")
    workspace.datasets.remove("harbour")
    second = back_up(workspace, tmp_path / "copy")
    assert second.unchanged > 0
    assert 0 < second.files < first.files
    assert second.removed > 0
    assert back_up(workspace, tmp_path / "copy").files == 0
    with Workspace.open(tmp_path / "copy") as copy:
        assert rows(copy) == rows(workspace)
        assert [issue for issue in doctor(copy, deep=True) if issue.level == "error"] == []
        assert copy.datasets.open("d").keys() == ["a", "b", "c"]


def test_a_restored_workspace_can_be_used(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    filled(workspace, pictures)
    back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "restored")
    with Workspace.open(tmp_path / "restored") as restored:
        check_usable(restored, rows(workspace))
    with pytest.raises(ConflictError, match="already contains a workspace"):
        restore(tmp_path / "copy", tmp_path / "restored")


def check_usable(restored: Workspace, expected: dict[str, list[tuple[Any, ...]]]) -> None:
    assert rows(restored) == expected
    assert restored.datasets.write("d", SCHEMA, [item("z")], mode="append").ref == "d@2"
    assert restored.datasets.write("e", SCHEMA, [item("z")], mode="create").ref == "e@1"
    restored.users.add("bob@example.org", Role.VIEWER, "Bob", "correct horse battery")
    restored.users.record_audit(None, "did", "something")
    assert doctor(restored, deep=True) == []


@pytest.mark.slow
def test_a_workspace_moves_to_postgresql_and_back(pictures: Path, tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        filled(workspace, pictures)
        expected = rows(workspace)
        back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "large", postgresql)
    with Workspace.open(tmp_path / "large") as large:
        assert not large.catalog.is_sqlite
        check_usable(large, expected)
        after = rows(large)
        back_up(large, tmp_path / "small")
    with pytest.raises(ConflictError, match="not empty"):
        restore(tmp_path / "copy", tmp_path / "other", postgresql)
    with Workspace.open(tmp_path / "small") as small:
        assert small.catalog.is_sqlite
        assert rows(small) == after
        assert doctor(small, deep=True) == []


@pytest.mark.slow
def test_a_workspace_moves_to_s3_and_back(pictures: Path, tmp_path: Path, bucket: str) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        filled(workspace, pictures)
        original_id, expected = workspace.id, rows(workspace)
        back_up(workspace, tmp_path / "copy")
    moved = restore(tmp_path / "copy", tmp_path / "large", objects=f"{bucket}/labels")
    assert moved.files > 10
    with Workspace.open(tmp_path / "large") as large:
        assert not large.blobs.is_local
        # Its blobs have a folder of their own in the bucket, which is named by the id of the workspace.
        assert large.id != original_id
        expected["catalog_info"] = [(1, large.id, 0, None)]
        assert large.blobs.url.startswith(f"{bucket}/labels/")
        assert not any((tmp_path / "large" / ".saccade" / "objects").rglob("*/*"))
        check_usable(large, expected)
        version = large.datasets.open("harbour")
        assert all(len(version.read_media(item["image"])) == item["image"].size for item in version.items())
        after = rows(large)
        back_up(large, tmp_path / "small")
        assert back_up(large, tmp_path / "small").files == 0
    with Workspace.open(tmp_path / "small") as small:
        assert small.blobs.is_local
        assert rows(small) == after
        assert doctor(small, deep=True) == []


def test_another_workspace_is_not_overwritten(workspace: Workspace, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "other").close()
    with pytest.raises(ConflictError, match="another workspace"):
        back_up(workspace, tmp_path / "other")
    with pytest.raises(WorkspaceError, match="no workspace"):
        restore(tmp_path / "nowhere", tmp_path / "new")


def test_a_backup_during_writes_is_consistent(workspace: Workspace, tmp_path: Path) -> None:
    """Each backup has all versions up to some number, with all their data."""
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    stop = threading.Event()

    def write() -> None:
        for number in range(400):
            if stop.is_set():
                return
            workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="append")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        version_counts = []
        for _ in range(4):
            back_up(workspace, tmp_path / "copy")
            with Workspace.open(tmp_path / "copy") as copy:
                assert [issue for issue in doctor(copy) if issue.level == "error"] == []
                version_counts.append(len(copy.datasets.log("d")))
                assert len(copy.datasets.open("d").keys()) == version_counts[-1] - 1
    finally:
        stop.set()
        writer.join()
    assert version_counts == sorted(version_counts)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_backup_keeps_the_previous_state(pictures: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    command = [
        sys.executable,
        "-m",
        "saccade",
        "backup",
        str(tmp_path / "copy"),
        "-w",
        str(tmp_path / "home"),
        "--json",
    ]
    with Workspace.create(tmp_path / "home") as workspace:
        filled(workspace, pictures)
        before: dict[str, list[tuple[Any, ...]]] | None = None
        for number in range(KILLS):
            workspace.datasets.write("d", SCHEMA, [item(f"n{number}-{index}") for index in range(300)], mode="append")
            current = rows(workspace)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0.2, 1.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if not (tmp_path / "copy" / ".saccade" / "workspace.json").exists():
                assert before is None
                continue
            with Workspace.open(tmp_path / "copy") as copy:
                copied = rows(copy)
                assert copied in (before, current)
                assert [issue for issue in doctor(copy, deep=True) if issue.level == "error"] == []
            before = copied
        back_up(workspace, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        assert rows(copy) == current
        assert doctor(copy, deep=True) == []


def test_the_backup_and_restore_commands(command: Command, tmp_path: Path) -> None:
    with Workspace.open(command.workspace) as workspace:
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    result = command.json("backup", str(tmp_path / "copy"), "-w", str(command.workspace))
    assert Path(result["workspace"]) == tmp_path / "copy" / ".saccade"
    assert command.json("backup", str(tmp_path / "copy"), "-w", str(command.workspace))["files"] == 0
    command("restore", str(tmp_path / "copy"), str(tmp_path / "new"))
    assert command.json("datasets", "list", "-w", str(tmp_path / "new"))[0]["name"] == "d"
    command.fails("restore", str(tmp_path / "copy"), str(tmp_path / "new"), code="conflict")
