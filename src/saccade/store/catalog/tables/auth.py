"""Users, members, invitations, sessions, tokens, single sign-on and the audit log."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from saccade.store.catalog.tables.base import Base, ProjectScoped, now


class UserRow(Base):
    """A user. A removed user keeps the row, so that the audit log still names them.

    ``password`` is an Argon2id hash, None if the user signs in with the identity provider only. ``former`` is a hash of
    the e-mail address that a removed user had, so that single sign-on recognises and denies them.
    """

    __tablename__ = "users"
    # The name of the constraint before the table was renamed: SQLite cannot recreate a table that others reference.
    __table_args__ = (UniqueConstraint("email", name="uq_people_email"),)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    email: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str | None]
    created: Mapped[datetime] = mapped_column(default=now)
    removed: Mapped[datetime | None]
    former_email_hash: Mapped[str | None] = mapped_column(String(64), index=True)


class IdentityRow(Base):
    """A federated identity of a user; a provider (``issuer``) never reuses a ``subject``."""

    __tablename__ = "identities"
    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    created: Mapped[datetime] = mapped_column(default=now)


class PendingLoginRow(Base):
    """A pending single sign-on. ``secret`` is a hash of the secret in the browser's cookie.

    Without ``subject`` the provider has not answered yet; with it, the user has to enter the account's password before
    the identity is linked.
    """

    __tablename__ = "pending_logins"
    secret: Mapped[str] = mapped_column(String(64), primary_key=True)
    project: Mapped[str] = mapped_column(default="")
    path: Mapped[str] = mapped_column(Text, default="")
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    email: Mapped[str] = mapped_column(default="")
    expires: Mapped[datetime]


class LoginFailureRow(Base):
    """Failed sign-ins of an account, whether or not it exists.

    ``email`` is a hash of the e-mail address, or of that and the client's network. A row of the second kind without
    failures records that the account was signed in to from there.
    """

    __tablename__ = "login_failures"
    email: Mapped[str] = mapped_column(String(64), primary_key=True)
    count: Mapped[int] = mapped_column(default=0)
    last: Mapped[datetime] = mapped_column(default=now)


class MemberRow(ProjectScoped, Base):
    """The membership of a user in a project."""

    __tablename__ = "members"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    since: Mapped[datetime] = mapped_column(default=now)


class InvitationRow(ProjectScoped, Base):
    """A single-use invitation to a project. ``secret`` is a hash of the secret in its link."""

    __tablename__ = "invitations"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    secret: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    invited_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    created: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]
    accepted: Mapped[datetime | None]


class SessionRow(Base):
    """A browser session. ``secret`` is a hash of the cookie's secret, ``csrf_token`` the anti-CSRF token."""

    __tablename__ = "sessions"
    secret: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created: Mapped[datetime] = mapped_column(default=now)
    last_seen: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class TokenRow(ProjectScoped, Base):
    """An API token. ``secret`` is its hash; ``role`` limits what it may do.

    ``can_manage_tokens``: whether it may create, list and revoke tokens. ``parent_id`` is the token that created it,
    None if the user did.
    """

    __tablename__ = "tokens"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str]
    secret: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created: Mapped[datetime] = mapped_column(default=now)
    last_used: Mapped[datetime | None]
    expires: Mapped[datetime]
    can_manage_tokens: Mapped[bool] = mapped_column(default=False)
    parent_id: Mapped[str | None] = mapped_column(String(32))


class AuditRow(ProjectScoped, Base):
    """An audit-log entry. Rows are added and never changed."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now, index=True)
    user_id: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str]
    address: Mapped[str] = mapped_column(String(64), default="")
