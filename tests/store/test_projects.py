"""Projects in the store: what is of one is not there in another, and whoever clears or copies sees all of them."""

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
from saccade.store.workspace import PROJECT, Workspace

PASSWORD = "correct horse battery"


@pytest.fixture
def other(workspace: Workspace) -> Workspace:
    workspace.projects.add("other")
    return workspace.in_project("other")


def test_each_has_its_own(workspace: Workspace, other: Workspace) -> None:
    assert [one.name for one in workspace.projects.list()] == ["default", "other"]
    workspace.datasets.write("d", SCHEMA, [item("mine")], mode="create")
    with pytest.raises(NotFoundError, match="no dataset 'd'"):
        other.datasets.open("d")
    other.datasets.write("d", SCHEMA, [item("theirs"), item("more")], mode="create")
    assert workspace.datasets.open("d").keys() == ["mine"]
    assert other.datasets.open("d").keys() == ["theirs", "more"]
    other.datasets.write("d", SCHEMA, [item("x")], mode="append")
    assert [one.number for one in workspace.datasets.log("d")] == [1]
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
        workspace.in_project("nowhere")


def test_statements_of_any_sort_stay_inside(workspace: Workspace, other: Workspace) -> None:
    """Also those that change many rows at once, that ask for a row by its key, and that name a table twice."""
    from sqlalchemy.orm import aliased

    for one in (workspace, other):
        one.datasets.write("d", SCHEMA, [item("a")], mode="create")
        one.runs.start("train", "x", {})
    with workspace.catalog.writing() as session:
        mine = session.scalars(select(DatasetRow)).one()
        assert session.execute(update(DatasetRow).values(last_number=7)).rowcount == 1  # type: ignore[attr-defined]
        twice = aliased(DatasetRow)
        assert len(session.execute(select(twice, DatasetRow).join(twice, twice.name == DatasetRow.name)).all()) == 1
    with other.catalog.reading() as session:
        theirs = session.scalars(select(DatasetRow)).one()
        assert theirs.last_number == 1
        assert session.get(DatasetRow, mine.id) is None
        assert len(session.scalars(select(RunRow)).all()) == 1
    with workspace.catalog.whole.reading() as session:
        assert len(session.scalars(select(DatasetRow)).all()) == 2


def test_who_clears_and_copies_sees_all(workspace: Workspace, other: Workspace, pictures: Path, tmp_path: Path) -> None:
    import_dataset(workspace, pictures, "d")
    import_dataset(other, pictures, "d")
    push_dataset(workspace, "d", str(tmp_path / "place"))
    pull_dataset(other, str(tmp_path / "place"), as_name="copy")
    workspace.datasets.remove("d", force=True)
    assert collect_garbage(workspace).objects == 0, "the other project needs them"
    for name in ("d", "copy"):
        version = other.datasets.open(name)
        assert all(len(version.read_media(one["image"])) == one["image"].size for one in version.items())
    assert doctor(workspace, deep=True) == []
    back_up(workspace, tmp_path / "backup")
    with Workspace.open(tmp_path / "backup", "other") as copy:
        assert len(copy.datasets.open("d")) == len(other.datasets.open("d"))
    other.datasets.remove("d", force=True)
    other.datasets.remove("copy", force=True)
    assert collect_garbage(workspace).objects > 0


def test_people_are_in_projects(workspace: Workspace, other: Workspace) -> None:
    ann = workspace.people.add("ann@example.org", Role.OWNER, "Ann", PASSWORD)
    assert other.people.list() == []
    _, caller = other.people.sign_in("ann@example.org", PASSWORD)
    assert (caller.person.id, caller.role) == (ann.id, None)
    again = other.people.add("ann@example.org", Role.VIEWER, "Another name", "another password")
    assert (again.id, again.name, again.role) == (ann.id, "Ann", Role.VIEWER)
    with pytest.raises(ConflictError):
        other.people.add("ann@example.org", Role.VIEWER, "Ann", PASSWORD)
    secret, caller = workspace.people.sign_in("ann@example.org", PASSWORD)
    assert caller.role is Role.OWNER, "the password that was first stays"
    assert [(one.name, one.role) for one in workspace.projects.of_person(ann.id)] == [
        ("default", Role.OWNER),
        ("other", Role.VIEWER),
    ]
    other.people.remove(ann.id)
    found = workspace.people.session(secret)
    assert found is not None
    assert found.role is Role.OWNER, "still at home"
    workspace.people.add("bob@example.org", Role.OWNER, "Bob", PASSWORD)
    workspace.people.remove(ann.id)
    assert workspace.people.session(secret) is None


def test_at_the_command_line(command: Command, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROJECT, "")
    where = ("-w", str(command.workspace))
    assert command.json("projects", "add", "cells", *where)["name"] == "cells"
    assert [one["name"] for one in command.json("projects", "list", *where)] == ["cells", "default"]
    command("--project", "cells", "import", str(pictures), "--dataset", "d", *where)
    monkeypatch.setenv(PROJECT, "")
    assert command.json("datasets", "list", *where) == []
    monkeypatch.setenv(PROJECT, "cells")
    assert [one["name"] for one in command.json("datasets", "list", *where)] == ["d"]
    monkeypatch.setenv(PROJECT, "nowhere")
    command.fails("datasets", "list", *where, code="not-found")
