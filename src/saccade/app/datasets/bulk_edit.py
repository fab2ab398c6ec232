"""Edits of many items at once: delete, assign a split, tag and untag. Each edit creates one version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from saccade.app.datasets.splits import SPLIT
from saccade.core.errors import InvalidValueError
from saccade.core.progress import Progress
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.core.text import format_count
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

BulkAction = Literal["delete", "split", "tag", "untag"]
TAGS_COLUMN = "tags"
_MAX_NAME_LENGTH = 100


def bulk_edit(
    workspace: Workspace,
    name: str,
    keys: Sequence[str],
    action: BulkAction,
    target: str = "",
    *,
    author: str = "",
    message: str = "",
    branch: str | None = None,
    expected_version: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> DatasetVersion:
    """Edit items of a branch and commit the result as its next version.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH.
        keys: The keys of the items.
        action: Delete the items, assign them to a split, or add or remove a tag.
        target: The name of the split or tag. Tags are in the column ``tags`` of kind labels.
        author: The author of the version.
        message: The message of the version; a description of the edit if empty.
        branch: The branch to edit, if ``name`` has none; the main branch by default.
        expected_version: The number of the version that the caller has seen as the head of the branch.
        run_id: The run that makes the edit.
        progress: Receives progress of the write.

    Returns:
        The new version.

    Raises:
        NotFoundError: An item does not exist.
        InvalidValueError: There are no keys, the name of the split or tag is empty or too long, or the target is a
            version or alias instead of a branch.
        StaleVersionError: The head of the branch is not ``expected_version``.
    """
    if not keys:
        raise InvalidValueError("No items are selected.", hint="Select items first.")
    count = format_count(len(keys), "item")
    if action == "delete":
        return workspace.datasets.delete_items(
            name,
            keys,
            message or f"Removed {count}.",
            author=author,
            branch=branch,
            expected_version=expected_version,
            run_id=run_id,
        )
    target = target.strip()
    if not target or len(target) > _MAX_NAME_LENGTH:
        raise InvalidValueError(
            f"A {action} needs a name of 1 to {_MAX_NAME_LENGTH} characters, not '{target[:_MAX_NAME_LENGTH]}'."
        )
    name, branch = workspace.datasets.resolve_branch(name, branch)
    version = workspace.datasets.open(f"{name}@{branch}")
    if action == "split":
        column = Column(SPLIT, Kind.TEXT)
        description = f"Assigned {count} to the split {target}."
    else:
        column = Column(TAGS_COLUMN, Kind.LABELS)
        description = f"Tagged {count} as {target}." if action == "tag" else f"Removed the tag {target} from {count}."
    if column.name in version.schema:
        if version.schema[column.name].kind is not column.kind:
            raise InvalidValueError(
                f"The column '{column.name}' is of kind {version.schema[column.name].kind}, not {column.kind}."
            )
        column = version.schema[column.name]
    items = _edited_items(version, keys, column.name, action, target)
    return workspace.datasets.write(
        name,
        Schema((column,)),
        items,
        mode="merge",
        message=message or description,
        author=author,
        branch=branch,
        expected_version=expected_version,
        run_id=run_id,
        progress=progress,
    )


def _edited_items(
    version: DatasetVersion, keys: Sequence[str], column: str, action: BulkAction, value: str
) -> Iterator[Item]:
    if action == "split" or column not in version.schema:
        for item in version.items(columns=[], keys=keys):
            yield Item(item.key, {column: value if action == "split" else _edit_tags((), action, value)})
        return
    for item in version.items(columns=[column], keys=keys):
        yield Item(item.key, {column: _edit_tags(item[column] or (), action, value)})


def _edit_tags(tags: Sequence[str], action: BulkAction, value: str) -> tuple[str, ...]:
    other_tags = tuple(tag for tag in tags if tag != value)
    return (*other_tags, value) if action == "tag" else other_tags
