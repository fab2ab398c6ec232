"""Copies of whole workspaces: equal, made while others write, killed on the way, and moved between databases."""

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
    """Everything in the catalog, but for who is signed in."""
    with workspace.catalog.reading() as session:
        tables = [table for table in Base.metadata.sorted_tables if table.name != SessionRow.__tablename__]
        return {table.name: sorted(map(tuple, session.execute(table.select())), key=repr) for table in tables}


def filled(workspace: Workspace, pictures: Path) -> None:
    import_dataset(workspace, pictures, "harbour")
    workspace.datasets.write("d", SCHEMA, [item("a", 1), item("b", 2)], mode="create", message="first")
    workspace.datasets.alias("d", "good", 1, fixed=True)
    workspace.people.add("ann@example.org", Role.OWNER, "Ann", "correct horse battery")
    workspace.people.sign_in("ann@example.org", "correct horse battery")
    workspace.jobs.add("import", "Import", {"source": {"url": "https://example.org/a.zip"}, "dataset": "x"})


def test_a_copy_is_the_same_and_is_brought_up_to_date(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    filled(workspace, pictures)
    first = back_up(workspace, tmp_path / "copy")
    assert first.files > 10
    assert first.there == 0
    with Workspace.open(tmp_path / "copy") as copy:
        assert copy.id == workspace.id
        assert rows(copy) == rows(workspace)
        assert doctor(copy, deep=True) == []
        version = copy.datasets.open("harbour")
        assert all(len(version.read_media(one["image"])) == one["image"].size for one in version.items())
        with copy.catalog.reading() as session:
            assert session.scalar(select(func.count()).select_from(SessionRow)) == 0, "nobody is signed in there"
    workspace.datasets.write("d", SCHEMA, [item("c", 3)], mode="append")
    workspace.datasets.remove("harbour")
    again = back_up(workspace, tmp_path / "copy")
    assert again.there > 0
    assert 0 < again.files < first.files
    assert again.removed > 0
    assert back_up(workspace, tmp_path / "copy").files == 0
    with Workspace.open(tmp_path / "copy") as copy:
        assert rows(copy) == rows(workspace)
        assert [one for one in doctor(copy, deep=True) if one.level == "error"] == []
        assert copy.datasets.open("d").keys() == ["a", "b", "c"]


def test_what_was_restored_goes_on(workspace: Workspace, pictures: Path, tmp_path: Path) -> None:
    filled(workspace, pictures)
    back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    with Workspace.open(tmp_path / "again") as again:
        goes_on(again, rows(workspace))
    with pytest.raises(ConflictError, match="there is a workspace"):
        restore(tmp_path / "copy", tmp_path / "again")


def goes_on(again: Workspace, expected: dict[str, list[tuple[Any, ...]]]) -> None:
    assert rows(again) == expected
    assert again.datasets.write("d", SCHEMA, [item("z")], mode="append").ref == "d@2"
    assert again.datasets.write("e", SCHEMA, [item("z")], mode="create").ref == "e@1"
    again.people.add("bob@example.org", Role.VIEWER, "Bob", "correct horse battery")
    again.people.note(None, "did", "something")
    assert doctor(again, deep=True) == []


@pytest.mark.slow
def test_a_workspace_moves_to_postgresql_and_back(pictures: Path, tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "home") as workspace:
        filled(workspace, pictures)
        expected = rows(workspace)
        back_up(workspace, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "large", postgresql)
    with Workspace.open(tmp_path / "large") as large:
        assert not large.catalog.is_sqlite
        goes_on(large, expected)
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
        expected = rows(workspace)
        back_up(workspace, tmp_path / "copy")
    moved = restore(tmp_path / "copy", tmp_path / "large", objects=f"{bucket}/labels")
    assert moved.files > 10
    with Workspace.open(tmp_path / "large") as large:
        assert not large.objects.is_local
        assert large.objects.url.startswith(f"{bucket}/labels/")
        assert not any((tmp_path / "large" / ".saccade" / "objects").rglob("*/*"))
        goes_on(large, expected)
        version = large.datasets.open("harbour")
        assert all(len(version.read_media(one["image"])) == one["image"].size for one in version.items())
        after = rows(large)
        back_up(large, tmp_path / "small")
        assert back_up(large, tmp_path / "small").files == 0
    with Workspace.open(tmp_path / "small") as small:
        assert small.objects.is_local
        assert rows(small) == after
        assert doctor(small, deep=True) == []


def test_another_workspace_is_not_written_over(workspace: Workspace, tmp_path: Path) -> None:
    Workspace.create(tmp_path / "other").close()
    with pytest.raises(ConflictError, match="another workspace"):
        back_up(workspace, tmp_path / "other")
    with pytest.raises(WorkspaceError, match="no workspace"):
        restore(tmp_path / "nowhere", tmp_path / "new")


def test_while_others_write(workspace: Workspace, tmp_path: Path) -> None:
    """Each copy is of one moment: it has every version up to one, and all data of those."""
    workspace.datasets.write("d", SCHEMA, [], mode="create")
    ended = threading.Event()

    def write() -> None:
        for number in range(400):
            if ended.is_set():
                return
            workspace.datasets.write("d", SCHEMA, [item(f"k{number}")], mode="append")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        seen = []
        for _ in range(4):
            back_up(workspace, tmp_path / "copy")
            with Workspace.open(tmp_path / "copy") as copy:
                assert [one for one in doctor(copy) if one.level == "error"] == []
                seen.append(len(copy.datasets.log("d")))
                assert len(copy.datasets.open("d").keys()) == seen[-1] - 1
    finally:
        ended.set()
        writer.join()
    assert seen == sorted(seen)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_killed_copy_is_as_it_was(pictures: Path, tmp_path: Path) -> None:
    chance = random.Random(7)
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
            workspace.datasets.write("d", SCHEMA, [item(f"n{number}-{at}") for at in range(300)], mode="append")
            now = rows(workspace)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(chance.uniform(0.2, 1.6))
            process.send_signal(signal.SIGKILL)
            process.wait()
            if not (tmp_path / "copy" / ".saccade" / "workspace.json").exists():
                assert before is None
                continue
            with Workspace.open(tmp_path / "copy") as copy:
                found = rows(copy)
                assert found in (before, now)
                assert [one for one in doctor(copy, deep=True) if one.level == "error"] == []
            before = found
        back_up(workspace, tmp_path / "copy")
    with Workspace.open(tmp_path / "copy") as copy:
        assert rows(copy) == now
        assert doctor(copy, deep=True) == []


def test_at_the_command_line(command: Command, tmp_path: Path) -> None:
    with Workspace.open(command.workspace) as workspace:
        workspace.datasets.write("d", SCHEMA, [item("a")], mode="create")
    made = command.json("backup", str(tmp_path / "copy"), "-w", str(command.workspace))
    assert Path(made["workspace"]) == tmp_path / "copy" / ".saccade"
    assert command.json("backup", str(tmp_path / "copy"), "-w", str(command.workspace))["files"] == 0
    command("restore", str(tmp_path / "copy"), str(tmp_path / "new"))
    assert command.json("datasets", "list", "-w", str(tmp_path / "new"))[0]["name"] == "d"
    command.fails("restore", str(tmp_path / "copy"), str(tmp_path / "new"), code="conflict")
