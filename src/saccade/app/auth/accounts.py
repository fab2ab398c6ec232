"""Accounts that an operator creates on the server itself, without an invitation."""

from __future__ import annotations

from saccade.core.errors import ConflictError
from saccade.core.roles import Role
from saccade.store.auth.service import User
from saccade.store.workspace import Workspace


def create_user(workspace: Workspace, email: str, role: Role, name: str, password: str) -> User:
    """Create an account with a password.

    Args:
        workspace: The workspace, opened with write access.
        email: The e-mail address, which identifies the account.
        role: The role in the current project. The first account must be an owner.
        name: The display name.
        password: The initial password.

    Returns:
        The new user.

    Raises:
        ConflictError: The first account is not an owner, or the address is already in use.
    """
    if not workspace.users.list() and role is not Role.OWNER:
        raise ConflictError(f"The first account must be an owner, not a {role}.", hint="Add --role owner.")
    return workspace.users.add(email, role, name, password)
