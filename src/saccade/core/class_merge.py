"""Three-way merge of the classes of a column: each class is followed from the common ancestor along both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from saccade.core.class_history import follow_classes
from saccade.core.schema import ClassInfo, Column

MergeClassInfo = Callable[[str, "ClassInfo | None", ClassInfo, ClassInfo], ClassInfo]
"""Merges the definitions of a class: column, common ancestor, our side, their side."""
Successors = Mapping[str, "str | None"]
"""For each class of the common ancestor its name on one side; None if it was removed there."""


@dataclass(frozen=True, slots=True)
class MergedClassNames:
    """The name after the merge of each class, by its name in each of the three versions.

    Attributes:
        base: for the classes of the common ancestor.
        ours: for the classes of our side.
        theirs: for the classes of their side.
    """

    base: Mapping[str, str]
    ours: Mapping[str, str]
    theirs: Mapping[str, str]


def merge_class_names(
    our_names: Iterable[str], their_names: Iterable[str], our_successors: Successors, their_successors: Successors
) -> MergedClassNames:
    """Match the classes of two sides by identity: a name may denote another class than in the common ancestor.

    New classes of both sides with the same name become one class. A class to which both sides gave different names
    keeps both: each of its objects is then a conflict.

    Args:
        our_names: the classes of our side.
        their_names: the classes of their side.
        our_successors: the classes of the common ancestor on our side.
        their_successors: the classes of the common ancestor on their side.
    """
    final = {name: _final_name(name, our_successors, their_successors) for name in our_successors}
    ours = {name: _final_name_on_side(name, our_successors, final) for name in our_names}
    theirs = {name: _final_name_on_side(name, their_successors, final) for name in their_names}
    used = {*ours.values(), *theirs.values()}
    base = {}
    for name in our_successors:
        sides = ((ours, our_successors[name]), (theirs, their_successors[name]))
        candidates = {names[successor] for names, successor in sides if successor is not None}
        # With a name that is not in use, an object of this class differs from that of either side: a conflict.
        base[name] = candidates.pop() if len(candidates) == 1 else _unused_name(name, used)
    return MergedClassNames(base, ours, theirs)


def _final_name(name: str, ours: Successors, theirs: Successors) -> str | None:
    """Follow a class of the common ancestor through the changes of both sides. None if they contradict each other."""
    path: list[str] = []
    while name not in path:
        path.append(name)
        successors = [
            (side, successor) for side in (ours, theirs) if (successor := side[name]) is not None and successor != name
        ]
        absorbing = {successor for side, successor in successors if side.get(successor) == successor}
        if not absorbing:
            new_names = {successor for _, successor in successors}
            # The name of several merged classes counts, not the new name that the other side gave to one of them.
            merged = {successor for side, successor in successors if [*side.values()].count(successor) > 1}
            candidates = merged or new_names or {name}
            return candidates.pop() if len(candidates) == 1 else None
        if len(absorbing) > 1:
            return None
        name = absorbing.pop()
    # One side merged a class into a second one, and the other side the second one into the first.
    cycle = path[path.index(name) :]
    return next(member for member in ours if member in cycle and ours[member] == member)


def _final_name_on_side(name: str, successors: Successors, final: Mapping[str, str | None]) -> str:
    if successors.get(name) == name:  # others may have been merged into it
        return final[name] or name
    former_names = (former for former, successor in successors.items() if successor == name)
    names = {final_name for former in former_names if (final_name := final[former]) is not None}
    return names.pop() if len(names) == 1 else name


def _unused_name(name: str, used: set[str]) -> str:
    while name in used:
        name += " (former)"
    return name


class ClassMerge:
    """The merge of the classes of one column that both sides have.

    Attributes:
        base_names, our_names, their_names: for each version the new name of each class whose name changes.
        our_reused_names, their_reused_names: names of the common ancestor that denote no class, or another class, on
            that side.
        previous_names: for each class of the result its name on our side, if it is there.
    """

    def __init__(
        self, base: Column, ours: Column, theirs: Column, to_ours: Sequence[Column], to_theirs: Sequence[Column]
    ) -> None:
        """Match the classes.

        Args:
            base: the column in the common ancestor.
            ours: the column on our side.
            theirs: the column on their side.
            to_ours: the column in each version from the common ancestor to our side; if empty, the former names decide.
            to_theirs: the same for their side.
        """
        our_successors = _successors(base, ours, to_ours)
        their_successors = _successors(base, theirs, to_theirs)
        names = merge_class_names(ours.class_names, theirs.class_names, our_successors, their_successors)
        self.base_names = _changes_only(names.base)
        self.our_names = _changes_only(names.ours)
        self.their_names = _changes_only(names.theirs)
        self.our_reused_names = {name for name, successor in our_successors.items() if successor != name}
        self.their_reused_names = {name for name, successor in their_successors.items() if successor != name}
        self._ours = ours
        self._theirs = theirs
        self._base_classes = _classes_by_new_name(base, self.base_names)
        self._our_classes = _classes_by_new_name(ours, self.our_names)
        self._their_classes = _classes_by_new_name(theirs, self.their_names)
        self.previous_names = {new_name: info.name for new_name, info in self._our_classes.items()}

    def merged_column(self, merge_class_info: MergeClassInfo) -> Column:
        """Return the column with the classes of both sides: ours at their positions, then those of the other side."""
        classes = []
        for name in {**self._our_classes, **self._their_classes}:
            base = _renamed(self._base_classes.get(name), name, self.base_names)
            ours = _renamed(self._our_classes.get(name), name, self.our_names)
            theirs = _renamed(self._their_classes.get(name), name, self.their_names)
            info = ours or theirs
            if ours is not None and theirs is not None:
                info = merge_class_info(self._ours.name, base, ours, theirs)
            if info is not None:
                classes.append(replace(info, was=self._former_names(name)))
        return replace(self._ours, classes=tuple(classes))

    def _former_names(self, new_name: str) -> tuple[str, ...]:
        """Return the former names of a class of the result: those of both sides, and its names there."""
        former_names: list[str] = []
        current_names: list[str] = []
        other_names: set[str] = set()
        for column, names in ((self._ours, self.our_names), (self._theirs, self.their_names)):
            for info in column.classes:
                if names.get(info.name, info.name) == new_name:
                    former_names += info.was
                    current_names.append(info.name)
                else:
                    other_names.add(info.name)
        # A former name that denotes another class now identifies this class only if the merge renames it.
        identifying = (*(name for name in former_names if name not in other_names), *current_names)
        return tuple(dict.fromkeys(name for name in identifying if name != new_name))


def _successors(base: Column, side: Column, history: Sequence[Column]) -> dict[str, str | None]:
    if history:
        return follow_classes(history)
    return {name: side.resolve_class(name) for name in base.class_names}


def _changes_only(names: Mapping[str, str]) -> dict[str, str]:
    return {name: new_name for name, new_name in names.items() if new_name != name}


def _classes_by_new_name(column: Column, names: Mapping[str, str]) -> dict[str, ClassInfo]:
    """Return the classes of a side by their names in the result, in their order on that side."""
    classes: dict[str, ClassInfo] = {}
    for info in column.classes:
        new_name = names.get(info.name, info.name)
        # Of classes that become one, the definition and position of that whose name remains is used.
        if new_name not in classes or classes[new_name].name != new_name:
            classes.pop(new_name, None)
            classes[new_name] = info
    return classes


def _renamed(info: ClassInfo | None, name: str, names: Mapping[str, str]) -> ClassInfo | None:
    """Return a class of one side with its name in the result. Former names are merged on their own."""
    if info is None:
        return None
    parent = info.parent and names.get(info.parent, info.parent)
    return replace(info, name=name, parent=None if parent == name else parent, was=())
