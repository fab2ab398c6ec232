"""Doctor finds what is wrong, and removes only what nobody needs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import update
from tests.contract.reader_contract import CONTRACT_CONTENT, CONTRACT_SCHEMA, contract_items
from tests.store.conftest import SCHEMA, item

from saccade.store.catalog.tables import VersionRow
from saccade.store.io.process import host_name
from saccade.store.maintenance.doctor import Problem, doctor, relink_files
from saccade.store.workspace import Workspace


@pytest.fixture
def filled(workspace: Workspace) -> Workspace:
    for content in CONTRACT_CONTENT.values():
        workspace.objects.put_bytes(content)
    workspace.datasets.write("media", CONTRACT_SCHEMA, contract_items(), mode="create")
    workspace.datasets.write("d", SCHEMA, [item("a"), item("b")], mode="create")
    workspace.datasets.write("d", SCHEMA, [item("a", 1)], mode="merge")
    workspace.datasets.delete_items("d", ["b"])
    workspace.models.add("m", files={"w": b"weights"}, manifest={}, metrics={})
    workspace.evaluations.add("m", "d", "val", "boxes", {}, b"<html>")
    return workspace


def words(problems: list[Problem]) -> str:
    return "\n".join(problem.what for problem in problems)


def table_of(workspace: Workspace, ref: str) -> Path:
    return workspace.datasets.open(ref).snapshot.folder


def test_a_sound_workspace_has_no_problems(filled: Workspace) -> None:
    assert doctor(filled, deep=True) == []


def test_lost_and_damaged_objects_are_found(filled: Workspace) -> None:
    image = next(iter(CONTRACT_CONTENT))
    filled.objects.remove(image)
    damaged = filled.models.open("m").files["w"]
    filled.objects._fs.pipe_file(filled.objects._name(damaged), b"WEIGHTS")
    shallow, deep = doctor(filled), doctor(filled, deep=True)
    assert words(shallow) == f"An object that media@1 needs is missing: {image}."
    assert "An object that m@1 needs is damaged" in words(deep)
    assert {problem.level for problem in deep} == {"error"}


def test_a_lost_table_is_found_and_nothing_is_removed_then(filled: Workspace) -> None:
    folder = table_of(filled, "d@1")
    (folder / "data" / "rubbish.lance").write_bytes(b"x")
    next((folder / "_versions").glob("1844*")).unlink()
    found = doctor(filled, repair=True)
    assert "d@1 cannot be read" in words(found)
    assert (folder / "data" / "rubbish.lance").exists()


def test_a_wrong_count_is_found(filled: Workspace) -> None:
    with filled.catalog.writing() as session:
        session.execute(update(VersionRow).where(VersionRow.items == 3).values(items=4))
    assert words(doctor(filled)) == "media@1 has 3 items where the catalog says 4."


def test_what_killed_writers_left_is_removed(filled: Workspace) -> None:
    before = {path for path in filled.location.rglob("*") if path.is_file()}
    folder = table_of(filled, "d")
    litter = [
        folder / "data" / "orphan.lance",
        folder / "_versions" / "d123.manifest",
        folder / "_deletions" / "0-1-2.arrow",
        filled.location / "datasets" / "nobody.lance" / "data" / "x.lance",
        filled.location / "tmp" / f"{host_name()}~999999999~1" / "part",
    ]
    for path in litter:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    found = doctor(filled)
    assert [problem.repaired for problem in found] == [False, False]
    assert all(path.exists() for path in litter)
    assert [problem.repaired for problem in doctor(filled, repair=True)] == [True, True]
    assert doctor(filled, deep=True) == []
    assert {path for path in filled.location.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("owner", ["this process", "another-host~1~1"])
def test_the_work_of_a_writer_that_goes_on_is_left_alone(filled: Workspace, owner: str) -> None:
    orphan = table_of(filled, "d") / "data" / "orphan.lance"
    orphan.write_bytes(b"x")
    busy = filled.scratch.folder if owner == "this process" else filled.location / "tmp" / owner
    (busy / "write").mkdir(parents=True)
    assert doctor(filled, repair=True) == []
    assert orphan.exists()
    (busy / "write").rmdir()
    assert len(doctor(filled, repair=True)) == 1
    assert not orphan.exists()


def test_folders_of_runs_that_never_began(filled: Workspace) -> None:
    begun = filled.runs.start("train", "a", {})
    lost = filled.location / "runs" / "lost"
    lost.mkdir()
    assert doctor(filled) == [], "it may just be beginning"
    os.utime(lost, (1, 1))
    os.utime(begun.folder, (1, 1))
    assert len(doctor(filled, repair=True)) == 1
    assert not lost.exists()
    assert begun.folder.exists()


def test_rows_that_refer_to_nothing_are_found(filled: Workspace) -> None:
    if not filled.catalog.is_sqlite:
        pytest.skip("PostgreSQL never lets them be")
    with filled.catalog.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("DELETE FROM models")
        connection.commit()
    filled.catalog.close()
    assert "refer to rows that are not there" in words(doctor(filled))


def test_linked_files_with_odd_names_are_there(tmp_path: Path) -> None:
    """A URI has '%20' where the name has a space; and '::' in a name is no chain of file systems."""
    from PIL import Image

    from saccade.app.ingest.importing import import_dataset
    from saccade.media.loader import read_image

    folder = tmp_path / "100% ünïcode"
    folder.mkdir()
    for at, name in enumerate(["a b.png", "c%20d.png", "日本.png", "x::y.png", "#1?.png"]):
        Image.new("RGB", (8 + at, 8)).save(folder / name)
    with Workspace.create(tmp_path / "home") as workspace:
        version = import_dataset(workspace, folder, "odd", link=True).version
        assert len(version) == 5
        for item in version.items():
            assert read_image(version, item["image"]).shape[1] == item["image"].width
            with version.open_media(item["image"]) as file:
                assert len(file.read()) == item["image"].size
        assert doctor(workspace, deep=True) == []
        moved = tmp_path / "elsewhere: now"
        folder.rename(moved)
        assert doctor(workspace) != []
        assert len(relink_files(workspace, moved).found) == 5
        assert doctor(workspace, deep=True) == []
