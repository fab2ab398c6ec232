"""Compression of JSON responses with gzip."""

from __future__ import annotations

import zlib

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saccade.server.permissions import UNCOMPRESSED_ROUTES

MIN_COMPRESSED_BYTES = 1024
_LEVEL = 5
_GZIP_FORMAT = 16 + zlib.MAX_WBITS
# Larger parts are compressed in a worker thread; smaller ones take less than a millisecond.
_MAX_INLINE_BYTES = 32 << 10


class CompressionMiddleware:
    """Compress JSON responses for clients that accept gzip.

    Images and Arrow streams are compressed already, and event streams must not be buffered. Responses with a secret
    are not compressed: their size would reveal it to a site that can make the browser repeat a request (BREACH).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "HEAD":
            await self._app(scope, receive, send)
            return
        is_accepted = accepts_gzip(Headers(scope=scope).get("Accept-Encoding", ""))
        start: Message | None = None
        compressor: zlib._Compress | None = None

        async def send_compressed(message: Message) -> None:
            nonlocal start, compressor
            if message["type"] == "http.response.start":
                if not _is_compressible(scope, message):
                    await send(message)
                    return
                MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
                if is_accepted:
                    start = message  # sent with the first part of the body, which may be too short to compress
                else:
                    await send(message)
                return
            if start is not None and message["type"] == "http.response.body":
                first, start = start, None
                is_complete = not message.get("more_body", False)
                if not is_complete or len(message.get("body", b"")) >= MIN_COMPRESSED_BYTES:
                    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
                    headers = MutableHeaders(scope=first)
                    headers["Content-Encoding"] = "gzip"
                    del headers["Content-Length"]
                    if is_complete:
                        message = {**message, "body": await _compress(compressor, message)}
                        headers["Content-Length"] = str(len(message["body"]))
                        compressor = None
                await send(first)
            if compressor is not None and message["type"] == "http.response.body":
                message = {**message, "body": await _compress(compressor, message)}
            await send(message)

        await self._app(scope, receive, send_compressed)


def _is_compressible(scope: Scope, start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    media_type = headers.get("Content-Type", "").partition(";")[0].strip()
    route = f"{scope['method']} {getattr(scope.get('route'), 'path', '')}"
    return (
        start["status"] in (200, 201)
        and media_type == "application/json"
        and "Content-Encoding" not in headers
        and "Set-Cookie" not in headers
        and route not in UNCOMPRESSED_ROUTES
    )


async def _compress(compressor: zlib._Compress, message: Message) -> bytes:
    """Compress a part of the body, and flush after the last one."""
    body: bytes = message.get("body", b"")
    is_last = not message.get("more_body", False)

    def run() -> bytes:
        return compressor.compress(body) + (compressor.flush() if is_last else b"")

    return run() if len(body) <= _MAX_INLINE_BYTES else await run_sync(run)


def accepts_gzip(header: str) -> bool:
    """Return whether an ``Accept-Encoding`` header accepts gzip, with the quality values of RFC 9110."""
    qualities: dict[str, float] = {}
    for part in header.lower().split(","):
        coding, _, parameters = part.partition(";")
        name, _, value = parameters.strip().partition("=")
        try:
            qualities[coding.strip()] = float(value) if name.strip() == "q" else 1.0
        except ValueError:
            qualities[coding.strip()] = 0.0
    return qualities.get("gzip", qualities.get("x-gzip", qualities.get("*", 0.0))) > 0
