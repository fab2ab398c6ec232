"""Merging two branches: what only one side changed is there, and whatever both changed is a conflict."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.app.datasets.classes import change_classes
from saccade.core.class_edits import AddClass, MergeClass, RecolorClass, RenameClass
from saccade.core.errors import ConflictError, NotFoundError
from saccade.core.merge import Conflict, MergeConflictError, Merger, Side
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("objects", Kind.OBJECTS), Column("tags", Kind.LABELS), Column("note", Kind.TEXT)))
State = dict[str, dict[str, Any]]

objects = st.dictionaries(st.sampled_from("123"), st.sampled_from(["ship", "tug"]), max_size=3).map(
    lambda made: tuple(Object(name, kind, Box(0, 0, 1, 1)) for name, kind in sorted(made.items()))
)
rows = st.fixed_dictionaries(
    {
        "objects": st.none() | objects,
        "tags": st.none() | st.sets(st.sampled_from("pqr")).map(lambda made: tuple(sorted(made))),
        "note": st.none() | st.sampled_from("xy"),
    }
)
states = st.dictionaries(st.sampled_from("abcd"), rows, max_size=4)


@st.composite
def edits(draw: st.DrawFn, state: State) -> State:
    """A state that shares much with another."""
    found = {key: dict(row) for key, row in state.items() if draw(st.integers(0, 5))}
    for key in draw(st.sets(st.sampled_from("abcde"), max_size=2)):
        name = draw(st.sampled_from(SCHEMA.names))
        found.setdefault(key, dict.fromkeys(SCHEMA.names))[name] = draw(rows)[name]
    return found


@st.composite
def histories(draw: st.DrawFn) -> tuple[State, State, State]:
    base = draw(states)
    return base, draw(edits(base)), draw(edits(base))


def three_ways(base: object, ours: object, theirs: object) -> tuple[object, bool]:
    """The rule for anything that has no parts: the value, and whether it is a conflict, in which ours is taken."""
    if theirs == base:
        return ours, False
    return (theirs, False) if ours == base else (ours, ours != theirs)


def expected(base: State, ours: State, theirs: State) -> tuple[State, set[tuple[str, str | None, str | None]]]:
    """The merge with ours taken in conflicts, worked out part by part, and the places of the conflicts."""
    merged: State = {}
    conflicts: set[tuple[str, str | None, str | None]] = set()
    for key in {*base, *ours, *theirs}:
        old, mine, other = base.get(key), ours.get(key), theirs.get(key)
        if mine is None or other is None:
            row, clash = three_ways(old, mine, other)
            conflicts |= {(key, None, None)} if clash else set()
            if row is not None:
                merged[key] = row  # type: ignore[assignment]  # a row
            continue
        old = old or dict.fromkeys(SCHEMA.names)
        merged[key] = {}
        for name in SCHEMA.names:
            values = (old[name], mine[name], other[name])
            merged[key][name], clash = three_ways(*values)
            if clash and mine[name] is not None and other[name] is not None and name != "note":
                merged[key][name], inner = _parts(name, *values)
                conflicts |= {(key, name, place) for place in inner}
            elif clash:
                conflicts.add((key, name, None))
    return merged, conflicts


def _parts(name: str, base: Any, ours: Any, theirs: Any) -> tuple[Any, set[str]]:
    if name == "tags":
        old, mine, other = set(base or ()), set(ours), set(theirs)
        return tuple(sorted((mine & other) | (mine - old) | (other - old))), set()
    sides = [{thing.id: thing for thing in side or ()} for side in (base, ours, theirs)]
    found = {place: three_ways(*(side.get(place) for side in sides)) for place in {*sides[1], *sides[2]}}
    kept = {place: thing for place, (thing, _) in found.items() if thing is not None}
    return tuple(kept[place] for place in sorted(kept)), {place for place, (_, clash) in found.items() if clash}


def contents(workspace: Workspace, ref: str) -> State:
    return {
        item.key: {
            name: tuple(sorted(value, key=lambda one: getattr(one, "id", one))) if isinstance(value, tuple) else value
            for name, value in item.values.items()
        }
        for item in workspace.datasets.open(ref).items()
    }


def items(state: State) -> list[Item]:
    return [Item(key, row) for key, row in state.items()]


def diverge(workspace: Workspace, base: State, ours: State, theirs: State, schema: Schema = SCHEMA) -> None:
    workspace.datasets.write("d", schema, items(base), mode="create")
    workspace.datasets.branch("d", "trial", "d@1")
    workspace.datasets.write("d", schema, items(ours), mode="replace")
    workspace.datasets.write("d", schema, items(theirs), mode="replace", branch="trial")


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_merging_branches(history: tuple[State, State, State]) -> None:
    base, ours, theirs = history
    merged, conflicts = expected(base, ours, theirs)
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        diverge(workspace, base, ours, theirs)
        planned = workspace.datasets.merge("d@trial", dry_run=True)
        assert {conflict.place[:3] for conflict in planned.conflicts} == conflicts
        assert planned.version is None
        if conflicts:
            with pytest.raises(MergeConflictError) as caught:
                workspace.datasets.merge("d@trial")
            assert {conflict.place[:3] for conflict in caught.value.conflicts} == conflicts
            assert len(workspace.datasets.log("d")) == 3
        workspace.datasets.branch("d", "other", "d@trial")
        done = workspace.datasets.merge("d@trial", choose=lambda conflict: "ours")
        assert contents(workspace, "d") == merged
        assert (planned.added, planned.removed, planned.changed) == (done.added, done.removed, done.changed)
        workspace.datasets.merge("d@2", into="other", choose=lambda conflict: "theirs")
        assert contents(workspace, "d@other") == merged, "the same from the other side"
        again = workspace.datasets.merge("d@trial")
        assert (again.ours, again.added, again.changed, len(workspace.datasets.log("d"))) == ("d@4", 0, 0, 5)
        assert doctor(workspace) == []


def renamed(state: State) -> State:
    """With ``ship`` called ``vessel``, and ``p`` called ``z``."""
    made: State = {}
    for key, row in state.items():
        things = row["objects"] and tuple(
            replace(one, class_name="vessel") if one.class_name == "ship" else one for one in row["objects"]
        )
        tags = row["tags"] and tuple(sorted("z" if tag == "p" else tag for tag in row["tags"]))
        made[key] = {**row, "objects": things, "tags": tags}
    return made


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.sampled_from([("main",), ("trial",), ("main", "trial")]))
def test_a_class_that_one_side_renamed_is_the_same_class(
    history: tuple[State, State, State], branches: tuple[str, ...]
) -> None:
    """Renaming on either side and merging is the same as merging and renaming."""
    merged, conflicts = expected(*history)
    known = {"objects": ("ship", "tug"), "tags": ("p", "q", "r"), "note": ()}
    schema = Schema(tuple(replace(one, classes=tuple(map(ClassInfo, known[one.name]))) for one in SCHEMA.columns))
    acts = [RenameClass(name="ship", to="vessel"), RenameClass(name="p", to="z")]
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        diverge(workspace, *history, schema)
        for branch in branches:
            change_classes(workspace, "d", acts, branch=branch)
        planned = workspace.datasets.merge("d@trial", choose=lambda conflict: "ours", dry_run=True)
        done = workspace.datasets.merge("d@trial", choose=lambda conflict: "ours")
        assert {conflict.place[:3] for conflict in done.conflicts} == conflicts
        assert (planned.added, planned.removed, planned.changed) == (done.added, done.removed, done.changed)
        assert contents(workspace, "d") == renamed(merged)
        found = workspace.datasets.open("d").schema
        assert (found["objects"].class_names, found["tags"].class_names) == (("vessel", "tug"), ("z", "q", "r"))
        assert found["objects"].class_now("ship") == "vessel"
        assert doctor(workspace) == []


def test_classes_that_were_merged_stay_so(tmp_path: Any) -> None:
    """What the other side still calls by the old name, and made meanwhile, is called as what it was merged into."""
    schema = Schema((Column("label", Kind.LABEL, (ClassInfo("tug"), ClassInfo("ship", color="#ff0000"))),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item("a", {"label": "tug"}), Item("b", {"label": "ship"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        change_classes(workspace, "d", [MergeClass(name="tug", into="ship"), RenameClass(name="ship", to="vessel")])
        change_classes(workspace, "d", [RecolorClass(name="tug", color="#00ff00")], branch="trial")
        more = Schema((Column("label", Kind.LABEL, (ClassInfo("pusher", parent="tug"),)),))
        datasets.write("d", more, [Item("c", {"label": "tug"})], mode="append", branch="trial")
        done = datasets.merge("d@trial").version
        assert done is not None
        assert {item.key: item["label"] for item in done.items()} == dict.fromkeys("abc", "vessel")
        assert done.schema["label"].classes == (
            ClassInfo("vessel", color="#ff0000", was=("tug", "ship")),
            ClassInfo("pusher", parent="vessel"),
        )
        back = datasets.merge("d@main", into="trial").version
        assert back is not None
        assert back.schema == done.schema
        again = change_classes(workspace, "d", [AddClass(name="tug")])
        assert again.schema["label"].class_now("tug") == "tug", "another class of that name"
        assert again.schema["label"].class_now("ship") == "vessel"


def test_a_name_that_is_given_again_is_another_class(tmp_path: Any) -> None:
    """Where the side that renamed has a class of the old name again, nothing of the other side is renamed."""
    schema = Schema((Column("label", Kind.LABEL, (ClassInfo("tug"),)),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item("a", {"label": "tug"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        change_classes(workspace, "d", [RenameClass(name="tug", to="boat"), AddClass(name="tug")])
        datasets.write("d", schema, [Item("b", {"label": "tug"})], mode="append", branch="trial")
        done = datasets.merge("d@trial").version
        assert done is not None
        assert {item.key: item["label"] for item in done.items()} == {"a": "boat", "b": "tug"}


@settings(max_examples=200)
@given(rows, rows, rows)
def test_merging_an_item(base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    merger = Merger(SCHEMA.columns, lambda conflict: None)
    assert merger.item("k", base, base, theirs) == theirs
    assert merger.item("k", base, ours, base) == ours
    assert merger.item("k", base, ours, ours) == ours
    assert merger.item("k", None, None, theirs) == theirs
    assert merger.item("k", base, None, base) is None
    assert not merger.conflicts
    merger.item("k", base, ours, theirs)
    here = {(conflict.place, conflict.ours, conflict.theirs) for conflict in merger.conflicts}
    other = Merger(SCHEMA.columns, lambda conflict: None)
    other.item("k", base, theirs, ours)
    assert here == {(conflict.place, conflict.theirs, conflict.ours) for conflict in other.conflicts}


def test_objects_with_the_same_id_are_never_lost() -> None:
    """A list of objects in which an id occurs twice is one value: matched by id, one of the two would be gone."""
    twice = (Object("1", "ship", Box(0, 0, 1, 1)), Object("1", "tug", Box(0, 0, 2, 2)))
    merger = Merger(SCHEMA.columns, lambda conflict: "ours")
    made = merger.item("k", {"objects": ()}, {"objects": twice}, {"objects": twice[:1]})
    assert made is not None
    assert made["objects"] == twice
    assert [conflict.object_id for conflict in merger.conflicts] == [None]


def test_columns_and_classes_of_both(tmp_path: Any) -> None:
    """Each side adds a column, and both define a class, each in its own way."""
    start = Schema((Column("label", Kind.LABEL, (ClassInfo("ship"),)),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", start, [Item("a", {"label": "ship"}), Item("b", {"label": "ship"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        red = Schema((Column("label", Kind.LABEL, (ClassInfo("ship", color="#ff0000"),)), Column("x", Kind.NUMBER)))
        blue = Schema((Column("label", Kind.LABEL, (ClassInfo("ship", color="#0000ff"),)), Column("y", Kind.TEXT)))
        datasets.write("d", red, [Item("a", {"label": "ship", "x": 1.0})], mode="merge")
        datasets.write("d", blue, [Item("a", {"label": "tug", "y": "z"})], mode="merge", branch="trial")

        def choose(conflict: Conflict) -> Side | None:
            return "theirs" if conflict.class_name == "ship" else None

        done = datasets.merge("d@trial", choose=choose)
        assert done.version is not None
        assert [conflict.to_json() for conflict in done.conflicts] == [
            {
                "key": "",
                "column": "label",
                "object": None,
                "class": "ship",
                "ours": "changed",
                "theirs": "changed",
                "take": "theirs",
            }
        ]
        classes = done.version.schema["label"].classes
        assert classes == (ClassInfo("ship", color="#0000ff"), ClassInfo("tug"))
        assert done.version.get("a").values == {"label": "tug", "x": 1.0, "y": "z"}
        assert done.version.get("b").values == {"label": "ship", "x": None, "y": None}
        assert (done.version.info.parent, done.version.info.merged) == (2, 3)


def test_a_branch_that_is_only_ahead_is_taken_as_it_is(tmp_path: Any) -> None:
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", SCHEMA, [Item("a", {"note": "x"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        datasets.write(
            "d", SCHEMA, [Item("b", {"note": "y"}), Item("a", {"note": "x"})], mode="replace", branch="trial"
        )
        assert datasets.merge("d@trial", dry_run=True).added == 1
        done = datasets.merge("d@trial")
        assert done.version is not None
        assert (done.version.keys(), done.version.info.merged, done.added) == (["b", "a"], 2, 1)
        with pytest.raises(NotFoundError, match="no branch 'mian'"):
            datasets.merge("d@trial", into="mian")


def test_conflicts_survive_the_way_back_from_another_process() -> None:
    error = MergeConflictError([Conflict("a", "note", None, None, "changed", "changed")])
    again = pickle.loads(pickle.dumps(error))
    assert issubclass(MergeConflictError, ConflictError)
    assert (str(again), again.conflicts) == (str(error), error.conflicts)
