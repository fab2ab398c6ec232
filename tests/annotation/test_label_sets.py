"""Label sets: creating and deleting them, their items, states, edits and classes."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest
from tests.annotation.conftest import ANN, BEN, box, edit, put, write_items

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import AttributeSpec, ItemState, LabelClass
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, QueryError
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.media.image import encode


def states(label_sets: LabelSets, name: str = "pets") -> dict[str, str]:
    return {item.key: str(item.state) for item in label_sets.items(name)[2]}


def test_items_start_with_the_labels_of_the_dataset(label_sets: LabelSets) -> None:
    label_set = label_sets.get("pets")
    assert (label_set.base, label_set.branch, label_set.items) == ("pets@1", "main", 6)
    assert [(c.id, c.name, c.hotkey) for c in label_set.classes] == [("c1", "cat", "1"), ("c2", "dog", "2")]
    assert dict(label_set.states) == {
        "unlabelled": 2,
        "in_progress": 0,
        "labelled": 2,
        "empty": 2,
        "skipped": 0,
    }
    total, ref, page = label_sets.items("pets", ItemState.LABELLED)
    assert (total, ref) == (2, "pets@1")
    assert [(item.key, item.index, item.objects) for item in page] == [("k2", 2, 2), ("k5", 5, 2)]
    item = label_sets.item("pets", "k2")
    assert (item.index, item.total, item.previous, item.next, item.seq) == (2, 6, "k1", "k3", 0)
    assert [(obj.id, obj.class_id, obj.order, obj.source) for obj in item.objects] == [
        ("a", "c1", 0.0, "import"),
        ("b", "c2", 1.0, "import"),
    ]
    assert (label_sets.item("pets", "k0").previous, label_sets.item("pets", "k5").next) == (None, None)


def test_an_empty_start_ignores_the_labels(label_sets: LabelSets) -> None:
    label_sets.create("fresh", "pets", start="empty", classes=["bird", "cat"])
    assert set(states(label_sets, "fresh").values()) == {"unlabelled"}
    assert label_sets.item("fresh", "k2").objects == ()
    assert [c.name for c in label_sets.get("fresh").classes] == ["cat", "dog", "bird"]
    label_sets.apply("fresh", [put("k2", "new")], ANN)
    assert [obj.id for obj in label_sets.item("fresh", "k2").objects] == ["new"]


def test_a_query_chooses_the_items(label_sets: LabelSets) -> None:
    label_sets.create("some", "pets", query="len(objects) > 0")
    assert states(label_sets, "some") == {"k2": "labelled", "k5": "labelled"}
    item = label_sets.item("some", "k5")
    assert (item.index, item.total, item.previous) == (1, 2, "k2")
    results, _ = label_sets.apply("some", [put("k0", "x"), edit("k2", "delete", "a"), edit("k2", "delete", "b")], ANN)
    assert [result.code for result in results] == ["item-unknown", None, None]
    assert states(label_sets, "some") == {"k2": "labelled", "k5": "labelled"}, "the set keeps the items that it has"
    with pytest.raises(NotFoundError):
        label_sets.item("some", "k0")
    with pytest.raises(QueryError):
        label_sets.create("other", "pets", query="nothing > 0")


def test_targets(label_sets: LabelSets) -> None:
    datasets = label_sets.workspace.datasets
    datasets.branch("pets", "trial", "1")
    datasets.alias("pets", "good", 1, fixed=True)
    datasets.write("pets", Schema((Column("note", Kind.TEXT),)), [Item("k0", {"note": "x"})], mode="merge")
    for dataset, base, branch in (
        ("pets", "pets@2", "main"),
        ("pets@latest", "pets@2", "main"),
        ("pets@trial", "pets@1", "trial"),
        ("pets@1", "pets@1", "main"),
        ("pets@good", "pets@1", "main"),
    ):
        label_set = label_sets.create(f"set-{dataset.replace('@', '-')}", dataset)
        assert (label_set.base, label_set.branch) == (base, branch), dataset
    with pytest.raises(ConflictError, match="already a label set"):
        label_sets.create("pets", "pets")
    with pytest.raises(NotFoundError):
        label_sets.create("new", "nothing")
    with pytest.raises(InvalidValueError, match="kind text"):
        label_sets.create("new", "pets", column="note")
    with pytest.raises(InvalidValueError):
        label_sets.create("a/b", "pets")
    with pytest.raises(ConflictError, match="commits to the branch"):
        datasets.delete_branch("pets", "trial")


def test_edits_are_logged_with_what_they_replaced(label_sets: LabelSets) -> None:
    move = edit("k2", "patch", "a", {"geometry": box(1), "attributes.sleeps": True})
    results, seq = label_sets.apply("pets", [put("k0", "n"), move, edit("k2", "delete", "b")], ANN)
    assert [(result.status, result.seq) for result in results] == [("applied", 1), ("applied", 2), ("applied", 3)]
    assert seq == 3
    assert states(label_sets)["k0"] == "in_progress"
    assert states(label_sets)["k2"] == "labelled"
    first, second, third = label_sets.history("pets")
    assert (first.edit.fields["class"], first.before) == ("c1", {})
    box_a = {"type": "box", "x1": 0.0, "y1": 0.0, "x2": 4.0, "y2": 4.0}
    assert second.before == {"geometry": box_a, "attributes.sleeps": None}
    assert (third.before["class"], third.before["source"]) == ("c2", "import")
    assert [obj.id for obj in label_sets.item("pets", "k2").objects] == ["a"]
    assert [applied.seq for applied in label_sets.history("pets", item="k2", after=2)] == [3]
    assert label_sets.history("pets", author_id="ben") == []


def test_an_edit_that_is_sent_again_gets_the_same_result(label_sets: LabelSets) -> None:
    edits = [put("k0", "n"), edit("k0", "patch", "n", {"score": 0.5})]
    first = label_sets.apply("pets", edits, ANN)
    assert label_sets.apply("pets", edits, ANN) == first
    assert len(label_sets.history("pets")) == 2
    again = replace(edits[0], object="other")
    (result,), _ = label_sets.apply("pets", [again], ANN)
    assert (result.status, result.code) == ("refused", "duplicate-id")
    (result,), _ = label_sets.apply("pets", [edits[0]], BEN)
    assert (result.status, result.code) == ("refused", "duplicate-id"), "the id is another author's"


def test_an_unchanged_value_makes_no_edit(label_sets: LabelSets) -> None:
    (result,), seq = label_sets.apply("pets", [edit("k2", "patch", "a", {"geometry": box(0, 0, 4)})], ANN)
    assert (result.status, result.seq, seq) == ("unchanged", None, 0)
    assert label_sets.get("pets").uncommitted_items == 0
    label_sets.apply("pets", [edit("k2", "patch", "a", {"class": "c1", "score": 1})], ANN)
    assert label_sets.history("pets")[0].edit.fields == {"score": 1.0}, "only what changed is logged"
    (result,), _ = label_sets.apply("pets", [edit("k2", "patch", "a", {"attributes.x": 1})], ANN)
    (result,), _ = label_sets.apply("pets", [edit("k2", "patch", "a", {"attributes.x": True})], ANN)
    assert result.status == "applied", "true is not 1"


def test_the_last_writer_wins_by_field_and_learns_what_it_replaced(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [edit("k2", "patch", "a", {"class": "c2", "score": 0.25})], ANN)
    (result,), _ = label_sets.apply("pets", [edit("k2", "patch", "a", {"class": "c1", "track": "t"})], BEN)
    assert [(entry.field, entry.author, entry.seq) for entry in result.overwrote] == [("class", "Ann", 1)]
    obj = label_sets.item("pets", "k2").objects[0]
    assert (obj.class_id, obj.score, obj.track) == ("c1", 0.25, "t")
    (result,), _ = label_sets.apply("pets", [edit("k2", "patch", "a", {"class": "c2"}, base=2)], ANN)
    assert result.overwrote == (), "the author had seen the change"


def test_a_deletion_wins_over_a_change_and_can_be_undone(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [edit("k2", "delete", "a")], ANN)
    (result,), _ = label_sets.apply("pets", [edit("k2", "patch", "a", {"score": 0.5})], BEN)
    assert (result.status, result.deleted_by) == ("applied", "Ann")
    assert [obj.id for obj in label_sets.item("pets", "k2").objects] == ["b"]
    (again,), _ = label_sets.apply("pets", [edit("k2", "delete", "a")], BEN)
    assert again.status == "unchanged"
    label_sets.apply("pets", [edit("k2", "restore", "a")], ANN)
    assert [(obj.id, obj.score) for obj in label_sets.item("pets", "k2").objects] == [("a", 0.5), ("b", None)]


def test_a_refused_edit_does_not_stop_the_others(label_sets: LabelSets) -> None:
    label_sets.put_class("pets", LabelClass("c2", "dog", "#112233", deleted=True))
    bad = {"type": "box", "x1": 5, "y1": 0, "x2": 1, "y2": 1}
    edits = [
        put("k0", "n", "c9"),
        put("k0", "n", "c2"),
        put("k0", "n", geometry=bad),
        put("k0", "n", geometry={"type": "star"}),
        put("k0", "n", geometry={"type": "mask", "width": 2, "height": 2, "counts": [3]}),
        put("k0", "n", geometry={"type": "box", "x1": 0, "y1": 0, "x2": 1, "y2": 1, "z": 1}),
        put("k0", "n", score=float("nan")),
        put("k0", "n", attributes={"x": [1]}),
        put("k0", "n", color="red"),
        edit("zz", "delete", "n"),
        edit("k0", "delete", "n"),
        edit("k0", "patch", "n", {"score": 1}),
        put("k2", "a"),
        edit("k2", "patch", "a", {}),
        edit("k2", "patch", "a", {"source": "x"}),
        edit("k2", "patch", "a", {"track": "\ud800"}),
        edit("k2", "state", None, {"state": "done"}),
        edit("k2", "state", None, {"state": ["labelled"]}),
        edit("k2", "state", None, {"state": "empty"}),
        edit("k2", "put", "", {}),
        put("k0", "fine"),
    ]
    results, seq = label_sets.apply("pets", edits, ANN)
    assert [result.code for result in results] == [
        "class-unknown",
        "class-deleted",
        *["geometry-invalid"] * 4,
        *["invalid-edit"] * 3,
        "item-unknown",
        "object-unknown",
        "object-unknown",
        "object-exists",
        *["invalid-edit"] * 5,
        "not-empty",
        "invalid-edit",
        None,
    ]
    assert all(result.reason for result in results[:-1])
    assert seq == 1
    assert [obj.id for obj in label_sets.item("pets", "k0").objects] == ["fine"]


def test_states(label_sets: LabelSets) -> None:
    def set_state(key: str, state: str, reason: str | None = None) -> str:
        (result,), _ = label_sets.apply("pets", [edit(key, "state", None, {"state": state, "reason": reason})], ANN)
        return result.status

    assert set_state("k0", "skipped", "blurred") == "applied"
    assert set_state("k0", "skipped", "blurred") == "unchanged"
    assert label_sets.items("pets", ItemState.SKIPPED)[2][0].reason == "blurred"
    assert label_sets.history("pets")[0].before == {"state": "unlabelled", "reason": None}
    label_sets.apply("pets", [put("k0", "n")], ANN)
    item = label_sets.item("pets", "k0")
    assert (item.state, item.reason) == (ItemState.IN_PROGRESS, None)
    label_sets.apply("pets", [edit("k0", "delete", "n")], ANN)
    assert set_state("k0", "empty") == "applied"
    assert set_state("k0", "empty") == "unchanged"
    assert states(label_sets)["k0"] == "empty"
    (result,), _ = label_sets.apply("pets", [edit("k0", "state", None, {"state": "skipped"})], BEN)
    assert [(entry.field, entry.author) for entry in result.overwrote] == [("state", "Ann")]


def test_a_labelled_item_without_objects_is_empty(label_sets: LabelSets) -> None:
    labelled = edit("k0", "state", None, {"state": "labelled"})
    (result,), _ = label_sets.apply("pets", [labelled], ANN)
    assert result.status == "applied"
    assert states(label_sets)["k0"] == "empty"
    assert label_sets.history("pets")[0].edit.fields == {"state": "empty", "reason": None}
    label_sets.apply("pets", [edit("k2", "delete", "a"), edit("k2", "state", None, {"state": "labelled"})], ANN)
    assert states(label_sets)["k2"] == "labelled"
    label_sets.apply("pets", [edit("k2", "delete", "b"), edit("k2", "state", None, {"state": "labelled"})], ANN)
    assert states(label_sets)["k2"] == "empty"
    assert label_sets.get("pets").unchecked == {
        **dict.fromkeys(ItemState, 0),
        ItemState.LABELLED: 1,
        ItemState.EMPTY: 2,
    }


def test_labels_of_the_dataset_are_not_checked_until_an_item_is_marked(label_sets: LabelSets) -> None:
    def summary(key: str) -> tuple[str, bool]:
        (item,) = [item for item in label_sets.items("pets")[2] if item.key == key]
        assert label_sets.item("pets", key).is_checked == item.is_checked
        return str(item.state), item.is_checked

    label_set = label_sets.get("pets")
    assert (label_set.done, label_set.unchecked[ItemState.LABELLED], label_set.unchecked[ItemState.EMPTY]) == (0, 2, 2)
    assert (summary("k0"), summary("k2"), summary("k1")) == (
        ("unlabelled", True),
        ("labelled", False),
        ("empty", False),
    )
    label_sets.apply("pets", [edit("k2", "patch", "a", {"score": 0.5})], ANN)
    assert summary("k2") == ("labelled", False), "a change of an object does not check the item"
    marks = [edit(key, "state", None, {"state": state}) for key, state in (("k2", "labelled"), ("k1", "empty"))]
    results, _ = label_sets.apply("pets", marks, ANN)
    assert [result.status for result in results] == ["applied", "applied"]
    assert (summary("k2"), summary("k1")) == (("labelled", True), ("empty", True))
    assert label_sets.get("pets").done == 2
    (again,), _ = label_sets.apply("pets", [edit("k2", "state", None, {"state": "labelled"})], BEN)
    assert again.status == "unchanged"
    assert [item.key for item in label_sets.items("pets", checked=False)[2]] == ["k4", "k5"]
    assert [item.key for item in label_sets.items("pets", ItemState.LABELLED, checked=True)[2]] == ["k2"]
    commit(label_sets, "pets")
    assert label_sets.get("pets").done == 2, "a commit does not change what was checked"


def test_a_set_needs_items_and_distinct_classes(label_sets: LabelSets) -> None:
    with pytest.raises(InvalidValueError, match="No item of pets@1 matches the query 'note == \"none\"'"):
        label_sets.create("other", "pets", query='note == "none"')
    with pytest.raises(InvalidValueError, match="The class 'bird' is given more than once"):
        label_sets.create("other", "pets", classes=["bird", "fox", "bird"])
    with pytest.raises(InvalidValueError, match="label set may not be called") as raised:
        label_sets.create("hafenstraße", "pets")
    assert "ASCII letters" in (raised.value.hint or "")
    assert [label_set.name for label_set in label_sets.list()] == ["pets"]


def test_classes(label_sets: LabelSets) -> None:
    bird = LabelClass("b-1", "bird", "#AABBCC", "3", keypoints=("beak", "tail"), skeleton=((0, 1),))
    label_sets.put_class("pets", bird)
    label_sets.put_class("pets", replace(bird, name="Bird", parent="c1"))
    classes = {c.id: c for c in label_sets.get("pets").classes}
    assert (classes["b-1"].name, classes["b-1"].parent) == ("Bird", "c1")
    assert label_sets.get("pets").has_uncommitted_classes
    points = {"type": "keypoints", "points": [[0, 0], [1, 1]], "visibility": [2, 2]}
    wrong = {"type": "keypoints", "points": [[0, 0]], "visibility": [2]}
    results, _ = label_sets.apply(
        "pets", [put("k0", "n", "b-1", geometry=points), put("k0", "m", "b-1", geometry=wrong)], ANN
    )
    assert [result.code for result in results] == [None, "geometry-invalid"]
    for wrong_class, error in (
        (replace(bird, id="x", name="cat"), ConflictError),
        (replace(bird, id="x", name="new"), ConflictError),
        (replace(bird, id="x/y", name="new", hotkey=None), InvalidValueError),
        (replace(bird, id="x", name=" new", hotkey=None), InvalidValueError),
        (replace(bird, id="x", name="new", hotkey="0"), InvalidValueError),
        (replace(bird, id="x", name="new", hotkey=None, color="red"), InvalidValueError),
        (replace(bird, id="x", name="new", hotkey=None, skeleton=((0, 2),)), InvalidValueError),
        (replace(bird, id="x", name="new", hotkey=None, parent="y"), NotFoundError),
        (replace(classes["c1"], parent="b-1"), InvalidValueError),
    ):
        with pytest.raises(error):
            label_sets.put_class("pets", wrong_class)
    label_sets.put_class("pets", replace(bird, name="Bird", deleted=True))
    (result,), _ = label_sets.apply("pets", [put("k3", "n", "b-1")], ANN)
    assert result.code == "class-deleted"
    assert [obj.class_id for obj in label_sets.item("pets", "k0").objects] == ["b-1"], "kept until the commit"


def test_uncommitted_edits_are_not_removed_silently(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [put("k0", "n")], ANN)
    with pytest.raises(ConflictError, match="1 uncommitted edit"):
        label_sets.delete("pets")
    with pytest.raises(ConflictError, match="label sets with uncommitted edits: pets"):
        label_sets.workspace.datasets.remove("pets")
    assert label_sets.workspace.datasets.exists("pets")
    label_sets.delete("pets", force=True)
    with pytest.raises(NotFoundError):
        label_sets.get("pets")
    label_sets.create("other", "pets")
    label_sets.workspace.datasets.remove("pets")
    assert label_sets.list() == [], "a set without edits goes with its dataset"


def test_a_new_set_is_not_mistaken_for_a_removed_one(label_sets: LabelSets) -> None:
    label_sets.apply("pets", [edit("k2", "delete", "a")], ANN)
    states(label_sets)
    label_sets.delete("pets", force=True)
    write_items(label_sets.workspace, "more")
    label_sets.create("pets", "more", start="empty")
    assert set(states(label_sets).values()) == {"unlabelled"}
    assert label_sets.item("pets", "k2").objects == ()


def test_sets_of_other_projects_are_invisible(label_sets: LabelSets) -> None:
    workspace = label_sets.workspace
    workspace.projects.add("other")
    other = LabelSets(workspace.scoped_to_project("other"))
    assert other.list() == []
    with pytest.raises(NotFoundError):
        other.get("pets")
    write_items(other.workspace)
    other.create("pets", "pets")
    other.apply("pets", [put("k0", str(uuid.uuid4()))], ANN)
    assert label_sets.get("pets").seq == 0


def image_ref(label_sets: LabelSets, width: int, height: int) -> ImageRef:
    data = encode(np.zeros((height, width, 3), np.uint8), "png")
    return ImageRef(label_sets.workspace.blobs.put_bytes(data), len(data), "a.png", width, height, "png")


def test_a_mask_has_the_size_of_the_image(label_sets: LabelSets) -> None:
    schema = Schema((Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, (ClassInfo("cat"),))))
    items = [
        Item("a", {"image": image_ref(label_sets, 4, 3), "objects": None}),
        Item("b", {"image": None, "objects": None}),
    ]
    label_sets.workspace.datasets.write("pictures", schema, items, mode="create")
    label_sets.create("masks", "pictures")
    right = {"type": "mask", "width": 4, "height": 3, "counts": [2, 10]}
    turned = {"type": "mask", "width": 3, "height": 4, "counts": [2, 10]}
    far = {"type": "box", "x1": 1000, "y1": -500, "x2": 2000, "y2": 3000}
    edits = [
        put("a", "m", geometry=right),
        put("a", "t", geometry=turned),
        edit("a", "patch", "m", {"geometry": turned}),
        put("a", "f", geometry=far),
        put("b", "t", geometry=turned),
    ]
    results, _ = label_sets.apply("masks", edits, ANN)
    assert [result.code for result in results] == [None, "geometry-invalid", "geometry-invalid", None, None]
    assert results[1].reason == "The mask has 3 x 4 pixels, and the image 4 x 3."
    # Without reading anything: the item was edited, and the size of its image is known.
    label_sets.batch("masks", [put("a", "u", geometry=turned)], ANN)
    batch = label_sets.cached_batch("masks", [put("a", "u", geometry=turned)], ANN)
    assert batch is not None
    assert batch.image_sizes == {"a": (4, 3)}


def test_an_attribute_with_choices_has_one_of_them(label_sets: LabelSets) -> None:
    cat = next(c for c in label_sets.get("pets").classes if c.name == "cat")
    attributes = (
        AttributeSpec("pose", "select", ("sits", "lies")),
        AttributeSpec("view", "radio", ("side", "front")),
        AttributeSpec("note", "text", ("not", "binding")),
    )
    label_sets.put_class("pets", replace(cat, attributes=attributes))
    edits = [
        put("k0", "n", attributes={"pose": "sits", "view": "front", "note": "free", "other": 3}),
        put("k0", "m", attributes={"pose": "jumps"}),
        edit("k0", "patch", "n", {"attributes.view": True}),
        edit("k0", "patch", "n", {"attributes.pose": None}),
        put("k0", "d", "c2", attributes={"pose": "jumps"}),
        edit("k0", "patch", "d", {"class": "c1", "attributes.pose": "jumps"}),
    ]
    results, _ = label_sets.apply("pets", edits, ANN)
    refused = "attribute-invalid"
    assert [result.code for result in results] == [None, refused, refused, None, None, refused]
    assert results[1].reason == "The attribute 'pose' has no choice 'jumps'. Choices: sits, lies."
