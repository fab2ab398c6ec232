"""Users of a workspace: members of projects, roles, invitations and the audit log."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, PermissionDeniedError
from saccade.core.roles import Role
from saccade.core.webhooks.events import MembershipChanged
from saccade.store.auth.service import (
    AuthService,
    Principal,
    User,
    find_member,
    hash_password,
    hash_secret,
    select_members,
    to_user,
)
from saccade.store.catalog.ids import new_id
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import (
    AuditRow,
    InvitationRow,
    MemberRow,
    ProjectRow,
    SessionRow,
    TokenRow,
    UserRow,
    now,
)
from saccade.store.webhooks.outbox_writer import publish_event

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Invitation:
    """An invitation to a project.

    Attributes:
        invited_by: the id of the user who sent it, None for the first owner's.
        has_account: whether an account with this e-mail address exists.
        has_password: whether that account has a password.
    """

    id: str
    email: str
    role: Role
    invited_by: str | None
    created: datetime
    expires: datetime
    accepted: datetime | None
    project: str = ""
    has_account: bool = False
    has_password: bool = False


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An entry of the audit log; ``user`` is the name of the user, ``address`` the IP address of the request."""

    id: int
    at: datetime
    user: str | None
    action: str
    subject: str
    address: str


UserList = list[User]
InvitationList = list[Invitation]
AuditEntryList = list[AuditEntry]


def normalize_email(email: str) -> str:
    """Return an e-mail address in lower case, without surrounding spaces.

    Raises:
        InvalidValueError: it is not an e-mail address.
    """
    address = email.strip().lower()
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise InvalidValueError(f"'{email[:80]}' is not an e-mail address.")
    return address


class UserStore(AuthService):
    """The members of a project, their invitations and the audit log."""

    # Members

    def list(self) -> UserList:
        """List the members of the project by name."""
        with self._catalog.read_tx() as session:
            rows = session.execute(select_members(session).order_by(UserRow.name, UserRow.id)).all()
            return [to_user(row, member) for row, member in rows]

    def get(self, user: str) -> User:
        """Return a member by user id or e-mail address.

        Raises:
            NotFoundError: the project has no such member.
        """
        with self._catalog.read_tx() as session:
            return to_user(*find_member(session, user))

    def set_role(self, user: str, role: Role) -> User:
        """Change a member's role.

        Args:
            user: user id or e-mail address.
            role: the new role.

        Raises:
            NotFoundError: the project has no such member.
            ConflictError: this is the only owner of the project.
        """
        with self._catalog.write_tx() as session:
            row, member = find_member(session, user)
            if role is not Role.OWNER:
                _require_another_owner(session, member)
            member.role = str(role)
            return to_user(row, member)

    def remove(self, user: str) -> User:
        """Remove a member from the project. Their history is kept.

        A user without any other project is signed out, and the account is closed.

        Raises:
            NotFoundError: the project has no such member.
            ConflictError: this is the only owner of the project.
        """
        with self._catalog.write_tx() as session:
            row, member = find_member(session, user)
            _require_another_owner(session, member)
            removed = to_user(row, member)
            publish_event(session, "member.removed", _membership_event(row, member), member.project_id)
            session.delete(member)
            session.execute(delete(TokenRow).where(TokenRow.user_id == row.id))
            session.execute(delete(InvitationRow).where(InvitationRow.email == row.email, _is_pending()))
            session.flush()
            # The row stays: the audit log refers to it, and its hash of the address keeps single sign-on out.
            if not _count_memberships(session, row.id):
                row.removed = now()
                row.password_hash = None
                row.former_email_hash = hash_secret(row.email)
                row.email = f"{row.id}@removed"  # frees the address for a new invitation
                session.execute(delete(SessionRow).where(SessionRow.user_id == row.id))
            return removed

    # Invitations

    def create_bootstrap_invitation(self, hours: int = 24) -> str | None:
        """Create the invitation for the first owner; it replaces earlier ones.

        Returns:
            The secret of its link, or None if the workspace already has a user.
        """
        secret = secrets.token_urlsafe(32)
        with self._catalog.write_tx() as session:
            if session.scalar(select(func.count()).select_from(UserRow)):
                return None
            session.execute(delete(InvitationRow))
            _add_invitation(session, secret, "", Role.OWNER, None, hours)
        return secret

    def invite(self, email: str, role: Role, inviter: Principal, hours: int = 24 * 7) -> tuple[Invitation, str]:
        """Invite an e-mail address to the project.

        Args:
            email: the address; an account with it need not exist.
            role: at most the role of ``inviter``.
            inviter: the user who invites.
            hours: how long the invitation is valid.

        Returns:
            The invitation and the secret of its link, which is not stored.

        Raises:
            InvalidValueError: it is not an e-mail address.
            PermissionDeniedError: the role is higher than that of ``inviter``.
            ConflictError: the address belongs to a member.
        """
        if inviter.role is None or not inviter.role.covers(role):
            raise PermissionDeniedError(f"A user with the role '{inviter.role}' cannot invite with the role '{role}'.")
        secret = secrets.token_urlsafe(32)
        address = normalize_email(email)
        with self._catalog.write_tx() as session:
            if session.scalar(select_members(session).where(UserRow.email == address)):
                raise ConflictError(f"{address} is already a member.", hint="Change the role instead.")
            row = _add_invitation(session, secret, address, role, inviter.user.id, hours)
            session.flush()
            return _to_invitation(row), secret

    def list_invitations(self) -> InvitationList:
        """List the invitations that have not been accepted, the oldest first."""
        with self._catalog.read_tx() as session:
            query = select(InvitationRow).where(_is_pending()).order_by(InvitationRow.created)
            return [_to_invitation(row) for row in session.scalars(query)]

    def get_invitation(self, secret: str) -> Invitation:
        """Return the invitation of a link.

        Raises:
            NotFoundError: the link is unknown, used or expired.
        """
        with self._catalog.unscoped.read_tx() as session:
            row = _find_pending_invitation(session, secret)
            account = find_user_by_email(session, row.email) if row.email else None
            return replace(
                _to_invitation(row),
                project=session.get_one(ProjectRow, row.project_id).name,
                has_account=account is not None,
                has_password=account is not None and account.password_hash is not None,
            )

    def revoke_invitation(self, invitation_id: str) -> None:
        """Delete an invitation that has not been accepted.

        Raises:
            NotFoundError: there is no such invitation.
        """
        with self._catalog.write_tx() as session:
            row = session.get(InvitationRow, invitation_id)
            if row is None or row.accepted is not None:
                raise NotFoundError("There is no such invitation.")
            session.delete(row)

    def accept_invitation(
        self, secret: str, name: str, password: str, email: str = "", client_address: str = ""
    ) -> User:
        """Accept an invitation to any project: create the account and the membership.

        An existing account only gets the membership; ``password`` must then be its password.

        Args:
            secret: the secret of the link.
            name: name of a new account.
            password: password of the new or existing account.
            email: e-mail address of the first owner, whose invitation has none.
            client_address: IP address of the client, for the limit of failed attempts.

        Raises:
            NotFoundError: the link is unknown, used or expired.
            InvalidValueError: the name, password or e-mail address is not valid.
            ConflictError: the user is already a member.
            AuthenticationError: wrong password of an existing account.
            RateLimitedError: too many wrong passwords.
        """
        invitation = self.get_invitation(secret)
        if invitation.has_account:
            self.sign_in(invitation.email, password, client_address)
        hashed = "" if invitation.has_account else _hash_new_account(name, password)
        # Unscoped, because the link may be for another project than the one in the request.
        with self._catalog.unscoped.write_tx() as session:
            row = _find_pending_invitation(session, secret)
            address = row.email or normalize_email(email)
            row.accepted = now()
            row.email = address
            return create_membership(session, address, Role(row.role), name, hashed, row.project_id)

    def add(self, email: str, role: Role, name: str, password: str) -> User:
        """Create an account with a membership, without an invitation.

        An existing account only gets the membership, and keeps its name and password.

        Args:
            email: e-mail address of the account.
            role: role in the project.
            name: 1 to 200 characters.
            password: password of a new account.

        Raises:
            InvalidValueError: the name, password or e-mail address is not valid.
            ConflictError: the user is already a member.
        """
        address = normalize_email(email)
        hashed = _hash_new_account(name, password)
        with self._catalog.unscoped.write_tx() as session:
            project = project_id(session) if self._catalog.project is None else self._catalog.project
            return create_membership(session, address, role, name, hashed, project)

    # Audit log

    def record_audit(self, user_id: str | None, action: str, subject: str, address: str = "") -> None:
        """Add an entry to the audit log; long texts are cut.

        Args:
            user_id: the user who acted, None for the server itself.
            action: what was done, up to 64 characters.
            subject: what it was done to, up to 255 characters.
            address: IP address of the request.
        """
        is_deletion = action.startswith("DELETE ")
        with self._catalog.essential_tx() if is_deletion else self._catalog.write_tx() as session:
            session.add(AuditRow(user_id=user_id, action=action[:64], subject=subject[:255], address=address[:64]))

    def audit_log(self, before: int | None = None, limit: int = 100) -> AuditEntryList:
        """List the last entries of the audit log, the newest first; ``before`` is the id of an entry to page from."""
        with self._catalog.read_tx() as session:
            query = select(AuditRow, UserRow.name).outerjoin(UserRow, UserRow.id == AuditRow.user_id)
            if before is not None:
                query = query.where(AuditRow.id < before)
            rows = session.execute(query.order_by(AuditRow.id.desc()).limit(limit)).all()
            return [AuditEntry(row.id, row.at, name, row.action, row.subject, row.address) for row, name in rows]


def find_user_by_email(session: Session, address: str) -> UserRow | None:
    """Return the user with a normalized e-mail address, in any project, or None if there is none."""
    return session.scalar(select(UserRow).where(UserRow.email == address, UserRow.removed.is_(None)))


def _count_memberships(session: Session, user_id: str) -> int:
    # On the table instead of the class: this bypasses the filter that limits a session to its project.
    table = MemberRow.__table__
    return session.scalar(select(func.count()).select_from(table).where(table.c.user_id == user_id)) or 0


def _require_another_owner(session: Session, member: MemberRow) -> None:
    owners = select(func.count()).where(MemberRow.project_id == member.project_id, MemberRow.role == str(Role.OWNER))
    if member.role == str(Role.OWNER) and session.scalar(owners) == 1:
        raise ConflictError("A project needs at least one owner.", hint="Make another member an owner first.")


def _hash_new_account(name: str, password: str) -> str:
    """Check the name and password of a new account, and return the hash of the password."""
    hashed = hash_password(password)
    if not name.strip() or len(name) > 200:
        raise InvalidValueError("A name needs 1 to 200 characters.")
    return hashed


def create_membership(session: Session, address: str, role: Role, name: str, hashed: str | None, project: int) -> User:
    """Add a user to a project, and create the account if it does not exist.

    Args:
        session: an unscoped write transaction.
        address: normalized e-mail address.
        role: role in the project.
        name: name of a new account; an existing one keeps its name.
        hashed: password hash of a new account, None for one without a password; an existing one keeps its password.
        project: id of the project.

    Raises:
        ConflictError: the user is already a member.
    """
    row = find_user_by_email(session, address)
    if row is None:
        row = UserRow(id=new_id(), email=address, name=name.strip(), password_hash=hashed)
        session.add(row)
        session.flush()
    elif session.get(MemberRow, (project, row.id)) is not None:
        raise ConflictError(f"{address} is already a member.", hint="Sign in instead.")
    member = MemberRow(project_id=project, user_id=row.id, role=str(role), since=now())
    session.add(member)
    session.flush()
    publish_event(session, "member.joined", _membership_event(row, member), project)
    return to_user(row, member)


def _membership_event(row: UserRow, member: MemberRow) -> MembershipChanged:
    return MembershipChanged(row.id, row.name, row.email, member.role)


def _add_invitation(
    session: Session, secret: str, email: str, role: Role, inviter_id: str | None, hours: int
) -> InvitationRow:
    row = InvitationRow(
        id=new_id(),
        project_id=project_id(session),
        secret=hash_secret(secret),
        email=email,
        role=str(role),
        invited_by=inviter_id,
        created=now(),
        expires=now() + timedelta(hours=hours),
        accepted=None,
    )
    session.add(row)
    return row


def _is_pending() -> Any:
    return InvitationRow.accepted.is_(None)


def accept_pending_invitations(session: Session, address: str, name: str) -> User | None:
    """Accept all pending invitations of an e-mail address whose owner has proved that it is theirs.

    Creates an account without a password if there is none.

    Args:
        session: an unscoped write transaction.
        address: normalized e-mail address.
        name: name of a new account.

    Returns:
        The user, or None if no invitation led to a new membership.
    """
    pending = select(InvitationRow).where(InvitationRow.email == address, _is_pending(), InvitationRow.expires >= now())
    user = None
    for row in session.scalars(pending.order_by(InvitationRow.created.desc())).all():
        row.accepted = now()
        account = find_user_by_email(session, address)
        if account is None or session.get(MemberRow, (row.project_id, account.id)) is None:
            user = create_membership(session, address, Role(row.role), name, None, row.project_id)
    return user


def _find_pending_invitation(session: Session, secret: str) -> InvitationRow:
    row = session.scalar(select(InvitationRow).where(InvitationRow.secret == hash_secret(secret)))
    if row is None or row.accepted is not None or row.expires < now():
        raise NotFoundError("This invitation was used or has expired.", hint="Ask for a new one.")
    return row


def _to_invitation(row: InvitationRow) -> Invitation:
    return Invitation(row.id, row.email, Role(row.role), row.invited_by, row.created, row.expires, row.accepted)
