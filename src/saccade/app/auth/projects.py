"""Create projects."""

from __future__ import annotations

from saccade.store.catalog.projects import Project
from saccade.store.workspace import Workspace


def create_project(workspace: Workspace, name: str, owner_id: str | None = None) -> Project:
    """Create an empty project.

    Args:
        workspace: The workspace.
        name: The name of the project.
        owner_id: The user who becomes its owner; None for a project without members.

    Raises:
        InvalidValueError: The name is invalid.
        ConflictError: There is a project with this name.
    """
    return workspace.projects.add(name, owner_id)
