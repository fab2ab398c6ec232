"""Signing in and out, who there is, invitations, tokens and the log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from saccade.core.errors import NotAllowedError, NotSignedInError
from saccade.server.dependencies.auth import (
    Served,
    SignedIn,
    address_of,
    begun_in,
    end_earlier,
    forget,
    forget_begun,
    note,
    origin_of,
    remember,
)
from saccade.server.permissions import API
from saccade.server.schemas.members import (
    DeedAnswer,
    DeedPage,
    InvitationAnswer,
    InvitationMade,
    Joining,
    NewInvitation,
    NewPassword,
    NewRole,
    NewToken,
    PersonAnswer,
    Secret,
    SessionAnswer,
    SignIn,
    TokenAnswer,
    TokenMade,
)
from saccade.store.auth.service import Caller

router = APIRouter(prefix=API)


def _begun(response: Response, request: Request, secret: str, caller: Caller) -> SessionAnswer:
    remember(response, request, secret)
    return SessionAnswer.model_validate(caller)


@router.post("/session", tags=["people"])
def sign_in(given: SignIn, request: Request, response: Response, served: Served) -> SessionAnswer:
    """Sign in with a password; the session is in a cookie.

    An account that was to give its password for single sign-on is connected with it.
    """
    request.app.state.tries.begin(address_of(request))
    try:
        secret, caller = served.people.sign_in(given.email, given.password)
    except NotSignedInError:
        note(request, "failed to sign in", given.email.strip().lower())
        raise
    request.app.state.tries.forget(address_of(request))
    end_earlier(request)
    request.state.caller = caller
    note(request, "signed in", caller.person.email)
    begun = begun_in(request)
    if begun and served.identities.connect(begun, caller.person.id):
        note(request, "connected with single sign-on", caller.person.email)
        forget_begun(response)
    return _begun(response, request, secret, served.people.session(secret) or caller)


@router.get("/session", tags=["people"])
def session(caller: SignedIn) -> SessionAnswer:
    """Who is signed in."""
    return SessionAnswer.model_validate(caller)


@router.delete("/session", tags=["people"], status_code=204)
def sign_out(request: Request, response: Response) -> None:
    """End the session."""
    end_earlier(request)
    forget(response)


@router.put("/session/password", tags=["people"])
def change_password(
    given: NewPassword, request: Request, response: Response, served: Served, caller: SignedIn
) -> SessionAnswer:
    """Set another password; all other sessions end."""
    if caller.guard is None:
        raise NotAllowedError("A token cannot change the password.", hint="Sign in.")
    request.app.state.tries.begin(address_of(request))
    secret, caller = served.people.change_password(caller.person.id, given.old, given.new)
    request.app.state.tries.forget(address_of(request))
    return _begun(response, request, secret, caller)


@router.post("/join/look", tags=["people"])
def look_at_invitation(given: Secret, served: Served) -> InvitationAnswer:
    """What a link of an invitation is for."""
    return InvitationAnswer.model_validate(served.people.invitation(given.secret))


@router.post("/join", tags=["people"], status_code=201)
def join(given: Joining, request: Request, response: Response, served: Served) -> SessionAnswer:
    """Make the account that a link invites to, and sign in."""
    person = served.people.accept(given.secret, given.name, given.password, given.email)
    secret, caller = served.people.sign_in(person.email, given.password)
    request.state.caller = caller
    note(request, "joined", person.email)
    return _begun(response, request, secret, caller)


@router.get("/people", tags=["people"])
def people(served: Served) -> list[PersonAnswer]:
    """Everybody and what they are."""
    return [PersonAnswer.model_validate(one) for one in served.people.list()]


@router.patch("/people/{person}", tags=["people"])
def set_role(person: str, given: NewRole, served: Served) -> PersonAnswer:
    """Make somebody something else."""
    return PersonAnswer.model_validate(served.people.set_role(person, given.role))


@router.delete("/people/{person}", tags=["people"], status_code=204)
def remove(person: str, served: Served) -> None:
    """Let somebody in no more."""
    served.people.remove(person)


@router.get("/invitations", tags=["people"])
def invitations(served: Served) -> list[InvitationAnswer]:
    """Those that nobody has accepted yet."""
    return [InvitationAnswer.model_validate(one) for one in served.people.invitations()]


@router.post("/invitations", tags=["people"], status_code=201)
def invite(given: NewInvitation, request: Request, served: Served, caller: SignedIn) -> InvitationMade:
    """Invite somebody; the link is shown once."""
    made, secret = served.people.invite(given.email, given.role, caller)
    link = f"{origin_of(request)}/join#{secret}"
    return InvitationMade(**InvitationAnswer.model_validate(made).model_dump(), link=link)


@router.delete("/invitations/{invitation}", tags=["people"], status_code=204)
def withdraw(invitation: str, served: Served) -> None:
    """Let a link lead nowhere."""
    served.people.withdraw(invitation)


@router.get("/tokens", tags=["people"])
def tokens(served: Served, caller: SignedIn) -> list[TokenAnswer]:
    """One's own tokens."""
    return [TokenAnswer.model_validate(one) for one in served.people.tokens(caller.person.id)]


@router.post("/tokens", tags=["people"], status_code=201)
def new_token(given: NewToken, served: Served, caller: SignedIn) -> TokenMade:
    """A token for programs; it is shown once, and may no more than its role and that of whoever makes it."""
    assert caller.role is not None, "only members come here"
    role = given.role if caller.role.covers(given.role) else caller.role
    made, secret = served.people.new_token(caller.person.id, given.name, role, given.days)
    return TokenMade(**TokenAnswer.model_validate(made).model_dump(), token=secret)


@router.delete("/tokens/{token}", tags=["people"], status_code=204)
def revoke(token: str, served: Served, caller: SignedIn) -> None:
    """Let a token of one's own open nothing any more."""
    served.people.revoke(caller.person.id, token)


@router.get("/audit", tags=["people"])
def audit(
    served: Served,
    before: Annotated[int | None, Query(ge=0, lt=1 << 62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DeedPage:
    """What everybody did, and tried to, the newest first."""
    found = served.people.audit(before, limit)
    following = found[-1].id if len(found) == limit else None
    return DeedPage(deeds=[DeedAnswer.model_validate(one) for one in found], next=following)
