"""Single sign-on in the catalog: whom providers know, whom that lets in, and sign-ins that are not finished.

An account is joined by its address only where nobody else can hold it: where it has neither a password nor an identity
of that provider. One that has a password gives it first, once.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from saccade.core.errors import NotAllowedError
from saccade.core.roles import Role
from saccade.store.auth.service import Caller, begin_session, digest
from saccade.store.auth.users import accept_all, added, with_address
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import IdentityRow, PersonRow, SignInRow, now

TIME = timedelta(minutes=10)
"""Within which a sign-in is finished."""
_LONGEST = 255


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody, as a provider knows them.

    Attributes:
        subject: what the provider calls them; it is never another one's.
        email: an address that the provider has verified to be theirs, "" where there is none.
    """

    issuer: str
    subject: str
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in for which the provider is still to say who it is: in which project, and where it leads afterwards."""

    project: str
    path: str


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody who is in, with the secret for the cookie of the session."""

    secret: str
    caller: Caller


@dataclass(frozen=True, slots=True)
class Waiting:
    """An account that gives its password before it is joined; the secret is for the cookie of its browser."""

    secret: str
    email: str


class Refusal(StrEnum):
    """Why somebody whom the provider knows is not let in."""

    UNVERIFIED = "unverified"
    NOT_INVITED = "not-invited"
    REMOVED = "removed"
    TAKEN = "taken"


class NotLetInError(NotAllowedError):
    """Somebody whom the provider knows is not let in.

    Attributes:
        reason: the stable word for why.
    """

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Identities:
    """Whom providers of single sign-on know, in all projects."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog.whole

    def begin(self, project: str, path: str) -> str:
        """Begin a sign-in; returns the secret for the cookie of its browser."""
        with self._catalog.writing() as session:
            session.execute(delete(SignInRow).where(SignInRow.expires < now()))
            return _keep(session, SignInRow(project=project[:_LONGEST], path=path))

    def take(self, secret: str) -> Begun | None:
        """What a browser began: once, and within ten minutes; None where it did not."""
        with self._catalog.writing() as session:
            row = _unfinished(session, secret)
            if row is None or row.subject is not None:
                return None
            session.delete(row)
            return Begun(row.project, row.path)

    def enter(self, identity: Identity, role: Role | None = None, domains: Sequence[str] = ()) -> Entered | Waiting:
        """Let somebody in whom a provider has shown to be who they are.

        Args:
            role: what somebody becomes who neither is known nor was invited; None where they stay out.
            domains: of addresses for which that holds; all of them where it is empty.

        Raises:
            NotLetInError: they are not let in.
        """
        with self._catalog.writing() as session:
            known = session.get(IdentityRow, (identity.issuer, identity.subject))
            account = None if known is None else session.get_one(PersonRow, known.person_id)
            if account is not None and account.removed is None:
                person = account.id
            else:
                joined = _joined(session, identity, account is not None, role, domains)
                if joined is None:
                    row = SignInRow(issuer=identity.issuer, subject=identity.subject, email=identity.email)
                    return Waiting(_keep(session, row), identity.email)
                person = joined
                _know(session, identity.issuer, identity.subject, person)
            _accept_further(session, identity.email, person)
            return Entered(*begin_session(session, person))

    def waiting(self, secret: str) -> str | None:
        """The address of the account that is to give its password, for a cookie; None where there is none."""
        with self._catalog.reading() as session:
            row = _unfinished(session, secret)
            return None if row is None or row.subject is None else row.email

    def connect(self, secret: str, person: str) -> bool:
        """Join an account that has just given its password with what its browser has shown; whether it was joined."""
        with self._catalog.writing() as session:
            row = _unfinished(session, secret)
            if row is None or row.issuer is None or row.subject is None:
                return False
            account = session.get_one(PersonRow, person)
            is_theirs = account.email == row.email and not _has_identity(session, person, row.issuer)
            if is_theirs:
                _know(session, row.issuer, row.subject, person)
                _accept_further(session, row.email, person)
            session.delete(row)
            return is_theirs


def _joined(
    session: Session, identity: Identity, was_removed: bool, role: Role | None, domains: Sequence[str]
) -> str | None:
    """The account of somebody who comes for the first time, or again; None where it is to give its password."""
    if not identity.email:
        raise NotLetInError(Refusal.UNVERIFIED, "The provider does not say that an e-mail address is yours.")
    account = with_address(session, identity.email)
    if account is not None:
        if _has_identity(session, account.id, identity.issuer):
            raise NotLetInError(Refusal.TAKEN, f"{identity.email} is somebody else at the provider.")
        return None if account.password is not None else account.id
    invited = accept_all(session, identity.email, identity.name or identity.email)
    if invited is not None:
        return invited.id
    former = select(PersonRow.id).where(PersonRow.former == digest(identity.email))
    if was_removed or session.scalar(former.limit(1)) is not None:
        raise NotLetInError(Refusal.REMOVED, f"{identity.email} may sign in no more.")
    domain = identity.email.rpartition("@")[2]
    # Before there is an owner nobody else comes in: the link for the first one would lead nowhere.
    if role is None or (domains and domain not in domains) or session.scalar(select(PersonRow.id).limit(1)) is None:
        raise NotLetInError(Refusal.NOT_INVITED, f"Nobody has invited {identity.email}.")
    name = identity.name or identity.email
    return added(session, identity.email, role, name, None, project_id(session)).id


def _has_identity(session: Session, person: str, issuer: str) -> bool:
    wanted = select(IdentityRow).where(IdentityRow.person_id == person, IdentityRow.issuer == issuer)
    return session.scalar(wanted.limit(1)) is not None


def _know(session: Session, issuer: str, subject: str, person: str) -> None:
    session.merge(IdentityRow(issuer=issuer, subject=subject, person_id=person, created=now()))


def _accept_further(session: Session, address: str, person: str) -> None:
    """Accept what somebody's address is invited to, so that who has no password comes into further projects."""
    account = with_address(session, address) if address else None
    if account is not None and account.id == person:
        accept_all(session, address, account.name)


def _keep(session: Session, row: SignInRow) -> str:
    secret = secrets.token_urlsafe(32)
    row.secret, row.expires = digest(secret), now() + TIME
    session.add(row)
    return secret


def _unfinished(session: Session, secret: str) -> SignInRow | None:
    row = session.get(SignInRow, digest(secret))
    return None if row is None or row.expires < now() else row
