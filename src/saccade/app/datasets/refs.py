"""Create, move and delete the names of a dataset's versions: tags, aliases and branches."""

from __future__ import annotations

from saccade.core.errors import ConflictError
from saccade.core.refs import MAIN
from saccade.core.text import format_count
from saccade.store.workspace import Workspace


def create_tag(
    workspace: Workspace,
    name: str,
    tag: str,
    number: int,
    *,
    author: str = "",
    expected_version: int | None = None,
) -> None:
    """Create a tag for a version: an alias that cannot be moved.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH if ``expected_version`` is the head of that branch.
        tag: The name of the tag. An alias of the same version becomes the tag.
        number: The number of the version.
        author: The name of the user, for the alias history.
        expected_version: The number of the version that the caller has seen as the head.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: A branch has this name, or it is a tag of another version.
        StaleVersionError: The head is not ``expected_version``.
    """
    workspace.datasets.alias(name, tag, number, fixed=True, author=author, expected_version=expected_version)


def set_alias(
    workspace: Workspace,
    name: str,
    alias: str,
    number: int,
    *,
    author: str = "",
    expected_version: int | None = None,
) -> None:
    """Create an alias for a version, or move it there; arguments and errors as for :func:`create_tag`."""
    workspace.datasets.alias(name, alias, number, author=author, expected_version=expected_version)


def delete_alias(
    workspace: Workspace, name: str, alias: str, *, author: str = "", expected_version: int | None = None
) -> None:
    """Delete an alias or a tag. The version is kept.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH if ``expected_version`` is the head of that branch.
        alias: The alias or tag.
        author: The name of the user, for the alias history.
        expected_version: The number of the version that the caller has seen as the head.

    Raises:
        NotFoundError: There is no such alias.
        StaleVersionError: The head is not ``expected_version``.
    """
    workspace.datasets.delete_alias(name, alias, author=author, expected_version=expected_version)


def create_branch(
    workspace: Workspace, name: str, branch: str, number: int, *, expected_version: int | None = None
) -> None:
    """Create a branch that starts at a version.

    Args:
        workspace: The workspace.
        name: The dataset, or NAME@BRANCH if ``expected_version`` is the head of that branch.
        branch: The name of the branch.
        number: The number of the version.
        expected_version: The number of the version that the caller has seen as the head.

    Raises:
        NotFoundError: There is no such version.
        ConflictError: A branch or alias has this name.
        StaleVersionError: The head is not ``expected_version``.
    """
    workspace.datasets.branch(name, branch, str(number), expected_version=expected_version)


def delete_branch(
    workspace: Workspace, name: str, branch: str, *, force: bool = True, expected_version: int | None = None
) -> None:
    """Delete a branch. Its versions are kept, under their numbers.

    Args:
        workspace: The workspace.
        name: The dataset.
        branch: The branch.
        force: Delete it even if no other branch has its changes.
        expected_version: The number of the version that the caller has seen as the head of the branch.

    Raises:
        ConflictError: No other branch has its changes.
        InvalidValueError: It is the main branch.
        NotFoundError: There is no such branch.
        StaleVersionError: The head of the branch is not ``expected_version``.
    """
    if not force and branch != MAIN and (unmerged := workspace.datasets.unmerged_versions(name, branch)):
        raise ConflictError(
            f"The branch '{name}@{branch}' has {format_count(len(unmerged), 'version')} that no other "
            f"branch has; the latest is {name}@{unmerged[0]}.",
            hint="Merge it first, or delete it with --force; the versions are then kept under their numbers only.",
        )
    workspace.datasets.delete_branch(name, branch, expected_version=expected_version)
