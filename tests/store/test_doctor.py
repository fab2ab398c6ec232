"""Doctor finds problems, and deletes only orphans."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.contract.reader_contract import CONTRACT_CONTENT, CONTRACT_SCHEMA, contract_items
from tests.store.conftest import SCHEMA, item

from saccade.runtime.process import host_name
from saccade.store.catalog.tables import VersionRow
from saccade.store.maintenance.doctor import Issue, doctor, relocate_files
from saccade.store.workspace import Workspace


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    for content in CONTRACT_CONTENT.values():
        workspace.blobs.put_bytes(content)
    workspace.datasets.write("media", CONTRACT_SCHEMA, contract_items(), mode="create")
    workspace.datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create")
    workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="merge")
    workspace.datasets.delete_items("d", ["b"])
    workspace.models.add("m", files={"w": b"weights"}, manifest={}, metrics={})
    workspace.evaluations.add("m", "d", "val", "boxes", {}, b"<html>")
    return workspace


def messages(issues: list[Issue]) -> str:
    return "\n".join(issue.what for issue in issues)


def table_of(workspace: Workspace, ref: str) -> Path:
    return workspace.datasets.open(ref).snapshot.folder


def test_an_intact_workspace_has_no_issues(filled: Workspace) -> None:
    assert doctor(filled, deep=True) == []


def test_missing_and_damaged_blobs_are_found(filled: Workspace) -> None:
    image = next(iter(CONTRACT_CONTENT))
    filled.blobs.delete(image)
    damaged = filled.models.open("m").files["w"]
    filled.blobs._fs.pipe_file(filled.blobs._name(damaged), b"WEIGHTS")
    shallow, deep = doctor(filled), doctor(filled, deep=True)
    assert messages(shallow) == f"A blob of media@1 is missing: {image}."
    assert "A blob of m@1 is damaged" in messages(deep)
    assert {issue.level for issue in deep} == {"error"}


def test_with_a_missing_table_nothing_is_deleted(filled: Workspace) -> None:
    folder = table_of(filled, "d@1")
    (folder / "data" / "orphan.lance").write_bytes(b"x")
    next((folder / "_versions").glob("1844*")).unlink()
    issues = doctor(filled, repair=True)
    assert "d@1 cannot be read" in messages(issues)
    assert (folder / "data" / "orphan.lance").exists()


def test_a_wrong_item_count_is_found(filled: Workspace) -> None:
    with filled.catalog.write_tx() as session:
        session.execute(update(VersionRow).where(VersionRow.items == 3).values(items=4))
    assert messages(doctor(filled)) == "media@1 has 3 items, but the catalog says 4."


def test_orphans_of_killed_writers_are_deleted(filled: Workspace) -> None:
    before = {path for path in filled.location.rglob("*") if path.is_file()}
    folder = table_of(filled, "d")
    orphans = [
        folder / "data" / "orphan.lance",
        folder / "_versions" / "d123.manifest",
        folder / "_deletions" / "0-1-2.arrow",
        filled.location / "datasets" / "unknown.lance" / "data" / "x.lance",
        filled.location / "tmp" / f"{host_name()}~999999999~1" / "part",
    ]
    for path in orphans:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    issues = doctor(filled)
    assert [issue.repaired for issue in issues] == [False, False]
    assert all(path.exists() for path in orphans)
    assert [issue.repaired for issue in doctor(filled, repair=True)] == [True, True]
    assert doctor(filled, deep=True) == []
    assert {path for path in filled.location.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("owner", ["this process", "another-host~1~1"])
def test_files_of_a_running_writer_are_not_deleted(filled: Workspace, owner: str) -> None:
    orphan = table_of(filled, "d") / "data" / "orphan.lance"
    orphan.write_bytes(b"x")
    scratch_folder = filled.scratch.folder if owner == "this process" else filled.location / "tmp" / owner
    (scratch_folder / "write").mkdir(parents=True)
    assert doctor(filled, repair=True) == []
    assert orphan.exists()
    (scratch_folder / "write").rmdir()
    assert len(doctor(filled, repair=True)) == 1
    assert not orphan.exists()


def test_empty_folders_of_runs_that_never_started_are_deleted(filled: Workspace) -> None:
    run = filled.runs.start("train", "a", {})
    folder = filled.location / "runs" / "unknown"
    folder.mkdir()
    assert doctor(filled) == [], "the run may just be starting"
    os.utime(folder, (1, 1))
    os.utime(run.folder, (1, 1))
    assert len(doctor(filled, repair=True)) == 1
    assert not folder.exists()
    assert run.folder.exists()


def test_foreign_key_violations_are_found(filled: Workspace) -> None:
    if not filled.catalog.is_sqlite:
        pytest.skip("PostgreSQL does not allow them")
    with filled.catalog.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("DELETE FROM models")
        connection.commit()
    filled.catalog.close()
    assert "refer to missing rows" in messages(doctor(filled))


def test_linked_files_with_unusual_names_are_found(tmp_path: Path) -> None:
    """Names with spaces, '%20' and '::', which fsspec would take for a chain of file systems."""
    from PIL import Image

    from saccade.app.ingest.importing import import_dataset
    from saccade.media.loader import read_image

    folder = tmp_path / "100% ünïcode"
    folder.mkdir()
    for index, name in enumerate(["a b.png", "c%20d.png", "日本.png", "x::y.png", "#1?.png"]):
        Image.new("RGB", (8 + index, 8)).save(folder / name)
    with Workspace.create(tmp_path / "home") as workspace:
        version = import_dataset(workspace, folder, "odd", link=True).version
        assert len(version) == 5
        for item in version.items():
            assert read_image(version, item["image"]).shape[1] == item["image"].width
            with version.open_media(item["image"]) as file:
                assert len(file.read()) == item["image"].size
        assert doctor(workspace, deep=True) == []
        moved = tmp_path / "new: folder"
        folder.rename(moved)
        assert doctor(workspace) != []
        assert len(relocate_files(workspace, moved).found) == 5
        assert doctor(workspace, deep=True) == []
