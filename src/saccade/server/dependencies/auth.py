"""The gate: who asks, whether they may, and what is noted of it; every route lies behind it."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, Request, Response

from saccade.core.errors import NotAllowedError, NotFoundError, NotSignedInError
from saccade.server.dependencies.version_cache import Sites
from saccade.server.middleware.idempotency import begin_once
from saccade.server.permissions import API, NEEDED, ROUTES, SAFE, Action
from saccade.store.auth.service import Caller
from saccade.store.auth.sso import TIME
from saccade.store.auth.users import People
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.workspace import Workspace

COOKIE = "saccade_session"
BEGUN = "saccade_sign_in"
"""The cookie of a browser that has begun a single sign-on."""
GUARD = "X-Saccade-Guard"
PROJECT = "saccade.project"
"""Where the scope of a request names the project that is asked."""
_FORTNIGHT = 14 * 24 * 3600


def workspace_of(request: Request) -> Workspace:
    """The project that is asked."""
    found: Workspace = request.state.served
    return found


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def pass_gate(request: Request) -> None:
    """Let a request pass, or raise.

    Raises:
        NotSignedInError: nobody is signed in, and the route is not for everybody.
        NotFoundError: there is no such project, or whoever asks is not in it.
        NotAllowedError: the role is too small; or a browser sent it for another site.
        AnsweredError, ConflictError: it has the name of a request that was made before.
    """
    route = f"{request.method} {request.scope['route'].path}"
    action = ROUTES.get(route)
    if action is None:
        raise NotAllowedError(f"Nobody may call {route}.")
    project = str(request.scope.get(PROJECT, DEFAULT_PROJECT))
    sites: Sites = request.app.state.sites
    site = sites.of(project)
    # Whoever is not in a project learns as little of it as of one that is not there.
    request.state.served, request.state.opened = site or (sites.workspace, None)
    caller = _caller(request)
    request.state.caller = caller
    changes = request.method not in SAFE
    if changes:
        _refuse_other_sites(request)
    if action is Action.PUBLIC:
        return
    if caller is None:
        raise NotSignedInError("You are not signed in.", hint="Sign in, or send a token.")
    if changes and not _has_guard(request, caller):
        raise NotAllowedError(f"The header {GUARD} is missing or wrong.", hint="GET /session says what it is to be.")
    if action is Action.ONESELF:
        return
    if site is None or caller.role is None:
        raise NotFoundError(f"There is no project '{project[:100]}' that you are in.")
    is_allowed = caller.role.covers(NEEDED[action])
    if changes and is_allowed:
        begin_once(request, site[0].requests, caller, route)
    if changes or not is_allowed:
        note(request, route if is_allowed else f"refused {route}", request.url.path)
    if not is_allowed:
        raise NotAllowedError(f"A {caller.role} may not do this.", hint=f"It takes a {NEEDED[action]}.")


def _has_guard(request: Request, caller: Caller) -> bool:
    """Whether a request of a session brings along what only its own pages know; one with a token needs nothing.

    Another site can make a browser send the cookie, but can neither read this value nor set a header.
    """
    given = request.headers.get(GUARD, "").encode()
    return caller.guard is None or hmac.compare_digest(given, caller.guard.encode())


def _caller(request: Request) -> Caller | None:
    people: People = workspace_of(request).people
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return people.token(secret.strip())
    cookie = request.cookies.get(COOKIE)
    return people.session(cookie) if cookie else None


def _refuse_other_sites(request: Request) -> None:
    """Refuse what a page of another site makes a browser send; programs send no Origin."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
        raise NotAllowedError("This comes from another site.")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise NotAllowedError("This comes from another site.")


def note(request: Request, action: str, subject: str) -> None:
    """Add to the log what somebody does."""
    caller: Caller | None = request.state.caller
    person = None if caller is None else caller.person.id
    workspace_of(request).people.note(person, action, subject, address_of(request))


def origin_of(request: Request) -> str:
    """Where links begin that lead to this server."""
    return str(request.app.state.origin or str(request.base_url).rstrip("/"))


def remember(response: Response, request: Request, secret: str) -> None:
    """Give a browser the cookie of a session; no script can read it, no other site have it sent along."""
    _give(response, request, COOKIE, secret, _FORTNIGHT, "/")


def remember_begun(response: Response, request: Request, secret: str) -> None:
    """Give a browser the cookie of a sign-in that is not finished; the provider's way back brings it along."""
    _give(response, request, BEGUN, secret, round(TIME.total_seconds()), f"{API}/")


def _give(response: Response, request: Request, name: str, secret: str, seconds: int, path: str) -> None:
    is_secure = "https" in (request.url.scheme, origin_of(request).partition("://")[0])
    response.set_cookie(name, secret, max_age=seconds, httponly=True, samesite="lax", secure=is_secure, path=path)


def begun_in(request: Request) -> str | None:
    """What the cookie of a sign-in that is not finished holds."""
    return request.cookies.get(BEGUN)


def forget(response: Response) -> None:
    """Take the cookie of a session away."""
    response.delete_cookie(COOKIE, path="/")


def forget_begun(response: Response) -> None:
    """Take the cookie of a sign-in away."""
    response.delete_cookie(BEGUN, path=f"{API}/")


def end_earlier(request: Request) -> None:
    """End the session that a browser had until now."""
    earlier = request.cookies.get(COOKIE)
    if earlier:
        workspace_of(request).people.sign_out(earlier)


def _signed_in(request: Request) -> Caller:
    caller: Caller | None = request.state.caller
    if caller is None:
        raise NotSignedInError("You are not signed in.")
    return caller


SignedIn = Annotated[Caller, Depends(_signed_in)]
Served = Annotated[Workspace, Depends(workspace_of)]
Gate: Any = Depends(pass_gate)
