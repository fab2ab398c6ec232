"""Pending logins with the identity provider, and the accounts that they lead to."""

from __future__ import annotations

from saccade.app.auth.oidc.settings import OidcSettings
from saccade.store.auth.sso import Identity, LinkChallenge, LoginResult, PendingLogin
from saccade.store.workspace import Workspace


def start_login(workspace: Workspace, project: str, path: str) -> str:
    """Record the start of a login.

    Args:
        workspace: The workspace.
        project: The project that the user comes from.
        path: The path to return to.

    Returns:
        The secret for the browser's cookie.
    """
    return workspace.sso.start_login(project, path)


def pop_pending(workspace: Workspace, secret: str) -> PendingLogin | None:
    """Return and delete the login that a browser has started. None if there is none or it expired."""
    return workspace.sso.pop_pending(secret)


def complete_login(workspace: Workspace, identity: Identity, settings: OidcSettings) -> LoginResult | LinkChallenge:
    """Sign in a user whose identity the provider has confirmed.

    Args:
        workspace: The workspace.
        identity: The confirmed identity.
        settings: The role of new users without an invitation, and the e-mail domains that may have it.

    Returns:
        The session, or the challenge to enter the password of an existing account.

    Raises:
        LoginDeniedError: The user may not sign in.
    """
    return workspace.sso.complete_login(identity, settings.default_role, settings.allowed_domains)


def link_account(workspace: Workspace, secret: str, user_id: str) -> bool:
    """Link the identity of a challenge to the user who has entered their password; returns whether it was linked."""
    return workspace.sso.link_account(secret, user_id)
