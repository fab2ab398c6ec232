"""Single sign-on with OpenID Connect: redirect to the provider, and the callback from it."""

from __future__ import annotations

import hmac
import logging
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette.concurrency import run_in_threadpool

from saccade.app.auth.oidc.login import complete_login, pop_pending
from saccade.app.auth.oidc.login import start_login as record_login
from saccade.app.auth.oidc.provider import Provider, derive
from saccade.app.auth.sessions import record_audit
from saccade.core.errors import ConflictError, NotFoundError, ProviderError
from saccade.server.dependencies.auth import (
    CurrentWorkspace,
    clear_login_cookie,
    client_address,
    end_previous_session,
    login_cookie,
    public_origin,
    requested_project,
    set_login_cookie,
    set_session_cookie,
)
from saccade.server.dependencies.version_cache import ProjectRegistry
from saccade.server.permissions import API
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.base import ErrorResponse
from saccade.server.schemas.members import SignInMethodsResponse, SsoRedirect, SsoStart
from saccade.store.auth.sso import LinkChallenge, LoginDeniedError, LoginResult, PendingLogin
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.workspace import Workspace

router = ApiRouter()
CALLBACK_PATH = f"{API}/session/oidc/callback"
_MAX_CODE_LENGTH = 4096
_log = logging.getLogger("saccade.server")


class _LoginFailedError(Exception):
    """A login failed: a stable reason for the sign-in page, and details for the audit log."""

    def __init__(self, reason: str, details: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.details = details


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFoundError("Single sign-on is not configured.", hint="Configure it with: saccade serve --oidc URL")
    return provider


@router.get("/auth/methods", tags=["members"])
def get_sign_in_methods(request: Request, workspace: CurrentWorkspace) -> SignInMethodsResponse:
    """Get the sign-in methods besides the password."""
    provider: Provider | None = request.app.state.provider
    secret = login_cookie(request)
    link_email = workspace.sso.pending_link(secret) if provider is not None and secret else None
    return SignInMethodsResponse(provider=None if provider is None else provider.settings.name, link_email=link_email)


@router.post("/session/oidc", tags=["members"], responses={502: {"model": ErrorResponse}})
async def start_login(body: SsoStart, request: Request, response: Response, workspace: CurrentWorkspace) -> SsoRedirect:
    """Start a single sign-on login. Redirect the browser to the returned URL; the provider redirects it back."""
    provider = _provider(request)
    origin = public_origin(request)
    # The login cookie must be set on the host that the provider redirects to.
    if origin.partition("://")[2].lower() != request.headers.get("Host", "").lower():
        raise ConflictError(f"Single sign-on works only at {origin}.", hint=f"Sign in there: {origin}/sign-in")
    # A separate limit from that of passwords: if single sign-on is exhausted, users can still sign in with a password.
    request.app.state.sso_limiter.record_attempt(client_address(request))
    try:
        await provider.metadata()
    except ProviderError as error:
        request.app.state.sso_limiter.remove_attempt(client_address(request))
        _log.warning("single sign-on: %s", error)
        raise ProviderError(
            f"{provider.settings.name} did not respond, or sent an invalid response.",
            hint="Try again later, or sign in with a password.",
        ) from None
    next_path = safe_redirect_path(body.next)
    secret = await run_in_threadpool(record_login, workspace, requested_project(request), next_path)
    set_login_cookie(response, request, secret)
    return SsoRedirect(address=await provider.authorization_url(secret, f"{origin}{CALLBACK_PATH}"))


@router.get("/session/oidc/callback", tags=["members"], status_code=303, response_class=RedirectResponse)
async def login_callback(
    request: Request, workspace: CurrentWorkspace, code: str = "", state: str = "", error: str = "", iss: str = ""
) -> RedirectResponse:
    """Callback for the provider's redirect. Redirects to the app, or to the sign-in page with the reason of a failure.

    ``code``, ``state``, ``error`` and ``iss`` are the parameters of an OAuth 2.0 authorization response.
    """
    provider = _provider(request)
    secret = login_cookie(request)
    pending = await run_in_threadpool(pop_pending, workspace, secret) if secret else None
    if secret is None or pending is None:
        return RedirectResponse(_sign_in_url(None, error="expired"), 303)
    try:
        if not hmac.compare_digest(derive(secret, "state").encode(), state.encode()):
            raise _LoginFailedError("expired")
        if error or not 0 < len(code) <= _MAX_CODE_LENGTH:
            raise _LoginFailedError("refused")
        redirect_uri = f"{public_origin(request)}{CALLBACK_PATH}"
        result = await _complete_login(provider, workspace, secret, code, redirect_uri, iss)
    except _LoginFailedError as failure:
        await run_in_threadpool(_audit_failure, request, pending, failure)
        response = RedirectResponse(_sign_in_url(pending, error=failure.reason), 303)
        clear_login_cookie(response)
        return response
    return await run_in_threadpool(_login_response, request, pending, result)


async def _complete_login(
    provider: Provider, workspace: Workspace, secret: str, code: str, redirect_uri: str, issuer: str
) -> LoginResult | LinkChallenge:
    try:
        identity = await provider.complete(secret, code, redirect_uri, issuer)
        return await run_in_threadpool(complete_login, workspace, identity, provider.settings)
    except LoginDeniedError as error:
        raise _LoginFailedError(str(error.reason), identity.email or identity.subject) from None
    except ProviderError as error:
        _log.warning("single sign-on: %s", error)
        raise _LoginFailedError("provider", error.message) from None


def _login_response(request: Request, pending: PendingLogin, result: LoginResult | LinkChallenge) -> RedirectResponse:
    request.app.state.sso_limiter.remove_attempt(client_address(request))
    if isinstance(result, LinkChallenge):
        # The user must prove that they own the existing account with its password.
        response = RedirectResponse(_sign_in_url(pending), 303)
        set_login_cookie(response, request, result.secret)
        return response
    response = RedirectResponse(pending.path, 303)
    end_previous_session(request)
    set_session_cookie(response, request, result.secret)
    clear_login_cookie(response)
    user = result.principal.user
    issuer = request.app.state.provider.settings.issuer
    _audit(request, pending, user.id, "signed in", f"{user.email}, by {issuer}")
    return response


def _audit_failure(request: Request, pending: PendingLogin, failure: _LoginFailedError) -> None:
    subject = f"{failure.reason}: {failure.details}" if failure.details else failure.reason
    _audit(request, pending, None, "failed to sign in", f"single sign-on, {subject}")


def _audit(request: Request, pending: PendingLogin, user_id: str | None, action: str, subject: str) -> None:
    """Add an entry to the audit log of the project where the login started; the callback has no project."""
    registry: ProjectRegistry = request.app.state.projects
    project = registry.get(pending.project)
    workspace = registry.workspace if project is None else project.workspace
    record_audit(workspace, user_id, action, subject, client_address(request))


def safe_redirect_path(path: str) -> str:
    """Return a path of this server, or "/" if ``path`` could lead to another site."""
    is_plain = all(32 < ord(char) < 127 and char != "\\" for char in path)
    return path if is_plain and path.startswith("/") and not path.startswith("//") else "/"


def _sign_in_url(pending: PendingLogin | None, **parameters: str) -> str:
    """Return the sign-in page of the project where the login started, with the path to continue at."""
    base = "/" if pending is None or pending.project == DEFAULT_PROJECT else f"/p/{quote(pending.project, safe='')}/"
    query: dict[str, Any] = dict(parameters)
    if pending is not None and pending.path.startswith(base):
        query["next"] = f"/{pending.path.removeprefix(base)}"
    return f"{base}sign-in{f'?{urlencode(query)}' if query else ''}"
