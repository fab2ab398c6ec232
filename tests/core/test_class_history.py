"""Classes followed through versions: renames, merges, removals and reused names."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RemoveClass, RenameClass, plan_class_edits
from saccade.core.class_history import align_classes, compare_classes, follow_classes
from saccade.core.records.datasets import ClassChange
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


Steps = list[tuple[str, Random]]
STEPS = st.lists(st.tuples(st.sampled_from(("add", "rename", "merge", "remove")), st.randoms()), max_size=12)


def edit_at_random(steps: Steps) -> tuple[list[Column], dict[str, set[str]]]:
    """Edit the classes ship, boat and tug.

    Returns:
        The column in each version, and by the name of each last class the set of first classes that it stands for.
    """
    members = {"ship": {"ship"}, "boat": {"boat"}, "tug": {"tug"}}
    plans: list[list[ClassEdit]] = []
    for action, random in steps:
        free = [name for name in NAMES if name not in members]
        name = random.choice(sorted(members)) if members else ""
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
    return history(*plans, names=("ship", "boat", "tug")), members


@given(STEPS)
def test_single_edits_are_followed_exactly(steps: Steps) -> None:
    """Each class carries the set of first classes that it stands for; names are only labels of these sets."""
    columns, members = edit_at_random(steps)
    expected = {
        first: next((name for name, firsts in members.items() if first in firsts), None)
        for first in ("ship", "boat", "tug")
    }
    assert follow_classes(columns) == expected


@given(STEPS, STEPS)
def test_classes_of_two_branches_are_matched_through_their_common_ancestor(ours: Steps, theirs: Steps) -> None:
    to_before, old_members = edit_at_random(ours)
    to_after, new_members = edit_at_random(theirs)
    before = to_before[-1]
    after = to_after[-1]
    changes = compare_classes(before, after, to_before=to_before, to_after=to_after)
    # Each class is in exactly one group.
    assert sorted(name for change in changes for name in change.before) == sorted(before.class_names)
    assert sorted(name for change in changes for name in change.after) == sorted(after.class_names)
    for first in ("ship", "boat", "tug"):
        old = [name for name, firsts in old_members.items() if first in firsts]
        new = [name for name, firsts in new_members.items() if first in firsts]
        if old and new:
            assert any(old[0] in change.before and new[0] in change.after for change in changes)


def changes_between(before: Column, after: Column, *histories: list[Column]) -> list[str]:
    """Describe the groups of classes that are not the same single class in both versions."""
    to_before, to_after = histories or ([], [])
    changes = compare_classes(before, after, to_before=to_before, to_after=to_after)
    return [f"{change.action}: {change}" for change in changes if change.before != change.after]


def test_compare_renamed_and_merged_classes() -> None:
    edits: list[list[ClassEdit]] = [
        [RenameClass(name="ship", new_name="vessel")],
        [MergeClass(name="tug", target="boat"), AddClass(name="buoy")],
    ]
    columns = history(*edits, names=("ship", "boat", "tug", "ferry"))
    first = columns[0]
    last = columns[-1]
    forward = ["renamed: ship → vessel", "merged: tug → boat", "renamed:  → buoy"]
    assert changes_between(first, last, [first], columns) == forward
    assert changes_between(first, last) == forward, "the former names suffice"
    backward = ["renamed: vessel → ship", "split: boat → boat, tug", "renamed: buoy → "]
    assert changes_between(last, first, columns, [first]) == backward


def test_compare_swapped_and_restored_classes() -> None:
    swap = [
        RenameClass(name="ship", new_name="tmp"),
        RenameClass(name="boat", new_name="ship"),
        RenameClass(name="tmp", new_name="boat"),
    ]
    first, swapped = history(swap)
    assert changes_between(first, swapped, [first], [first, swapped]) == [
        "renamed: ship → boat",
        "renamed: boat → ship",
    ]
    first, renamed, removed = history([RenameClass(name="ship", new_name="tug")], [RemoveClass(name="boat")])
    restored = first
    assert changes_between(renamed, restored, [renamed], [renamed, removed, restored]) == ["renamed: tug → ship"]


def test_class_change_as_text() -> None:
    assert str(ClassChange(("RBC",), ("Red cell",))) == "RBC → Red cell"
    assert str(ClassChange(("tug", "boat"), ("boat",))) == "tug → boat"
    assert ClassChange(("a", "b"), ("c",)).to_json() == {"action": "merged", "before": ["a", "b"], "after": ["c"]}
