"""Promote and delete versions of models."""

from __future__ import annotations

from saccade.store.workspace import Workspace


def promote_model(workspace: Workspace, ref: str, alias: str, *, author: str = "") -> int | None:
    """Point an alias, such as staging or production, to a version. The history of the alias is kept.

    Args:
        workspace: The workspace.
        ref: The version.
        alias: The alias; it is created if it does not exist.
        author: The name of the user, for the history.

    Returns:
        The number of the version that the alias named before, or None if it is new.

    Raises:
        InvalidValueError: The alias is invalid.
        NotFoundError: There is no such version.
    """
    return workspace.models.promote(ref, alias, author=author)


def delete_model(workspace: Workspace, ref: str, *, force: bool = False) -> None:
    """Delete a version (NAME@3) or a whole model (NAME).

    Args:
        workspace: The workspace.
        ref: The version or the model.
        force: Also delete versions that have an alias.

    Raises:
        NotFoundError: There is no such version or model.
        ConflictError: A version has an alias, and ``force`` is not set.
    """
    workspace.models.remove(ref, force=force)
