"""Listing and editing the classes of a dataset, errors, and concurrent edits."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from saccade.app.datasets.classes import edit_classes, list_classes
from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass, plan_class_edits
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError, StaleVersionError
from saccade.core.objects import Box, Keypoints, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.query import column_cache
from saccade.store.workspace import Workspace

CLASSES = (
    ClassInfo("vehicle"),
    ClassInfo("car", "vehicle"),
    ClassInfo("taxi", "car", "#ffcc00"),
    ClassInfo("person", None, None, ("head", "foot"), ((0, 1),)),
    ClassInfo("dog"),
    ClassInfo("cat"),
)
SCHEMA = Schema(
    (
        Column("objects", Kind.OBJECTS, CLASSES),
        Column("kind", Kind.LABEL, (ClassInfo("car"), ClassInfo("dog"))),
        Column("tags", Kind.LABELS, (ClassInfo("dog"), ClassInfo("night"))),
        Column("note", Kind.TEXT),
    )
)


def make_object(number: int, name: str) -> Object:
    return Object(str(number), name, Box(0, 0, 4, 4), 0.5, "t", {"occluded": True})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    person = Object("9", "person", Keypoints(((1.0, 1.0), (2.0, 2.0)), (2, 2)))
    items = [
        Item(
            "a",
            {
                "objects": (make_object(1, "car"), make_object(2, "dog"), person),
                "kind": "car",
                "tags": ("dog", "night"),
            },
        ),
        Item("b", {"objects": (make_object(3, "dog"),), "kind": "dog", "tags": ("night",)}),
        Item("c", {"objects": (), "kind": None, "tags": None}),
        Item("d", {"objects": (make_object(4, "taxi"),), "kind": None, "tags": ()}),
    ]
    with Workspace.create(tmp_path) as opened:
        opened.datasets.write("d", SCHEMA, items, mode="create")
        yield opened


def colors(workspace: Workspace, column: str = "objects") -> dict[str, str]:
    return {
        summary.name: summary.color
        for summary in list_classes(workspace.datasets.open("d"))
        if summary.column == column
    }


def test_list_classes_counts_each_column(workspace: Workspace) -> None:
    counts = {
        (summary.column, summary.name): (summary.objects, summary.items)
        for summary in list_classes(workspace.datasets.open("d"))
    }
    assert counts[("objects", "dog")] == (2, 2)
    assert counts[("objects", "vehicle")] == (0, 0)
    assert counts[("kind", "car")] == (1, 1)
    assert counts[("tags", "night")] == (2, 2)
    assert [name for column, name in counts if column == "objects"] == [summary.name for summary in CLASSES]


def test_rename_changes_only_the_name(workspace: Workspace) -> None:
    before = colors(workspace)
    version = edit_classes(
        workspace, "d", [RenameClass(name="car", new_name="auto"), RenameClass(name="person", new_name="人")]
    )
    infos = {info.name: info for info in version.schema["objects"].classes}
    assert list(infos) == ["vehicle", "auto", "taxi", "人", "dog", "cat"]
    assert infos["auto"].parent == "vehicle"
    assert infos["taxi"].parent == "auto"
    assert (infos["人"].keypoints, infos["人"].skeleton) == (("head", "foot"), ((0, 1),))
    items = {item.key: item for item in version.items()}
    assert items["a"]["objects"][0] == Object("1", "auto", Box(0, 0, 4, 4), 0.5, "t", {"occluded": True})
    assert items["a"]["objects"][2].class_name == "人"
    assert items["a"]["kind"] == "auto"
    assert version.info.changed == 1, "only rows that have it are written"
    assert colors(workspace) == {
        {"car": "auto", "person": "人"}.get(name, name): color for name, color in before.items()
    }


def test_edit_of_one_column(workspace: Workspace) -> None:
    version = edit_classes(workspace, "d", [RenameClass(name="dog", new_name="hound", column="tags")])
    items = {item.key: item for item in version.items()}
    assert items["a"]["tags"] == ("hound", "night")
    assert [obj.class_name for obj in items["b"]["objects"]] == ["dog"]
    assert items["b"]["kind"] == "dog"


def test_merge_reparents_child_classes(workspace: Workspace) -> None:
    acts = [MergeClass(name="car", target="taxi"), MergeClass(name="dog", target="cat", column="objects")]
    version = edit_classes(workspace, "d", acts)
    infos = {info.name: info for info in version.schema["objects"].classes}
    assert list(infos) == ["vehicle", "taxi", "person", "cat"]
    assert infos["taxi"].parent == "vehicle", "it stood under what is gone, and takes its place"
    assert version.schema["kind"].class_names == ("taxi", "dog"), "where there is no such class it is renamed"
    items = {item.key: item for item in version.items()}
    assert [obj.class_name for obj in items["a"]["objects"]] == ["taxi", "cat", "person"]
    assert items["a"]["kind"] == "taxi"
    assert items["a"]["tags"] == ("dog", "night")


def test_remove_class(workspace: Workspace) -> None:
    before = colors(workspace)
    with pytest.raises(ConflictError, match=r"'dog' cannot be removed: 2 objects or labels in 2 items"):
        edit_classes(workspace, "d", [RemoveClass(name="vehicle"), RemoveClass(name="dog", column="objects")])
    assert len(workspace.datasets.log("d")) == 1
    version = edit_classes(workspace, "d", [RemoveClass(name="car", with_objects=True), RemoveClass(name="cat")])
    infos = {info.name: info for info in version.schema["objects"].classes}
    assert infos["taxi"].parent == "vehicle"
    items = {item.key: item for item in version.items()}
    assert [obj.class_name for obj in items["a"]["objects"]] == ["dog", "person"]
    assert items["a"]["kind"] is None, "not labelled any more"
    assert colors(workspace) == {name: before[name] for name in infos}, "the others look as before"
    again = workspace.datasets.restore("d", 1)
    assert again.schema == SCHEMA
    assert [item.values for item in again.items()] == [item.values for item in workspace.datasets.open("d@1").items()]


def test_remove_counts_merged_objects(workspace: Workspace) -> None:
    with pytest.raises(ConflictError, match="'cat' cannot be removed: 2 objects or labels in 2"):
        edit_classes(workspace, "d", [MergeClass(name="dog", target="cat", column="objects"), RemoveClass(name="cat")])


def test_swap_names(workspace: Workspace) -> None:
    before = colors(workspace)
    acts = [
        RenameClass(name="dog", new_name="x"),
        RenameClass(name="cat", new_name="dog"),
        RenameClass(name="x", new_name="cat"),
    ]
    version = edit_classes(workspace, "d", [replace(act, column="objects") for act in acts])
    assert version.schema["objects"].class_names[-2:] == ("cat", "dog")
    assert [obj.class_name for obj in next(version.items(keys=["b"]))["objects"]] == ["cat"]
    assert colors(workspace) == before | {"cat": before["dog"], "dog": before["cat"]}


def test_new_class_gets_an_unused_color(workspace: Workspace) -> None:
    edit_classes(workspace, "d", [RemoveClass(name="vehicle"), RemoveClass(name="cat")])
    edit_classes(workspace, "d", [AddClass(name="horse"), AddClass(name="cow", color="#FF0000"), AddClass(name="pig")])
    by_name = colors(workspace)
    assert by_name["cow"] == "#ff0000"
    assert len(set(by_name.values())) == len(by_name)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (RenameClass(name="dgo", new_name="x"), NotFoundError, "Did you mean dog"),
        (
            RenameClass(name="dog", new_name="cat", column="objects"),
            ConflictError,
            "already has a class 'cat'. Merge 'dog'",
        ),
        (AddClass(name="dog"), ConflictError, "already"),
        (AddClass(name="x", column="note"), NotFoundError, "no column 'note' with classes"),
        (MergeClass(name="dog", target="wolf"), NotFoundError, "no class 'wolf' to merge into"),
        (RenameClass(name="dog", new_name="dog"), InvalidValueError, "Nothing would change"),
        (RecolorClass(name="taxi", color="#FFCC00"), InvalidValueError, "Nothing would change"),
    ],
)
def test_invalid_edits(workspace: Workspace, act: AddClass, error: type[SaccadeError], words: str) -> None:
    with pytest.raises(error) as caught:
        edit_classes(workspace, "d", [act])
    assert words in str(caught.value)
    assert len(workspace.datasets.log("d")) == 1
    if error is not InvalidValueError:
        with pytest.raises(error):
            edit_classes(workspace, "d", [RecolorClass(name="cat", color="#000000"), act])
        assert len(workspace.datasets.log("d")) == 1, "all or nothing"


@pytest.mark.parametrize("name", ["", " ", " a", "a\n", "a\x00b", "\ud800", "x" * 201, "a\x1b[31m"])
def test_invalid_names(name: str) -> None:
    with pytest.raises(InvalidValueError):
        AddClass(name=name)
    with pytest.raises(InvalidValueError):
        RenameClass(name="dog", new_name=name)


@pytest.mark.parametrize("color", ["", "red", "#12345", "#1234567", "url(#a)", "#12345g"])
def test_invalid_colors(color: str) -> None:
    with pytest.raises(InvalidValueError, match="#rrggbb"):
        RecolorClass(name="dog", color=color)


def test_invalid_merges() -> None:
    with pytest.raises(InvalidValueError, match="into itself"):
        MergeClass(name="dog", target="dog")
    column = Column("o", Kind.OBJECTS, (*CLASSES, ClassInfo("hand", None, None, ("thumb",))))
    with pytest.raises(InvalidValueError, match="different keypoints"):
        plan_class_edits(Schema((column,)), [MergeClass(name="hand", target="person")])
    plan = plan_class_edits(Schema((column,)), [MergeClass(name="person", target="dog")])
    assert next(info for info in plan.schema["o"].classes if info.name == "dog").keypoints == ("head", "foot")


def test_parent_cycles_terminate() -> None:
    column = Column("o", Kind.OBJECTS, (ClassInfo("a", "b"), ClassInfo("b", "a"), ClassInfo("c", "a")))
    plan = plan_class_edits(Schema((column,)), [MergeClass(name="c", target="a"), RemoveClass(name="a")])
    assert plan.schema["o"].classes == (ClassInfo("b"),)


def test_stale_expected_version(workspace: Workspace) -> None:
    edit_classes(workspace, "d", [RenameClass(name="dog", new_name="hound")], expected_version=1)
    with pytest.raises(StaleVersionError, match="no longer version 1, but 2"):
        edit_classes(workspace, "d", [RenameClass(name="cat", new_name="kitten")], expected_version=1)
    assert len(workspace.datasets.log("d")) == 2


def test_concurrent_edits_with_expected_version(workspace: Workspace) -> None:
    errors: list[object] = []

    def rename(number: int) -> None:
        try:
            edit_classes(workspace, "d", [RenameClass(name="cat", new_name=f"cat {number}")], expected_version=1)
        except StaleVersionError as error:
            errors.append(error)

    threads = [threading.Thread(target=rename, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 5
    assert len(workspace.datasets.log("d")) == 2


def test_concurrent_edits_without_expected_version(workspace: Workspace) -> None:
    """All writers on different classes succeed, one after another."""
    threads = [
        threading.Thread(target=edit_classes, args=(workspace, "d", [AddClass(name=f"new {number}")]))
        for number in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(workspace.datasets.open("d").schema["objects"].class_names) >= {f"new {number}" for number in range(5)}


def test_more_classes_than_fit_in_the_column_cache(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_cache, "MAX_CATEGORIES", 1)
    items = [
        Item(str(n), {"tags": (f"t{n}", "all"), "objects": (make_object(n, f"c{n}"),), "kind": f"k{n}"})
        for n in range(9)
    ]
    workspace.datasets.write("many", Schema(SCHEMA.columns[:3]), items, mode="create")
    version = edit_classes(
        workspace, "many", [MergeClass(name="t3", target="all"), RenameClass(name="c4", new_name="four")]
    )
    counts = {(summary.column, summary.name): summary.objects for summary in list_classes(version)}
    assert counts[("tags", "all")] == 9
    assert counts[("objects", "four")] == 1
    assert next(version.items(keys=["3"]))["tags"] == ("all",)
    assert version.info.changed == 2


def test_dataset_without_classes(workspace: Workspace) -> None:
    workspace.datasets.write("plain", Schema((Column("note", Kind.TEXT),)), [Item("a", {"note": "x"})], mode="create")
    assert list_classes(workspace.datasets.open("plain")) == []
    with pytest.raises(InvalidValueError, match="No column of the dataset has classes"):
        edit_classes(workspace, "plain", [AddClass(name="x")])
