"""A lost, damaged or outdated catalog: nothing is deleted, and the catalog is restored from its copies."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.command import Command

from saccade.core.errors import ConflictError, WorkspaceError
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.catalog.copies import CatalogCopies, is_intact
from saccade.store.catalog.identity import accept_catalog
from saccade.store.maintenance.backup import back_up
from saccade.store.maintenance.catalog_recovery import restore_catalog
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("note", Kind.TEXT),))


def write_version(workspace: Workspace, key: str) -> None:
    workspace.datasets.write("streets", SCHEMA, [Item(key, {"note": key})], mode="append")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a workspace with one dataset, one blob and one copy of the catalog."""
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("streets", SCHEMA, [Item("a", {"note": "a"})], mode="create")
        workspace.models.add("detector", manifest={}, metrics={}, files={"weights": b"weights"})
    return tmp_path / ".saccade"


def delete_catalog(folder: Path) -> None:
    for path in folder.glob("catalog.db*"):
        path.unlink()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for name in ("objects", "datasets") for path in (folder / name).rglob("*")}


def lose_by_deleting(folder: Path) -> None:
    delete_catalog(folder)


def lose_by_truncating(folder: Path) -> None:
    delete_catalog(folder)
    (folder / "catalog.db").touch()


def lose_by_an_empty_database(folder: Path) -> None:
    delete_catalog(folder)
    sqlite3.connect(folder / "catalog.db").execute("CREATE TABLE something (id INTEGER)").connection.close()


@pytest.mark.parametrize("lose", [lose_by_deleting, lose_by_truncating, lose_by_an_empty_database])
def test_lost_catalog_is_restored_from_its_copy(
    folder: Path, lose: Callable[[Path], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = Command(capsys, monkeypatch, folder.parent)
    before = files_of(folder)
    lose(folder)
    for arguments in (["doctor", "--repair"], ["gc"], ["backup", str(folder.parent / "backup")], ["datasets", "list"]):
        result = command(*arguments)
        assert result.code == 1
        assert "saccade doctor --restore-catalog" in result.text
    assert files_of(folder) == before
    assert not (folder.parent / "backup").exists()
    result = command("doctor", "--restore-catalog")
    assert "restored from a copy" in result.text
    with Workspace.open(folder) as workspace:
        assert len(workspace.datasets.open("streets")) == 1
        assert [model.name for model in workspace.models.list()] == ["detector"]


def test_opening_does_not_create_a_catalog(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        workspace.catalog.close()  # closes the connections, so that the next statement opens a new one
        delete_catalog(folder)
        with pytest.raises(WorkspaceError):
            workspace.datasets.list()
    assert not (folder / "catalog.db").exists()


def test_new_empty_catalog_is_refused(folder: Path, tmp_path: Path) -> None:
    """Version 0.1.0 created a new catalog where it was lost."""
    other = Workspace.create(tmp_path / "other")
    other.close()
    delete_catalog(folder)
    shutil.copyfile(other.location / "catalog.db", folder / "catalog.db")
    with pytest.raises(WorkspaceError, match="belongs to another workspace"):
        Workspace.open(folder)
    with sqlite3.connect(folder / "catalog.db") as connection:
        connection.execute("DELETE FROM catalog_info")
    connection.close()
    with pytest.raises(WorkspaceError, match="The catalog is empty"):
        Workspace.open(folder)
    restore_catalog(folder)
    Workspace.open(folder).close()


def test_nothing_is_deleted_after_a_restore_until_it_is_accepted(folder: Path, tmp_path: Path) -> None:
    with Workspace.open(folder) as workspace:
        write_version(workspace, "b")  # in no copy, because the last one was made a moment ago
    before = files_of(folder)
    delete_catalog(folder)
    restore_catalog(folder)
    with Workspace.open(folder) as workspace:
        issues = doctor(workspace, repair=True)
        assert any("restored from a copy" in issue.what and "--accept-catalog" in issue.hint for issue in issues)
        assert not any(issue.repaired for issue in issues)
        with pytest.raises(WorkspaceError, match="restored from a copy"):
            collect_garbage(workspace)
        with pytest.raises(WorkspaceError, match="restored from a copy"):
            back_up(workspace, tmp_path / "backup")
        assert files_of(folder) >= before
        assert workspace.catalog_copies is not None
        accept_catalog(workspace.catalog, workspace.catalog_copies)
        assert any(issue.repaired for issue in doctor(workspace, repair=True))
        collect_garbage(workspace)
        assert len(workspace.datasets.open("streets")) == 1


def test_older_catalog_is_recognised(folder: Path, tmp_path: Path) -> None:
    with Workspace.open(folder) as workspace:
        back_up(workspace, tmp_path / "backup")
    old_catalog = (folder / "catalog.db").read_bytes()
    with Workspace.open(folder) as workspace:
        write_version(workspace, "b")
        assert workspace.catalog_copies is not None
        assert workspace.catalog_copies.add() is not None
        back_up(workspace, tmp_path / "backup")
    delete_catalog(folder)
    (folder / "catalog.db").write_bytes(old_catalog)
    with Workspace.open(folder) as workspace:
        with pytest.raises(WorkspaceError, match="older than its copy"):
            collect_garbage(workspace)
        with pytest.raises(WorkspaceError, match="older than its copy"):
            back_up(workspace, tmp_path / "backup")
        assert workspace.catalog_copies is not None
        assert workspace.catalog_copies.add() is None, "an older catalog must not replace newer copies"
        for copy in workspace.catalog_copies.list():
            copy.path.unlink()
        with pytest.raises(ConflictError, match="newer than the workspace"):
            back_up(workspace, tmp_path / "backup")
    with Workspace.open(tmp_path / "backup") as backup:
        assert len(backup.datasets.open("streets")) == 2


def test_older_catalog_can_be_replaced_by_its_copy(folder: Path) -> None:
    old_catalog = (folder / "catalog.db").read_bytes()
    with Workspace.open(folder) as workspace:
        write_version(workspace, "b")
        assert workspace.catalog_copies is not None
        workspace.catalog_copies.add()
    delete_catalog(folder)
    (folder / "catalog.db").write_bytes(old_catalog)
    result = restore_catalog(folder)
    assert result.previous_files is not None
    assert (result.previous_files / "catalog.db").read_bytes() == old_catalog
    with Workspace.open(folder) as workspace:
        assert len(workspace.datasets.open("streets")) == 2


def test_intact_catalog_is_not_replaced(folder: Path) -> None:
    with pytest.raises(ConflictError, match="intact"):
        restore_catalog(folder)


def test_damaged_copies_are_passed_over(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        write_version(workspace, "b")
        assert workspace.catalog_copies is not None
        newest = workspace.catalog_copies.add()
    assert newest is not None
    newest.path.write_bytes(newest.path.read_bytes()[:5000])
    assert not is_intact(newest.path)
    delete_catalog(folder)
    assert restore_catalog(folder).copy.number < newest.number
    for path in (folder / "catalog-copies").glob("catalog-*"):
        path.unlink()
    delete_catalog(folder)
    with pytest.raises(WorkspaceError, match="no intact copy"):
        restore_catalog(folder)


def test_a_copy_is_made_when_it_is_due(folder: Path) -> None:
    with Workspace.open(folder) as workspace:
        copies = workspace.catalog_copies
        assert copies is not None
        (copy,) = copies.list()
        write_version(workspace, "b")
    assert copies.list() == [copy], "the last one was made a moment ago"
    long_ago = time.time() - 3600
    os.utime(copy.path, (long_ago, long_ago))
    with Workspace.open(folder) as workspace:
        write_version(workspace, "c")
    newest = copies.list()[0]
    assert newest.number == copy.number + 1
    assert is_intact(newest.path)
    assert [path.name for path in copies.folder.iterdir() if path.name.startswith(".")] == []


def test_recent_and_daily_copies_are_kept(folder: Path) -> None:
    copies = CatalogCopies(folder / "catalog.db", folder / "catalog-copies")
    (first,) = copies.list()
    start = datetime(2026, 3, 1, 12, tzinfo=UTC)
    with sqlite3.connect(folder / "catalog.db") as connection:
        connection.execute("UPDATE catalog_info SET copies = 100")
    connection.close()
    for number in range(2, 62):  # one every six hours, for 15 days
        created = start + timedelta(hours=6 * number)
        shutil.copyfile(first.path, copies.folder / f"catalog-{number:08}-{created:%Y%m%dT%H%M%SZ}.db")
    copies.add()
    kept = copies.list()
    assert [copy.number for copy in kept[:3]] == [101, 61, 60]
    assert len(kept) == 10
    days = [copy.created.date() for copy in kept[3:]]
    assert days == [days[0] - timedelta(days=offset) for offset in range(7)]


def test_backup_in_another_place_goes_on(folder: Path, tmp_path: Path) -> None:
    with Workspace.open(folder) as workspace:
        back_up(workspace, tmp_path / "backup")
        write_version(workspace, "b")
        back_up(workspace, tmp_path / "backup")
    with Workspace.open(tmp_path / "backup") as backup:
        assert len(backup.datasets.open("streets")) == 2
        collect_garbage(backup)
