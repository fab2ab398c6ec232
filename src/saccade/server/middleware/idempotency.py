"""Idempotency keys: a write with an ``Idempotency-Key`` header is done once, even if the client sends it again.

The middleware reads the key and buffers the response; :func:`begin_idempotent` reserves the key once the request is
authorized; the response is stored before the client receives it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio.to_thread import run_sync
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.app.jobs.idempotency import IdempotentRequest, begin_request
from saccade.core.digest import digest_bytes
from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.server.permissions import (
    IDEMPOTENT_BY_ROUTE,
    REQUIRED_ROLES,
    ROUTE_PERMISSIONS,
    SAFE_METHODS,
    SECRET_RESPONSES,
    UPLOAD_PATHS,
)
from saccade.store.auth.service import Principal
from saccade.store.jobs.idempotency import StoredResponse
from saccade.store.workspace import Workspace

IDEMPOTENCY_HEADER = "Idempotency-Key"
MAX_KEY_LENGTH = 200
REPLAYED_HEADER = "Idempotency-Replayed"
_MAX_UNSAVED = 1000
_log = logging.getLogger("saccade.server")


class ReplayedResponseError(Exception):
    """The request was done before; carries the stored response."""

    def __init__(self, response: StoredResponse) -> None:
        super().__init__(response.status)
        self.response = response


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """Idempotency key and digest of a request."""

    key: str
    digest: str


def begin_idempotent(request: Request, workspace: Workspace, principal: Principal, route: str) -> None:
    """Reserve the idempotency key of an authorized request; does nothing for a request without one.

    Raises:
        InvalidValueError: The key is empty or too long.
        ReplayedResponseError: The request was done before.
        ConflictError: The key belongs to another request, or the response is unknown or secret.
    """
    fingerprint: _Fingerprint | None = getattr(request.state, "fingerprint", None)
    if fingerprint is None or route in IDEMPOTENT_BY_ROUTE:
        return
    if not 1 <= len(fingerprint.key) <= MAX_KEY_LENGTH:
        raise InvalidValueError(f"The {IDEMPOTENCY_HEADER} must have 1 to {MAX_KEY_LENGTH} characters.")
    result = begin_request(
        workspace,
        principal.user.id,
        fingerprint.key,
        fingerprint.digest,
        is_secret=route in SECRET_RESPONSES,
    )
    if not isinstance(result, IdempotentRequest):
        raise ReplayedResponseError(result)
    request.state.in_flight = result


async def replay_response(request: Request, error: Exception) -> Response:
    """Exception handler: send the stored response again."""
    assert isinstance(error, ReplayedResponseError)
    stored = error.response
    request.state.etag = stored.etag or None
    media_type = "application/json" if stored.body else None
    return Response(stored.body, stored.status, {REPLAYED_HEADER: "true"}, media_type)


def document_idempotency(openapi: dict[str, Any]) -> None:
    """Add the header to all routes of an OpenAPI document that support it, in place."""
    header = {
        "name": IDEMPOTENCY_HEADER.lower(),
        "in": "header",
        "required": False,
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
        "description": "Unique key of this request. If it is sent again within a day, the stored response is returned.",
    }
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            route = f"{method.upper()} {path}"
            is_supported = method.upper() not in SAFE_METHODS and not UPLOAD_PATHS.fullmatch(path)
            if is_supported and route not in IDEMPOTENT_BY_ROUTE and ROUTE_PERMISSIONS[route] in REQUIRED_ROLES:
                operation.setdefault("parameters", []).append(header)


class IdempotencyMiddleware:
    """Read idempotency keys, and store the responses of requests that have one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._unsaved: deque[Callable[[], None]] = deque(maxlen=_MAX_UNSAVED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_supported = (
            scope["type"] == "http"
            and scope["method"] not in SAFE_METHODS
            and not UPLOAD_PATHS.fullmatch(scope["path"])
        )
        key = Headers(scope=scope).get(IDEMPOTENCY_HEADER) if is_supported else None
        if key is None:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        if self._unsaved:
            await run_sync(self._retry_saves)
        state = scope["state"]
        digest = _digest(scope["method"].encode(), scope["path"].encode(), scope["query_string"], body)
        state["fingerprint"] = _Fingerprint(key, digest)
        messages: list[Message] = []

        async def buffer(message: Message) -> None:
            messages.append(message)

        try:
            await self._app(scope, _replay_body(body, receive), buffer)
        except Exception:
            if in_flight := state.get("in_flight"):
                await run_sync(in_flight.mark_unknown)
            raise
        if in_flight := state.get("in_flight"):
            content = b"".join(message.get("body", b"") for message in messages[1:])
            await run_sync(self._save, partial(in_flight.complete, messages[0]["status"], content, state["etag"] or ""))
        for message in messages:
            await send(message)

    def _save(self, complete: Callable[[], None]) -> None:
        """Store a response. On an error, such as a full disk, it is retried later: the write itself is done."""
        try:
            complete()
        except (SaccadeError, OSError) as error:
            _log.warning("cannot store the response of an idempotent request: %s", error)
            self._unsaved.append(complete)

    def _retry_saves(self) -> None:
        for _ in range(len(self._unsaved)):
            self._save(self._unsaved.popleft())


def _digest(*parts: bytes) -> str:
    # With the length of each part, so that no two different requests concatenate to the same bytes.
    return digest_bytes(b"".join(b"%d:%b" % (len(part), part) for part in parts))


async def _read_body(receive: Receive) -> bytes | None:
    """Read the request body; None if the client disconnects."""
    chunks = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks)


def _replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that yields the body read before, then what follows."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
