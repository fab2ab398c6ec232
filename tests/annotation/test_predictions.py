"""Label sets that start with predictions: what they show, accept, reject and commit."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from tests.annotation.conftest import ANN, BEN, box, edit, put

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Edit, ItemState, LabelObject
from saccade.core.class_edits import RenameClass, plan_class_edits
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

PREDICTED = Schema((Column("objects", Kind.OBJECTS, tuple(ClassInfo(name) for name in ("dog", "bird", "fish"))),))

PREDICTED_IDS = ("p1", "p2")
DECISIONS = ("accept", "undo", "reject", "restore")


def predicted(object_id: str, class_name: str, score: float | None, left: float = 0) -> Object:
    return Object(object_id, class_name, Box(left, 0, left + 4, 4), score)


def write_predictions(workspace: Workspace, inputs: Sequence[str] = ()) -> str:
    """Write predictions for items of ``pets``: k0 and k3 are not labelled, k2 is; "x" is no item of it."""
    values = {
        "k0": (predicted("p1", "dog", 0.9), predicted("p2", "bird", 0.5, 10), predicted("p3", "dog", 0.1, 20)),
        "k2": (predicted("p1", "dog", 0.8),),
        "k3": (predicted("p1", "bird", None),),
        "x": (predicted("p1", "dog", 0.8),),
    }
    items = [Item(key, {"objects": objects}) for key, objects in values.items()]
    return workspace.datasets.write("pets-pred", PREDICTED, items, mode="create", inputs=inputs).ref


@pytest.fixture
def checks(workspace: Workspace) -> LabelSets:
    """The label sets of a workspace with the set ``checks``, which starts with predictions from a score of 0.3."""
    write_predictions(workspace)
    label_sets = LabelSets(workspace)
    label_sets.create("checks", "pets", start="predictions", predictions="pets-pred", min_score=0.3)
    return label_sets


def objects_of(label_sets: LabelSets, key: str) -> dict[str, LabelObject]:
    return {obj.id: obj for obj in label_sets.item("checks", key).objects}


def accept(item: str, object_id: str, accepted: bool = True, group: str | None = None) -> Edit:
    return edit(item, "patch", object_id, {"accepted": accepted}, group=group)


def apply(label_sets: LabelSets, *edits: Edit) -> None:
    results, _ = label_sets.apply("checks", edits, ANN)
    assert [result.status for result in results] == ["applied"] * len(edits)


def committed(label_sets: LabelSets) -> dict[str, list[str] | None]:
    """Commit, and return the ids of the objects of each item in the version."""
    version = label_sets.workspace.datasets.open(commit(label_sets, "checks", author=ANN).version)
    values = {item.key: item.values["objects"] for item in version.items(["objects"])}
    return {key: None if objects is None else [obj.id for obj in objects] for key, objects in values.items()}


def test_unlabelled_items_start_with_predictions(checks: LabelSets) -> None:
    label_set = checks.get("checks")
    assert (label_set.start, label_set.predictions, label_set.min_score) == ("predictions", "pets-pred@1", 0.3)
    assert label_set.prediction_model == "pets-pred@1", "no model is known"
    assert [c.name for c in label_set.classes] == ["cat", "dog", "bird"], "a class without predictions is not added"
    assert label_set.states[ItemState.UNLABELLED] == 2, "predictions are not labels"
    assert (label_set.seq, label_set.uncommitted_edits) == (0, 0)
    objects = objects_of(checks, "k0")
    assert [(obj.id, obj.class_id, obj.score, obj.source, obj.accepted) for obj in objects.values()] == [
        ("p1", "c2", 0.9, "pets-pred@1", False),
        ("p2", "c3", 0.5, "pets-pred@1", False),
    ]
    assert list(objects_of(checks, "k3")) == ["p1"], "a prediction without a score has no low score"
    assert {obj.id: obj.accepted for obj in objects_of(checks, "k2").values()} == {"a": True, "b": True}
    counts = {item.key: (str(item.state), item.objects) for item in checks.items("checks")[2]}
    assert counts["k0"] == ("unlabelled", 2)
    assert counts["k2"] == ("labelled", 2)
    assert counts["k1"] == ("empty", 0)


def test_a_commit_has_only_accepted_predictions(checks: LabelSets) -> None:
    apply(checks, accept("k0", "p1"), put("k0", "mine", "c1"))
    result = commit(checks, "checks", author=ANN)
    assert (result.items, result.added, result.removed, result.changed) == (1, 2, 0, 0)
    version = checks.workspace.datasets.open(result.version)
    values = {item.key: item.values["objects"] for item in version.items(["objects"])}
    assert [(obj.id, obj.class_name, obj.score) for obj in values["k0"]] == [("p1", "dog", 0.9), ("mine", "cat", None)]
    assert values["k3"] is None, "an item without edits stays unlabelled"
    # What is not decided is still there, and can be accepted later.
    assert [obj.accepted for obj in objects_of(checks, "k0").values()] == [True, False, True]
    assert list(objects_of(checks, "k3")) == ["p1"]
    apply(checks, accept("k0", "p2"), accept("k3", "p1"))
    assert committed(checks)["k0"] == ["p1", "p2", "mine"]
    assert committed(checks)["k3"] == ["p1"]


def test_rejected_predictions_are_not_committed(checks: LabelSets) -> None:
    apply(checks, edit("k0", "delete", "p1"), edit("k0", "delete", "p2"))
    assert checks.item("checks", "k0").state == "in_progress"
    assert committed(checks)["k0"] is None, "nothing was labelled"
    apply(checks, edit("k0", "state", None, {"state": "empty"}))
    assert committed(checks)["k0"] == []


def test_undo_of_an_acceptance(checks: LabelSets) -> None:
    act = str(uuid.uuid4())
    apply(checks, accept("k0", "p1", group=act), accept("k0", "p2", group=act))
    (first, second) = checks.history("checks", item="k0")
    assert (first.before, second.before) == ({"accepted": False}, {"accepted": False})
    inverse = [edit("k0", "patch", e.edit.object, e.before) for e in (second, first)]
    apply(checks, *inverse)
    assert [obj.accepted for obj in objects_of(checks, "k0").values()] == [False, False]
    assert committed(checks)["k0"] is None
    apply(checks, edit("k0", "delete", "p1"))
    apply(checks, edit("k0", "restore", "p1"))
    assert not objects_of(checks, "k0")["p1"].accepted, "a prediction that is restored is not decided"


def test_two_people_decide_differently(checks: LabelSets) -> None:
    apply(checks, accept("k0", "p1"))
    (result,), _ = checks.apply("checks", [edit("k0", "delete", "p1", base=0)], BEN)
    assert [(entry.field, entry.author) for entry in result.overwrote] == [("accepted", "Ann")]


def test_invalid_edits(checks: LabelSets) -> None:
    edits = [edit("k0", "patch", "p1", {"accepted": value}) for value in ("yes", 1, None)]
    edits += [put("k0", "new", accepted="no"), accept("k0", "p3"), accept("k0", "p1", accepted=False)]
    results, _ = checks.apply("checks", edits, ANN)
    assert [result.code or result.status for result in results] == [
        *["invalid-edit"] * 4,
        "object-unknown",
        "unchanged",
    ]


def test_the_model_is_that_of_the_lineage(workspace: Workspace) -> None:
    workspace.models.add("net", files={"weights": b"x"}, manifest={}, metrics={}, inputs=["pets@1"])
    write_predictions(workspace, ["pets@1", "model:net@1"])
    label_sets = LabelSets(workspace)
    label_set = label_sets.create("checks", "pets", start="predictions", predictions="pets-pred@1")
    assert (label_set.prediction_model, label_set.min_score) == ("net@1", 0.0)
    assert {obj.source for obj in objects_of(label_sets, "k0").values()} == {"net@1"}


def test_classes_follow_renames_in_the_dataset_and_the_set(checks: LabelSets) -> None:
    workspace = checks.workspace
    rename = RenameClass(name="dog", column="objects", new_name="hound")
    workspace.datasets.relabel("pets", lambda schema: plan_class_edits(schema, [rename]))
    label_set = checks.create("renamed", "pets", start="predictions", predictions="pets-pred")
    assert [c.name for c in label_set.classes] == ["cat", "hound", "bird"]
    assert [obj.class_id for obj in checks.item("renamed", "k0").objects] == ["c2", "c3", "c2"]
    bird = next(c for c in checks.get("checks").classes if c.name == "bird")
    checks.put_class("checks", replace(bird, name="gull"))
    assert objects_of(checks, "k0")["p2"].class_id == "c3"
    checks.put_class("checks", replace(bird, deleted=True))
    assert list(objects_of(checks, "k0")) == ["p1"], "predictions of a deleted class are gone"


def test_creation_fails(workspace: Workspace) -> None:
    write_predictions(workspace)
    note = Schema((Column("note", Kind.TEXT),))
    workspace.datasets.write("notes", note, [Item("k0", {"note": ""})], mode="create")
    workspace.datasets.write("others", PREDICTED, [Item("z", {"objects": ()})], mode="create")
    label_sets = LabelSets(workspace)
    for values, message in (
        ({}, "needs predictions"),
        ({"predictions": "notes"}, "no column of objects"),
        ({"predictions": "others"}, "none of the 2 unlabelled items"),
        ({"predictions": "pets-pred", "min_score": 1.5}, "from 0 to 1"),
        ({"predictions": "pets-pred", "min_score": float("nan")}, "from 0 to 1"),
        ({"predictions": "pets-pred", "query": "len(objects) > 0"}, "labels in the column 'objects'"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            label_sets.create("bad", "pets", start="predictions", **values)
    with pytest.raises(InvalidValueError):
        label_sets.create("bad", "pets", predictions="pets-pred")
    with pytest.raises(NotFoundError):
        label_sets.create("bad", "pets", start="predictions", predictions="pets-pred@7")
    assert label_sets.list() == []


def test_predictions_of_labelled_items_in_a_new_column(workspace: Workspace) -> None:
    write_predictions(workspace)
    label_sets = LabelSets(workspace)
    label_sets.create("checks", "pets", column="checked", start="predictions", predictions="pets-pred")
    assert list(objects_of(label_sets, "k2")) == ["p1"]
    apply(label_sets, accept("k2", "p1"))
    version = workspace.datasets.open(commit(label_sets, "checks", author=ANN).version)
    (item,) = version.items(["objects", "checked"], ["k2"])
    assert [obj.id for obj in item.values["checked"]] == ["p1"]
    assert [obj.id for obj in item.values["objects"]] == ["a", "b"]


def test_removal_of_the_predictions(checks: LabelSets) -> None:
    apply(checks, accept("k0", "p1"))
    datasets = checks.workspace.datasets
    with pytest.raises(ConflictError, match="'checks'"):
        datasets.remove("pets-pred")
    datasets.remove("pets-pred", force=True)
    fresh = LabelSets(checks.workspace)
    assert [obj.accepted for obj in objects_of(fresh, "k0").values()] == [True, False]
    assert objects_of(fresh, "k3") == {}
    assert committed(fresh)["k0"] == ["p1"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.sampled_from(PREDICTED_IDS), st.sampled_from(DECISIONS))))
def test_a_commit_has_what_is_accepted_at_last(checks: LabelSets, acts: list[tuple[str, str]]) -> None:
    """Whatever was decided before, in whatever order."""
    accepted = dict.fromkeys(PREDICTED_IDS, False)
    deleted = dict.fromkeys(PREDICTED_IDS, False)
    for name in PREDICTED_IDS:  # the examples share the label set
        checks.apply("checks", [edit("k0", "restore", name), accept("k0", name, accepted=False)], ANN)
    for name, act in acts:
        if act in ("accept", "undo"):
            accepted[name] = act == "accept"
            checks.apply("checks", [accept("k0", name, accepted[name])], ANN)
        else:
            deleted[name] = act == "reject"
            checks.apply("checks", [edit("k0", "delete" if deleted[name] else "restore", name)], ANN)
    checks.apply("checks", [put("k0", str(uuid.uuid4()), geometry=box(50))], ANN)
    expected = [name for name in accepted if accepted[name] and not deleted[name]]
    assert [name for name in committed(checks)["k0"] or [] if name in accepted] == expected
