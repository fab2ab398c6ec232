"""Authentication, authorization, CSRF protection, audit log entries and cookies."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from saccade.app.auth.sessions import record_audit, sign_out
from saccade.core.errors import AuthenticationError, NotFoundError, PermissionDeniedError
from saccade.server.dependencies.principal_cache import PrincipalCache
from saccade.server.dependencies.version_cache import ProjectRegistry
from saccade.server.middleware.idempotency import begin_idempotent
from saccade.server.middleware.project_prefix import PROJECT_SCOPE_KEY
from saccade.server.permissions import (
    API,
    REQUIRED_ROLES,
    ROUTE_PERMISSIONS,
    SAFE_METHODS,
    STATELESS_ROUTES,
    UNAUDITED_ROUTES,
    Permission,
)
from saccade.store.auth.service import Principal
from saccade.store.auth.sso import LOGIN_TIMEOUT
from saccade.store.catalog.tables import DEFAULT_PROJECT
from saccade.store.workspace import Workspace

SESSION_COOKIE = "saccade_session"
LOGIN_COOKIE = "saccade_sign_in"
"""Cookie of a pending single sign-on login."""
CSRF_HEADER = "X-CSRF-Token"
_SESSION_SECONDS = 14 * 24 * 3600


def current_workspace(request: Request) -> Workspace:
    """Return the workspace, scoped to the requested project."""
    workspace: Workspace = request.state.workspace
    return workspace


def requested_project(request: Request) -> str:
    """Return the name of the requested project."""
    return str(request.scope.get(PROJECT_SCOPE_KEY, DEFAULT_PROJECT))


def client_address(request: Request) -> str:
    """Return the IP address of the client, "" if unknown."""
    return request.client.host if request.client is not None else ""


def authorize(request: Request) -> None:
    """Authenticate a request and check its permission. Every route depends on this.

    Sets ``workspace``, ``versions`` and ``principal`` of ``request.state``. Writes and refusals go to the audit log.
    Does nothing if the request is authorized already: requests with a body are, before the body is read.

    Raises:
        AuthenticationError: The route needs authentication, and there is no valid session or token.
        NotFoundError: The project does not exist, or the caller is not a member.
        PermissionDeniedError: The role is insufficient, or the request is cross-site.
        ReplayedResponseError: The request was done before with the same idempotency key.
        ConflictError: The idempotency key cannot be replayed.
    """
    if not getattr(request.state, "is_authorized", False):
        _authorize_route(request)
        request.state.is_authorized = True


async def authorize_async(request: Request) -> None:
    """Run :func:`authorize`: in a worker thread if it uses the database. Public routes without state are exempt."""
    if getattr(request.state, "is_authorized", False):
        return
    route = f"{request.method} {request.scope['route'].path}"
    if ROUTE_PERMISSIONS.get(route) is Permission.PUBLIC and route in STATELESS_ROUTES:
        return
    if _needs_database(request, route):
        await run_in_threadpool(authorize, request)
    else:
        authorize(request)


def _needs_database(request: Request, route: str) -> bool:
    """Return whether :func:`authorize` uses the database. It does not for most requests of clients that send many."""
    permission = ROUTE_PERMISSIONS.get(route)
    project = request.app.state.projects.get_open(requested_project(request))
    if permission not in REQUIRED_ROLES or permission is Permission.MANAGE_TOKENS or project is None:
        return True
    if request.method not in SAFE_METHODS and (route not in UNAUDITED_ROUTES or hasattr(request.state, "fingerprint")):
        return True
    credentials = _credentials(request)
    principals: PrincipalCache = request.app.state.principals
    principal = None if credentials is None else principals.get(project.workspace, *credentials)
    # Without the permission the refusal is audited.
    return principal is None or principal.role is None or not principal.role.covers(REQUIRED_ROLES[permission])


def _authorize_route(request: Request) -> None:
    route = f"{request.method} {request.scope['route'].path}"
    permission = ROUTE_PERMISSIONS.get(route)
    if permission is None:
        raise PermissionDeniedError(f"The route {route} has no permission assigned.")
    project_name = requested_project(request)
    registry: ProjectRegistry = request.app.state.projects
    project = registry.get(project_name)
    # The response for a missing project must equal the one for a project that the caller is not a member of.
    request.state.workspace = registry.workspace if project is None else project.workspace
    request.state.versions = None if project is None else project.versions
    principal = _authenticate(request)
    request.state.principal = principal
    is_write = request.method not in SAFE_METHODS
    if is_write:
        _check_origin(request)
    if permission is Permission.PUBLIC:
        return
    if principal is None:
        raise AuthenticationError("You are not signed in.", hint="Sign in, or send a token.")
    if is_write:
        _check_csrf(request, principal)
    if permission is Permission.AUTHENTICATED:
        return
    if project is None or principal.role is None:
        raise NotFoundError(f"There is no project '{project_name[:100]}' that you are a member of.")
    has_right = principal.can_manage_tokens or permission is not Permission.MANAGE_TOKENS
    is_allowed = has_right and principal.role.covers(REQUIRED_ROLES[permission])
    if is_write and is_allowed:
        begin_idempotent(request, project.workspace, principal, route)
    if (is_write and route not in UNAUDITED_ROUTES) or not is_allowed:
        audit(request, route if is_allowed else f"refused {route}", request.url.path)
    if not has_right:
        raise PermissionDeniedError(
            "This API token may not manage API tokens.",
            hint="Use the browser, in the menu under your name, or a token with the right to manage tokens.",
        )
    if not is_allowed:
        raise PermissionDeniedError(
            f"The role '{principal.role}' does not permit this.", hint=f"It requires '{REQUIRED_ROLES[permission]}'."
        )


def _check_csrf(request: Request, principal: Principal) -> None:
    """Check the CSRF token of a session. Requests with an API token need none.

    Another site can make a browser send the session cookie, but it can neither read the CSRF token nor set a header.
    """
    header = request.headers.get(CSRF_HEADER, "").encode()
    if principal.csrf_token is not None and not hmac.compare_digest(header, principal.csrf_token.encode()):
        raise PermissionDeniedError(
            f"The header {CSRF_HEADER} is missing or wrong.", hint="Send the value of 'csrf_token' from GET /session."
        )


def _authenticate(request: Request) -> Principal | None:
    credentials = _credentials(request)
    principals: PrincipalCache = request.app.state.principals
    return None if credentials is None else principals.authenticate(current_workspace(request), *credentials)


def _credentials(request: Request) -> tuple[bool, str] | None:
    """Return whether the request has an API token, and the secret of that or of its session; None without both."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return True, secret.strip()
    cookie = request.cookies.get(SESSION_COOKIE)
    return (False, cookie) if cookie else None


def _check_origin(request: Request) -> None:
    """Refuse cross-site requests from browsers. Other clients send neither header."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
        raise PermissionDeniedError("Cross-site request refused.")
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise PermissionDeniedError("Cross-site request refused.")


def audit(request: Request, action: str, subject: str) -> None:
    """Add an entry to the audit log of the requested project."""
    principal: Principal | None = request.state.principal
    user_id = None if principal is None else principal.user.id
    record_audit(current_workspace(request), user_id, action, subject, client_address(request))


def public_origin(request: Request) -> str:
    """Return the origin for links to this server: the configured one, or that of the request."""
    return str(request.app.state.origin or str(request.base_url).rstrip("/"))


def set_session_cookie(response: Response, request: Request, secret: str) -> None:
    """Set the session cookie; scripts cannot read it, and other sites cannot send it with writes."""
    _set_cookie(response, request, SESSION_COOKIE, secret, _SESSION_SECONDS, "/")


def set_login_cookie(response: Response, request: Request, secret: str) -> None:
    """Set the cookie of a pending single sign-on login; the browser returns it with the provider's redirect."""
    _set_cookie(response, request, LOGIN_COOKIE, secret, round(LOGIN_TIMEOUT.total_seconds()), f"{API}/")


def _set_cookie(response: Response, request: Request, name: str, secret: str, max_age_s: int, path: str) -> None:
    is_secure = "https" in (request.url.scheme, public_origin(request).partition("://")[0])
    response.set_cookie(name, secret, max_age=max_age_s, httponly=True, samesite="lax", secure=is_secure, path=path)


def login_cookie(request: Request) -> str | None:
    """Return the secret of a pending single sign-on login."""
    return request.cookies.get(LOGIN_COOKIE)


def clear_session_cookie(response: Response) -> None:
    """Delete the session cookie."""
    response.delete_cookie(SESSION_COOKIE, path="/")


def clear_login_cookie(response: Response) -> None:
    """Delete the cookie of a pending single sign-on login."""
    response.delete_cookie(LOGIN_COOKIE, path=f"{API}/")


def end_previous_session(request: Request) -> None:
    """End the session that the request's cookie belongs to, if any."""
    secret = request.cookies.get(SESSION_COOKIE)
    if secret:
        sign_out(current_workspace(request), secret)


# Asynchronous, as all dependencies that do not wait: FastAPI would use a worker thread.
async def _current_user(request: Request) -> Principal:
    principal: Principal | None = request.state.principal
    if principal is None:
        raise AuthenticationError("You are not signed in.")
    return principal


async def _current_workspace(request: Request) -> Workspace:
    return current_workspace(request)


CurrentUser = Annotated[Principal, Depends(_current_user)]
CurrentWorkspace = Annotated[Workspace, Depends(_current_workspace)]
Authorize: Any = Depends(authorize_async)
