"""The FastAPI application: routers, middleware and error handlers."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect

from saccade import __version__
from saccade.app.auth.oidc.provider import Provider
from saccade.app.labels.live import LiveLabelling
from saccade.app.panels.host import PanelHost
from saccade.core.errors import (
    AuthenticationError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    PermissionDeniedError,
    ProviderError,
    RateLimitedError,
    SaccadeError,
    StaleVersionError,
    StorageFullError,
    WorkspaceError,
)
from saccade.io.disk_space import is_disk_full
from saccade.server.dependencies.auth import Authorize
from saccade.server.dependencies.json_body import MAX_LISTED_ERRORS, InvalidBodyError
from saccade.server.dependencies.principal_cache import PrincipalCache
from saccade.server.dependencies.rate_limit import RateLimiter
from saccade.server.dependencies.version_cache import NotModifiedError, ProjectRegistry
from saccade.server.middleware.compression import CompressionMiddleware
from saccade.server.middleware.idempotency import IdempotencyMiddleware, ReplayedResponseError, replay_response
from saccade.server.middleware.project_prefix import ProjectPrefixMiddleware
from saccade.server.middleware.security import SecurityMiddleware
from saccade.server.routes import (
    catalog,
    datasets,
    evaluations,
    jobs,
    label_sets,
    members,
    models,
    oidc,
    panels,
    projects,
    runs,
    versions,
    webhooks,
)
from saccade.server.schemas.base import ErrorResponse
from saccade.server.schemas.encoding import error_response
from saccade.server.static import WEB_DIR, SpaStaticFiles
from saccade.store.workspace import Workspace

ROUTERS = (
    members.router,
    oidc.router,
    projects.router,
    datasets.router,
    versions.router,
    label_sets.router,
    jobs.router,
    catalog.router,
    models.router,
    evaluations.router,
    runs.router,
    webhooks.router,
    panels.router,
)
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse} for status in (401, 403, 404, 409, 412, 413, 422, 429, 507)
}
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
# Checked in order: StaleVersionError is a ConflictError and must come first.
_ERROR_STATUS: tuple[tuple[type[SaccadeError], int], ...] = (
    (AuthenticationError, 401),
    (PermissionDeniedError, 403),
    (NotFoundError, 404),
    (StaleVersionError, 412),
    (ConflictError, 409),
    (RateLimitedError, 429),
    (ProviderError, 502),
    (StorageFullError, 507),
    (WorkspaceError, 503),
)
_MAX_FIELD_NAME = 200
_log = logging.getLogger("saccade.server")


def create_app(
    workspace: Workspace,
    *,
    hosts: tuple[str, ...] = (),
    origin: str = "",
    import_roots: Sequence[Path] = (),
    allow_private: bool = False,
    provider: Provider | None = None,
    panel_host: PanelHost | None = None,
) -> FastAPI:
    """Create the application that serves a workspace.

    Args:
        workspace: The workspace to serve, with all its projects.
        hosts: Accepted ``Host`` header values besides the local ones. Other hosts are refused, which prevents DNS
            rebinding attacks.
        origin: Public origin for generated links, such as ``https://labels.example.org``. Empty: the origin of each
            request.
        import_roots: Folders of this machine that users may import from.
        allow_private: Allow webhooks to addresses that are not on the public internet.
        provider: OpenID Connect provider for single sign-on.
        panel_host: Runs the panels of plugins; a host with the default limits if None.

    Raises:
        InvalidValueError: ``provider`` is set, the server accepts non-local hosts, and ``origin`` is empty.
    """
    if provider is not None and not origin and not {*hosts} <= {*_LOCAL_HOSTS}:
        raise InvalidValueError(
            "Single sign-on needs the public origin of this server.",
            hint="Set the same origin as at the provider: --origin https://labels.example.org",
        )
    app = FastAPI(
        title="Saccade",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Authorize],
        responses=ERROR_RESPONSES,
    )
    app.state.projects = ProjectRegistry(workspace)
    app.state.principals = PrincipalCache()
    app.state.origin = origin.rstrip("/")
    app.state.password_limiter = RateLimiter()
    app.state.sso_limiter = RateLimiter()
    app.state.provider = provider
    app.state.allow_private = allow_private
    app.state.panels = panel_host or PanelHost(workspace)
    app.state.labelling = LiveLabelling(workspace)
    app.state.import_roots = tuple(folder.resolve() for folder in import_roots)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/", SpaStaticFiles(WEB_DIR))
    app.add_exception_handler(SaccadeError, _handle_domain_error)
    app.add_exception_handler(NotModifiedError, _handle_not_modified)
    app.add_exception_handler(ReplayedResponseError, replay_response)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_error)
    app.add_exception_handler(ClientDisconnect, _handle_disconnect)
    app.add_exception_handler(Exception, _handle_unexpected)
    # The middleware that is added last runs first: the host is checked before anything else.
    app.add_middleware(IdempotencyMiddleware)
    app.add_middleware(CompressionMiddleware)
    app.add_middleware(SecurityMiddleware)
    app.add_middleware(ProjectPrefixMiddleware)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL_HOSTS, *hosts], www_redirect=False)
    return app


async def _handle_domain_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SaccadeError)
    if is_disk_full(error):
        error = StorageFullError()
    status = next((status for error_type, status in _ERROR_STATUS if isinstance(error, error_type)), 422)
    response = error_response(status, error.code, error.message, error.hint)
    if isinstance(error, RateLimitedError):
        response.headers["Retry-After"] = str(error.seconds)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _handle_not_modified(request: Request, error: Exception) -> Response:
    return Response(status_code=304)


async def _handle_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # The rejected values are not echoed: one of them may be a password.
    fields = {_field_name(detail["loc"]): str(detail["msg"]) for detail in error.errors()[:MAX_LISTED_ERRORS]}
    count = error.count if isinstance(error, InvalidBodyError) else len(error.errors())
    message = "The request is invalid."
    if count > MAX_LISTED_ERRORS:
        message = f"The request is invalid: it has {count:,} errors, of which the first {MAX_LISTED_ERRORS} are listed."
    return error_response(422, "invalid-value", message, fields=fields)


def _field_name(location: Sequence[Any]) -> str:
    """Return the path of a field, such as ``files.0.digest``; cut, because the client chooses the names."""
    name = ".".join(map(str, location[1:])) or str(location[0])
    return name[:_MAX_FIELD_NAME].encode("utf-8", "replace").decode()


async def _handle_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # malformed JSON: the same error as JSON of the wrong shape
        return error_response(422, "invalid-value", f"{error.detail}.")
    code = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "error")
    return error_response(error.status_code, code, str(error.detail))


async def _handle_disconnect(request: Request, error: Exception) -> Response:
    return error_response(
        400, "error", "The client closed the connection."
    )  # for the ASGI server; not logged as an error


async def _handle_unexpected(request: Request, error: Exception) -> Response:
    """Log an unexpected error under an id, and return the id only: the message may contain internal details."""
    if is_disk_full(error):
        return await _handle_domain_error(request, StorageFullError())
    error_id = uuid.uuid4().hex[:12]
    _log.error("error %s at %s %s", error_id, request.method, request.url.path, exc_info=error)
    return error_response(500, "error", f"Internal server error. See the server log for error {error_id}.")
