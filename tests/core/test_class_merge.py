"""The classes of two branches are merged by identity: names are labels that may be exchanged, reused and freed."""

from __future__ import annotations

from hypothesis import assume, given
from tests.support.class_branches import NAMES, STEPS, Branch, Steps, expected_names, first_column

from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RenameClass, plan_class_edits
from saccade.core.class_history import follow_classes
from saccade.core.class_merge import ClassMerge
from saccade.core.merge import Merger
from saccade.core.schema import Column, Schema


def merge(base: Column, ours: Branch, theirs: Branch, first_names: dict[str, str]) -> dict[str, str]:
    """Merge their branch into ours and check the names of all classes. Returns the name of each identity."""
    names = expected_names(first_names, ours, theirs)
    our_column = ours.history[-1]
    their_column = theirs.history[-1]
    class_merge = ClassMerge(base, our_column, their_column, ours.history, theirs.history)
    for column, new_names, ids in (
        (base, class_merge.base_names, {name: identity for identity, name in first_names.items()}),
        (our_column, class_merge.our_names, ours.ids),
        (their_column, class_merge.their_names, theirs.ids),
    ):
        assert {name: new_names.get(name, name) for name in column.class_names} == {
            name: names[ids[name]] for name in column.class_names
        }
    merged = class_merge.merged_column(Merger((), lambda conflict: None).class_info)
    assert set(merged.class_names) == {names[identity] for side in (ours, theirs) for identity in side.ids.values()}
    if not theirs.targets and not ours.targets:
        assert merged.class_names[: len(our_column.classes)] == tuple(
            names[ours.ids[name]] for name in our_column.class_names
        )
    exchanged = {
        name for name in ours.ids.keys() & theirs.ids.keys() if names[ours.ids[name]] != names[theirs.ids[name]]
    }
    if (
        not exchanged and not ours.targets and not theirs.targets
    ):  # the former names do not say which side they are from
        for column, ids in ((our_column, ours.ids), (their_column, theirs.ids)):
            assert follow_classes([column, merged]) == {name: names[ids[name]] for name in column.class_names}
    ours.history.append(merged)
    return names


@given(STEPS, STEPS)
def test_classes_are_merged_by_identity(our_steps: Steps, their_steps: Steps) -> None:
    base = first_column()
    first_names = {name: name for name in NAMES}
    ours = Branch("our", [base], dict(first_names))
    theirs = Branch("their", [base], dict(first_names))
    ours.edit(our_steps)
    theirs.edit(their_steps)
    merge(base, ours, theirs, first_names)


@given(STEPS, STEPS, STEPS, STEPS)
def test_classes_are_merged_by_identity_again(first: Steps, second: Steps, third: Steps, fourth: Steps) -> None:
    """After a merge the other branch goes on: the common ancestor is the version that was merged."""
    base = first_column()
    first_names = {name: name for name in NAMES}
    ours = Branch("our", [base], dict(first_names))
    theirs = Branch("their", [base], dict(first_names))
    ours.edit(first)
    theirs.edit(second)
    names = merge(base, ours, theirs, first_names)
    merged = ours.history[-1]
    base = theirs.history[-1]
    # From here on an identity is a class of the version that was merged.
    first_names = {name: name for name in base.class_names}
    their_final = {name: names[identity] for name, identity in theirs.ids.items()}
    ids = {name: f"our:{name}" for name in merged.class_names} | {final: name for name, final in their_final.items()}
    assume(len(set(their_final.values())) == len(their_final))
    assume(follow_classes([base, merged]) == their_final)  # as far as the former names tell
    ours = Branch("nostra", [base, merged], ids)
    theirs = Branch("altera", [base], dict(first_names))
    ours.edit(third)
    theirs.edit(fourth)
    merge(base, ours, theirs, first_names)


def merged_column(*plans: list[ClassEdit]) -> tuple[Column, dict[str, str], dict[str, str]]:
    """Merge a side that made some edits with one that made none. Returns the column and the new names of both."""
    history = [first_column()]
    for edits in plans:
        history.append(plan_class_edits(Schema((history[-1],)), edits).schema["objects"])
    base = history[0]
    merge = ClassMerge(base, base, history[-1], [base], history)
    return merge.merged_column(Merger((), lambda conflict: None).class_info), merge.our_names, merge.their_names


def test_the_other_side_follows_swapped_names() -> None:
    swap: list[ClassEdit] = [
        RenameClass(name="ship", new_name="t"),
        RenameClass(name="boat", new_name="ship"),
        RenameClass(name="t", new_name="boat"),
    ]
    for plans in ([swap], [[edit] for edit in swap]):
        column, our_names, their_names = merged_column(*plans)
        assert (our_names, their_names) == ({"ship": "boat", "boat": "ship"}, {})
        assert column.class_names == ("boat", "ship", "tug")
        assert follow_classes([first_column(), column]) == {"ship": "boat", "boat": "ship", "tug": "tug"}


def test_the_other_side_follows_a_class_whose_name_is_in_use_again() -> None:
    for plans in (
        [[RenameClass(name="ship", new_name="vessel"), AddClass(name="ship")]],
        [[RenameClass(name="ship", new_name="vessel")], [AddClass(name="ship")]],
    ):
        column, our_names, their_names = merged_column(*plans)
        assert (our_names, their_names) == ({"ship": "vessel"}, {})
        assert column.class_names == ("vessel", "boat", "tug", "ship")
        assert follow_classes([first_column(), column]) == {"ship": "vessel", "boat": "boat", "tug": "tug"}


def test_two_classes_merged_into_one_another() -> None:
    base = first_column()
    ours = plan_class_edits(Schema((base,)), [MergeClass(name="ship", target="boat")]).schema["objects"]
    theirs = plan_class_edits(Schema((base,)), [MergeClass(name="boat", target="ship")]).schema["objects"]
    merge = ClassMerge(base, ours, theirs, [base, ours], [base, theirs])
    assert (merge.our_names, merge.their_names) == ({}, {"ship": "boat"})
    assert merge.merged_column(Merger((), lambda conflict: None).class_info).class_names == ("boat", "tug")
