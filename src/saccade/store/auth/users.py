"""People who may sign in: accounts, roles, invitations, and the log of what they do."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotAllowedError, NotFoundError
from saccade.core.roles import Role
from saccade.core.webhooks.events import PersonOfProject
from saccade.store.auth.service import Caller, Entrance, Person, digest, find_person, hash_password, members, person_of
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import (
    AuditRow,
    InvitationRow,
    MemberRow,
    PersonRow,
    ProjectRow,
    SessionRow,
    TokenRow,
    now,
)
from saccade.store.webhooks.outbox_writer import tell

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to a project.

    Attributes:
        is_known: whoever it is for has an account already.
        has_password: and that has a password.
    """

    id: str
    email: str
    role: Role
    invited_by: str | None
    created: datetime
    expires: datetime
    accepted: datetime | None
    project: str = ""
    is_known: bool = False
    has_password: bool = False


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
DeedList = list[Deed]


def address_of(email: str) -> str:
    """An e-mail address as it is kept; InvalidValueError where it is none."""
    made = email.strip().lower()
    if len(made) > 254 or not _EMAIL.fullmatch(made):
        raise InvalidValueError(f"'{email[:80]}' is no e-mail address.")
    return made


class People(Entrance):
    """The people of a workspace, and what lets them in."""

    # Who there is

    def list(self) -> PersonList:
        """Everybody, by name."""
        with self._catalog.reading() as session:
            rows = session.execute(members(session).order_by(PersonRow.name, PersonRow.id)).all()
            return [person_of(person, member) for person, member in rows]

    def get(self, person: str) -> Person:
        """Somebody by id or e-mail address; NotFoundError where there is nobody."""
        with self._catalog.reading() as session:
            return person_of(*find_person(session, person))

    def set_role(self, person: str, role: Role) -> Person:
        """Make somebody something else; ConflictError where no owner would be left."""
        with self._catalog.writing() as session:
            row, member = find_person(session, person)
            if role is not Role.OWNER:
                _keep_an_owner(session, member)
            member.role = str(role)
            return person_of(row, member)

    def remove(self, person: str) -> Person:
        """Let somebody into the project no more; ConflictError where no owner would be left.

        Who is in no other project is signed out, and cannot sign in any more.
        """
        with self._catalog.writing() as session:
            row, member = find_person(session, person)
            _keep_an_owner(session, member)
            gone = person_of(row, member)
            tell(session, "person.removed", _told(row, member), member.project_id)
            session.delete(member)
            session.execute(delete(TokenRow).where(TokenRow.person_id == row.id))
            session.execute(delete(InvitationRow).where(InvitationRow.email == row.email, _is_open()))
            session.flush()
            if not session.scalar(_everywhere(MemberRow).where(MemberRow.__table__.c.person_id == row.id)):
                row.removed, row.password = now(), None
                row.former = digest(row.email)
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
        secret, address = secrets.token_urlsafe(32), address_of(email)
        with self._catalog.writing() as session:
            if session.scalar(members(session).where(PersonRow.email == address)):
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
            known = with_address(session, row.email) if row.email else None
            return replace(
                _invitation(row),
                project=session.get_one(ProjectRow, row.project_id).name,
                is_known=known is not None,
                has_password=known is not None and known.password is not None,
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
            address = row.email or address_of(email)
            row.accepted, row.email = now(), address
            return added(session, address, Role(row.role), name, hashed, row.project_id)

    def add(self, email: str, role: Role, name: str, password: str) -> Person:
        """Make an account without a link; ConflictError where somebody of that address is in the project.

        Who is in another project keeps name and password.
        """
        address, hashed = address_of(email), _checked(name, password)
        with self._catalog.whole.writing() as session:
            project = project_id(session) if self._catalog.project is None else self._catalog.project
            return added(session, address, role, name, hashed, project)

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


def with_address(session: Session, address: str) -> PersonRow | None:
    """Somebody of that address, in whichever project."""
    return session.scalar(select(PersonRow).where(PersonRow.email == address, PersonRow.removed.is_(None)))


def _everywhere(row: type[MemberRow]) -> Any:
    """Counts rows of all projects, whichever one the session sees."""
    return select(func.count()).select_from(row.__table__)


def _keep_an_owner(session: Session, member: MemberRow) -> None:
    owners = select(func.count()).where(MemberRow.project_id == member.project_id, MemberRow.role == str(Role.OWNER))
    if member.role == str(Role.OWNER) and session.scalar(owners) == 1:
        raise ConflictError("No owner would be left.", hint="Make somebody else an owner first.")


def _checked(name: str, password: str) -> str:
    """The hash of a password; InvalidValueError where it or the name is none."""
    hashed = hash_password(password)
    if not name.strip() or len(name) > 200:
        raise InvalidValueError("A name has 1 to 200 characters.")
    return hashed


def added(session: Session, address: str, role: Role, name: str, hashed: str | None, project: int) -> Person:
    """Somebody who is in a project from now on; who is in another one already keeps name and password."""
    row = with_address(session, address)
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
    return person_of(row, member)


def _told(row: PersonRow, member: MemberRow) -> PersonOfProject:
    return PersonOfProject(row.id, row.name, row.email, member.role)


def _invite(session: Session, secret: str, email: str, role: Role, by: str | None, hours: int) -> InvitationRow:
    row = InvitationRow(
        id=new_id(),
        project_id=project_id(session),
        secret=digest(secret),
        email=email,
        role=str(role),
        invited_by=by,
        created=now(),
        expires=now() + timedelta(hours=hours),
        accepted=None,
    )
    session.add(row)
    return row


def _is_open() -> Any:
    """Of an invitation: nobody has accepted it."""
    return InvitationRow.accepted.is_(None)


def accept_all(session: Session, address: str, name: str) -> Person | None:
    """Accept all that an address is invited to, as somebody new without a password where it has no account yet.

    For whoever has shown that the address is theirs; None where it is invited to nothing.
    """
    wanted = select(InvitationRow).where(InvitationRow.email == address, _is_open(), InvitationRow.expires >= now())
    found = None
    for row in session.scalars(wanted.order_by(InvitationRow.created.desc())).all():
        row.accepted = now()
        person = with_address(session, address)
        if person is None or session.get(MemberRow, (row.project_id, person.id)) is None:
            found = added(session, address, Role(row.role), name, None, row.project_id)
    return found


def _open_invitation(session: Session, secret: str) -> InvitationRow:
    row = session.scalar(select(InvitationRow).where(InvitationRow.secret == digest(secret)))
    if row is None or row.accepted is not None or row.expires < now():
        raise NotFoundError("This link has been used, or is too old.", hint="Ask for another one.")
    return row


def _invitation(row: InvitationRow) -> Invitation:
    return Invitation(row.id, row.email, Role(row.role), row.invited_by, row.created, row.expires, row.accepted)
