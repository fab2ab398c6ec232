"""Three-way merge: changes of one side are taken, and different changes of both sides are conflicts."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.class_branches import NAMES, STEPS, Branch, Steps, expected_names, first_column

from saccade.app.datasets.classes import edit_classes, list_classes
from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RecolorClass, RenameClass
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
    lambda classes: tuple(Object(name, class_name, Box(0, 0, 1, 1)) for name, class_name in sorted(classes.items()))
)
rows = st.fixed_dictionaries(
    {
        "objects": st.none() | objects,
        "tags": st.none() | st.sets(st.sampled_from("pqr")).map(lambda tags: tuple(sorted(tags))),
        "note": st.none() | st.sampled_from("xy"),
    }
)
states = st.dictionaries(st.sampled_from("abcd"), rows, max_size=4)


@st.composite
def edits(draw: st.DrawFn, state: State) -> State:
    """Return a state with a few edits."""
    edited = {key: dict(row) for key, row in state.items() if draw(st.integers(0, 5))}
    for key in draw(st.sets(st.sampled_from("abcde"), max_size=2)):
        name = draw(st.sampled_from(SCHEMA.names))
        edited.setdefault(key, dict.fromkeys(SCHEMA.names))[name] = draw(rows)[name]
    return edited


@st.composite
def histories(draw: st.DrawFn) -> tuple[State, State, State]:
    base = draw(states)
    return base, draw(edits(base)), draw(edits(base))


def merge_atomic(base: object, ours: object, theirs: object) -> tuple[object, bool]:
    """Merge indivisible values. Returns the value (ours in a conflict), and whether it is a conflict."""
    if theirs == base:
        return ours, False
    return (theirs, False) if ours == base else (ours, ours != theirs)


def expected(base: State, ours: State, theirs: State) -> tuple[State, set[tuple[str, str | None, str | None]]]:
    """Return the expected merge with our side taken in conflicts, and the locations of the conflicts."""
    merged: State = {}
    conflicts: set[tuple[str, str | None, str | None]] = set()
    for key in {*base, *ours, *theirs}:
        base_row = base.get(key)
        our_row = ours.get(key)
        their_row = theirs.get(key)
        if our_row is None or their_row is None:
            row, is_conflict = merge_atomic(base_row, our_row, their_row)
            conflicts |= {(key, None, None)} if is_conflict else set()
            if row is not None:
                merged[key] = row  # type: ignore[assignment]  # a row
            continue
        base_row = base_row or dict.fromkeys(SCHEMA.names)
        merged[key] = {}
        for name in SCHEMA.names:
            values = (base_row[name], our_row[name], their_row[name])
            merged[key][name], is_conflict = merge_atomic(*values)
            if is_conflict and our_row[name] is not None and their_row[name] is not None and name != "note":
                merged[key][name], element_ids = _merge_elements(name, *values)
                conflicts |= {(key, name, element_id) for element_id in element_ids}
            elif is_conflict:
                conflicts.add((key, name, None))
    return merged, conflicts


def _merge_elements(name: str, base: Any, ours: Any, theirs: Any) -> tuple[Any, set[str]]:
    """Merge labels, or objects by id. Returns the value and the ids of the objects in conflict."""
    if name == "tags":
        base_tags = set(base or ())
        our_tags = set(ours)
        their_tags = set(theirs)
        return tuple(sorted((our_tags & their_tags) | (our_tags - base_tags) | (their_tags - base_tags))), set()
    sides = [{obj.id: obj for obj in side or ()} for side in (base, ours, theirs)]
    results = {
        object_id: merge_atomic(*(side.get(object_id) for side in sides)) for object_id in {*sides[1], *sides[2]}
    }
    merged = {object_id: obj for object_id, (obj, _) in results.items() if obj is not None}
    conflicts = {object_id for object_id, (_, is_conflict) in results.items() if is_conflict}
    return tuple(merged[object_id] for object_id in sorted(merged)), conflicts


def contents(workspace: Workspace, ref: str) -> State:
    return {
        item.key: {
            name: tuple(sorted(value, key=lambda element: getattr(element, "id", element)))
            if isinstance(value, tuple)
            else value
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
        assert {conflict.location[:3] for conflict in planned.conflicts} == conflicts
        assert planned.version is None
        if conflicts:
            with pytest.raises(MergeConflictError) as error:
                workspace.datasets.merge("d@trial")
            assert {conflict.location[:3] for conflict in error.value.conflicts} == conflicts
            assert len(workspace.datasets.log("d")) == 3
        workspace.datasets.branch("d", "other", "d@trial")
        result = workspace.datasets.merge("d@trial", resolver=lambda conflict: "ours")
        assert contents(workspace, "d") == merged
        assert (planned.added, planned.removed, planned.changed) == (result.added, result.removed, result.changed)
        workspace.datasets.merge("d@2", into="other", resolver=lambda conflict: "theirs")
        assert contents(workspace, "d@other") == merged, "same result in the other direction"
        repeated = workspace.datasets.merge("d@trial")
        assert (repeated.ours, repeated.added, repeated.changed, len(workspace.datasets.log("d"))) == ("d@4", 0, 0, 5)
        assert doctor(workspace) == []


def renamed(state: State) -> State:
    """Rename ``ship`` to ``vessel`` and ``p`` to ``z``."""
    result: State = {}
    for key, row in state.items():
        boxes = row["objects"] and tuple(
            replace(obj, class_name="vessel") if obj.class_name == "ship" else obj for obj in row["objects"]
        )
        tags = row["tags"] and tuple(sorted("z" if tag == "p" else tag for tag in row["tags"]))
        result[key] = {**row, "objects": boxes, "tags": tags}
    return result


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(histories(), st.sampled_from([("main",), ("trial",), ("main", "trial")]))
def test_a_class_renamed_by_one_side_is_the_same_class(
    history: tuple[State, State, State], branches: tuple[str, ...]
) -> None:
    """Renaming on either side and merging is the same as merging and renaming."""
    merged, conflicts = expected(*history)
    class_names = {"objects": ("ship", "tug"), "tags": ("p", "q", "r"), "note": ()}
    schema = Schema(
        tuple(replace(column, classes=tuple(map(ClassInfo, class_names[column.name]))) for column in SCHEMA.columns)
    )
    edits_of_classes = [RenameClass(name="ship", new_name="vessel"), RenameClass(name="p", new_name="z")]
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        diverge(workspace, *history, schema)
        for branch in branches:
            edit_classes(workspace, "d", edits_of_classes, branch=branch)
        planned = workspace.datasets.merge("d@trial", resolver=lambda conflict: "ours", dry_run=True)
        result = workspace.datasets.merge("d@trial", resolver=lambda conflict: "ours")
        assert {conflict.location[:3] for conflict in result.conflicts} == conflicts
        assert (planned.added, planned.removed, planned.changed) == (result.added, result.removed, result.changed)
        assert contents(workspace, "d") == renamed(merged)
        merged_schema = workspace.datasets.open("d").schema
        assert (merged_schema["objects"].class_names, merged_schema["tags"].class_names) == (
            ("vessel", "tug"),
            ("z", "q", "r"),
        )
        assert merged_schema["objects"].resolve_class("ship") == "vessel"
        assert doctor(workspace) == []


def test_merged_classes_stay_merged(tmp_path: Any) -> None:
    """New labels of the other side with the old name get the name of the class that it was merged into."""
    schema = Schema((Column("label", Kind.LABEL, (ClassInfo("tug"), ClassInfo("ship", color="#ff0000"))),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item("a", {"label": "tug"}), Item("b", {"label": "ship"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        edit_classes(
            workspace, "d", [MergeClass(name="tug", target="ship"), RenameClass(name="ship", new_name="vessel")]
        )
        edit_classes(workspace, "d", [RecolorClass(name="tug", color="#00ff00")], branch="trial")
        child_schema = Schema((Column("label", Kind.LABEL, (ClassInfo("pusher", parent="tug"),)),))
        datasets.write("d", child_schema, [Item("c", {"label": "tug"})], mode="append", branch="trial")
        merged = datasets.merge("d@trial").version
        assert merged is not None
        assert {item.key: item["label"] for item in merged.items()} == dict.fromkeys("abc", "vessel")
        assert merged.schema["label"].classes == (
            ClassInfo("vessel", color="#ff0000", was=("tug", "ship")),
            ClassInfo("pusher", parent="vessel"),
        )
        reverse = datasets.merge("d@main", into="trial").version
        assert reverse is not None
        assert reverse.schema == merged.schema
        recreated = edit_classes(workspace, "d", [AddClass(name="tug")])
        assert recreated.schema["label"].resolve_class("tug") == "tug", "a new class of the same name"
        assert recreated.schema["label"].resolve_class("ship") == "vessel"


@pytest.mark.parametrize("is_imported", [False, True])
def test_a_reused_class_name_is_another_class(tmp_path: Any, is_imported: bool) -> None:
    """If one side renamed a class and uses its name again, labels of the other side are still of the renamed class."""
    schema = Schema((Column("label", Kind.LABEL, (ClassInfo("tug"), ClassInfo("ship"))),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item("a", {"label": "tug"}), Item("b", {"label": "tug"})], mode="create")
        colors = {facts.name: facts.color for facts in list_classes(datasets.open("d"))}
        datasets.branch("d", "trial", "d@1")
        edit_classes(workspace, "d", [RenameClass(name="tug", new_name="boat")])
        if not is_imported:
            edit_classes(workspace, "d", [AddClass(name="tug")])
        # The new class of an item that the other side does not change, with the same text as before.
        datasets.write("d", schema, [Item("n", {"label": "tug"}), Item("b", {"label": "tug"})], mode="merge")
        datasets.write("d", schema, [Item("c", {"label": "tug"})], mode="append", branch="trial")
        planned = datasets.merge("d@trial", dry_run=True)
        result = datasets.merge("d@trial")
        assert result.version is not None
        labels = {"a": "boat", "b": "tug", "n": "tug", "c": "boat"}
        assert {item.key: item["label"] for item in result.version.items()} == labels
        assert (planned.added, planned.removed, planned.changed) == (result.added, result.removed, result.changed)
        assert result.version.schema["label"].class_names == ("boat", "ship", "tug")
        assert [facts.color for facts in list_classes(result.version)][:2] == [colors["tug"], colors["ship"]]
        reverse = datasets.merge("d@4", into="trial") if not is_imported else datasets.merge("d@3", into="trial")
        assert reverse.version is not None
        assert {item.key: item["label"] for item in reverse.version.items()} == labels, "in the other direction"
        assert doctor(workspace) == []


def test_an_item_that_got_another_class_of_the_same_name(tmp_path: Any) -> None:
    """The text of the label is as before, but the class is another one: the other side's change is a conflict."""
    schema = Schema((Column("label", Kind.LABEL, (ClassInfo("tug"), ClassInfo("ship"))),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item(key, {"label": "tug"}) for key in "ab"], mode="create")
        datasets.branch("d", "trial", "d@1")
        edit_classes(workspace, "d@trial", [RenameClass(name="tug", new_name="boat"), AddClass(name="tug")])
        datasets.write("d@trial", schema, [Item(key, {"label": "tug"}) for key in "ab"], mode="merge")
        datasets.write("d", schema, [Item("a", {"label": "ship"})], mode="merge")
        result = datasets.merge("d@trial", resolver=lambda conflict: "ours")
        assert [conflict.key for conflict in result.conflicts] == ["a"]
        assert result.version is not None
        assert {item.key: item["label"] for item in result.version.items()} == {"a": "ship", "b": "tug"}


@pytest.mark.parametrize("is_split", [False, True])
def test_swapped_class_names(tmp_path: Any, is_split: bool) -> None:
    swap: list[ClassEdit] = [
        RenameClass(name="ship", new_name="temporary"),
        RenameClass(name="tug", new_name="ship"),
        RenameClass(name="temporary", new_name="tug"),
    ]
    classes = tuple(map(ClassInfo, ("ship", "tug")))
    schema = Schema((Column("objects", Kind.OBJECTS, classes), Column("tags", Kind.LABELS, classes)))

    def item(key: str) -> Item:
        objects = tuple(Object(name, name, Box(0, 0, 1, 1)) for name in ("ship", "tug"))
        return Item(key, {"objects": objects, "tags": ("ship",)})

    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [item("a")], mode="create")
        datasets.branch("d", "trial", "d@1")
        for edits_of_version in [[edit] for edit in swap] if is_split else [swap]:
            edit_classes(workspace, "d", edits_of_version)
        datasets.write("d", schema, [item("b")], mode="append")  # after the swap: other classes
        datasets.write("d@trial", schema, [item("c"), item("d")], mode="append")
        merged = datasets.merge("d@trial").version
        assert merged is not None
        ships = {merged_item.key: merged_item["objects"][0].class_name for merged_item in merged.items()}
        assert ships == {"a": "tug", "b": "ship", "c": "tug", "d": "tug"}
        assert {i.key: i["tags"] for i in merged.items()} == {key: (name,) for key, name in ships.items()}
        assert merged.schema["objects"].class_names == ("tug", "ship")
        colors = [facts.color for facts in list_classes(datasets.open("d@1"))]
        assert [facts.color for facts in list_classes(merged)] == colors


def objects_of(column: Column, prefix: str) -> list[Item]:
    """Return an item for each class with one object of it; the key ends with the class."""
    return [Item(f"{prefix}/{name}", {"objects": (Object("1", name, Box(0, 0, 1, 1)),)}) for name in column.class_names]


@pytest.mark.slow
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(STEPS, STEPS)
def test_objects_have_the_class_that_their_identity_gives(our_steps: Steps, their_steps: Steps) -> None:
    base = first_column()
    first_names = {name: name for name in NAMES}
    ours = Branch("our", [base], dict(first_names))
    theirs = Branch("their", [base], dict(first_names))
    ours.edit(our_steps)
    theirs.edit(their_steps)
    names = expected_names(first_names, ours, theirs)
    expected_classes = {f"base/{name}": names[name] for name in NAMES}
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        datasets = workspace.datasets
        datasets.write("d", Schema((base,)), objects_of(base, "base"), mode="create")
        datasets.branch("d", "trial", "d@1")
        for branch, side in (("main", ours), ("trial", theirs)):
            for edit in side.edits:
                edit_classes(workspace, "d", [edit], branch=branch)
            column = side.history[-1]
            datasets.write(
                "d",
                Schema((Column("objects", Kind.OBJECTS),)),
                objects_of(column, branch),
                mode="append",
                branch=branch,
            )
            expected_classes |= {f"{branch}/{name}": names[identity] for name, identity in side.ids.items()}
        planned = datasets.merge("d@trial", dry_run=True)
        result = datasets.merge("d@trial")
        assert result.version is not None
        assert {item.key: item["objects"][0].class_name for item in result.version.items()} == expected_classes
        assert set(result.version.schema["objects"].class_names) == set(expected_classes.values())
        assert (planned.added, planned.removed, planned.changed) == (result.added, result.removed, result.changed)
        assert doctor(workspace) == []


def test_classes_after_a_merged_one_keep_their_colors(tmp_path: Any) -> None:
    schema = Schema((Column("label", Kind.LABEL, tuple(map(ClassInfo, ("ship", "tug", "buoy")))),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", schema, [Item("a", {"label": "ship"})], mode="create")
        colors = {facts.name: facts.color for facts in list_classes(datasets.open("d"))}
        datasets.branch("d", "trial", "d@1")
        edit_classes(workspace, "d@trial", [MergeClass(name="ship", target="tug")])
        datasets.write("d", schema, [Item("b", {"label": "ship"})], mode="append")
        merged = datasets.merge("d@trial").version
        assert merged is not None
        assert {facts.name: facts.color for facts in list_classes(merged)} == {
            name: colors[name] for name in ("tug", "buoy")
        }


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
    conflicts = {(conflict.location, conflict.ours, conflict.theirs) for conflict in merger.conflicts}
    swapped = Merger(SCHEMA.columns, lambda conflict: None)
    swapped.item("k", base, theirs, ours)
    assert conflicts == {(conflict.location, conflict.theirs, conflict.ours) for conflict in swapped.conflicts}


def test_objects_with_the_same_id_are_never_lost() -> None:
    """A list with a duplicate id is merged as one value: matching by id would drop one of the two objects."""
    duplicates = (Object("1", "ship", Box(0, 0, 1, 1)), Object("1", "tug", Box(0, 0, 2, 2)))
    merger = Merger(SCHEMA.columns, lambda conflict: "ours")
    merged = merger.item("k", {"objects": ()}, {"objects": duplicates}, {"objects": duplicates[:1]})
    assert merged is not None
    assert merged["objects"] == duplicates
    assert [conflict.object_id for conflict in merger.conflicts] == [None]


def test_columns_and_classes_of_both_sides(tmp_path: Any) -> None:
    """Each side adds a column, and both define a class differently."""
    start = Schema((Column("label", Kind.LABEL, (ClassInfo("ship"),)),))
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", start, [Item("a", {"label": "ship"}), Item("b", {"label": "ship"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        red = Schema((Column("label", Kind.LABEL, (ClassInfo("ship", color="#ff0000"),)), Column("x", Kind.NUMBER)))
        blue = Schema((Column("label", Kind.LABEL, (ClassInfo("ship", color="#0000ff"),)), Column("y", Kind.TEXT)))
        datasets.write("d", red, [Item("a", {"label": "ship", "x": 1.0})], mode="merge")
        datasets.write("d", blue, [Item("a", {"label": "tug", "y": "z"})], mode="merge", branch="trial")

        def resolver(conflict: Conflict) -> Side | None:
            return "theirs" if conflict.class_name == "ship" else None

        result = datasets.merge("d@trial", resolver=resolver)
        assert result.version is not None
        assert [conflict.to_json() for conflict in result.conflicts] == [
            {
                "key": "",
                "column": "label",
                "object": None,
                "class": "ship",
                "ours": "changed",
                "theirs": "changed",
                "resolution": "theirs",
            }
        ]
        classes = result.version.schema["label"].classes
        assert classes == (ClassInfo("ship", color="#0000ff"), ClassInfo("tug"))
        assert result.version.get("a").values == {"label": "tug", "x": 1.0, "y": "z"}
        assert result.version.get("b").values == {"label": "ship", "x": None, "y": None}
        assert (result.version.info.parent, result.version.info.merged) == (2, 3)


def test_a_branch_that_is_only_ahead_is_fast_forwarded(tmp_path: Any) -> None:
    with Workspace.create(tmp_path / "w") as workspace:
        datasets = workspace.datasets
        datasets.write("d", SCHEMA, [Item("a", {"note": "x"})], mode="create")
        datasets.branch("d", "trial", "d@1")
        datasets.write(
            "d", SCHEMA, [Item("b", {"note": "y"}), Item("a", {"note": "x"})], mode="replace", branch="trial"
        )
        assert datasets.merge("d@trial", dry_run=True).added == 1
        result = datasets.merge("d@trial")
        assert result.version is not None
        assert (result.version.keys(), result.version.info.merged, result.added) == (["b", "a"], 2, 1)
        with pytest.raises(NotFoundError, match="no branch 'mian'"):
            datasets.merge("d@trial", into="mian")


def test_conflict_errors_can_be_pickled() -> None:
    error = MergeConflictError([Conflict("a", "note", None, None, "changed", "changed")])
    unpickled = pickle.loads(pickle.dumps(error))
    assert issubclass(MergeConflictError, ConflictError)
    assert (str(unpickled), unpickled.conflicts) == (str(error), error.conflicts)
