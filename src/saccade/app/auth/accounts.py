"""Accounts that are made at the machine itself, by whoever may write the workspace."""

from __future__ import annotations

from saccade.core.errors import ConflictError
from saccade.core.roles import Role
from saccade.store.auth.service import Person
from saccade.store.workspace import Workspace


def add_person(workspace: Workspace, email: str, role: Role, name: str, password: str) -> Person:
    """Add somebody without a link. ConflictError where the first would be no owner, or they are there already."""
    if not workspace.people.list() and role is not Role.OWNER:
        raise ConflictError("The first one is to be an owner.", hint="Add --role owner.")
    return workspace.people.add(email, role, name, password)
