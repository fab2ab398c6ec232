"""Classes of a dataset: what is kept of them, what is refused, and who comes second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from saccade.app.datasets.classes import change_classes, classes_of
from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RemoveClass, RenameClass, plan_classes
from saccade.core.errors import ConflictError, InvalidValueError, MovedError, NotFoundError, SaccadeError
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


def thing(number: int, name: str) -> Object:
    return Object(str(number), name, Box(0, 0, 4, 4), 0.5, "t", {"occluded": True})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    person = Object("9", "person", Keypoints(((1.0, 1.0), (2.0, 2.0)), (2, 2)))
    items = [
        Item("a", {"objects": (thing(1, "car"), thing(2, "dog"), person), "kind": "car", "tags": ("dog", "night")}),
        Item("b", {"objects": (thing(3, "dog"),), "kind": "dog", "tags": ("night",)}),
        Item("c", {"objects": (), "kind": None, "tags": None}),
        Item("d", {"objects": (thing(4, "taxi"),), "kind": None, "tags": ()}),
    ]
    with Workspace.create(tmp_path) as made:
        made.datasets.write("d", SCHEMA, items, mode="create")
        yield made


def colors(workspace: Workspace, column: str = "objects") -> dict[str, str]:
    return {one.name: one.color for one in classes_of(workspace.datasets.open("d")) if one.column == column}


def test_counts_of_every_column(workspace: Workspace) -> None:
    found = {(one.column, one.name): (one.objects, one.items) for one in classes_of(workspace.datasets.open("d"))}
    assert found[("objects", "dog")] == (2, 2)
    assert found[("objects", "vehicle")] == (0, 0)
    assert found[("kind", "car")] == (1, 1)
    assert found[("tags", "night")] == (2, 2)
    assert [name for column, name in found if column == "objects"] == [one.name for one in CLASSES]


def test_a_rename_keeps_all_but_the_name(workspace: Workspace) -> None:
    shown = colors(workspace)
    made = change_classes(workspace, "d", [RenameClass(name="car", to="auto"), RenameClass(name="person", to="人")])
    infos = {info.name: info for info in made.schema["objects"].classes}
    assert list(infos) == ["vehicle", "auto", "taxi", "人", "dog", "cat"]
    assert infos["auto"].parent == "vehicle"
    assert infos["taxi"].parent == "auto"
    assert (infos["人"].keypoints, infos["人"].skeleton) == (("head", "foot"), ((0, 1),))
    items = {item.key: item for item in made.items()}
    assert items["a"]["objects"][0] == Object("1", "auto", Box(0, 0, 4, 4), 0.5, "t", {"occluded": True})
    assert items["a"]["objects"][2].class_name == "人"
    assert items["a"]["kind"] == "auto"
    assert made.info.changed == 1, "only rows that have it are written"
    assert colors(workspace) == {{"car": "auto", "person": "人"}.get(name, name): one for name, one in shown.items()}


def test_only_in_one_column(workspace: Workspace) -> None:
    made = change_classes(workspace, "d", [RenameClass(name="dog", to="hound", column="tags")])
    items = {item.key: item for item in made.items()}
    assert items["a"]["tags"] == ("hound", "night")
    assert [one.class_name for one in items["b"]["objects"]] == ["dog"]
    assert items["b"]["kind"] == "dog"


def test_a_class_is_merged_and_its_children_follow(workspace: Workspace) -> None:
    acts = [MergeClass(name="car", into="taxi"), MergeClass(name="dog", into="cat", column="objects")]
    made = change_classes(workspace, "d", acts)
    infos = {info.name: info for info in made.schema["objects"].classes}
    assert list(infos) == ["vehicle", "taxi", "person", "cat"]
    assert infos["taxi"].parent == "vehicle", "it stood under what is gone, and takes its place"
    assert made.schema["kind"].class_names == ("taxi", "dog"), "where there is no such class it is renamed"
    items = {item.key: item for item in made.items()}
    assert [one.class_name for one in items["a"]["objects"]] == ["taxi", "cat", "person"]
    assert items["a"]["kind"] == "taxi"
    assert items["a"]["tags"] == ("dog", "night")


def test_removing(workspace: Workspace) -> None:
    shown = colors(workspace)
    with pytest.raises(ConflictError, match=r"'dog' cannot be removed: 2 in 2 items"):
        change_classes(workspace, "d", [RemoveClass(name="vehicle"), RemoveClass(name="dog", column="objects")])
    assert len(workspace.datasets.log("d")) == 1
    made = change_classes(workspace, "d", [RemoveClass(name="car", with_objects=True), RemoveClass(name="cat")])
    infos = {info.name: info for info in made.schema["objects"].classes}
    assert infos["taxi"].parent == "vehicle"
    items = {item.key: item for item in made.items()}
    assert [one.class_name for one in items["a"]["objects"]] == ["dog", "person"]
    assert items["a"]["kind"] is None, "not labelled any more"
    assert colors(workspace) == {name: shown[name] for name in infos}, "the others look as before"
    again = workspace.datasets.restore("d", 1)
    assert again.schema == SCHEMA
    assert [item.values for item in again.items()] == [item.values for item in workspace.datasets.open("d@1").items()]


def test_what_was_merged_counts_for_what_is_removed_then(workspace: Workspace) -> None:
    with pytest.raises(ConflictError, match="'cat' cannot be removed: 2 in 2"):
        change_classes(workspace, "d", [MergeClass(name="dog", into="cat", column="objects"), RemoveClass(name="cat")])


def test_names_can_be_exchanged(workspace: Workspace) -> None:
    before = colors(workspace)
    acts = [RenameClass(name="dog", to="x"), RenameClass(name="cat", to="dog"), RenameClass(name="x", to="cat")]
    made = change_classes(workspace, "d", [replace(act, column="objects") for act in acts])
    assert made.schema["objects"].class_names[-2:] == ("cat", "dog")
    assert [one.class_name for one in next(made.items(keys=["b"]))["objects"]] == ["cat"]
    assert colors(workspace) == before | {"cat": before["dog"], "dog": before["cat"]}


def test_a_new_class_looks_like_no_other(workspace: Workspace) -> None:
    change_classes(workspace, "d", [RemoveClass(name="vehicle"), RemoveClass(name="cat")])
    change_classes(
        workspace, "d", [AddClass(name="horse"), AddClass(name="cow", color="#FF0000"), AddClass(name="pig")]
    )
    found = colors(workspace)
    assert found["cow"] == "#ff0000"
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (RenameClass(name="dgo", to="x"), NotFoundError, "Did you mean dog"),
        (RenameClass(name="dog", to="cat", column="objects"), ConflictError, "a class 'cat' already. Merge 'dog'"),
        (AddClass(name="dog"), ConflictError, "already"),
        (AddClass(name="x", column="note"), NotFoundError, "no column 'note' with classes"),
        (MergeClass(name="dog", into="wolf"), NotFoundError, "no class 'wolf' to merge into"),
        (RenameClass(name="dog", to="dog"), InvalidValueError, "Nothing would change"),
        (RecolorClass(name="taxi", color="#FFCC00"), InvalidValueError, "Nothing would change"),
    ],
)
def test_what_is_refused(workspace: Workspace, act: AddClass, error: type[SaccadeError], words: str) -> None:
    with pytest.raises(error) as caught:
        change_classes(workspace, "d", [act])
    assert words in str(caught.value)
    assert len(workspace.datasets.log("d")) == 1
    if error is not InvalidValueError:
        with pytest.raises(error):
            change_classes(workspace, "d", [RecolorClass(name="cat", color="#000000"), act])
        assert len(workspace.datasets.log("d")) == 1, "all or nothing"


@pytest.mark.parametrize("name", ["", " ", " a", "a\n", "a\x00b", "\ud800", "x" * 201, "a\x1b[31m"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(InvalidValueError):
        AddClass(name=name)
    with pytest.raises(InvalidValueError):
        RenameClass(name="dog", to=name)


@pytest.mark.parametrize("color", ["", "red", "#12345", "#1234567", "url(#a)", "#12345g"])
def test_colors_that_are_none(color: str) -> None:
    with pytest.raises(InvalidValueError, match="#rrggbb"):
        RecolorClass(name="dog", color=color)


def test_a_class_is_not_merged_into_itself_nor_over_other_keypoints() -> None:
    with pytest.raises(InvalidValueError, match="into itself"):
        MergeClass(name="dog", into="dog")
    column = Column("o", Kind.OBJECTS, (*CLASSES, ClassInfo("hand", None, None, ("thumb",))))
    with pytest.raises(InvalidValueError, match="different keypoints"):
        plan_classes(Schema((column,)), [MergeClass(name="hand", into="person")])
    plan = plan_classes(Schema((column,)), [MergeClass(name="person", into="dog")])
    assert next(one for one in plan.schema["o"].classes if one.name == "dog").keypoints == ("head", "foot")


def test_circles_of_parents_end() -> None:
    column = Column("o", Kind.OBJECTS, (ClassInfo("a", "b"), ClassInfo("b", "a"), ClassInfo("c", "a")))
    plan = plan_classes(Schema((column,)), [MergeClass(name="c", into="a"), RemoveClass(name="a")])
    assert plan.schema["o"].classes == (ClassInfo("b"),)


def test_the_second_of_two_is_told(workspace: Workspace) -> None:
    change_classes(workspace, "d", [RenameClass(name="dog", to="hound")], follows=1)
    with pytest.raises(MovedError, match="no longer version 1, but 2"):
        change_classes(workspace, "d", [RenameClass(name="cat", to="kitten")], follows=1)
    assert len(workspace.datasets.log("d")) == 2


def test_of_many_at_once_one_comes_first(workspace: Workspace) -> None:
    told: list[object] = []

    def rename(number: int) -> None:
        try:
            change_classes(workspace, "d", [RenameClass(name="cat", to=f"cat {number}")], follows=1)
        except MovedError as error:
            told.append(error)

    threads = [threading.Thread(target=rename, args=(number,)) for number in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(told) == 5
    assert len(workspace.datasets.log("d")) == 2


def test_whoever_names_no_version_follows_whatever_there_is(workspace: Workspace) -> None:
    """Writers on different classes all get through, one after another."""
    threads = [
        threading.Thread(target=change_classes, args=(workspace, "d", [AddClass(name=f"new {number}")]))
        for number in range(5)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert set(workspace.datasets.open("d").schema["objects"].class_names) >= {f"new {number}" for number in range(5)}


def test_more_names_than_are_held_in_memory(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_cache, "MOST_WORDS", 1)
    items = [
        Item(str(n), {"tags": (f"t{n}", "all"), "objects": (thing(n, f"c{n}"),), "kind": f"k{n}"}) for n in range(9)
    ]
    workspace.datasets.write("many", Schema(SCHEMA.columns[:3]), items, mode="create")
    made = change_classes(workspace, "many", [MergeClass(name="t3", into="all"), RenameClass(name="c4", to="four")])
    found = {(one.column, one.name): one.objects for one in classes_of(made)}
    assert found[("tags", "all")] == 9
    assert found[("objects", "four")] == 1
    assert next(made.items(keys=["3"]))["tags"] == ("all",)
    assert made.info.changed == 2


def test_a_dataset_without_classes(workspace: Workspace) -> None:
    workspace.datasets.write("plain", Schema((Column("note", Kind.TEXT),)), [Item("a", {"note": "x"})], mode="create")
    assert classes_of(workspace.datasets.open("plain")) == []
    with pytest.raises(InvalidValueError, match="No column of the dataset has classes"):
        change_classes(workspace, "plain", [AddClass(name="x")])
