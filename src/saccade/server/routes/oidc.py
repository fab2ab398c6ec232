"""Single sign-on: to the provider, and back from there."""

from __future__ import annotations

import hmac
import logging
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from saccade.app.auth.oidc.provider import Provider, derived
from saccade.core.errors import ConflictError, NotFoundError, ProviderError
from saccade.server.dependencies.auth import (
    PROJECT,
    Served,
    address_of,
    begun_in,
    end_earlier,
    forget_begun,
    origin_of,
    remember,
    remember_begun,
)
from saccade.server.permissions import API
from saccade.server.schemas.base import Failure
from saccade.server.schemas.members import SignInBegun, SignInWanted, WaysAnswer
from saccade.store.auth.sso import Begun, Entered, NotLetInError, Waiting
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.workspace import Workspace

router = APIRouter(prefix=API)
BACK = f"{API}/session/oidc/callback"
_LONGEST_CODE = 4096
_log = logging.getLogger("saccade.server")


class _TroubleError(Exception):
    """Why a sign-in ends without anybody being in: a stable word for the page, and more for the log."""

    def __init__(self, word: str, more: str = "") -> None:
        super().__init__(word)
        self.word, self.more = word, more


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFoundError("This server has no single sign-on.", hint="'saccade serve --oidc' gives it one.")
    return provider


@router.get("/session/ways", tags=["people"])
def ways(request: Request, served: Served) -> WaysAnswer:
    """How one may sign in besides with a password."""
    provider: Provider | None = request.app.state.provider
    secret = begun_in(request)
    connecting = served.identities.waiting(secret) if provider is not None and secret else None
    return WaysAnswer(provider=None if provider is None else provider.settings.name, connecting=connecting)


@router.post("/session/oidc", tags=["people"], responses={502: {"model": Failure}})
async def begin(given: SignInWanted, request: Request, response: Response, served: Served) -> SignInBegun:
    """Begin a sign-in with the provider: where the browser goes to; it comes back by itself."""
    provider, origin = _provider(request), origin_of(request)
    if origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise ConflictError(f"The provider sends people back to {origin}.", hint=f"Sign in there: {origin}/sign-in")
    # Counted apart: whoever cannot finish here can still sign in with a password.
    request.app.state.beginnings.begin(address_of(request))
    project = str(request.scope.get(PROJECT, DEFAULT_PROJECT))
    try:
        await provider.facts()
    except ProviderError as error:
        request.app.state.beginnings.forget(address_of(request))
        _log.warning("single sign-on: %s", error)
        name = provider.settings.name
        raise ProviderError(
            f"{name} does not answer, or not as it must.", hint="Try again later, or sign in with a password."
        ) from None
    secret = await run_in_threadpool(served.identities.begin, project, own_path(given.next))
    remember_begun(response, request, secret)
    return SignInBegun(address=await provider.begin(secret, f"{origin}{BACK}"))


@router.get("/session/oidc/callback", tags=["people"], status_code=303, response_class=RedirectResponse)
async def come_back(
    request: Request, served: Served, code: str = "", state: str = "", error: str = "", iss: str = ""
) -> RedirectResponse:
    """Where the provider sends a browser back to; it goes on into the app, or to a page that says what is wrong."""
    provider, secret = _provider(request), begun_in(request)
    begun = await run_in_threadpool(served.identities.take, secret) if secret else None
    if secret is None or begun is None:
        return RedirectResponse(_sign_in_page(None, trouble="expired"), 303)
    try:
        if not hmac.compare_digest(derived(secret, "state").encode(), state.encode()):
            raise _TroubleError("expired")
        if error or not 0 < len(code) <= _LONGEST_CODE:
            raise _TroubleError("refused")
        found = await _let_in(provider, served, secret, code, f"{origin_of(request)}{BACK}", iss)
    except _TroubleError as trouble:
        await run_in_threadpool(_note_trouble, request, begun, trouble)
        answer = RedirectResponse(_sign_in_page(begun, trouble=trouble.word), 303)
        forget_begun(answer)
        return answer
    return await run_in_threadpool(_answered, request, begun, found)


async def _let_in(
    provider: Provider, served: Workspace, secret: str, code: str, back: str, issuer: str
) -> Entered | Waiting:
    settings = provider.settings
    try:
        identity = await provider.finish(secret, code, back, issuer)
        return await run_in_threadpool(served.identities.enter, identity, settings.role, settings.domains)
    except NotLetInError as error:
        raise _TroubleError(str(error.reason), identity.email or identity.subject) from None
    except ProviderError as error:
        _log.warning("single sign-on: %s", error)
        raise _TroubleError("provider", error.message) from None


def _answered(request: Request, begun: Begun, found: Entered | Waiting) -> RedirectResponse:
    request.app.state.beginnings.forget(address_of(request))
    if isinstance(found, Waiting):
        answer = RedirectResponse(_sign_in_page(begun), 303)
        remember_begun(answer, request, found.secret)
        return answer
    answer = RedirectResponse(begun.path, 303)
    end_earlier(request)
    remember(answer, request, found.secret)
    forget_begun(answer)
    person = found.caller.person
    _note(request, begun, person.id, "signed in", f"{person.email}, by {request.app.state.provider.settings.issuer}")
    return answer


def _note_trouble(request: Request, begun: Begun, trouble: _TroubleError) -> None:
    subject = f"{trouble.word}: {trouble.more}" if trouble.more else trouble.word
    _note(request, begun, None, "failed to sign in", f"single sign-on, {subject}")


def _note(request: Request, begun: Begun, person: str | None, action: str, subject: str) -> None:
    """Add to the log of the project in which somebody began."""
    site = request.app.state.sites.of(begun.project)
    workspace = request.app.state.sites.workspace if site is None else site[0]
    workspace.people.note(person, action, subject, address_of(request))


def own_path(path: str) -> str:
    """A path of this server, "/" where it would lead anywhere else."""
    is_plain = all(32 < ord(char) < 127 and char != "\\" for char in path)
    return path if is_plain and path.startswith("/") and not path.startswith("//") else "/"


def _sign_in_page(begun: Begun | None, **more: str) -> str:
    """The page on which somebody began, which leads where they wanted to go."""
    base = "/" if begun is None or begun.project == DEFAULT_PROJECT else f"/p/{quote(begun.project, safe='')}/"
    asked: dict[str, Any] = dict(more)
    if begun is not None and begun.path.startswith(base):
        asked["next"] = f"/{begun.path.removeprefix(base)}"
    return f"{base}sign-in{f'?{urlencode(asked)}' if asked else ''}"
