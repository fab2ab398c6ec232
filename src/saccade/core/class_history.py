"""Follow classes through the versions of a dataset: renamed, merged and removed classes, and reused names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
    if _is_permutation(before, after):  # a swap back repeats the former names of the swap; a rename keeps the position
        return dict(zip(before.class_names, after.class_names, strict=True))
    return {name: _next_name(name, known, after) for name in known}


def _is_permutation(before: Column, after: Column) -> bool:
    return set(before.class_names) == set(after.class_names) and all(
        info.name == name or name in info.was for name, info in zip(before.class_names, after.classes, strict=True)
    )


def _next_name(name: str, before: Mapping[str, ClassInfo], after: Column) -> str | None:
    # Newly recorded former names come first: the name itself may belong to another class by now.
    for info in after.classes:
        if name in info.was and info.name != name and not _was_named(before, info.name, name):
            return info.name
    return after.resolve_class(name)


def _was_named(classes: Mapping[str, ClassInfo], name: str, former: str) -> bool:
    return name in classes and former in classes[name].was


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
