"""Sign in and out, authenticate sessions and API tokens, and record the audit log."""

from __future__ import annotations

from saccade.store.auth.service import Principal
from saccade.store.workspace import Workspace


def sign_in(workspace: Workspace, email: str, password: str, client_address: str = "") -> tuple[str, Principal]:
    """Verify a password and create a session.

    Args:
        workspace: The workspace.
        email: The e-mail address of the account.
        password: The password.
        client_address: The IP address of the client, for the limit of failed attempts.

    Returns:
        The secret for the session cookie, and the principal.

    Raises:
        AuthenticationError: The e-mail address or the password is wrong.
        RateLimitedError: There were too many failed attempts from this address, or with this e-mail address.
    """
    return workspace.users.sign_in(email, password, client_address)


def sign_out(workspace: Workspace, secret: str) -> None:
    """Delete the session of a cookie, if there is one."""
    workspace.users.sign_out(secret)


def authenticate_token(workspace: Workspace, secret: str) -> Principal | None:
    """Return the principal of an API token, and record its use. None if the token expired or was revoked."""
    return workspace.users.authenticate_token(secret)


def change_password(
    workspace: Workspace, user_id: str, current_password: str, new_password: str
) -> tuple[str, Principal]:
    """Change a password. All sessions of the user end, and a new one is created.

    Args:
        workspace: The workspace.
        user_id: The id of the user.
        current_password: The current password.
        new_password: The new password.

    Returns:
        The secret for the cookie of the new session, and the principal.

    Raises:
        InvalidValueError: The new password is too short or too long.
        ConflictError: The account has no password: it signs in with the identity provider.
        AuthenticationError: The current password is wrong.
    """
    return workspace.users.change_password(user_id, current_password, new_password)


def accept_invitation(
    workspace: Workspace, secret: str, name: str, password: str, email: str = "", client_address: str = ""
) -> tuple[str, Principal]:
    """Accept an invitation and sign in. Creates the account if there is none.

    Args:
        workspace: The workspace.
        secret: The secret of the invitation link.
        name: The name of a new account.
        password: The password of the new or existing account.
        email: The e-mail address of the first owner, whose invitation has none.
        client_address: The IP address of the client, for the limit of failed attempts.

    Returns:
        The secret for the session cookie, and the principal.

    Raises:
        NotFoundError: The link is unknown, used or expired.
        InvalidValueError: The name, password or e-mail address is invalid.
        ConflictError: The user is already a member.
        AuthenticationError: The password of the existing account is wrong.
        RateLimitedError: There were too many wrong passwords.
    """
    user = workspace.users.accept_invitation(secret, name, password, email, client_address)
    return workspace.users.sign_in(user.email, password, client_address)


def record_audit(workspace: Workspace, user_id: str | None, action: str, subject: str, address: str = "") -> None:
    """Add an entry to the audit log of a project.

    Args:
        workspace: The workspace, scoped to the project.
        user_id: The user who acted, or None if unknown.
        action: What was done.
        subject: What it was done to.
        address: The IP address of the request.
    """
    workspace.users.record_audit(user_id, action, subject, address)
