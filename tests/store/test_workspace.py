"""Making, opening and finding workspaces."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from saccade.core.errors import InvalidValueError, WorkspaceError
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.catalog.migrations import HEAD
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace


def test_everything_is_in_one_folder_and_making_it_again_opens_it(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as made:
        facts = (tmp_path / ".saccade" / "workspace.json").read_text()
        assert made.location == tmp_path / ".saccade"
    assert [path.name for path in tmp_path.iterdir()] == [".saccade"]
    Workspace.create(str(tmp_path)).close()
    assert (tmp_path / ".saccade" / "workspace.json").read_text() == facts


@pytest.mark.parametrize("inside", [False, True])
def test_open_takes_the_folder_or_the_one_that_holds_it(tmp_path: Path, inside: bool) -> None:
    Workspace.create(tmp_path).close()
    with Workspace.open(tmp_path / ".saccade" if inside else tmp_path) as found:
        assert found.datasets.list() == []


def test_a_workspace_that_was_half_made_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / ".saccade" / "objects").mkdir(parents=True)
    (tmp_path / ".saccade" / "catalog.db").touch()
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path)
    with Workspace.create(tmp_path) as made:
        assert made.models.list() == []


def test_missing_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path / "file")


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "deeper", Path("/proc/saccade")):
        with pytest.raises(WorkspaceError, match="No workspace can be made"):
            Workspace.create(place)


def test_a_catalog_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    for path in folder.glob("catalog.db*"):
        path.unlink()
    (folder / "catalog.db").mkdir()
    with pytest.raises(WorkspaceError, match="catalog cannot be used"):
        Workspace.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}', '{"format": "x"}'])
def test_a_damaged_workspace_json_is_an_error(tmp_path: Path, content: str) -> None:
    Workspace.create(tmp_path).close()
    (tmp_path / ".saccade" / "workspace.json").write_text(content)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        Workspace.open(tmp_path)


def test_a_catalog_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    for path in folder.glob("catalog.db*"):
        path.unlink()
    (folder / "catalog.db").write_bytes(b"no database " * 1000)
    with pytest.raises(WorkspaceError, match="damaged"):
        Workspace.open(tmp_path)


def test_newer_workspaces_are_refused(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    with sqlite3.connect(folder / "catalog.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(WorkspaceError, match=f"newer Saccade .*9999.*{HEAD}"):
        Workspace.open(tmp_path)
    (folder / "workspace.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(WorkspaceError, match="format 99"):
        Workspace.open(tmp_path)


def test_find_prefers_what_is_named_then_the_environment_then_upward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "environment", "upward"):
        Workspace.create(tmp_path / name).close()
    deep = tmp_path / "upward" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.setenv("SACCADE_WORKSPACE", str(tmp_path / "environment"))
    places = [Workspace.find(tmp_path / "named", deep), Workspace.find(None, deep)]
    monkeypatch.delenv("SACCADE_WORKSPACE")
    places.append(Workspace.find(start=deep))
    monkeypatch.chdir(deep)
    places.append(Workspace.find())
    for place in places:
        place.close()
    assert [place.location.parent.name for place in places] == ["named", "environment", "upward", "upward"]


def test_nothing_found_names_the_command_that_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACCADE_WORKSPACE", raising=False)
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.find(start=tmp_path)
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.find(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_catalog_in_postgresql(tmp_path: Path, postgresql: str) -> None:
    with Workspace.create(tmp_path / "home", postgresql) as workspace:
        assert not workspace.catalog.is_sqlite
        workspace.datasets.write("d", Schema((Column("x", Kind.NUMBER),)), [Item("a", {"x": 1.0})], mode="create")
    assert not list((tmp_path / "home").rglob("catalog.db"))
    with Workspace.open(tmp_path / "home") as again:
        assert again.datasets.open("d").keys() == ["a"]
        assert doctor(again) == []


def test_a_catalog_with_a_password_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    for url in ("postgresql://me:secret@host/db", "mysql://host/db", "nothing"):
        with pytest.raises(InvalidValueError) as caught:
            Workspace.create(tmp_path / "home", url)
        assert "secret" not in str(caught.value)
    assert not (tmp_path / "home" / ".saccade" / "workspace.json").exists()


@pytest.mark.slow
def test_a_database_that_cannot_be_reached_is_named(tmp_path: Path, postgresql: str) -> None:
    Workspace.create(tmp_path / "home", postgresql).close()
    facts = tmp_path / "home" / ".saccade" / "workspace.json"
    facts.write_text(facts.read_text().replace("host=", "host=/nowhere"))
    with pytest.raises(WorkspaceError, match="cannot be used") as caught:
        Workspace.open(tmp_path / "home")
    assert "lets you in" in caught.value.hint


@pytest.mark.slow
def test_files_may_lie_elsewhere(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workspaces in one bucket share nothing; a place that cannot be used is said at once."""
    with (
        Workspace.create(tmp_path / "a", objects=bucket) as one,
        Workspace.create(tmp_path / "b", objects=bucket) as two,
    ):
        digest = one.objects.put_bytes(b"x")
        assert not two.objects.exists(digest)
        assert list(two.objects.digests()) == []
        assert collect_garbage(two).objects == 0
        assert one.objects.read(digest) == b"x"
    with Workspace.open(tmp_path / "a") as again:
        assert again.objects.read(digest) == b"x"
    for wrong in ("bucket", "s3://", "s3://key:secret@bucket/x"):
        with pytest.raises(InvalidValueError):
            Workspace.create(tmp_path / "c", objects=wrong)
    with pytest.raises(WorkspaceError, match="cannot be reached"):
        Workspace.create(tmp_path / "c", objects="s3://there-is-none/x")
    assert not (tmp_path / "c" / ".saccade" / "workspace.json").exists()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with Workspace.open(tmp_path / "a") as away, pytest.raises(WorkspaceError, match="cannot be reached"):
        away.objects.read(digest)
