"""List and edit the classes of a dataset. Several edits create one version together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from saccade.core.class_edits import (
    AddClass,
    ClassEdit,
    ClassPlan,
    MergeClass,
    RecolorClass,
    RemoveClass,
    RenameClass,
    plan_class_edits,
)
from saccade.core.errors import InvalidValueError
from saccade.core.progress import Progress
from saccade.core.schema import Schema
from saccade.media.colors import effective_colors, keep_colors
from saccade.store.datasets.classes import class_counts
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

_MAX_LISTED_EDITS = 6


@dataclass(frozen=True, slots=True)
class ClassSummary:
    """A class of a column, with its display color and its counts.

    Attributes:
        color: The effective color, ``#rrggbb``.
        keypoints: The names of the keypoints of its objects.
        skeleton: Pairs of keypoint indices that are connected.
        objects: The number of objects or labels of this class.
        items: The number of items that have at least one.
    """

    column: str
    name: str
    color: str
    parent: str | None
    keypoints: tuple[str, ...]
    skeleton: tuple[tuple[int, int], ...]
    objects: int
    items: int


def list_classes(version: DatasetVersion) -> list[ClassSummary]:
    """List the classes of all columns in their order."""
    summaries = []
    for column, counts in class_counts(version.snapshot).items():
        infos = {info.name: info for info in version.schema[column].classes}
        colors = effective_colors(version.schema[column])
        for name, count in counts.items():
            info = infos[name]
            summaries.append(
                ClassSummary(
                    column, name, colors[name], info.parent, info.keypoints, info.skeleton, count.objects, count.items
                )
            )
    return summaries


def edit_classes(
    workspace: Workspace,
    name: str,
    edits: Sequence[ClassEdit],
    *,
    message: str = "",
    author: str = "",
    branch: str | None = None,
    expected_version: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Apply class edits in order and commit them as one version, all or none.

    Earlier versions do not change. A class without an explicit color keeps the color in which it was displayed.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH.
        edits: The edits.
        message: The message of the version; a description of the edits if empty.
        author: The author of the version.
        branch: The branch to edit, if ``name`` has none; the main branch by default.
        expected_version: The number of the version that the caller has seen as the head of the branch.
        run_id: The run that makes the edit.
        progress: Receives progress of the write.

    Returns:
        The new version.

    Raises:
        InvalidValueError: There are no edits, or the target is a version or alias instead of a branch.
        NotFoundError: A class does not exist.
        ConflictError: A name is in use, or a class to remove has objects and these are not to be removed.
        StaleVersionError: The head of the branch is not ``expected_version``.
    """
    if not edits:
        raise InvalidValueError("There are no class edits.", hint="Name at least one class to edit.")
    return workspace.datasets.relabel(
        name,
        lambda schema: _plan_with_colors(schema, edits),
        message=message or _default_message(edits),
        author=author,
        branch=branch,
        expected_version=expected_version,
        run_id=run_id,
        progress=progress,
    )


def _plan_with_colors(schema: Schema, edits: Sequence[ClassEdit]) -> ClassPlan:
    plan = plan_class_edits(schema, edits)
    columns = [
        keep_colors(schema[column.name], column, plan.previous_names[column.name])
        for column in plan.schema.columns
        if column.classes != schema[column.name].classes
    ]
    return replace(plan, schema=plan.schema.with_columns(*columns))


_DESCRIPTIONS: Mapping[type[ClassEdit], Callable[..., str]] = {
    AddClass: lambda edit: f"added {edit.name}",
    RenameClass: lambda edit: f"renamed {edit.name} to {edit.new_name}",
    RecolorClass: lambda edit: f"set the color of {edit.name} to {edit.color}",
    MergeClass: lambda edit: f"merged {edit.name} into {edit.target}",
    RemoveClass: lambda edit: f"removed {edit.name}{' with its objects' if edit.with_objects else ''}",
}


def _default_message(edits: Sequence[ClassEdit]) -> str:
    parts = [_DESCRIPTIONS[type(edit)](edit) for edit in edits[:_MAX_LISTED_EDITS]]
    more = f", and {len(edits) - _MAX_LISTED_EDITS} more" if len(edits) > _MAX_LISTED_EDITS else ""
    return f"Classes: {', '.join(parts)}{more}."
