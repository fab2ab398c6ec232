"""Branches with random class edits, and the classes that a merge must give: classes by identity instead of by name."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import assume
from hypothesis import strategies as st

from saccade.core.class_edits import AddClass, ClassEdit, MergeClass, RenameClass, plan_class_edits
from saccade.core.schema import ClassInfo, Column, Kind, Schema

NAMES = ("ship", "boat", "tug")
Steps = list[tuple[str, int, int]]
STEPS = st.lists(
    st.tuples(st.sampled_from(("rename", "add", "merge")), st.integers(0, 9), st.integers(0, 9)), max_size=7
)


@dataclass
class Branch:
    """A column along a branch, and the identity of each class: its first name, or where and when it was added.

    Attributes:
        label: distinguishes the new names and identities of two branches.
        history: the column in each version.
        ids: identity of each class, by its name.
        targets: for each class that was merged into another one, the identity of that class.
        edits: the edits so far.
    """

    label: str
    history: list[Column]
    ids: dict[str, str]
    targets: dict[str, str] = field(default_factory=dict)
    edits: list[ClassEdit] = field(default_factory=list)

    def edit(self, steps: Steps) -> None:
        """Apply edits, each as a version of its own."""
        number = len(self.edits) + len(self.history)
        for action, first, second in steps:
            number += 1
            names = sorted(self.ids)
            name = names[first % len(names)]
            free = [*(name for name in NAMES if name not in self.ids), f"{self.label}{number}"]
            new_name = free[second % len(free)]
            other = names[second % len(names)]
            if action == "rename":
                self.ids[new_name] = self.ids.pop(name)
                self._apply(RenameClass(name=name, new_name=new_name))
            elif action == "add":
                self.ids[new_name] = f"{self.label}:{number}"
                self._apply(AddClass(name=new_name))
            elif other != name:
                self.targets[self.ids.pop(name)] = self.ids[other]
                self._apply(MergeClass(name=name, target=other))

    def _apply(self, edit: ClassEdit) -> None:
        schema = plan_class_edits(Schema((self.history[-1],)), [edit]).schema
        self.history.append(schema["objects"])
        self.edits.append(edit)


def first_column() -> Column:
    return Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, NAMES)))


def expected_names(first_names: dict[str, str], ours: Branch, theirs: Branch) -> dict[str, str]:
    """Return the final name of each identity. Skips histories in which both sides contradict each other."""
    our_names = {identity: name for name, identity in ours.ids.items()}
    their_names = {identity: name for name, identity in theirs.ids.items()}
    identities = {*first_names, *our_names, *their_names, *ours.targets, *theirs.targets}
    groups = [{identity} for identity in identities]
    for target_by_id in (ours.targets, theirs.targets):
        for identity, target in target_by_id.items():
            joined = [group for group in groups if identity in group or target in group]
            groups = [group for group in groups if group not in joined]
            groups.append(set().union(*joined))
    names = {}
    for group in groups:
        roots = group - ours.targets.keys() - theirs.targets.keys()
        assume(len(roots) == 1)
        root = roots.pop()
        # A class that has the name of one that was merged into it is taken for that one.
        assume(
            all(
                side.get(root) not in map(first_names.get, group - {root})
                for side in (our_names, their_names)
                if root in side
            )
        )
        first_name = first_names.get(root)
        new_names = {side[root] for side in (our_names, their_names) if root in side} - {first_name}
        assume(len(new_names) <= 1)
        for side, other, side_names in ((ours, theirs, our_names), (theirs, ours, their_names)):
            targets = group.intersection(side.targets.values())
            if any(side_names.get(target) != first_names.get(target) for target in targets):
                assume(not group & other.targets.keys())  # which of several merged classes was renamed cannot be told
        if first_name is None:  # whether a class became a new class by a rename or a merge cannot be told
            assume(
                all(
                    side.get(member, name) == name
                    for side in (our_names, their_names)
                    for member in group
                    if (name := first_names.get(member)) is not None
                )
            )
        name = new_names.pop() if new_names else first_name
        assert name is not None
        names.update(dict.fromkeys(group, name))
    assume(len(set(names.values())) == len(groups))
    return names
