"""Classes followed through versions: renames, merges, removals and reused names."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RemoveClass, RenameClass, plan_class_edits
from saccade.core.class_history import align_classes, follow_classes
from saccade.core.schema import ClassInfo, Column, Kind, Schema

NAMES = ("ship", "boat", "tug", "ferry", "buoy")


def history(*plans: Sequence[ClassEdit], names: Sequence[str] = ("ship", "boat")) -> list[Column]:
    schema = Schema((Column("objects", Kind.OBJECTS, tuple(ClassInfo(name) for name in names)),))
    columns = [schema["objects"]]
    for edits in plans:
        schema = plan_class_edits(schema, edits).schema
        columns.append(schema["objects"])
    return columns


def test_swap_in_one_edit() -> None:
    swap = [
        RenameClass(name="ship", new_name="tmp"),
        RenameClass(name="boat", new_name="ship"),
        RenameClass(name="tmp", new_name="boat"),
    ]
    assert follow_classes(history(swap)) == {"ship": "boat", "boat": "ship"}
    assert follow_classes(history(swap, swap)) == {"ship": "ship", "boat": "boat"}


def test_name_taken_over_in_one_edit() -> None:
    edits = [RenameClass(name="ship", new_name="tug"), RenameClass(name="boat", new_name="ship")]
    columns = history(edits, [AddClass(name="buoy")], [RemoveClass(name="ship")])
    assert follow_classes(columns[:2]) == {"ship": "tug", "boat": "ship"}
    assert follow_classes(columns) == {"ship": "tug", "boat": None}


def test_align_with_a_later_version() -> None:
    columns = history(
        [RenameClass(name="ship", new_name="tug")],
        [RenameClass(name="boat", new_name="ship")],
        [AddClass(name="buoy")],
    )
    alignment = align_classes(("ship", "boat"), columns[-1], forward=columns)
    assert alignment.model == {"ship": "tug", "boat": "ship"}
    assert alignment.truth == {"tug": "tug", "ship": "ship", "buoy": "buoy"}
    assert alignment.unmatched_model_classes == ()


def test_align_a_removed_class_whose_name_is_in_use() -> None:
    columns = history([RemoveClass(name="ship")], [RenameClass(name="boat", new_name="ship")])
    alignment = align_classes(("ship", "boat"), columns[-1], forward=columns)
    assert alignment.model == {"ship": "ship (other)", "boat": "ship"}
    assert alignment.unmatched_model_classes == ("ship",)


def test_align_with_an_earlier_version() -> None:
    columns = history([MergeClass(name="boat", target="ship")], [RenameClass(name="ship", new_name="vessel")])
    alignment = align_classes(("vessel",), columns[0], backward=columns)
    assert alignment.model == {"vessel": "vessel"}
    assert alignment.truth == {"ship": "vessel", "boat": "vessel"}


@given(st.lists(st.tuples(st.sampled_from(("add", "rename", "merge", "remove")), st.randoms()), max_size=12))
def test_single_edits_are_followed_exactly(steps: list[tuple[str, object]]) -> None:
    """Each class carries the set of first classes that it stands for; names are only labels of these sets."""
    members = {"ship": {"ship"}, "boat": {"boat"}, "tug": {"tug"}}
    plans: list[list[ClassEdit]] = []
    for action, random in steps:
        free = [name for name in NAMES if name not in members]
        name = random.choice(sorted(members)) if members else ""  # type: ignore[attr-defined]
        others = sorted(set(members) - {name})
        if action == "add" and free:
            members[free[0]] = set()
            plans.append([AddClass(name=free[0])])
        elif action == "rename" and free and name:
            members[free[-1]] = members.pop(name)
            plans.append([RenameClass(name=name, new_name=free[-1])])
        elif action == "merge" and others:
            members[others[0]] |= members.pop(name)
            plans.append([MergeClass(name=name, target=others[0])])
        elif action == "remove" and name:
            members.pop(name)
            plans.append([RemoveClass(name=name)])
    expected = {
        first: next((name for name, firsts in members.items() if first in firsts), None)
        for first in ("ship", "boat", "tug")
    }
    assert follow_classes(history(*plans, names=("ship", "boat", "tug"))) == expected
