"""The classes of a dataset: what there is, and acts on them, which make one version together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from saccade.core.class_edits import (
    AddClass,
    ClassAct,
    ClassPlan,
    MergeClass,
    RecolorClass,
    RemoveClass,
    RenameClass,
    plan_classes,
)
from saccade.core.errors import InvalidValueError
from saccade.core.progress import Progress
from saccade.core.schema import ClassInfo, Column, Schema
from saccade.media.colors import COLORS, palette
from saccade.store.catalog.names import MAIN
from saccade.store.datasets.classes import class_counts
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

_SAID = 6


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class of a column: what it looks like, how many objects or labels are of it, and in how many items."""

    column: str
    name: str
    color: str
    parent: str | None
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    objects: int
    items: int


def classes_of(version: DatasetVersion) -> list[ClassFacts]:
    """All classes in order, column by column."""
    made = []
    for column, counts in class_counts(version.snapshot).items():
        infos = {info.name: info for info in version.schema[column].classes}
        colors = _colors(version.schema[column])
        for name, count in counts.items():
            info = infos[name]
            made.append(
                ClassFacts(
                    column, name, colors[name], info.parent, info.keypoints, info.skeleton, count.objects, count.items
                )
            )
    return made


def change_classes(
    workspace: Workspace,
    name: str,
    acts: Sequence[ClassAct],
    *,
    message: str = "",
    author: str = "",
    branch: str = MAIN,
    follows: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Do acts on classes one after another, as the next version of a dataset; all of them or none.

    The versions before keep everything. A class that nobody gave a colour keeps the one that it was shown in.

    Args:
        follows: the number of the version that one looked at; MovedError where there is a newer one.
        run_id: the run that does it.

    Raises:
        NotFoundError: a class that is not there.
        ConflictError: a name that is taken; a class of which there is something, and that was to go without it.
    """
    if not acts:
        raise InvalidValueError("Nothing is to be done.", hint="Say which class is to be another.")
    return workspace.datasets.relabel(
        name,
        lambda schema: _planned(schema, acts),
        message=message or _told(acts),
        author=author,
        branch=branch,
        follows=follows,
        run_id=run_id,
        progress=progress,
    )


def _planned(schema: Schema, acts: Sequence[ClassAct]) -> ClassPlan:
    plan = plan_classes(schema, acts)
    columns = [
        _with_kept_colors(schema[column.name], column, plan.before[column.name])
        for column in plan.schema.columns
        if column.classes != schema[column.name].classes
    ]
    return replace(plan, schema=plan.schema.with_columns(*columns))


def _colors(column: Column) -> dict[str, str]:
    """The colours in which classes are shown; that of a class without one depends on its place."""
    shown = palette(column.class_names)
    return {info.name: info.color or shown[info.name] for info in column.classes}


def _with_kept_colors(before: Column, after: Column, names: Mapping[str, str]) -> Column:
    """Classes whose place changed are given the colour that they had, and new ones a colour that none has."""
    colors = _colors(before)
    had = {now: colors[name] for now, name in names.items()}
    shown = palette(after.class_names)
    taken = {info.color or had.get(info.name) for info in after.classes}

    def colored(info: ClassInfo) -> ClassInfo:
        if info.color is not None:
            return info
        wanted = had.get(info.name)
        if wanted is None:
            free = (color for color in (shown[info.name], *COLORS) if color not in taken)
            wanted = next(free, shown[info.name])
            taken.add(wanted)
        return info if wanted == shown[info.name] else replace(info, color=wanted)

    return replace(after, classes=tuple(map(colored, after.classes)))


_SENTENCES: Mapping[type[ClassAct], Callable[..., str]] = {
    AddClass: lambda act: f"added {act.name}",
    RenameClass: lambda act: f"renamed {act.name} to {act.to}",
    RecolorClass: lambda act: f"gave {act.name} the colour {act.color}",
    MergeClass: lambda act: f"merged {act.name} into {act.into}",
    RemoveClass: lambda act: f"removed {act.name}{' with what was of it' * act.with_objects}",
}


def _told(acts: Sequence[ClassAct]) -> str:
    parts = [_SENTENCES[type(act)](act) for act in acts[:_SAID]]
    more = f", and {len(acts) - _SAID} more" if len(acts) > _SAID else ""
    return f"Classes: {', '.join(parts)}{more}."
