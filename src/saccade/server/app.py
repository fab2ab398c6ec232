"""The application: routes behind the gate, one shape for errors, and what every answer says to browsers."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade import __version__
from saccade.app.auth.oidc.provider import Provider
from saccade.app.panels.host import Panels
from saccade.core.errors import (
    ConflictError,
    InvalidValueError,
    MovedError,
    NotAllowedError,
    NotFoundError,
    NotSignedInError,
    ProviderError,
    SaccadeError,
    TooManyError,
    WorkspaceError,
)
from saccade.server.dependencies.auth import PROJECT, Gate
from saccade.server.dependencies.rate_limit import Tries
from saccade.server.dependencies.version_cache import Sites, UnchangedError
from saccade.server.middleware.idempotency import AnsweredError, Once, answer_again
from saccade.server.permissions import API, FILES
from saccade.server.routes import (
    catalog,
    datasets,
    evaluations,
    jobs,
    members,
    models,
    oidc,
    panels,
    projects,
    runs,
    versions,
    webhooks,
)
from saccade.server.schemas.base import Failure
from saccade.server.static import PLACE, Pages
from saccade.store.workspace import Workspace

ROUTERS = (
    members.router,
    oidc.router,
    projects.router,
    datasets.router,
    versions.router,
    jobs.router,
    catalog.router,
    models.router,
    evaluations.router,
    runs.router,
    webhooks.router,
    panels.router,
)
LARGEST_BODY, LARGEST_UPLOAD = 1 << 20, 1 << 40
_OF_PROJECT = re.compile(rf"{API}/projects/(?P<project>[^/]+)/(?P<rest>.+)", re.DOTALL)
FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure} for status in (401, 403, 404, 409, 412, 413, 422, 429)
}
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_STATUS: tuple[tuple[type[SaccadeError], int], ...] = (
    (NotSignedInError, 401),
    (NotAllowedError, 403),
    (NotFoundError, 404),
    (MovedError, 412),
    (ConflictError, 409),
    (TooManyError, 429),
    (ProviderError, 502),
    (WorkspaceError, 503),
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_log = logging.getLogger("saccade.server")


def create_app(
    workspace: Workspace,
    *,
    hosts: tuple[str, ...] = (),
    origin: str = "",
    folders: Sequence[Path] = (),
    private: bool = False,
    provider: Provider | None = None,
    shown: Panels | None = None,
) -> FastAPI:
    """The application that serves a workspace.

    Args:
        hosts: names under which it is reached besides this machine's own; requests to others are refused, which keeps
            pages of other sites from reaching it by a name of theirs.
        origin: where links that it gives begin, such as ``https://labels.example.org``.
        folders: folders of this machine from which people may import.
        private: webhooks may lead to addresses that are not of the public internet.
        provider: the one for single sign-on, which has to know where it sends people back to.
        shown: what runs the panels; with the usual limits where it is not given.
    """
    if provider is not None and not origin and not {*hosts} <= {*_LOCAL}:
        raise InvalidValueError(
            "Single sign-on needs the address that browsers find this server at.",
            hint="Give it, as at the provider: --origin https://labels.example.org",
        )
    app = FastAPI(
        title="Saccade",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Gate],
        responses=FAILURES,
    )
    app.state.sites, app.state.origin = Sites(workspace), origin.rstrip("/")
    app.state.tries, app.state.beginnings, app.state.provider = Tries(), Tries(), provider
    app.state.private = private
    app.state.panels = shown or Panels(workspace)
    app.state.folders = tuple(folder.resolve() for folder in folders)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/", Pages(PLACE))
    app.add_exception_handler(SaccadeError, _known)
    app.add_exception_handler(UnchangedError, _unchanged)
    app.add_exception_handler(AnsweredError, answer_again)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(Exception, _unknown)
    app.add_middleware(Once)
    app.add_middleware(_Guarded)
    app.add_middleware(_InProject)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*_LOCAL, *hosts], www_redirect=False)
    return app


class _InProject:
    """Takes the project out of an address: the routes of each are those of the one that is always there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _OF_PROJECT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is not None:
            path = f"{API}/{found['rest']}"
            scope = {**scope, PROJECT: found["project"], "path": path, "raw_path": quote(path).encode()}
        await self._app(scope, receive, send)


class _Guarded:
    """Refuses bodies that are too long or do not say how long, and adds to answers what they say to browsers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["etag"] = None

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                _tell_browsers(MutableHeaders(scope=message), message["status"], state["etag"])
            await send(message)

        given = Headers(scope=scope)
        length = given.get("Content-Length", "0")
        most = LARGEST_UPLOAD if FILES.fullmatch(scope["path"]) else LARGEST_BODY
        if "Transfer-Encoding" in given or not length.isdigit() or int(length) > most:
            refused = _failure(413, "too-large", f"A request has at most {most:,} bytes, and says how many.")
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send_on)


def _tell_browsers(headers: MutableHeaders, status: int, etag: str | None) -> None:
    if etag is not None and status in (200, 201, 304):
        headers["ETag"] = etag
        if status != 201:
            headers.setdefault("Cache-Control", "private, no-cache")
    headers.setdefault("Cache-Control", "no-store")
    for name, value in _HEADERS.items():
        headers.setdefault(name, value)


def _failure(status: int, code: str, message: str, hint: str = "", **more: Any) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, "hint": hint, "fields": {}, **more}}, status)


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, SaccadeError)
    status = next((number for kind, number in _STATUS if isinstance(error, kind)), 422)
    response = _failure(status, error.code, error.message, error.hint)
    if isinstance(error, TooManyError):
        response.headers["Retry-After"] = str(error.seconds)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


async def _unchanged(request: Request, error: Exception) -> Response:
    return Response(status_code=304)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was given is not repeated: there may be a password in it.
    fields = {".".join(map(str, one["loc"][1:])) or str(one["loc"][0]): str(one["msg"]) for one in error.errors()}
    return _failure(422, "invalid-value", "The request is not as it is to be.", fields=fields)


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 400:  # a body that is no JSON, which is as wrong as JSON of the wrong shape
        return _failure(422, "invalid-value", f"{error.detail}.")
    code = {404: "not-found", 405: "not-allowed"}.get(error.status_code, "error")
    return _failure(error.status_code, code, str(error.detail))


async def _unknown(request: Request, error: Exception) -> Response:
    """What nobody thought of: told to the log with a number, and to whoever asked by the number alone."""
    number = uuid.uuid4().hex[:12]
    _log.error("error %s at %s %s", number, request.method, request.url.path, exc_info=error)
    return _failure(500, "error", f"Something went wrong; the server's log says what ({number}).")
