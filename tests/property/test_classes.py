"""Acts on classes give what the same acts give when they are done on plain items, one after another."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.app.datasets.classes import edit_classes, list_classes
from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RecolorClass, RemoveClass, RenameClass
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

NAMES = ("ship", "tug", "œuf", "a=b", "<b>", "海")
COLUMNS = {"objects": Kind.OBJECTS, "kind": Kind.LABEL, "tags": Kind.LABELS}
Values = dict[str, Any]

names = st.sampled_from(NAMES)
things = st.lists(names, max_size=3).map(
    lambda found: tuple(
        Object(str(number), name, Box(0, 0, 1, 1), None, None, {"n": number}) for number, name in enumerate(found)
    )
)
rows = st.fixed_dictionaries(
    {
        "objects": st.none() | things,
        "kind": st.none() | names,
        "tags": st.none() | st.lists(names, max_size=4, unique=True).map(tuple),
    }
)
columns = st.none() | st.sampled_from([*COLUMNS, "note"])
acts = st.one_of(
    st.builds(AddClass, name=names, column=columns),
    st.builds(RenameClass, name=names, new_name=names, column=columns),
    st.builds(RecolorClass, name=names, color=st.sampled_from(["#AABBCC", "#001122"]), column=columns),
    st.tuples(names, names, columns)
    .filter(lambda found: found[0] != found[1])
    .map(lambda found: MergeClass(name=found[0], target=found[1], column=found[2])),
    st.builds(RemoveClass, name=names, column=columns, with_objects=st.booleans()),
)


class Plain:
    """A dataset as lists and dictionaries, and the acts done on it the long way."""

    def __init__(self, items: list[Values]) -> None:
        self.items = [dict(item) for item in items]
        self.classes: dict[str, list[str]] = {}
        for column in COLUMNS:
            used = {name for item in items for name in self.used(item, column)}
            self.classes[column] = [name for name in NAMES if name in used]

    @staticmethod
    def used(item: Values, column: str) -> list[str]:
        value = item[column]
        if value is None:
            return []
        return [value] if column == "kind" else [getattr(one, "class_name", one) for one in value]

    def all(self, acts: list[ClassEdit]) -> None:
        for act in acts:
            self.do(act)

    def do(self, act: ClassEdit) -> None:
        if isinstance(act, AddClass):
            self.add(act.name, act.column or "objects")
            return
        if act.column is not None and act.column not in self.classes:
            raise NotFoundError(act.column)
        found = [one for one in self.classes if act.name in self.classes[one] and act.column in (None, one)]
        if not found:
            raise NotFoundError(act.name)
        if isinstance(act, MergeClass) and not any(act.target in self.classes[one] for one in found):
            raise NotFoundError(act.target)
        for column in found:
            if isinstance(act, RenameClass):
                self.rename(column, act.name, act.new_name)
            elif isinstance(act, MergeClass):
                self.merge(column, act.name, act.target)
            elif isinstance(act, RemoveClass):
                self.remove(column, act.name, act.with_objects)

    def add(self, name: str, column: str) -> None:
        if column not in self.classes:
            raise NotFoundError(column)
        if name in self.classes[column]:
            raise ConflictError(name)
        self.classes[column].append(name)

    def rename(self, column: str, name: str, to: str) -> None:
        if to in self.classes[column] and to != name:
            raise ConflictError(to)
        self.classes[column][self.classes[column].index(name)] = to
        self.each(column, lambda one: to if one == name else one)

    def merge(self, column: str, name: str, into: str) -> None:
        if into not in self.classes[column]:
            self.rename(column, name, into)
            return
        self.classes[column].remove(name)
        self.each(column, lambda one: into if one == name else one)

    def remove(self, column: str, name: str, with_objects: bool) -> None:
        if not with_objects and any(name in self.used(item, column) for item in self.items):
            raise ConflictError(name)
        self.classes[column].remove(name)
        self.each(column, lambda one: None if one == name else one)

    def each(self, column: str, change: Any) -> None:
        for item in self.items:
            value = item[column]
            if value is None:
                continue
            if column == "kind":
                item[column] = change(value)
            elif column == "tags":
                item[column] = tuple(dict.fromkeys(new for one in value if (new := change(one)) is not None))
            else:
                item[column] = tuple(
                    replace(one, class_name=new) for one in value if (new := change(one.class_name)) is not None
                )


def made(workspace: Workspace, plain: Plain) -> None:
    schema = Schema(
        (
            *(Column(name, kind, tuple(map(ClassInfo, plain.classes[name]))) for name, kind in COLUMNS.items()),
            Column("note", Kind.TEXT),
        )
    )
    items = [Item(str(number), {**item, "note": "as it is"}) for number, item in enumerate(plain.items)]
    workspace.datasets.write("d", schema, items, mode="create")


def refusal(act: Callable[[], object]) -> type[Exception] | None:
    try:
        act()
    except SaccadeError as error:
        return type(error)
    return None


def contents(workspace: Workspace, ref: str = "d") -> tuple[list[Values], dict[str, list[str]]]:
    version = workspace.datasets.open(ref)
    items = [dict(item.values) for item in version.items()]
    assert all(item.pop("note") == "as it is" for item in items)
    return items, {name: list(version.schema[name].class_names) for name in COLUMNS}


@pytest.mark.slow
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=6), st.lists(acts, min_size=1, max_size=6), st.booleans())
def test_acts_give_what_they_give_on_plain_items(items: list[Values], done: list[ClassEdit], is_split: bool) -> None:
    plain = Plain(items)
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        made(workspace, plain)
        if is_split:  # rows in several files, some of them removed
            workspace.datasets.write(
                "d", Schema((Column("note", Kind.TEXT),)), [Item("0", {"note": "other"})], mode="merge"
            )
            workspace.datasets.write(
                "d", Schema((Column("note", Kind.TEXT),)), [Item("0", {"note": "as it is"})], mode="merge"
            )
        before, head = contents(workspace), workspace.datasets.open("d").number
        expected = refusal(lambda: plain.all(done))
        refused = refusal(lambda: edit_classes(workspace, "d", done))
        after = workspace.datasets.open("d")
        if refused is not None:
            assert contents(workspace) == before
            assert after.number == head
        if refused is InvalidValueError:
            assert expected is None
            assert (plain.items, plain.classes) == before, "only where nothing changes is nothing to be done"
            return
        if refused is not None:
            # Whether something is of a class is looked at last: another act may be refused before.
            assert expected in (refused, ConflictError)
            return
        assert expected is None
        assert contents(workspace) == (plain.items, plain.classes)
        assert after.number == head + 1
        assert contents(workspace, f"d@{head}") == before, "versions never change"
        for facts in list_classes(after):
            values = [plain.used(item, facts.column) for item in plain.items]
            assert facts.objects == sum(value.count(facts.name) for value in values)
            assert facts.items == sum(facts.name in value for value in values)
        workspace.datasets.restore("d", head)
        assert contents(workspace) == before
        assert doctor(workspace) == []


@pytest.mark.slow
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(rows, min_size=1, max_size=4), st.lists(acts, min_size=2, max_size=4))
def test_all_at_once_is_one_after_another(items: list[Values], done: list[ClassEdit]) -> None:
    """Apart from acts that are refused, and from those that change nothing, which make no version of their own."""
    plain = Plain(items)
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        made(workspace, plain)
        workspace.datasets.branch("d", "alone", "d")
        try:
            at_once = edit_classes(workspace, "d", done)
        except SaccadeError:
            return
        at_once_contents = contents(workspace, at_once.ref)
        workspace.datasets.restore("d", 1)
        for act in done:
            try:
                edit_classes(workspace, "d", [act])
            except InvalidValueError:
                continue  # it changes nothing
        assert contents(workspace) == at_once_contents
