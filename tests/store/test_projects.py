"""Projects in the store: they are isolated, and maintenance covers all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select, update
from tests.store.conftest import SCHEMA, item
from tests.support.command import Command

from saccade.app.ingest.importing import import_dataset
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.roles import Role
from saccade.store.catalog.tables import DatasetRow, RunRow
from saccade.store.maintenance.backup import back_up
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.maintenance.transfer.pull import pull_dataset
from saccade.store.maintenance.transfer.push import push_dataset
from saccade.store.workspace import PROJECT_ENV, Workspace

PASSWORD = "correct horse battery"


@pytest.fixture
def other(workspace: Workspace) -> Workspace:
    workspace.projects.add("other")
    return workspace.scoped_to_project("other")


def test_projects_are_isolated(workspace: Workspace, other: Workspace) -> None:
    assert [project.name for project in workspace.projects.list()] == ["default", "other"]
    workspace.datasets.write("d", SCHEMA, [item("mine")], mode="create")
    with pytest.raises(NotFoundError, match="no dataset 'd'"):
        other.datasets.open("d")
    other.datasets.write("d", SCHEMA, [item("theirs"), item("more")], mode="create")
    assert workspace.datasets.open("d").keys() == ["mine"]
    assert other.datasets.open("d").keys() == ["theirs", "more"]
    other.datasets.write("d", SCHEMA, [item("x")], mode="append")
    assert [version.number for version in workspace.datasets.log("d")] == [1]
    run = other.runs.start("train", "them", {}, inputs=["d@1"])
    assert workspace.runs.list() == []
    with pytest.raises(NotFoundError):
        workspace.runs.get(run.id)
    other.datasets.remove("d", force=True)
    assert workspace.datasets.open("d").keys() == ["mine"]
    with pytest.raises(ConflictError):
        workspace.projects.add("other")
    with pytest.raises(InvalidValueError):
        workspace.projects.add("../other")
    with pytest.raises(NotFoundError):
        workspace.scoped_to_project("nowhere")


def test_statements_of_every_kind_are_scoped(workspace: Workspace, other: Workspace) -> None:
    """Including bulk updates, lookups by primary key, and self-joins."""
    from sqlalchemy.orm import aliased

    for scoped in (workspace, other):
        scoped.datasets.write("d", SCHEMA, [item("a")], mode="create")
        scoped.runs.start("train", "x", {})
    with workspace.catalog.write_tx() as session:
        mine = session.scalars(select(DatasetRow)).one()
        assert session.execute(update(DatasetRow).values(last_number=7)).rowcount == 1  # type: ignore[attr-defined]
        twice = aliased(DatasetRow)
        assert len(session.execute(select(twice, DatasetRow).join(twice, twice.name == DatasetRow.name)).all()) == 1
    with other.catalog.read_tx() as session:
        theirs = session.scalars(select(DatasetRow)).one()
        assert theirs.last_number == 1
        assert session.get(DatasetRow, mine.id) is None
        assert len(session.scalars(select(RunRow)).all()) == 1
    with workspace.catalog.unscoped.read_tx() as session:
        assert len(session.scalars(select(DatasetRow)).all()) == 2


def test_garbage_collection_and_backup_cover_all_projects(
    workspace: Workspace, other: Workspace, pictures: Path, tmp_path: Path
) -> None:
    import_dataset(workspace, pictures, "d")
    import_dataset(other, pictures, "d")
    push_dataset(workspace, "d", str(tmp_path / "remote"))
    pull_dataset(other, str(tmp_path / "remote"), as_name="copy")
    workspace.datasets.remove("d", force=True)
    assert collect_garbage(workspace).objects == 0, "the other project refers to them"
    for name in ("d", "copy"):
        version = other.datasets.open(name)
        assert all(len(version.read_media(item["image"])) == item["image"].size for item in version.items())
    assert doctor(workspace, deep=True) == []
    back_up(workspace, tmp_path / "backup")
    with Workspace.open(tmp_path / "backup", "other") as copy:
        assert len(copy.datasets.open("d")) == len(other.datasets.open("d"))
    other.datasets.remove("d", force=True)
    other.datasets.remove("copy", force=True)
    assert collect_garbage(workspace).objects > 0


def test_users_are_members_of_projects(workspace: Workspace, other: Workspace) -> None:
    ann = workspace.users.add("ann@example.org", Role.OWNER, "Ann", PASSWORD)
    assert other.users.list() == []
    _, principal = other.users.sign_in("ann@example.org", PASSWORD)
    assert (principal.user.id, principal.role) == (ann.id, None)
    added = other.users.add("ann@example.org", Role.VIEWER, "Another name", "another password")
    assert (added.id, added.name, added.role) == (ann.id, "Ann", Role.VIEWER)
    with pytest.raises(ConflictError):
        other.users.add("ann@example.org", Role.VIEWER, "Ann", PASSWORD)
    secret, principal = workspace.users.sign_in("ann@example.org", PASSWORD)
    assert principal.role is Role.OWNER, "the first password is kept"
    assert [(project.name, project.role) for project in workspace.projects.list_for_user(ann.id)] == [
        ("default", Role.OWNER),
        ("other", Role.VIEWER),
    ]
    other.users.remove(ann.id)
    remaining = workspace.users.authenticate_session(secret)
    assert remaining is not None
    assert remaining.role is Role.OWNER, "the membership of the other project remains"
    workspace.users.add("bob@example.org", Role.OWNER, "Bob", PASSWORD)
    workspace.users.remove(ann.id)
    assert workspace.users.authenticate_session(secret) is None


def test_the_projects_commands(command: Command, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROJECT_ENV, "")
    where = ("-w", str(command.workspace))
    assert command.json("projects", "add", "cells", *where)["name"] == "cells"
    assert [project["name"] for project in command.json("projects", "list", *where)] == ["cells", "default"]
    command("--project", "cells", "import", str(pictures), "--dataset", "d", *where)
    monkeypatch.setenv(PROJECT_ENV, "")
    assert command.json("datasets", "list", *where) == []
    monkeypatch.setenv(PROJECT_ENV, "cells")
    assert [dataset["name"] for dataset in command.json("datasets", "list", *where)] == ["d"]
    monkeypatch.setenv(PROJECT_ENV, "nowhere")
    command.fails("datasets", "list", *where, code="not-found")
