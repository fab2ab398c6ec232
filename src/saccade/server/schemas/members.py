"""People, sessions, invitations, tokens, projects and the log."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from saccade.core.roles import Role
from saccade.server.schemas.base import Answer, Given
from saccade.store.auth.service import LONGEST_PASSWORD


class SignIn(Given):
    email: str = Field(max_length=255)
    password: str = Field(max_length=LONGEST_PASSWORD)


class WaysAnswer(Answer):
    """How one may sign in besides with a password.

    ``provider`` is the name of the one for single sign-on, null where there is none. ``connecting`` is the address of
    an account that this browser has shown to be known there, and that is to give its password.
    """

    provider: str | None
    connecting: str | None


class SignInWanted(Given):
    """``next`` is the path of this server to which it leads."""

    next: str = Field("/", max_length=2000)


class SignInBegun(Answer):
    """Where the browser goes to."""

    address: str


class NewPassword(Given):
    old: str = Field(max_length=LONGEST_PASSWORD)
    new: str = Field(max_length=LONGEST_PASSWORD)


class PersonAnswer(Answer):
    id: str
    email: str
    name: str
    role: Role | None
    created: datetime
    has_password: bool


class SessionAnswer(Answer):
    """Who is signed in; ``guard`` goes into the header X-Saccade-Guard of whatever changes something.

    ``role`` is what they may in the project, null where they are not in it.
    """

    person: PersonAnswer
    role: Role | None
    guard: str | None


class NewRole(Given):
    role: Role


class NewInvitation(Given):
    email: str = Field(max_length=255)
    role: Role = Role.ANNOTATOR


class InvitationAnswer(Answer):
    """An invitation; looked at by its link it names the project, and says more.

    ``is_known``: there is an account already; ``has_password``: which has a password.
    """

    id: str
    email: str
    role: Role
    created: datetime
    expires: datetime
    project: str
    is_known: bool
    has_password: bool


class InvitationMade(InvitationAnswer):
    """With the link, which is shown once."""

    link: str


class Secret(Given):
    secret: str = Field(max_length=200)


class Joining(Secret):
    name: str = Field(max_length=200)
    password: str = Field(max_length=LONGEST_PASSWORD)
    email: str = Field("", max_length=255)


class NewToken(Given):
    name: str = Field(max_length=200)
    role: Role = Role.VIEWER
    days: int = Field(90, ge=1, le=3660)


class TokenAnswer(Answer):
    id: str
    name: str
    role: Role
    created: datetime
    used: datetime | None
    expires: datetime


class TokenMade(TokenAnswer):
    """With the token itself, which is shown once."""

    token: str


class DeedAnswer(Answer):
    id: int
    at: datetime
    person: str | None
    action: str
    subject: str
    address: str


class DeedPage(Answer):
    """Newest first; ``next`` as ``before`` gives the next page."""

    deeds: list[DeedAnswer]
    next: int | None


class NewProject(Given):
    name: str = Field(max_length=200)


class ProjectAnswer(Answer):
    """A project, and what whoever asks is in it."""

    name: str
    role: Role | None
    created: datetime
