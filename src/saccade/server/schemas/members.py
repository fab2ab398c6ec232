"""Sessions, members, invitations, API tokens, projects and the audit log."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from saccade.core.roles import Role
from saccade.server.schemas.base import RequestModel, ResponseModel
from saccade.store.auth.service import MAX_PASSWORD_LENGTH


class SignInRequest(RequestModel):
    """Credentials."""

    email: str = Field(max_length=255)
    password: str = Field(max_length=MAX_PASSWORD_LENGTH)


class SignInMethodsResponse(ResponseModel):
    """Sign-in methods besides the password.

    ``provider`` is the display name of the single sign-on provider, null if none is configured. ``link_email`` is the
    e-mail address of an account that a single sign-on login of this browser matched; it is linked once the user signs
    in with its password.
    """

    provider: str | None
    link_email: str | None


class SsoStart(RequestModel):
    """Start of a single sign-on login; ``next`` is the path to redirect to afterwards."""

    next: str = Field("/", max_length=2000)


class SsoRedirect(ResponseModel):
    """URL of the provider to redirect the browser to."""

    address: str


class PasswordChange(RequestModel):
    """Current and new password."""

    current_password: str = Field(max_length=MAX_PASSWORD_LENGTH)
    new_password: str = Field(max_length=MAX_PASSWORD_LENGTH)


class MemberResponse(ResponseModel):
    """A user and their role in the project."""

    id: str
    email: str
    name: str
    role: Role | None
    created: datetime
    has_password: bool


class SessionResponse(ResponseModel):
    """The current user.

    ``csrf_token`` is to be sent as the header ``X-CSRF-Token`` with every write; null for API tokens.
    ``role`` is the role in the project, null if the user is not a member.
    """

    user: MemberResponse
    role: Role | None
    csrf_token: str | None


class RoleUpdate(RequestModel):
    """New role of a member."""

    role: Role


class InvitationCreate(RequestModel):
    """Address and role of the person to invite."""

    email: str = Field(max_length=255)
    role: Role = Role.ANNOTATOR


class InvitationResponse(ResponseModel):
    """An invitation.

    ``project``, ``has_account`` (an account with this address exists) and ``has_password`` (that account has a
    password) are set only in lookups by the secret of the link.
    """

    id: str
    email: str
    role: Role
    created: datetime
    expires: datetime
    project: str
    has_account: bool
    has_password: bool


class InvitationCreated(InvitationResponse):
    """A new invitation with its link, which is shown only once."""

    link: str


class InvitationLookup(RequestModel):
    """The secret of an invitation link: the part after the ``#``."""

    secret: str = Field(max_length=200)


class AcceptInvitation(InvitationLookup):
    """Name and password of the new account; ``email`` only for the first owner, whose invitation has none."""

    name: str = Field(max_length=200)
    password: str = Field(max_length=MAX_PASSWORD_LENGTH)
    email: str = Field("", max_length=255)


class TokenCreate(RequestModel):
    """Name, role and lifetime of a new API token.

    ``can_manage_tokens``: whether it may create, list and revoke tokens of the user.
    """

    name: str = Field(max_length=200)
    role: Role = Role.VIEWER
    days: int = Field(90, ge=1, le=3660)
    can_manage_tokens: bool = False


class TokenResponse(ResponseModel):
    """An API token, without its secret; ``used`` is the time of the last use."""

    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime
    can_manage_tokens: bool


class TokenCreated(TokenResponse):
    """A new API token with its secret, which is shown only once."""

    token: str


class AuditEntryResponse(ResponseModel):
    """An entry of the audit log; ``address`` is the IP address of the client."""

    id: int
    at: datetime
    user: str | None
    action: str
    subject: str
    address: str


class AuditPage(ResponseModel):
    """A page of the audit log, newest first. Pass ``next`` as ``before`` for the next page."""

    entries: list[AuditEntryResponse]
    next: int | None


class ProjectCreate(RequestModel):
    """Name of a new project."""

    name: str = Field(max_length=200)


class ProjectResponse(ResponseModel):
    """A project, and the role of the current user in it."""

    name: str
    role: Role | None
    created: datetime
