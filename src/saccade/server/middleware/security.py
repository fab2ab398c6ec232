"""Limits on request bodies, and security and caching headers on responses."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.server.permissions import UPLOAD_PATHS, body_limits
from saccade.server.schemas.encoding import error_response

MAX_UPLOAD_BYTES = 1 << 40
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityMiddleware:
    """Refuse bodies that are too large or of unknown length, and add security, ETag and caching headers.

    Routes set the entity tag of their response as ``request.state.etag``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["etag"] = None

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(MutableHeaders(scope=message), message["status"], state["etag"])
            await send(message)

        headers = Headers(scope=scope)
        length = headers.get("Content-Length", "0")
        path = scope["path"]
        limit = MAX_UPLOAD_BYTES if UPLOAD_PATHS.fullmatch(path) else body_limits(path).size
        if "Transfer-Encoding" in headers or not length.isdigit() or int(length) > limit:
            message = f"The request body must have a Content-Length of at most {limit:,} bytes."
            await error_response(413, "too-large", message)(scope, receive, send)
            return
        await self._app(scope, receive, send_with_headers)


def _add_headers(headers: MutableHeaders, status: int, etag: str | None) -> None:
    if etag is not None and status in (200, 201, 304):
        headers["ETag"] = etag
        # The 201 response to a write carries the tag of the new version, but must not be cached itself.
        if status != 201:
            headers.setdefault("Cache-Control", "private, no-cache")
    headers.setdefault("Cache-Control", "no-store")
    for name, value in _SECURITY_HEADERS.items():
        headers.setdefault(name, value)
