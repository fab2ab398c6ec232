"""People who may sign in: accounts, roles, invitations, sessions, tokens, and the log of what they do.

Secrets (of links, cookies and tokens) are 256 random bits, of which only the SHA-256 is kept; passwords are kept as
Argon2id hashes.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import delete, func, select, update
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
from saccade.core.events import PersonOfProject
from saccade.core.roles import Role
from saccade.store.catalog import Catalog
from saccade.store.resolve import project_id
from saccade.store.runs import new_id
from saccade.store.tables import (
    AuditRow,
    FailureRow,
    InvitationRow,
    MemberRow,
    PersonRow,
    ProjectRow,
    SessionRow,
    TokenRow,
    now,
)
from saccade.store.telling import tell

SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 256
TOKEN_MARK = "sct_"  # noqa: S105 (what every token begins with, so that one that leaked is known for what it is)
_SESSION = timedelta(days=14)
_FREE_TRIES = 5
_FIRST_WAIT, _LONGEST_WAIT = 15, 900
"""Seconds after so many failures; each further one doubles the wait."""
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, and what they are in the project; ``role`` is None where they are not in it."""

    id: str
    email: str
    name: str
    role: Role | None
    created: datetime


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
class Invitation:
    """An invitation to a project; ``is_known`` says whether whoever it is for has an account already."""

    id: str
    email: str
    role: Role
    invited_by: str | None
    created: datetime
    expires: datetime
    accepted: datetime | None
    project: str = ""
    is_known: bool = False


@dataclass(frozen=True, slots=True)
class Token:
    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime


@dataclass(frozen=True, slots=True)
class Deed:
    """A line of the log."""

    id: int
    at: datetime
    person: str | None
    action: str
    subject: str
    address: str


PersonList = list[Person]
InvitationList = list[Invitation]
TokenList = list[Token]
DeedList = list[Deed]


@lru_cache(maxsize=1)
def _hasher() -> Any:
    from pwdlib import PasswordHash

    return PasswordHash.recommended()


@lru_cache(maxsize=1)
def _nobodys_hash() -> str:
    """A hash to compare with where there is nobody, so that it takes as long."""
    found: str = _hasher().hash(secrets.token_urlsafe())
    return found


def _digest(secret: str) -> str:
    return digest_bytes(secret.encode("utf-8", "surrogatepass"))


def check_password(password: str) -> None:
    """InvalidValueError where a password is too short or too long."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise InvalidValueError(
            f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.", hint="A few words do well."
        )


def _address(email: str) -> str:
    made = email.strip().lower()
    if len(made) > 254 or not _EMAIL.fullmatch(made):
        raise InvalidValueError(f"'{email[:80]}' is no e-mail address.")
    return made


class People:
    """The people of a workspace."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    # Who there is

    def list(self) -> PersonList:
        """Everybody, by name."""
        with self._catalog.reading() as session:
            rows = session.execute(_members(session).order_by(PersonRow.name, PersonRow.id)).all()
            return [_person(person, member) for person, member in rows]

    def get(self, person: str) -> Person:
        """Somebody by id or e-mail address; NotFoundError where there is nobody."""
        with self._catalog.reading() as session:
            return _person(*_find(session, person))

    def set_role(self, person: str, role: Role) -> Person:
        """Make somebody something else; ConflictError where no owner would be left."""
        with self._catalog.writing() as session:
            row, member = _find(session, person)
            if role is not Role.OWNER:
                _keep_an_owner(session, member)
            member.role = str(role)
            return _person(row, member)

    def remove(self, person: str) -> Person:
        """Let somebody into the project no more; ConflictError where no owner would be left.

        Who is in no other project is signed out, and cannot sign in any more.
        """
        with self._catalog.writing() as session:
            row, member = _find(session, person)
            _keep_an_owner(session, member)
            gone = _person(row, member)
            tell(session, "person.removed", _told(row, member), member.project_id)
            session.delete(member)
            session.execute(delete(TokenRow).where(TokenRow.person_id == row.id))
            session.flush()
            if not session.scalar(_everywhere(MemberRow).where(MemberRow.__table__.c.person_id == row.id)):
                row.removed, row.password = now(), None
                row.email = f"{row.id}@removed"  # the address may be invited again
                session.execute(delete(SessionRow).where(SessionRow.person_id == row.id))
            return gone

    # Invitations

    def first_link(self, hours: int = 24) -> str | None:
        """The secret of a link that makes the first owner, in place of earlier ones; None where there is somebody."""
        secret = secrets.token_urlsafe(32)
        with self._catalog.writing() as session:
            if session.scalar(select(func.count()).select_from(PersonRow)):
                return None
            session.execute(delete(InvitationRow))
            _invite(session, secret, "", Role.OWNER, None, hours)
        return secret

    def invite(self, email: str, role: Role, by: Caller, hours: int = 24 * 7) -> tuple[Invitation, str]:
        """Invite somebody; returns the secret of the link, which is kept nowhere.

        NotAllowedError where they would be more than who invites; ConflictError where they are there already.
        """
        if by.role is None or not by.role.covers(role):
            raise NotAllowedError(f"A {by.role} cannot make somebody {role}.")
        secret, address = secrets.token_urlsafe(32), _address(email)
        with self._catalog.writing() as session:
            if session.scalar(_members(session).where(PersonRow.email == address)):
                raise ConflictError(f"{address} is there already.", hint="Change the role instead.")
            row = _invite(session, secret, address, role, by.person.id, hours)
            session.flush()
            return _invitation(row), secret

    def invitations(self) -> InvitationList:
        """Those that nobody has accepted yet."""
        with self._catalog.reading() as session:
            wanted = select(InvitationRow).where(InvitationRow.accepted.is_(None)).order_by(InvitationRow.created)
            return [_invitation(row) for row in session.scalars(wanted)]

    def invitation(self, secret: str) -> Invitation:
        """What a link invites to; NotFoundError where it is none, or is used or expired."""
        with self._catalog.whole.reading() as session:
            row = _open_invitation(session, secret)
            is_known = bool(row.email) and _with_address(session, row.email) is not None
            return replace(
                _invitation(row), project=session.get_one(ProjectRow, row.project_id).name, is_known=is_known
            )

    def withdraw(self, invitation: str) -> None:
        """Let a link lead nowhere."""
        with self._catalog.writing() as session:
            row = session.get(InvitationRow, invitation)
            if row is None or row.accepted is not None:
                raise NotFoundError("There is no such invitation.")
            session.delete(row)

    def accept(self, secret: str, name: str, password: str, email: str = "") -> Person:
        """Make the account that a link invites to, in whichever project; it leads nowhere afterwards.

        Who has an account already gives its password, and is in one project more; errors as of :meth:`sign_in`.

        Args:
            email: for the first owner, whose link names none.
        """
        invitation = self.invitation(secret)
        if invitation.is_known:
            self.sign_in(invitation.email, password)
        hashed = "" if invitation.is_known else _checked(name, password)
        with self._catalog.whole.writing() as session:
            row = _open_invitation(session, secret)
            address = row.email or _address(email)
            row.accepted, row.email = now(), address
            return _added(session, address, Role(row.role), name, hashed, row.project_id)

    def add(self, email: str, role: Role, name: str, password: str) -> Person:
        """Make an account without a link; ConflictError where somebody of that address is in the project.

        Who is in another project keeps name and password.
        """
        address, hashed = _address(email), _checked(name, password)
        with self._catalog.whole.writing() as session:
            project = project_id(session) if self._catalog.project is None else self._catalog.project
            return _added(session, address, role, name, hashed, project)

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
            failure = session.get(FailureRow, _digest(address)) or FailureRow(email=_digest(address), count=0)
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
            session.execute(delete(FailureRow).where(FailureRow.email == _digest(address)))
            session.execute(delete(SessionRow).where(SessionRow.expires < now()))
            if updated:
                session.execute(update(PersonRow).where(PersonRow.id == row.id).values(password=updated))
            return _begin(session, row.id)

    def session(self, secret: str) -> Caller | None:
        """Who a cookie stands for; None where it stands for nobody any more."""
        with self._catalog.reading() as session:
            row = session.get(SessionRow, _digest(secret))
            if row is None or row.expires < now():
                return None
            person = _somebody(session, row.person_id)
            return None if person is None else Caller(person, person.role, row.guard)

    def sign_out(self, secret: str) -> None:
        """End a session."""
        with self._catalog.writing() as session:
            session.execute(delete(SessionRow).where(SessionRow.secret == _digest(secret)))

    def change_password(self, person: str, old: str, new: str) -> tuple[str, Caller]:
        """Another password; ends all sessions, and begins one anew."""
        check_password(new)
        with self._catalog.reading() as session:
            row = session.get_one(PersonRow, person)
        if not _hasher().verify(old[: LONGEST_PASSWORD + 1], row.password or _nobodys_hash()):
            raise NotSignedInError("That is not the password.")
        hashed = _hasher().hash(new)
        with self._catalog.writing() as session:
            session.execute(update(PersonRow).where(PersonRow.id == row.id).values(password=hashed))
            session.execute(delete(SessionRow).where(SessionRow.person_id == row.id))
            return _begin(session, row.id)

    # Tokens

    def new_token(self, person: str, name: str, role: Role, days: int = 90) -> tuple[Token, str]:
        """A token for programs, and its secret. NotAllowedError where it would be more than whose it is."""
        secret = TOKEN_MARK + secrets.token_urlsafe(32)
        if not name.strip() or len(name) > 200 or not 1 <= days <= 3660:
            raise InvalidValueError("A token has a name, and is for 1 to 3660 days.")
        with self._catalog.writing() as session:
            row, member = _find(session, person)
            if not Role(member.role).covers(role):
                raise NotAllowedError(f"A token of a {member.role} cannot be that of a {role}.")
            token = TokenRow(
                id=new_id(), person_id=row.id, name=name.strip(), secret=_digest(secret), role=str(role),
                created=now(), expires=now() + timedelta(days=days),
            )  # fmt: skip
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
            row = session.scalar(select(TokenRow).where(TokenRow.secret == _digest(secret)))
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

    # The log

    def note(self, person: str | None, action: str, subject: str, address: str = "") -> None:
        """Add a line to the log."""
        with self._catalog.writing() as session:
            session.add(AuditRow(person_id=person, action=action[:64], subject=subject[:255], address=address[:64]))

    def audit(self, before: int | None = None, limit: int = 100) -> DeedList:
        """The last lines of the log, the newest first; those before one of them."""
        with self._catalog.reading() as session:
            wanted = select(AuditRow, PersonRow.name).outerjoin(PersonRow, PersonRow.id == AuditRow.person_id)
            if before is not None:
                wanted = wanted.where(AuditRow.id < before)
            rows = session.execute(wanted.order_by(AuditRow.id.desc()).limit(limit)).all()
            return [Deed(row.id, row.at, name, row.action, row.subject, row.address) for row, name in rows]


def _members(session: Session) -> Any:
    return (
        select(PersonRow, MemberRow)
        .join(MemberRow, MemberRow.person_id == PersonRow.id)
        .where(MemberRow.project_id == project_id(session), PersonRow.removed.is_(None))
    )


def _find(session: Session, person: str) -> tuple[PersonRow, MemberRow]:
    found = session.execute(
        _members(session).where((PersonRow.id == person) | (PersonRow.email == person.strip().lower()))
    ).first()
    if found is None:
        raise NotFoundError(f"There is nobody '{person[:80]}'.")
    return found[0], found[1]


def _found(session: Session, person: str) -> Person | None:
    found = session.execute(_members(session).where(PersonRow.id == person)).first()
    return None if found is None else _person(found[0], found[1])


def _somebody(session: Session, person: str) -> Person | None:
    """Somebody who is in some project, with what they are in this one."""
    row = session.get(PersonRow, person)
    if row is None or row.removed is not None:
        return None
    return _found(session, person) or _person(row, None)


def _with_address(session: Session, address: str) -> PersonRow | None:
    return session.scalar(select(PersonRow).where(PersonRow.email == address, PersonRow.removed.is_(None)))


def _everywhere(row: type[MemberRow]) -> Any:
    """Counts rows of all projects, whichever one the session sees."""
    return select(func.count()).select_from(row.__table__)


def _person(row: PersonRow, member: MemberRow | None) -> Person:
    return Person(row.id, row.email, row.name, None if member is None else Role(member.role), row.created)


def _keep_an_owner(session: Session, member: MemberRow) -> None:
    owners = select(func.count()).where(MemberRow.project_id == member.project_id, MemberRow.role == str(Role.OWNER))
    if member.role == str(Role.OWNER) and session.scalar(owners) == 1:
        raise ConflictError("No owner would be left.", hint="Make somebody else an owner first.")


def _checked(name: str, password: str) -> str:
    """The hash of a password; InvalidValueError where it or the name is none."""
    check_password(password)
    if not name.strip() or len(name) > 200:
        raise InvalidValueError("A name has 1 to 200 characters.")
    found: str = _hasher().hash(password)
    return found


def _added(session: Session, address: str, role: Role, name: str, hashed: str, project: int) -> Person:
    """Somebody who is in a project from now on; who is in another one already keeps name and password."""
    row = _with_address(session, address)
    if row is None:
        row = PersonRow(id=new_id(), email=address, name=name.strip(), password=hashed)
        session.add(row)
        session.flush()
    elif session.get(MemberRow, (project, row.id)) is not None:
        raise ConflictError(f"{address} is there already.", hint="Sign in instead.")
    member = MemberRow(project_id=project, person_id=row.id, role=str(role), since=now())
    session.add(member)
    session.flush()
    tell(session, "person.joined", _told(row, member), project)
    return _person(row, member)


def _told(row: PersonRow, member: MemberRow) -> PersonOfProject:
    return PersonOfProject(row.id, row.name, row.email, member.role)


def _invite(session: Session, secret: str, email: str, role: Role, by: str | None, hours: int) -> InvitationRow:
    row = InvitationRow(
        id=new_id(), project_id=project_id(session), secret=_digest(secret), email=email, role=str(role),
        invited_by=by, created=now(), expires=now() + timedelta(hours=hours), accepted=None,
    )  # fmt: skip
    session.add(row)
    return row


def _open_invitation(session: Session, secret: str) -> InvitationRow:
    row = session.scalar(select(InvitationRow).where(InvitationRow.secret == _digest(secret)))
    if row is None or row.accepted is not None or row.expires < now():
        raise NotFoundError("This link has been used, or is too old.", hint="Ask for another one.")
    return row


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(row.id, row.email, Role(row.role), row.invited_by, row.created, row.expires, row.accepted)


def _token(row: TokenRow) -> Token:
    return Token(row.id, row.name, Role(row.role), row.created, row.used, row.expires)


def _begin(session: Session, person: str) -> tuple[str, Caller]:
    secret, guard = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    session.add(SessionRow(secret=_digest(secret), person_id=person, guard=guard, expires=now() + _SESSION))
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
