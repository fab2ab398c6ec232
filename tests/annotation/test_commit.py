"""Commits of label sets: versions, merges with the branch, conflicts and classes."""

from __future__ import annotations

import os
import uuid
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.annotation.conftest import ANN, BEN, box, edit, put

from saccade.annotation.commit import commit, preview
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import LabelClass
from saccade.app.datasets.classes import edit_classes
from saccade.core.class_edits import MergeClass, RemoveClass, RenameClass
from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.merge import MergeConflictError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema


def objects(label_sets: LabelSets, key: str, ref: str = "pets") -> Any:
    """Return the objects of an item as pairs of id and class; None if it is not labelled."""
    value = label_sets.workspace.datasets.open(ref).get(key)["objects"]
    return None if value is None else [(obj.id, obj.class_name) for obj in value]


def write(label_sets: LabelSets, key: str, value: Any) -> None:
    """Commit labels to the main branch, past the label set."""
    schema = Schema((Column("objects", Kind.OBJECTS),))
    label_sets.workspace.datasets.write("pets", schema, [Item(key, {"objects": value})], mode="merge")


def test_a_commit_is_the_next_version(label_sets: LabelSets) -> None:
    label_sets.apply(
        "pets",
        [
            put("k0", "n", score=0.5, attributes={"sleeps": True}),
            edit("k2", "delete", "a"),
            edit("k5", "patch", "b", {"class": "c1"}),
            put("k3", "gone"),
            edit("k3", "delete", "gone"),
        ],
        ANN,
    )
    result = commit(label_sets, "pets", message="mine", author=ANN)
    assert (result.version, result.is_new, result.seq) == ("pets@2", True, 5)
    assert (result.items, result.added, result.removed, result.changed) == (4, 1, 1, 1)
    info = label_sets.workspace.datasets.open("pets@2").info
    assert (info.message, info.author, info.parent, info.changed) == ("mine", "Ann", 1, 3)
    assert [objects(label_sets, f"k{n}") for n in range(6)] == [
        [("n", "cat")],
        [],
        [("b", "dog")],
        None,  # in progress, without objects and without a value before
        [],
        [("a", "cat"), ("b", "cat")],
    ]
    label_set = label_sets.get("pets")
    assert (label_set.base, label_set.committed_seq, label_set.uncommitted_edits) == ("pets@2", 5, 0)
    again = commit(label_sets, "pets")
    assert (again.version, again.is_new) == ("pets@2", False)
    assert len(label_sets.workspace.datasets.log("pets")) == 2


def test_states_decide_what_is_written(label_sets: LabelSets) -> None:
    def state(key: str, name: str) -> Any:
        return edit(key, "state", None, {"state": name})

    label_sets.apply("pets", [state("k0", "empty"), state("k3", "skipped")], ANN)
    label_sets.apply("pets", [edit("k2", "delete", "a"), state("k2", "skipped")], ANN)
    label_sets.apply("pets", [state("k4", "unlabelled"), state("k5", "unlabelled")], ANN)
    commit(label_sets, "pets")
    assert objects(label_sets, "k0") == []
    assert objects(label_sets, "k3") is None
    assert objects(label_sets, "k2") == [("a", "cat"), ("b", "dog")], "a skipped item stays as it is"
    assert objects(label_sets, "k4") == []
    assert objects(label_sets, "k5") == [("a", "cat"), ("b", "dog")]
    label_sets.apply("pets", [state("k2", "labelled")], ANN)
    commit(label_sets, "pets")
    assert objects(label_sets, "k2") == [("b", "dog")], "the deletion counts once the item is labelled"


def test_edits_that_end_where_they_began_make_no_version(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [edit("k2", "delete", "a"), edit("k2", "restore", "a")], ANN)
    result = commit(label_sets, "pets")
    assert (result.version, result.is_new) == ("pets@1", False)
    assert label_sets.get("pets").uncommitted_edits == 0


def test_a_branch_that_moved_on_is_merged_object_by_object(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k2", "mine"), edit("k2", "delete", "b")], ANN)
    cat = Object("a", "cat", Box(1, 1, 2, 2), attributes={"x": 1})
    write(label_sets, "k2", (cat, Object("b", "dog", Box(5, 5, 9, 9)), Object("theirs", "cat", Box(0, 0, 1, 1))))
    write(label_sets, "k0", (Object("other", "cat", Box(0, 0, 1, 1)),))
    result = commit(label_sets, "pets", author=ANN)
    assert result.version == "pets@4"
    assert sorted(objects(label_sets, "k2")) == [("a", "cat"), ("mine", "cat"), ("theirs", "cat")]
    # The set has the changes of the branch, too.
    item = label_sets.item("pets", "k2")
    assert {obj.id for obj in item.objects} == {"a", "mine", "theirs"}
    assert next(obj for obj in item.objects if obj.id == "a").attributes == {"x": 1}
    assert [obj.id for obj in label_sets.item("pets", "k0").objects] == ["other"]
    merged = [applied for applied in label_sets.history("pets") if applied.is_merge]
    assert {(applied.edit.kind, applied.edit.object) for applied in merged} == {("patch", "a"), ("put", "theirs")}
    assert label_sets.get("pets").uncommitted_edits == 0
    label_sets.apply("pets", [edit("k2", "delete", "theirs")], ANN)
    commit(label_sets, "pets")
    assert sorted(objects(label_sets, "k2")) == [("a", "cat"), ("mine", "cat")], "nothing of the branch was lost"


def test_conflicts(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [edit("k2", "patch", "a", {"geometry": box(1)}), put("k5", "n")], ANN)
    write(label_sets, "k2", (Object("a", "cat", Box(3, 3, 4, 4)), Object("b", "dog", Box(5, 5, 9, 9))))
    with pytest.raises(MergeConflictError) as raised:
        commit(label_sets, "pets")
    (conflict,) = raised.value.conflicts
    assert (conflict.key, conflict.object_id, conflict.ours, conflict.theirs) == ("k2", "a", "changed", "changed")
    assert label_sets.get("pets").base == "pets@1", "nothing was committed"
    label_sets.workspace.datasets.branch("pets", "trial", "1")
    commit(label_sets, "pets", prefer="dataset")
    assert label_sets.item("pets", "k2").objects[0].geometry["x1"] == 3.0
    label_sets.apply("pets", [edit("k2", "patch", "a", {"geometry": box(7)})], BEN)
    write(label_sets, "k2", (Object("b", "dog", Box(5, 5, 9, 9)),))
    commit(label_sets, "pets", prefer="labels")
    assert label_sets.workspace.datasets.open("pets").get("k2")["objects"][-1].geometry == Box(7, 0, 17, 10)


def test_edits_during_a_commit_are_kept_for_the_next_one(
    label_sets: LabelSets, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_sets.apply("pets", [put("k0", "first")], ANN)
    commit_changes = type(label_sets.workspace.datasets).commit_changes

    def edit_meanwhile(*args: Any, **options: Any) -> Any:
        label_sets.apply("pets", [put("k0", "second"), put("k3", "third")], BEN)
        return commit_changes(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(label_sets.workspace.datasets), "commit_changes", edit_meanwhile)
        result = commit(label_sets, "pets")
    assert (result.seq, objects(label_sets, "k0"), objects(label_sets, "k3")) == (1, [("first", "cat")], None)
    assert label_sets.get("pets").uncommitted_edits == 2
    commit(label_sets, "pets")
    assert objects(label_sets, "k0") == [("first", "cat"), ("second", "cat")]
    assert objects(label_sets, "k3") == [("third", "cat")]


def test_two_commits_at_once(label_sets: LabelSets, monkeypatch: pytest.MonkeyPatch) -> None:
    label_sets.apply("pets", [put("k0", "n")], ANN)
    commit_changes = type(label_sets.workspace.datasets).commit_changes

    def commit_meanwhile(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(type(label_sets.workspace.datasets), "commit_changes", commit_changes)
        commit(label_sets, "pets", message="first")
        return commit_changes(*args, **options)

    monkeypatch.setattr(type(label_sets.workspace.datasets), "commit_changes", commit_meanwhile)
    with pytest.raises(ConflictError, match="at the same time"):
        commit(label_sets, "pets", message="second")
    assert [info.message for info in label_sets.workspace.datasets.log("pets")][:1] == ["first"]
    assert objects(label_sets, "k0") == [("n", "cat")]


def test_classes_of_the_set_are_committed(label_sets: LabelSets) -> None:
    cat, dog = label_sets.get("pets").classes
    label_sets.put_class("pets", LabelClass("b", "bird", "#112233", parent="c1"))
    label_sets.put_class("pets", replace(dog, name="wolf"))
    label_sets.apply("pets", [put("k0", "n", "b"), put("k3", "m", "c2")], ANN)
    commit(label_sets, "pets")
    column = label_sets.workspace.datasets.open("pets").schema["objects"]
    assert [(info.name, info.parent, info.was) for info in column.classes] == [
        ("cat", None, ()),
        ("wolf", None, ("dog",)),
        ("bird", "cat", ()),
    ]
    assert objects(label_sets, "k5") == [("a", "cat"), ("b", "wolf")], "also in items without edits"
    assert (objects(label_sets, "k0"), objects(label_sets, "k3")) == ([("n", "bird")], [("m", "wolf")])
    assert not label_sets.get("pets").has_uncommitted_classes
    label_sets.put_class("pets", replace(cat, deleted=True))
    commit(label_sets, "pets")
    assert objects(label_sets, "k5") == [("b", "wolf")]
    assert label_sets.workspace.datasets.open("pets").schema["objects"].class_names == ("wolf", "bird")
    assert [obj.id for obj in label_sets.item("pets", "k2").objects] == ["b"]


def test_two_classes_swap_their_names(label_sets: LabelSets) -> None:
    cat, dog = label_sets.get("pets").classes
    for label_class, name in ((cat, "x"), (dog, "cat"), (cat, "dog")):
        label_sets.put_class("pets", replace(label_class, name=name))
    commit(label_sets, "pets")
    assert objects(label_sets, "k2") == [("a", "dog"), ("b", "cat")]
    assert [(c.id, c.name) for c in label_sets.get("pets").classes] == [("c1", "dog"), ("c2", "cat")]


def test_a_class_that_was_renamed_on_the_branch_keeps_its_id(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k0", "n", "c1")], ANN)
    edit_classes(label_sets.workspace, "pets", [RenameClass(name="cat", new_name="kitten")])
    commit(label_sets, "pets")
    assert objects(label_sets, "k0") == [("n", "kitten")]
    assert [(c.id, c.name) for c in label_sets.get("pets").classes] == [("c1", "kitten"), ("c2", "dog")]
    label_sets.apply("pets", [put("k3", "n", "c1")], ANN)
    commit(label_sets, "pets")
    assert objects(label_sets, "k3") == [("n", "kitten")]


def test_a_class_that_was_merged_on_the_branch_has_a_successor(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k0", "n", "c1")], ANN)
    edit_classes(label_sets.workspace, "pets", [MergeClass(name="cat", target="dog")])
    commit(label_sets, "pets")
    assert objects(label_sets, "k0") == [("n", "dog")]
    cat, dog = label_sets.get("pets").classes
    assert {cat.successor, dog.successor} == {None, dog.id if cat.successor else cat.id}
    merged, kept = (cat, dog) if cat.successor else (dog, cat)
    (result,), _ = label_sets.apply("pets", [put("k3", "n", merged.id)], ANN)
    assert result.status == "applied", "an annotator who has not seen the merge loses nothing"
    assert label_sets.item("pets", "k3").objects[0].class_id == kept.id
    commit(label_sets, "pets")
    assert objects(label_sets, "k3") == [("n", "dog")]


def test_a_class_that_was_removed_on_the_branch(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k0", "n", "c2")], ANN)
    edit_classes(label_sets.workspace, "pets", [RemoveClass(name="cat", with_objects=True)])
    commit(label_sets, "pets")
    assert objects(label_sets, "k0") == [("n", "dog")]
    label_set = label_sets.get("pets")
    assert label_set.base == "pets@3"
    names = {c.name for c in label_set.classes if not c.deleted}
    assert names == set(label_sets.workspace.datasets.open("pets").schema["objects"].class_names)


def test_a_new_column_and_another_branch(label_sets: LabelSets) -> None:
    label_sets.workspace.datasets.branch("pets", "trial", "1")
    label_sets.create("boxes", "pets@trial", column="boxes", classes=["car"])
    label_sets.apply("boxes", [put("k1", "n")], ANN)
    commit(label_sets, "boxes")
    version = label_sets.workspace.datasets.open("pets@trial")
    assert version.schema["boxes"].classes == (ClassInfo("car", color="#e69f00"),)
    assert [obj.class_name for obj in version.get("k1")["boxes"]] == ["car"]
    assert version.get("k0")["boxes"] is None
    assert label_sets.workspace.datasets.open("pets").number == 1


def test_a_new_column_on_a_branch_that_moved_on(label_sets: LabelSets) -> None:
    label_sets.create("boxes", "pets", column="boxes", classes=["car"])
    label_sets.apply("boxes", [put("k1", "n")], ANN)
    write(label_sets, "k1", (Object("a", "cow", Box(1, 1, 2, 2)),))
    commit(label_sets, "boxes")
    version = label_sets.workspace.datasets.open("pets")
    assert [obj.class_name for obj in version.get("k1")["boxes"]] == ["car"]
    assert objects(label_sets, "k1") == [("a", "cow")]


def test_items_that_the_branch_removed(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k0", "n"), put("k1", "n")], ANN)
    label_sets.workspace.datasets.delete_items("pets", ["k0", "k3"])
    with pytest.raises(MergeConflictError):
        commit(label_sets, "pets")
    commit(label_sets, "pets", prefer="dataset")
    assert label_sets.workspace.datasets.open("pets").keys() == ["k1", "k2", "k4", "k5"]
    results, _ = label_sets.apply("pets", [put("k3", "n"), put("k4", "n")], ANN)
    assert [result.code for result in results] == ["item-unknown", None]
    commit(label_sets, "pets")
    assert objects(label_sets, "k4") == [("n", "cat")]


def test_a_removed_set(label_sets: LabelSets) -> None:
    with pytest.raises(NotFoundError):
        commit(label_sets, "nothing")


def test_a_set_that_started_empty_keeps_existing_labels_until_an_item_is_done(label_sets: LabelSets) -> None:
    label_sets.create("fresh", "pets", start="empty")
    edits = [put("k2", "n"), put("k0", "m"), put("k5", "x"), edit("k5", "state", None, {"state": "labelled"})]
    label_sets.apply("fresh", edits, ANN)
    shown = preview(label_sets, "fresh")
    assert (shown.base, shown.items, shown.changed_items) == ("pets@1", 3, 3)
    assert (shown.added, shown.removed, shown.changed) == (3, 2, 0)
    assert label_sets.get("fresh").base == "pets@1", "nothing was written"
    result = commit(label_sets, "fresh")
    assert (result.added, result.removed, result.changed) == (3, 2, 0)
    assert objects(label_sets, "k2") == [("a", "cat"), ("b", "dog"), ("n", "cat")], "in progress: added"
    assert objects(label_sets, "k0") == [("m", "cat")]
    assert objects(label_sets, "k5") == [("x", "cat")], "done: replaced"
    # What the set has added, it can also delete.
    label_sets.apply("fresh", [edit("k2", "delete", "n"), put("k2", "o")], ANN)
    commit(label_sets, "fresh")
    assert objects(label_sets, "k2") == [("a", "cat"), ("b", "dog"), ("o", "cat")]
    # An object with the id of an existing one is a change of it, and undoing that keeps the existing one.
    label_sets.apply("fresh", [put("k2", "a", "c2"), edit("k2", "delete", "a")], ANN)
    assert preview(label_sets, "fresh").removed == 0
    assert not commit(label_sets, "fresh").is_new
    label_sets.apply("fresh", [edit("k2", "state", None, {"state": "labelled"})], ANN)
    assert preview(label_sets, "fresh").removed == 2
    commit(label_sets, "fresh")
    assert objects(label_sets, "k2") == [("o", "cat")]


def test_existing_labels_of_an_empty_start_are_merged_with_the_branch(label_sets: LabelSets) -> None:
    label_sets.create("fresh", "pets", start="empty")
    label_sets.apply("fresh", [put("k2", "n"), put("k5", "m")], ANN)
    moved = Object("a", "cat", Box(1, 1, 2, 2))
    write(label_sets, "k2", (moved, Object("theirs", "cat", Box(0, 0, 1, 1))))
    commit(label_sets, "fresh")
    assert sorted(objects(label_sets, "k2")) == [("a", "cat"), ("n", "cat"), ("theirs", "cat")]
    assert label_sets.workspace.datasets.open("pets").get("k2")["objects"][0].geometry == Box(1, 1, 2, 2)
    label_sets.apply("fresh", [put("k2", "o"), edit("k2", "delete", "theirs")], ANN)
    commit(label_sets, "fresh")
    assert sorted(objects(label_sets, "k2")) == [("a", "cat"), ("n", "cat"), ("o", "cat")]
    assert objects(label_sets, "k5") == [("a", "cat"), ("b", "dog"), ("m", "cat")]


EXAMPLES = settings(
    max_examples=int(os.environ.get("SACCADE_EXAMPLES", "10")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from("abnop"), st.sampled_from(["put", "delete", "commit"])), max_size=12))
def test_items_in_progress_never_lose_existing_objects(label_sets: LabelSets, steps: list[tuple[str, str]]) -> None:
    """The preview tells what the commit does, and objects that only the dataset has stay in it."""
    name = f"set-{uuid.uuid4().hex}"
    existing = Object("old", "dog", Box(1, 1, 3, 3))
    write(label_sets, "k2", (existing, Object("a", "cat", Box(0, 0, 4, 4)), Object("b", "dog", Box(5, 5, 9, 9))))
    label_sets.create(name, "pets", start="empty")
    for object_id, kind in (*steps, ("", "commit")):
        if kind != "commit":
            label_sets.apply(name, [put("k2", object_id) if kind == "put" else edit("k2", "delete", object_id)], ANN)
            continue
        before = {obj_id for obj_id, _ in objects(label_sets, "k2")}
        shown = preview(label_sets, name)
        result = commit(label_sets, name)
        assert (shown.added, shown.removed, shown.changed) == (result.added, result.removed, result.changed)
        after = {obj_id for obj_id, _ in objects(label_sets, "k2")}
        live = {obj.id for obj in label_sets.item(name, "k2").objects}
        assert "old" in after
        assert live <= after
        assert (len(after - before), len(before - after)) == (result.added, result.removed)


def test_a_preview_names_changed_classes_and_counts_their_objects(label_sets: LabelSets) -> None:
    cat, dog = label_sets.get("pets").classes
    label_sets.put_class("pets", replace(cat, name="kitten"))
    label_sets.put_class("pets", replace(dog, deleted=True))
    label_sets.put_class("pets", LabelClass("b", "bird", "#112233"))
    label_sets.apply("pets", [edit("k2", "patch", "a", {"score": 0.5})], ANN)
    shown = preview(label_sets, "pets")
    expected = {("kitten", "changed", "cat"), ("dog", "removed", None), ("bird", "added", None)}
    assert {(c.name, c.change, c.previous_name) for c in shown.classes} == expected
    assert (shown.changed_items, shown.added, shown.removed, shown.changed) == (1, 0, 2, 1)
    result = commit(label_sets, "pets")
    assert (result.added, result.removed, result.changed, set(result.classes)) == (0, 2, 1, set(shown.classes))
    assert preview(label_sets, "pets").classes == ()
