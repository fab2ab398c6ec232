"""Any sequence of edits, undo and redo by two people ends in the state that replaying the log gives."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings
from tests.annotation.conftest import ANN, BEN, box, edit, write_items

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import AppliedEdit, Author, Edit, EditKind
from saccade.core.geometry_json import geometry_from_json, geometry_to_json
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, RotatedBox
from saccade.store.workspace import Workspace

State = dict[str, dict[str, Any]]
FIELDS = ("class", "geometry", "score", "track", "order")
number = st.integers(-100, 100).map(lambda value: value / 4)


def state_of(label_sets: LabelSets, key: str) -> State:
    """Return the objects of an item by id."""
    return {
        obj.id: {
            "class": obj.class_id,
            "geometry": obj.geometry,
            "score": obj.score,
            "track": obj.track,
            "order": obj.order,
            "attributes": dict(obj.attributes),
            "source": obj.source,
            "accepted": obj.accepted,
        }
        for obj in label_sets.item("pets", key).objects
    }


def replay(state: State, log: list[AppliedEdit]) -> State:
    """Apply a log to a state, by its own simple rules."""
    objects = {object_id: dict(values) for object_id, values in state.items()}
    deleted: set[str] = set()
    for applied in log:
        change = applied.edit
        if change.kind == "state":
            continue
        object_id = str(change.object)
        if change.kind == "put":
            objects[object_id] = {**change.fields, "attributes": dict(change.fields["attributes"])}
            deleted.discard(object_id)
        elif change.kind == "delete":
            deleted.add(object_id)
        elif change.kind == "restore":
            deleted.discard(object_id)
        else:
            for name, value in change.fields.items():
                if name.startswith("attributes."):
                    attributes = dict(objects[object_id]["attributes"])
                    attributes[name[11:]] = value
                    objects[object_id]["attributes"] = {n: v for n, v in attributes.items() if v is not None}
                else:
                    objects[object_id][name] = value
    return {object_id: values for object_id, values in objects.items() if object_id not in deleted}


def inverse(applied: AppliedEdit) -> tuple[EditKind, Mapping[str, Any]]:
    """Return the edit that undoes another."""
    if applied.edit.kind == "patch":
        return "patch", applied.before
    if applied.edit.kind == "state":
        return "state", applied.before
    return ("restore" if applied.edit.kind == "delete" else "delete"), {}


values = st.one_of(
    st.tuples(st.just("class"), st.sampled_from(["c1", "c2"])),
    st.tuples(st.just("geometry"), st.builds(box, number, number)),
    st.tuples(st.just("score"), st.none() | number),
    st.tuples(st.just("attributes.x"), st.none() | number | st.booleans() | st.text("ab", max_size=2)),
)
actions = st.lists(
    st.tuples(
        st.sampled_from([ANN, BEN]),
        st.sampled_from(["put", "patch", "delete", "restore", "undo", "redo", "again"]),
        st.sampled_from(["k0", "k2"]),
        st.sampled_from(["a", "b", "n"]),
        st.dictionaries(st.just("x"), values, min_size=1),
    ),
    max_size=25,
)


class Person:
    """Undo and redo as a client does it: from the person's own edits in the log."""

    def __init__(self, label_sets: LabelSets, author: Author) -> None:
        self.label_sets = label_sets
        self.author = author
        self.undone: list[AppliedEdit] = []

    def _last_edit(self, key: str) -> AppliedEdit | None:
        log = self.label_sets.history("pets", item=key, author_id=self.author.id)
        undone = {applied.edit.undoes for applied in log}
        acts = [applied for applied in log if applied.edit.undoes is None and applied.edit.group not in undone]
        return acts[-1] if acts else None

    def undo(self, key: str) -> Edit | None:
        applied = self._last_edit(key)
        if applied is None:
            return None
        kind, fields = inverse(applied)
        self.undone.append(applied)
        return Edit(
            str(uuid.uuid4()),
            key,
            applied.edit.object,
            kind,
            fields,
            applied.seq,
            str(uuid.uuid4()),
            applied.edit.group,
        )

    def redo(self) -> Edit | None:
        if not self.undone:
            return None
        change = self.undone.pop().edit
        kind: EditKind = "restore" if change.kind == "put" else change.kind
        fields = {} if change.kind == "put" else change.fields
        return Edit(
            str(uuid.uuid4()), change.item, change.object, kind, fields, 0, str(uuid.uuid4()), None, change.group
        )


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("SACCADE_EXAMPLES", "25")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=actions, commit_at=st.integers(0, 25))
def test_the_state_is_the_replayed_log(actions: Any, commit_at: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Workspace.create(Path(folder)) as workspace:
        write_items(workspace)
        label_sets = LabelSets(workspace)
        label_sets.create("pets", "pets")
        before = {key: state_of(label_sets, key) for key in ("k0", "k2")}
        people = {author: Person(label_sets, author) for author in (ANN, BEN)}
        last: dict[Author, Edit] = {}
        for step, (author, kind, key, object_id, fields) in enumerate(actions):
            if step == commit_at:
                commit(label_sets, "pets")
            change: Edit | None
            if kind == "undo":
                change = people[author].undo(key)
            elif kind == "redo":
                change = people[author].redo()
            elif kind == "again":
                change = last.get(author)
            elif kind == "put":
                change = edit(key, "put", object_id, {"class": "c1", "geometry": box()})
            else:
                change = edit(key, kind, object_id, dict(fields.values()) if kind == "patch" else {})
            if change is None:
                continue
            last[author] = change
            results, _ = label_sets.apply("pets", [change], author)
            assert label_sets.apply("pets", [change], author)[0][0].status in (
                results[0].status,
                "unchanged",
                "refused",
            )
        log = label_sets.history("pets")
        assert [applied.seq for applied in log] == list(range(1, len(log) + 1))
        assert len({applied.edit.id for applied in log}) == len(log)
        for key in ("k0", "k2"):
            of_item = [applied for applied in log if applied.edit.item == key]
            assert state_of(label_sets, key) == replay(before[key], of_item)
            reopened = LabelSets(workspace)
            assert state_of(reopened, key) == state_of(label_sets, key)
        result = commit(label_sets, "pets")
        for key in ("k0", "k2"):
            stored = workspace.datasets.open(result.version).get(key)["objects"] or ()
            expected = state_of(label_sets, key)
            assert {obj.id for obj in stored} == set(expected)
            for obj in stored:
                assert geometry_to_json(obj.geometry) == expected[obj.id]["geometry"]
                assert obj.attributes == expected[obj.id]["attributes"]


pair = st.tuples(number, number)
size = st.integers(0, 100).map(lambda value: value / 4)
ring = st.lists(pair, min_size=3, max_size=6).map(tuple)
geometries: st.SearchStrategy[Geometry] = st.one_of(
    st.builds(lambda x, y, w, h: Box(x, y, x + w, y + h), number, number, size, size),
    st.builds(RotatedBox, number, number, size, size, number),
    st.lists(st.lists(ring, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(
        lambda parts: Polygon(tuple(parts))
    ),
    st.lists(pair, min_size=2).map(lambda points: Polyline(tuple(points))),
    st.lists(pair, min_size=1).map(lambda points: Points(tuple(points))),
    st.builds(Ellipse, number, number, size, size, number),
    st.lists(st.tuples(pair, st.integers(0, 2)), min_size=1).map(
        lambda entries: Keypoints(
            tuple(point for point, _ in entries), tuple(visible for _, visible in entries), Box(0, 0, 1, 1)
        )
    ),
    st.lists(st.integers(0, 5), min_size=1).map(lambda counts: Mask(1, sum(counts), tuple(counts))),
)


@given(geometry=geometries)
def test_geometries_survive_json(geometry: Geometry) -> None:
    data = geometry_to_json(geometry)
    assert geometry_from_json(data) == geometry
    assert geometry_to_json(geometry_from_json(data)) == data
