"""Create, list, delete and commit label sets."""

from __future__ import annotations

from collections.abc import Sequence

from saccade.annotation.commit import Preference, preview
from saccade.annotation.commit import commit as commit_edits
from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, CommitPreview, CommitResult, LabelClass, LabelSet, Start

COMMAND_LINE = Author()
"""The author of what the command line and scripts do, as of the versions that they write."""


def create_label_set(
    label_sets: LabelSets,
    name: str,
    dataset: str,
    *,
    column: str = "objects",
    start: Start = "labels",
    query: str | None = None,
    classes: Sequence[str] = (),
    predictions: str | None = None,
    min_score: float = 0.0,
    author: Author = COMMAND_LINE,
) -> LabelSet:
    """Create a label set; see :meth:`saccade.annotation.label_sets.LabelSets.create`."""
    return label_sets.create(
        name,
        dataset,
        column=column,
        start=start,
        query=query,
        classes=classes,
        predictions=predictions,
        min_score=min_score,
        author=author,
    )


def delete_label_set(label_sets: LabelSets, name: str, *, force: bool = False) -> None:
    """Delete a label set; with ``force`` also its uncommitted edits.

    Raises:
        ConflictError: It has uncommitted edits.
        NotFoundError: There is no such label set.
    """
    label_sets.delete(name, force=force)


def put_class(label_sets: LabelSets, name: str, label_class: LabelClass) -> LabelClass:
    """Create or replace a class; see :meth:`saccade.annotation.label_sets.LabelSets.put_class`."""
    return label_sets.put_class(name, label_class)


def preview_commit(label_sets: LabelSets, name: str) -> CommitPreview:
    """Return what a commit would change; see :func:`saccade.annotation.commit.preview`."""
    return preview(label_sets, name)


def commit_label_set(
    label_sets: LabelSets,
    name: str,
    *,
    message: str = "",
    prefer: Preference | None = None,
    author: Author = COMMAND_LINE,
) -> CommitResult:
    """Commit the edits of a label set as the next version; see :func:`saccade.annotation.commit.commit`."""
    return commit_edits(label_sets, name, message=message, prefer=prefer, author=author)
