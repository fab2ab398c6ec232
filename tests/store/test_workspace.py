"""Creating, opening and finding workspaces."""

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


def test_a_workspace_is_one_folder_and_create_opens_an_existing_one(tmp_path: Path) -> None:
    with Workspace.create(tmp_path) as workspace:
        config = (tmp_path / ".saccade" / "workspace.json").read_text()
        assert workspace.location == tmp_path / ".saccade"
    assert [path.name for path in tmp_path.iterdir()] == [".saccade"]
    Workspace.create(str(tmp_path)).close()
    assert (tmp_path / ".saccade" / "workspace.json").read_text() == config


@pytest.mark.parametrize("inside", [False, True])
def test_open_accepts_the_folder_or_its_parent(tmp_path: Path, inside: bool) -> None:
    Workspace.create(tmp_path).close()
    with Workspace.open(tmp_path / ".saccade" if inside else tmp_path) as workspace:
        assert workspace.datasets.list() == []


def test_an_interrupted_create_is_completed(tmp_path: Path) -> None:
    (tmp_path / ".saccade" / "objects").mkdir(parents=True)
    (tmp_path / ".saccade" / "catalog.db").touch()
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path)
    with Workspace.create(tmp_path) as workspace:
        assert workspace.models.list() == []


def test_a_missing_workspace_error_names_the_init_command(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(WorkspaceError, match="saccade init"):
        Workspace.open(tmp_path / "file")


def test_a_folder_that_cannot_be_written_raises(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deeper", Path("/proc/saccade")):
        with pytest.raises(WorkspaceError, match="No workspace can be created"):
            Workspace.create(folder)


def test_a_catalog_that_cannot_be_opened_raises(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    for path in folder.glob("catalog.db*"):
        path.unlink()
    (folder / "catalog.db").mkdir()
    with pytest.raises(WorkspaceError, match="catalog cannot be used"):
        Workspace.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 1}', '{"format": "x"}'])
def test_a_damaged_workspace_json_raises(tmp_path: Path, content: str) -> None:
    Workspace.create(tmp_path).close()
    (tmp_path / ".saccade" / "workspace.json").write_text(content)
    with pytest.raises(WorkspaceError, match="cannot be read"):
        Workspace.open(tmp_path)


def test_a_damaged_catalog_raises(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    for path in folder.glob("catalog.db*"):
        path.unlink()
    (folder / "catalog.db").write_bytes(b"no database " * 1000)
    with pytest.raises(WorkspaceError, match="damaged"):
        Workspace.open(tmp_path)


def test_newer_workspaces_are_rejected(tmp_path: Path) -> None:
    folder = Workspace.create(tmp_path).location
    with sqlite3.connect(folder / "catalog.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(WorkspaceError, match=f"newer Saccade .*9999.*{HEAD}"):
        Workspace.open(tmp_path)
    (folder / "workspace.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(WorkspaceError, match="format 99"):
        Workspace.open(tmp_path)


def test_find_prefers_the_argument_then_the_environment_then_parent_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("named", "environment", "upward"):
        Workspace.create(tmp_path / name).close()
    deep = tmp_path / "upward" / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.setenv("SACCADE_WORKSPACE", str(tmp_path / "environment"))
    workspaces = [Workspace.find(tmp_path / "named", deep), Workspace.find(None, deep)]
    monkeypatch.delenv("SACCADE_WORKSPACE")
    workspaces.append(Workspace.find(start=deep))
    monkeypatch.chdir(deep)
    workspaces.append(Workspace.find())
    for workspace in workspaces:
        workspace.close()
    assert [workspace.location.parent.name for workspace in workspaces] == ["named", "environment", "upward", "upward"]


def test_the_error_of_find_names_the_init_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    with Workspace.open(tmp_path / "home") as reopened:
        assert reopened.datasets.open("d").keys() == ["a"]
        assert doctor(reopened) == []


def test_a_catalog_url_with_a_password_or_another_scheme_is_rejected(tmp_path: Path) -> None:
    for url in ("postgresql://me:secret@host/db", "mysql://host/db", "nothing"):
        with pytest.raises(InvalidValueError) as caught:
            Workspace.create(tmp_path / "home", url)
        assert "secret" not in str(caught.value)
    assert not (tmp_path / "home" / ".saccade" / "workspace.json").exists()


@pytest.mark.slow
def test_the_error_for_an_unreachable_database_names_it(tmp_path: Path, postgresql: str) -> None:
    Workspace.create(tmp_path / "home", postgresql).close()
    config = tmp_path / "home" / ".saccade" / "workspace.json"
    config.write_text(config.read_text().replace("host=", "host=/nowhere"))
    with pytest.raises(WorkspaceError, match="cannot be used") as caught:
        Workspace.open(tmp_path / "home")
    assert "accepts your credentials" in caught.value.hint


@pytest.mark.slow
def test_blobs_may_be_in_a_bucket(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workspaces in one bucket share no blobs; an unusable URL is reported by create."""
    with (
        Workspace.create(tmp_path / "a", objects=bucket) as first,
        Workspace.create(tmp_path / "b", objects=bucket) as second,
    ):
        digest = first.blobs.put_bytes(b"x")
        assert not second.blobs.exists(digest)
        assert list(second.blobs.digests()) == []
        assert collect_garbage(second).objects == 0
        assert first.blobs.read(digest) == b"x"
    with Workspace.open(tmp_path / "a") as reopened:
        assert reopened.blobs.read(digest) == b"x"
    for url in ("bucket", "s3://", "s3://key:secret@bucket/x"):
        with pytest.raises(InvalidValueError):
            Workspace.create(tmp_path / "c", objects=url)
    with pytest.raises(WorkspaceError, match="cannot be reached"):
        Workspace.create(tmp_path / "c", objects="s3://there-is-none/x")
    assert not (tmp_path / "c" / ".saccade" / "workspace.json").exists()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    with Workspace.open(tmp_path / "a") as workspace, pytest.raises(WorkspaceError, match="cannot be reached"):
        workspace.blobs.read(digest)
