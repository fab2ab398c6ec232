"""``saccade labels``."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from tests.annotation.conftest import ANN, edit, put, write_pictures
from tests.support.command import Command

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, Edit
from saccade.app.ingest.importing import import_dataset
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("cat"),)),))


@pytest.fixture
def pets(command: Command) -> Command:
    """The program with a dataset ``pets`` of two items."""
    cat = Object("a", "cat", Box(0, 0, 4, 4))
    with Workspace.open(command.workspace) as workspace:
        items = [Item("k0", {"objects": None}), Item("k1", {"objects": (cat,)})]
        workspace.datasets.write("pets", SCHEMA, items, mode="create")
    return command


@pytest.fixture
def pictures(command: Command) -> Command:
    """The program with a dataset ``pictures`` of five images, one of them labelled, and the label set ``mine``."""
    with Workspace.open(command.workspace) as workspace:
        write_pictures(workspace)
        LabelSets(workspace).create("mine", "pictures")
    return command


def apply(command: Command, kind: str, object_id: str, **fields: object) -> None:
    edit = Edit(str(uuid.uuid4()), "k1", object_id, kind, fields, 0, str(uuid.uuid4()))  # type: ignore[arg-type]
    with Workspace.open(command.workspace) as workspace:
        (result,), _ = LabelSets(workspace).apply("mine", [edit], Author("a", "Ann"))
        assert result.status == "applied", result


def test_start_with_predictions(pets: Command) -> None:
    fish = Object("p", "fish", Box(0, 0, 4, 4), 0.8)
    schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("fish"),)),))
    with Workspace.open(pets.workspace) as workspace:
        workspace.datasets.write("pets-pred", schema, [Item("k0", {"objects": (fish,)})], mode="create")
    create = ("labels", "create", "check", "pets", "--start", "predictions")
    pets.fails(*create, code="invalid-value")
    pets.fails("labels", "create", "check", "pets", "--predictions", "pets-pred", code="invalid-value")
    created = pets.json(*create, "--predictions", "pets-pred@1", "--min-score", "0.5")
    assert (created["predictions"], created["min_score"], created["states"]["unlabelled"]) == ("pets-pred@1", 0.5, 1)
    assert [c["name"] for c in created["classes"]] == ["cat", "fish"]
    assert "predictions pets-pred@1 of pets-pred@1, scores from 0.5" in pets("labels", "status", "check").text


def test_create_label_and_commit(pets: Command) -> None:
    created = pets.json("labels", "create", "mine", "pets", "--class", "dog", "--query", "len(objects) > 0")
    assert (created["base"], created["items"], [c["name"] for c in created["classes"]]) == (
        "pets@1",
        1,
        ["cat", "dog"],
    )
    assert "mine" in pets("labels", "list").out
    geometry = {"type": "box", "x1": 0, "y1": 0, "x2": 9, "y2": 9}
    apply(pets, "put", "b", **{"class": "c2", "geometry": geometry})
    status = pets("labels", "status", "mine").text
    assert "Uncommitted: 1 edits of 1 items, and changed classes." in status
    pets.fails("labels", "remove", "mine", code="conflict")
    pets.fails("datasets", "rm", "pets", "--yes", code="conflict")
    committed = pets("labels", "commit", "mine", "-m", "a dog")
    assert "Committed pets@2: 1 items; objects: 1 added, 0 removed, 0 changed." in committed.text
    assert "Nothing to commit" in pets("labels", "commit", "mine").text
    assert pets.json("labels", "list")[0]["committed_seq"] == 1
    assert pets.json("labels", "remove", "mine") == {"removed": "mine"}
    assert pets.json("labels", "list") == []


def test_a_commit_that_removes_many_objects_needs_confirmation(pets: Command) -> None:
    many = tuple(Object(f"o{number}", "cat", Box(number, 0, number + 3, 4)) for number in range(12))
    with Workspace.open(pets.workspace) as workspace:
        workspace.datasets.write("pets", SCHEMA, [Item("k1", {"objects": many})], mode="merge")
    pets.json("labels", "create", "mine", "pets", "--start", "empty", "--class", "dog")
    geometry = {"type": "box", "x1": 0, "y1": 0, "x2": 9, "y2": 9}
    apply(pets, "put", "b", **{"class": "c1", "geometry": geometry})
    with Workspace.open(pets.workspace) as workspace:
        done = Edit(str(uuid.uuid4()), "k1", None, "state", {"state": "labelled"}, 0, str(uuid.uuid4()))
        LabelSets(workspace).apply("mine", [done], ANN)
    shown = pets.json("labels", "commit", "mine", "--dry-run")
    assert shown == {
        "base": "pets@2",
        "items": 1,
        "changed_items": 1,
        "added": 1,
        "removed": 12,
        "changed": 0,
        "classes": [{"name": "dog", "change": "added", "previous_name": None}],
    }
    dry = pets("labels", "commit", "mine", "--dry-run").text
    assert "1 item of pets@2; objects: 1 added, 12 removed, 0 changed." in dry, dry
    assert "Class added: dog" in dry
    pets.fails("labels", "commit", "mine", code="conflict")
    assert pets.json("labels", "list")[0]["committed_seq"] == 0
    committed = pets("labels", "commit", "mine", "--yes").text
    assert "Committed pets@3: 1 items; objects: 1 added, 12 removed, 0 changed." in committed
    assert "Class added: dog" in committed


def test_conflicts_are_listed(pets: Command) -> None:
    pets.json("labels", "create", "mine", "pets")
    apply(pets, "patch", "a", score=0.5)
    with Workspace.open(pets.workspace) as workspace:
        changed = Item("k1", {"objects": (Object("a", "cat", Box(1, 1, 2, 2)),)})
        workspace.datasets.write("pets", SCHEMA, [changed], mode="merge")
    ran = pets("labels", "commit", "mine", "--json")
    assert ran.code == 1
    assert ran.data["error"]["code"] == "merge-conflict"
    assert [entry["object"] for entry in ran.data["conflicts"]] == ["a"]
    assert "--prefer labels" in pets("labels", "commit", "mine").text
    assert pets.json("labels", "commit", "mine", "--prefer", "dataset")["version"] == "pets@2"


def test_mistakes(pets: Command) -> None:
    pets.fails("labels", "create", "mine", "pets", "--start", "full", code="invalid-value")
    pets.fails("labels", "create", "mine", "nothing", code="not-found")
    pets.fails("labels", "status", "nothing", code="not-found")
    pets.json("labels", "create", "mine", "pets", "--start", "empty")
    pets.fails("labels", "create", "mine", "pets", code="conflict")
    pets.fails("labels", "commit", "mine", "--prefer", "ours", code="invalid-value")


def test_export_the_labels_that_are_not_committed(pictures: Command, tmp_path: Path) -> None:
    with Workspace.open(pictures.workspace) as workspace:
        edits = [
            put("a/p0", "n", "c2", attributes={"pose": "sits"}),
            put("a/p3", "s"),
            edit("a/p3", "state", None, {"state": "skipped"}),
            edit("a/p4", "state", None, {"state": "empty"}),
        ]
        results, _ = LabelSets(workspace).apply("mine", edits, ANN)
        assert [result.code for result in results] == [None] * 4
    exported = pictures.json("labels", "export", "mine", tmp_path / "out", "--format", "coco")
    assert exported["format"] == "coco"
    with Workspace.open(pictures.workspace) as workspace:
        version = import_dataset(workspace, tmp_path / "out", "again").version
        values = {item.key: item["objects"] for item in version.items(["objects"])}
        assert workspace.datasets.open("pictures").number == 1, "nothing was committed"
    assert [(obj.class_name, obj.geometry, obj.attributes) for obj in values["a/p0"]] == [
        ("dog", Box(0, 0, 10, 10), {"pose": "sits"})
    ]
    assert [obj.class_name for obj in values["a/p1"]] == ["cat"]
    assert (values["a/p2"], values["a/p3"], values["a/p4"]) == (None, None, ())
    pictures.fails("labels", "export", "mine", tmp_path / "out", "-f", "yolo", code="conflict")
    ran = pictures("labels", "export", "mine", tmp_path / "out", "-f", "yolo", "--overwrite")
    assert (ran.code, "dropped attribute" in ran.text) == (0, True), ran.text
    pictures.fails("labels", "export", "none", tmp_path / "other", "-f", "coco", code="not-found")
    pictures.fails("labels", "export", "mine", tmp_path / "other", "-f", "cocoa", code="not-found")
    pictures.fails("labels", "export", "mine", tmp_path / "other", "-f", "yolo", "--strict", code="format")
    assert not (tmp_path / "other").exists()


def test_import_labels(pictures: Command, tmp_path: Path) -> None:
    with Workspace.open(pictures.workspace) as workspace:
        sets = LabelSets(workspace)
        sets.create("theirs", "pictures")
        sets.apply("theirs", [put("a/p0", "n", "c2"), edit("a/p1", "patch", "1", {"class": "c2"})], ANN)
    pictures.json("labels", "export", "theirs", tmp_path / "out", "-f", "cvat")
    checked = pictures("labels", "import", "mine", tmp_path / "out", "--check")
    assert "Nothing was imported. An import would do this: 2 items; objects: 1 added, 1 changed" in checked.text, (
        checked.text
    )
    assert pictures.json("labels", "list")[0]["seq"] == 0
    imported = pictures.json("labels", "import", "mine", tmp_path / "out")
    assert (imported["format"], imported["items"], imported["unmatched"]) == ("cvat", 2, 0)
    assert imported["objects"] == {"added": 1, "changed": 1, "unchanged": 0, "refused": 0}
    assert pictures.json("labels", "commit", "mine")["changed"] == 1
    pictures.fails("labels", "import", "none", tmp_path / "out", code="not-found")
    pictures.fails("labels", "import", "mine", tmp_path / "nothing", code="not-found")
