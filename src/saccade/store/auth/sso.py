"""Single sign-on: federated identities, pending logins and the linking of accounts.

An existing account is linked by its e-mail address only if no other person can own it: if it has neither a password nor
an identity of the same provider. An account with a password is linked once that password has been entered.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from saccade.core.errors import PermissionDeniedError
from saccade.core.roles import Role
from saccade.store.auth.service import Principal, create_session, hash_secret
from saccade.store.auth.users import accept_pending_invitations, create_membership, find_user_by_email
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import IdentityRow, PendingLoginRow, UserRow, now

LOGIN_TIMEOUT = timedelta(minutes=10)
_MAX_PROJECT_LENGTH = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as an identity provider knows them.

    Attributes:
        issuer: the URL of the provider.
        subject: the provider's id of the user, which it never reuses.
        email: an e-mail address that the provider has verified, "" if there is none.
        name: display name.
    """

    issuer: str
    subject: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """A login that waits for the provider's answer: the project it is for, and the path to return to."""

    project: str
    path: str


@dataclass(frozen=True, slots=True)
class LoginResult:
    """A completed login, with the secret for the session cookie."""

    secret: str
    principal: Principal


@dataclass(frozen=True, slots=True)
class LinkChallenge:
    """An account whose password must be entered before it is linked; ``secret`` is for a cookie of the browser."""

    secret: str
    email: str


class DenialReason(StrEnum):
    """Why a login with a valid identity was denied."""

    UNVERIFIED = "unverified"
    NOT_INVITED = "not-invited"
    REMOVED = "removed"
    TAKEN = "taken"


class LoginDeniedError(PermissionDeniedError):
    """A login with a valid identity was denied; ``reason`` is a stable code."""

    def __init__(self, reason: DenialReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SsoStore:
    """The federated identities and pending logins of all projects."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.unscoped

    def start_login(self, project: str, path: str) -> str:
        """Record the start of a login; returns the secret for the browser's cookie."""
        with self._catalog.write_tx() as session:
            session.execute(delete(PendingLoginRow).where(PendingLoginRow.expires < now()))
            return _save_sign_in(session, PendingLoginRow(project=project[:_MAX_PROJECT_LENGTH], path=path))

    def pop_pending(self, secret: str) -> PendingLogin | None:
        """Return and delete the login that a browser started, or None if there is none or it expired."""
        with self._catalog.write_tx() as session:
            row = _find_sign_in(session, secret)
            if row is None or row.subject is not None:
                return None
            session.delete(row)  # a second answer of the provider to the same login must find nothing
            return PendingLogin(row.project, row.path)

    def complete_login(
        self, identity: Identity, role: Role | None = None, domains: Sequence[str] = ()
    ) -> LoginResult | LinkChallenge:
        """Sign in a user whose identity the provider has confirmed.

        Args:
            identity: the confirmed identity.
            role: role of new users who were not invited, None to deny them.
            domains: domains of e-mail addresses that ``role`` applies to; all if empty.

        Returns:
            The session, or the challenge to enter the password of an existing account.

        Raises:
            LoginDeniedError: the user may not sign in.
        """
        with self._catalog.write_tx() as session:
            known = session.get(IdentityRow, (identity.issuer, identity.subject))
            account = None if known is None else session.get_one(UserRow, known.user_id)
            if account is not None and account.removed is None:
                user_id = account.id
            else:
                resolved = _resolve_account(session, identity, account is not None, role, domains)
                if resolved is None:
                    row = PendingLoginRow(issuer=identity.issuer, subject=identity.subject, email=identity.email)
                    return LinkChallenge(_save_sign_in(session, row), identity.email)
                user_id = resolved
                _add_identity(session, identity.issuer, identity.subject, user_id)
            _accept_new_invitations(session, identity.email, user_id)
            return LoginResult(*create_session(session, user_id))

    def pending_link(self, secret: str) -> str | None:
        """Return the e-mail address of the account whose password is awaited, or None if there is none."""
        with self._catalog.read_tx() as session:
            row = _find_sign_in(session, secret)
            return None if row is None or row.subject is None else row.email

    def link_account(self, secret: str, user_id: str) -> bool:
        """Link the identity of a :class:`LinkChallenge` to the user who has just entered their password.

        Returns:
            Whether it was linked. It is not if the challenge expired or is for another account.
        """
        with self._catalog.write_tx() as session:
            row = _find_sign_in(session, secret)
            if row is None or row.issuer is None or row.subject is None:
                return False
            account = session.get_one(UserRow, user_id)
            matches = account.email == row.email and not _has_identity(session, user_id, row.issuer)
            if matches:
                _add_identity(session, row.issuer, row.subject, user_id)
                _accept_new_invitations(session, row.email, user_id)
            session.delete(row)
            return matches


def _resolve_account(
    session: Session, identity: Identity, was_removed: bool, role: Role | None, domains: Sequence[str]
) -> str | None:
    """Return the id of the account for a new or returning identity, None if its password must be entered first."""
    if not identity.email:
        raise LoginDeniedError(DenialReason.UNVERIFIED, "The identity provider did not verify your e-mail address.")
    account = find_user_by_email(session, identity.email)
    if account is not None:
        if _has_identity(session, account.id, identity.issuer):
            # The provider has assigned the address to another person.
            raise LoginDeniedError(
                DenialReason.TAKEN, f"{identity.email} is linked to another identity of this provider."
            )
        # An invitation does not prove who owns an address: an account with a password may have been created by another
        # person. Without a password it can only come from a provider that this server used before.
        return None if account.password_hash is not None else account.id
    invited = accept_pending_invitations(session, identity.email, identity.name or identity.email)
    if invited is not None:
        return invited.id
    former = select(UserRow.id).where(UserRow.former_email_hash == hash_secret(identity.email))
    if was_removed or session.scalar(former.limit(1)) is not None:
        raise LoginDeniedError(DenialReason.REMOVED, f"The access of {identity.email} was removed.")
    domain = identity.email.rpartition("@")[2]
    is_allowed = not domains or domain in domains
    # Until the workspace has an owner no other user may be created: the bootstrap invitation would become invalid.
    if role is None or not is_allowed or session.scalar(select(UserRow.id).limit(1)) is None:
        raise LoginDeniedError(DenialReason.NOT_INVITED, f"{identity.email} was not invited.")
    name = identity.name or identity.email
    return create_membership(session, identity.email, role, name, None, project_id(session)).id


def _has_identity(session: Session, user_id: str, issuer: str) -> bool:
    query = select(IdentityRow).where(IdentityRow.user_id == user_id, IdentityRow.issuer == issuer)
    return session.scalar(query.limit(1)) is not None


def _add_identity(session: Session, issuer: str, subject: str, user_id: str) -> None:
    session.merge(IdentityRow(issuer=issuer, subject=subject, user_id=user_id, created=now()))


def _accept_new_invitations(session: Session, address: str, user_id: str) -> None:
    """Accept pending invitations at each login, because a user without a password cannot accept them by link."""
    account = find_user_by_email(session, address) if address else None
    if account is not None and account.id == user_id:
        accept_pending_invitations(session, address, account.name)


def _save_sign_in(session: Session, row: PendingLoginRow) -> str:
    secret = secrets.token_urlsafe(32)
    row.secret = hash_secret(secret)
    row.expires = now() + LOGIN_TIMEOUT
    session.add(row)
    return secret


def _find_sign_in(session: Session, secret: str) -> PendingLoginRow | None:
    row = session.get(PendingLoginRow, hash_secret(secret))
    return None if row is None or row.expires < now() else row
