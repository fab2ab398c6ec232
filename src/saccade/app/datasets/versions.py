"""Restore versions, merge branches, delete datasets, and save views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.core.merge import Merged, Resolver
from saccade.core.progress import Progress
from saccade.core.refs import MAIN
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace


def restore_version(
    workspace: Workspace,
    name: str,
    number: int,
    *,
    message: str = "",
    author: str = "",
    branch: str | None = None,
    expected_version: int | None = None,
) -> DatasetVersion:
    """Commit an old version again as the head of a branch.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH.
        number: The number of the old version.
        message: The message of the new version; a description if empty.
        author: The author of the new version.
        branch: The branch that gets the new version, if ``name`` has none; the main branch by default.
        expected_version: The number of the version that the caller has seen as the head of the branch.

    Raises:
        NotFoundError: There is no such version or branch.
        InvalidValueError: The target is a version or alias instead of a branch.
        StaleVersionError: The head of the branch is not ``expected_version``.
    """
    return workspace.datasets.restore(
        name, number, message, branch=branch, author=author, expected_version=expected_version
    )


def merge_branch(
    workspace: Workspace,
    ref: str,
    *,
    into: str = MAIN,
    resolver: Resolver | None = None,
    message: str = "",
    author: str = "",
    dry_run: bool = False,
    expected_version: int | None = None,
    run_id: str | None = None,
    progress: Progress | None = None,
) -> Merged[DatasetVersion]:
    """Merge a branch or version into a branch of the same dataset, all or nothing.

    Args:
        workspace: The workspace.
        ref: The branch or version to merge.
        into: The target branch.
        resolver: Chooses a side for each conflict; None leaves conflicts unresolved.
        message: The message of the new version; a description if empty.
        author: The author of the new version.
        dry_run: Return the result without a write.
        expected_version: The number of the version that the caller has seen as the head of ``into``.
        run_id: The run that makes the merge.
        progress: Receives progress of the merge.

    Raises:
        MergeConflictError: Conflicts are unresolved.
        StaleVersionError: The head of ``into`` is not ``expected_version``.
    """
    return workspace.datasets.merge(
        ref,
        into=into,
        resolver=resolver,
        message=message,
        author=author,
        dry_run=dry_run,
        expected_version=expected_version,
        run_id=run_id,
        progress=progress,
    )


def delete_dataset(
    workspace: Workspace, name: str, *, force: bool = False, expected_version: int | None = None
) -> None:
    """Delete a dataset with all its versions.

    Args:
        workspace: The workspace.
        name: The dataset.
        force: Delete it even if other versions were made from it.
        expected_version: The number of the version that the caller has seen as the head of the main branch.

    Raises:
        NotFoundError: There is no such dataset.
        ConflictError: Other versions were made from it, and ``force`` is not set.
        StaleVersionError: The head of the main branch is not ``expected_version``.
    """
    workspace.datasets.remove(name, force=force, expected_version=expected_version)


def save_view(workspace: Workspace, name: str, view: str, filters: Mapping[str, Any], *, author: str = "") -> None:
    """Save the filters of a view of a dataset, replacing a view with the same name."""
    workspace.datasets.save_view(name, view, filters, author=author)


def delete_view(workspace: Workspace, name: str, view: str) -> None:
    """Delete a saved view of a dataset."""
    workspace.datasets.delete_view(name, view)
