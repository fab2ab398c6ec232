"""How people come in: passwords, sessions and tokens.

Secrets (of links, cookies and tokens) are 256 random bits, of which only the SHA-256 is kept; passwords are kept as
Argon2id hashes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from saccade.core.digest import digest_bytes
from saccade.core.errors import (
    ConflictError,
    InvalidValueError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    TooManyError,
)
from saccade.core.roles import Role
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import FailureRow, MemberRow, PersonRow, SessionRow, TokenRow, now

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 256
TOKEN_MARK = "sct_"  # noqa: S105 (what every token begins with, so that one that leaked is known for what it is)
_SESSION = timedelta(days=14)
_FREE_TRIES = 5
_FIRST_WAIT, _LONGEST_WAIT = 15, 900
"""Seconds after so many failures; each further one doubles the wait."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and what they are in the project; ``role`` is None where they are not in it.

    Who has no password signs in with a provider alone.
    """

    id: str
    email: str
    name: str
    role: Role | None
    created: datetime
    has_password: bool


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for something.

    Attributes:
        role: what they may, which with a token may be less than what the person may; None for one who is signed in but
            is not in the project.
        guard: of a session: what requests that change something must bring along, None for a token.
    """

    person: Person
    role: Role | None
    guard: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime


TokenList = list[Token]


@lru_cache(maxsize=1)
def _hasher() -> Any:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """A hash to compare with where there is nobody, so that it takes as long."""
    found: str = _hasher().hash(secrets.token_urlsafe())
    return found


def digest(secret: str) -> str:
    """What is kept of a secret of a link, cookie or token."""
    return digest_bytes(secret.encode("utf-8", "surrogatepass"))


def check_password(password: str) -> None:
    """InvalidValueError where a password is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidValueError(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", hint="A few words do well."
        )


def hash_password(password: str) -> str:
    """What is kept of a new password; InvalidValueError where it is too short or too long."""
    check_password(password)
    found: str = _hasher().hash(password)
    return found


class Entrance:
    """What lets the people of a workspace in."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    # Signing in

    def sign_in(self, email: str, password: str) -> tuple[str, Caller]:
        """Begin a session; returns the secret for its cookie.

        A try is counted before the password is looked at, so that many at once are not more than one after another.

        Raises:
            NotSignedInError: it is not the password of that address.
            TooManyError: there were too many failures with that address.
        """
        address = email.strip().lower()[:255]
        with self._catalog.writing() as session:
            failure = session.get(FailureRow, digest(address)) or FailureRow(email=digest(address), count=0)
            wait = _wait(failure)
            if wait:
                raise TooManyError("There were too many tries.", seconds=wait, hint=f"Try again in {wait} seconds.")
            failure.count, failure.last = failure.count + 1, now()
            session.add(failure)
            row = session.scalar(select(PersonRow).where(PersonRow.email == address, PersonRow.removed.is_(None)))
        hashed = row.password if row is not None and row.password else _nobodys_hash()
        is_right, updated = _hasher().verify_and_update(password[: LONGEST_PASSWORD + 1], hashed)
        if not is_right or row is None or row.password is None:
            raise NotSignedInError("That is not the password of that address.")
        with self._catalog.writing() as session:
            session.execute(delete(FailureRow).where(FailureRow.email == digest(address)))
            session.execute(delete(SessionRow).where(SessionRow.expires < now()))
            if updated:
                session.execute(update(PersonRow).where(PersonRow.id == row.id).values(password=updated))
            return begin_session(session, row.id)

    def session(self, secret: str) -> Caller | None:
        """Who a cookie stands for; None where it stands for nobody any more."""
        with self._catalog.reading() as session:
            row = session.get(SessionRow, digest(secret))
            if row is None or row.expires < now():
                return None
            person = _somebody(session, row.person_id)
            return None if person is None else Caller(person, person.role, row.guard)

    def sign_out(self, secret: str) -> None:
        """End a session."""
        with self._catalog.writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.secret == digest(secret)))

    def change_password(self, person: str, old: str, new: str) -> tuple[str, Caller]:
        """Another password; ends all sessions, and begins one anew.

        ConflictError for who has none: a session alone is not to become what opens the account for good.
        """
        check_password(new)
        with self._catalog.reading() as session:
            row = session.get_one(PersonRow, person)
        if row.password is None:
            raise ConflictError("There is no password to change: you sign in with a provider.")
        if not _hasher().verify(old[: LONGEST_PASSWORD + 1], row.password):
            raise NotSignedInError("That is not the password.")
        hashed = hash_password(new)
        with self._catalog.writing() as session:
            session.execute(update(PersonRow).where(PersonRow.id == row.id).values(password=hashed))
            session.execute(delete(SessionRow).where(SessionRow.person_id == row.id))
            return begin_session(session, row.id)

    # Tokens

    def new_token(self, person: str, name: str, role: Role, days: int = 90) -> tuple[Token, str]:
        """A token for programs, and its secret. NotAllowedError where it would be more than whose it is."""
        secret = TOKEN_MARK + secrets.token_urlsafe(32)
        if not name.strip() or len(name) > 200 or not 1 <= days <= 3660:
            raise InvalidValueError("A token has a name, and is for 1 to 3660 days.")
        with self._catalog.writing() as session:
            row, member = find_person(session, person)
            if not Role(member.role).covers(role):
                raise NotAllowedError(f"A token of a {member.role} cannot be that of a {role}.")
            token = TokenRow(
                id=new_id(),
                person_id=row.id,
                name=name.strip(),
                secret=digest(secret),
                role=str(role),
                created=now(),
                expires=now() + timedelta(days=days),
            )
            session.add(token)
            return _token(token), secret

    def tokens(self, person: str) -> TokenList:
        """The tokens of somebody."""
        with self._catalog.reading() as session:
            wanted = select(TokenRow).where(TokenRow.person_id == person).order_by(TokenRow.created)
            return [_token(row) for row in session.scalars(wanted)]

    def revoke(self, person: str, token: str) -> None:
        """Let a token of somebody open nothing any more."""
        with self._catalog.writing() as session:
            row = session.get(TokenRow, token)
            if row is None or row.person_id != person:
                raise NotFoundError("There is no such token.")
            session.delete(row)

    def token(self, secret: str) -> Caller | None:
        """Who a token stands for; None where it stands for nobody any more."""
        with self._catalog.reading() as session:
            row = session.scalar(select(TokenRow).where(TokenRow.secret == digest(secret)))
            if row is None or row.expires < now():
                return None
            person = _found(session, row.person_id)
            is_noted = row.used is not None and now() - row.used < timedelta(minutes=1)
            token_id, role = row.id, Role(row.role)
        if person is None or person.role is None:
            return None
        if not is_noted:
            with self._catalog.writing() as session:
                session.execute(update(TokenRow).where(TokenRow.id == token_id).values(used=now()))
        return Caller(person, role if person.role.covers(role) else person.role)


def members(session: Session) -> Any:
    """Asks for the people of a session's project, each with what they are in it."""
    return (
        select(PersonRow, MemberRow)
        .join(MemberRow, MemberRow.person_id == PersonRow.id)
        .where(MemberRow.project_id == project_id(session), PersonRow.removed.is_(None))
    )


def find_person(session: Session, person: str) -> tuple[PersonRow, MemberRow]:
    """Somebody of a session's project by id or e-mail address; NotFoundError where there is nobody."""
    found = session.execute(
        members(session).where((PersonRow.id == person) | (PersonRow.email == person.strip().lower()))
    ).first()
    if found is None:
        raise NotFoundError(f"There is nobody '{person[:80]}'.")
    return found[0], found[1]


def _found(session: Session, person: str) -> Person | None:
    found = session.execute(members(session).where(PersonRow.id == person)).first()
    return None if found is None else person_of(found[0], found[1])


def _somebody(session: Session, person: str) -> Person | None:
    """Somebody who is in some project, with what they are in this one."""
    row = session.get(PersonRow, person)
    if row is None or row.removed is not None:
        return None
    return _found(session, person) or person_of(row, None)


def person_of(row: PersonRow, member: MemberRow | None) -> Person:
    """Somebody as a row of people, and one of members, say."""
    role = None if member is None else Role(member.role)
    return Person(row.id, row.email, row.name, role, row.created, row.password is not None)


def _token(row: TokenRow) -> Token:
    return Token(row.id, row.name, Role(row.role), row.created, row.used, row.expires)


def begin_session(session: Session, person: str) -> tuple[str, Caller]:
    """Sign somebody in; returns the secret for the cookie, which is a new one each time."""
    secret, guard = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(SessionRow(secret=digest(secret), person_id=person, guard=guard, expires=now() + _SESSION))
    found = _somebody(session, person)
    if found is None:
        raise NotSignedInError("That is not the password of that address.")
    return secret, Caller(found, found.role, guard)


def _wait(failure: FailureRow) -> int:
    """For how many seconds more nobody may try."""
    over = failure.count - _FREE_TRIES
    if over < 0:
        return 0
    wait = min(_FIRST_WAIT << min(over, 10), _LONGEST_WAIT)
    return max(0, round(wait - (now() - failure.last).total_seconds()))
