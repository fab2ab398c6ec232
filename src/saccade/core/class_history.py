"""Follow classes through the versions of a dataset: renamed, merged and removed classes, and reused names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from saccade.core.records.datasets import ClassChange
from saccade.core.schema import ClassInfo, Column


@dataclass(frozen=True, slots=True)
class ClassAlignment:
    """Common names for the classes of a model and of a ground truth.

    Attributes:
        model: the common name of each class of the model; merged classes have the same one.
        truth: the common name of each class of the ground truth.
    """

    model: Mapping[str, str]
    truth: Mapping[str, str]

    @property
    def unmatched_model_classes(self) -> tuple[str, ...]:
        """Classes of the model that the ground truth does not have."""
        names = set(self.truth.values())
        return tuple(name for name, common in self.model.items() if common not in names)


def follow_classes(history: Sequence[Column]) -> dict[str, str | None]:
    """Return the last name of each class of the first column, or None if it was removed.

    Args:
        history: a column in successive versions, the oldest first.
    """
    names: dict[str, str | None] = {name: name for name in history[0].class_names}
    for before, after in pairwise(history):
        if before.classes != after.classes:
            step = _follow_step(before, after)
            names = {first: None if name is None else step[name] for first, name in names.items()}
    return names


def _follow_step(before: Column, after: Column) -> dict[str, str | None]:
    known = {info.name: info for info in before.classes}
    successors = {name: _recorded_successor(name, known, after) for name in known}
    if _keeps_positions(before, after, successors):
        return dict(zip(before.class_names, after.class_names, strict=False))
    return {name: successor or after.resolve_class(name) for name, successor in successors.items()}


def _keeps_positions(before: Column, after: Column, successors: Mapping[str, str | None]) -> bool:
    """Return whether each class kept its position; a swap back repeats the former names of the swap."""
    return set(before.class_names) <= set(after.class_names) and all(
        successors[name] is None if info.name == name else name in info.was
        for name, info in zip(before.class_names, after.classes, strict=False)
    )


def _recorded_successor(name: str, before: Mapping[str, ClassInfo], after: Column) -> str | None:
    """Return the class that newly has a name as a former name: the name itself may belong to another class by now."""
    for info in after.classes:
        if name in info.was and info.name != name and not _was_recorded(before, info, name):
            return info.name
    return None


def _was_recorded(before: Mapping[str, ClassInfo], info: ClassInfo, former: str) -> bool:
    """Return whether a former name of a class was one before, be it under another name of that class."""
    return any(former in before[name].was for name in (info.name, *info.was) if name in before and name != former)


def align_classes(
    model_classes: Sequence[str], truth: Column, *, forward: Sequence[Column] = (), backward: Sequence[Column] = ()
) -> ClassAlignment:
    """Match the classes of a model with those of a ground truth.

    Args:
        model_classes: the classes of the model.
        truth: the column of the ground truth.
        forward: the column from the version that the model was trained on to the ground truth, if that is later.
        backward: the column from the version of the ground truth to the one that the model was trained on, if that is
            later. Without a history, the former names in ``truth`` decide.
    """
    if backward:
        names = follow_classes(backward)
        known = {name: common if common in model_classes else None for name, common in names.items()}
        return ClassAlignment({name: name for name in model_classes}, _unique_names(known, set(model_classes)))
    names = follow_classes(forward) if forward else {}
    current = {name: names[name] if name in names else truth.resolve_class(name) for name in model_classes}
    taken = set(truth.class_names)
    return ClassAlignment(_unique_names(current, taken), {name: name for name in truth.class_names})


def _unique_names(names: Mapping[str, str | None], taken: set[str]) -> dict[str, str]:
    """Name each class without a counterpart by its own name, with a suffix if another class has that name."""
    used = taken | {common for common in names.values() if common is not None}
    unique = {}
    for name, common in names.items():
        unique[name] = _unused_name(name, used) if common is None else common
        used.add(unique[name])
    return unique


def _unused_name(name: str, used: set[str]) -> str:
    while name in used:
        name += " (other)"
    return name


def compare_classes(
    before: Column, after: Column, *, to_before: Sequence[Column] = (), to_after: Sequence[Column] = ()
) -> tuple[ClassChange, ...]:
    """Match the classes of a column in two versions, through the versions between them.

    Args:
        before: the column in the first version.
        after: the column in the second version.
        to_before: the column from the latest common ancestor of both versions to the first one.
        to_after: the column from there to the second version. Without both histories, the former names decide.

    Returns:
        Groups of classes that became one another, in the order of the first version. A class that kept its name is a
        group of its own; a removed class has no ``after``, an added one no ``before``.
    """
    pairs = _matching_classes(before, after, to_before, to_after)
    groups: list[tuple[set[str], set[str]]] = []
    for old, new in pairs:
        connected = [group for group in groups if old in group[0] or new in group[1]]
        groups = [group for group in groups if group not in connected]
        groups.append(
            ({old}.union(*(group[0] for group in connected)), {new}.union(*(group[1] for group in connected)))
        )
    groups += [({name}, set()) for name in before.class_names if all(name not in old for old, _ in groups)]
    groups += [(set(), {name}) for name in after.class_names if all(name not in new for _, new in groups)]
    changes = [
        ClassChange(
            tuple(name for name in before.class_names if name in old),
            tuple(name for name in after.class_names if name in new),
        )
        for old, new in groups
    ]
    position = {name: index for index, name in enumerate(before.class_names)}
    return tuple(sorted(changes, key=lambda change: position[change.before[0]] if change.before else len(position)))


def _matching_classes(
    before: Column, after: Column, to_before: Sequence[Column], to_after: Sequence[Column]
) -> set[tuple[str, str]]:
    """Return the pairs of a class of the first version and a class of the second one that it became."""
    old_names = follow_classes(to_before) if to_before and to_after else {}
    new_names = follow_classes(to_after) if to_before and to_after else {}
    pairs = {(old, new) for name, old in old_names.items() if old is not None and (new := new_names[name]) is not None}
    followed = {name for name in old_names.values() if name is not None}
    # Classes that are new since the common ancestor, and versions without a common history.
    for name in before.class_names:
        if name not in followed and (resolved := after.resolve_class(name)) is not None:
            pairs.add((name, resolved))
    matched_old = {old for old, _ in pairs}
    matched_new = {new for _, new in pairs}
    # A restored version has removed classes again, and renamed classes under their former names.
    for info in before.classes:
        if info.name not in matched_old:
            names = (info.name, *info.was)
            restored = [name for name in names if name in after.class_names and name not in matched_new]
            pairs |= {(info.name, name) for name in restored[:1]}
            matched_new |= set(restored[:1])
    return pairs
