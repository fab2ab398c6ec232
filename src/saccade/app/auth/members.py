"""Invite, change and remove the members of a project, and create and revoke their API tokens."""

from __future__ import annotations

from saccade.core.roles import Role
from saccade.store.auth.service import Principal, Token, User
from saccade.store.auth.users import Invitation
from saccade.store.workspace import Workspace


def set_role(workspace: Workspace, user: str, role: Role) -> User:
    """Change a member's role.

    Args:
        workspace: The workspace.
        user: The id or e-mail address of the member.
        role: The new role.

    Raises:
        NotFoundError: There is no such member.
        ConflictError: It is the only owner of the project.
    """
    return workspace.users.set_role(user, role)


def remove_member(workspace: Workspace, user: str) -> User:
    """Remove a member from the project. Their history is kept; an account without any other project is closed.

    Raises:
        NotFoundError: There is no such member.
        ConflictError: It is the only owner of the project.
    """
    return workspace.users.remove(user)


def create_invitation(workspace: Workspace, email: str, role: Role, inviter: Principal) -> tuple[Invitation, str]:
    """Invite an e-mail address to the project.

    Args:
        workspace: The workspace.
        email: The e-mail address; it needs no account.
        role: The role of the new member, at most that of ``inviter``.
        inviter: The user who invites.

    Returns:
        The invitation and the secret of its link, which is not stored.

    Raises:
        InvalidValueError: It is not an e-mail address.
        PermissionDeniedError: The role is higher than that of ``inviter``.
        ConflictError: The address belongs to a member.
    """
    return workspace.users.invite(email, role, inviter)


def create_bootstrap_invitation(workspace: Workspace) -> str | None:
    """Create the invitation for the first owner; returns its secret, or None if the workspace has users."""
    return workspace.users.create_bootstrap_invitation()


def revoke_invitation(workspace: Workspace, invitation: str) -> None:
    """Delete a pending invitation.

    Raises:
        NotFoundError: There is no such invitation.
    """
    workspace.users.revoke_invitation(invitation)


def create_token(
    workspace: Workspace,
    user: str,
    name: str,
    role: Role,
    days: int,
    *,
    can_manage_tokens: bool = False,
    creator: Token | None = None,
) -> tuple[Token, str]:
    """Create an API token.

    Args:
        workspace: The workspace.
        user: The id or e-mail address of the member.
        name: The name of the token, such as its purpose.
        role: The role of the token, at most that of the member.
        days: The lifetime in days.
        can_manage_tokens: Whether it may create, list and revoke tokens of the member.
        creator: The token that creates it, None for the member. The new token expires and is revoked with it at the
            latest.

    Returns:
        The token and its secret, which is not stored.

    Raises:
        NotFoundError: There is no such member.
        InvalidValueError: The name or the lifetime is out of range.
        PermissionDeniedError: The role is higher than that of the member or ``creator``, or ``creator`` has no right to
            create tokens, or was revoked.
    """
    user_id = workspace.users.get(user).id
    return workspace.users.create_token(user_id, name, role, days, can_manage_tokens=can_manage_tokens, creator=creator)


def revoke_token(workspace: Workspace, user_id: str, token: str) -> None:
    """Delete an API token of a user.

    Raises:
        NotFoundError: The user has no such token.
    """
    workspace.users.revoke_token(user_id, token)
