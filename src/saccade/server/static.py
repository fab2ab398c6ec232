"""The web app: its built files, and ``index.html`` for every path outside the API."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from saccade.server.schemas.encoding import error_response

WEB_DIR = Path(__file__).parent / "web"
"""Output folder of the web build; part of the wheel."""
_PAGE_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'self'",
            "img-src 'self' data: blob:",
            "style-src 'self' 'unsafe-inline'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    ),
    "Cache-Control": "no-cache",
}
_IMMUTABLE = "public, max-age=31536000, immutable"
_NOT_BUILT = "The web app is not built. Build it: make web"
_CONTENT_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class SpaStaticFiles:
    """Serve a single-page app: its assets, pre-compressed if the client accepts gzip, and its page for other paths."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = StaticFiles(directory=folder, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        path = str(scope["path"]).lstrip("/")
        if path.startswith("api/") or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return error_response(404, "not-found", "No such route.")
        if not (self._folder / "index.html").exists():
            return Response(_NOT_BUILT, 503, media_type="text/plain")
        if path.startswith("assets/") or path == "icon.svg":
            return await self._asset(path, scope)
        return FileResponse(self._folder / "index.html", headers=_PAGE_HEADERS)

    async def _asset(self, path: str, scope: Scope) -> Response:
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        use_gzip = "gzip" in accepted and (self._folder / f"{path}.gz").is_file()
        try:
            response = await self._files.get_response(f"{path}.gz" if use_gzip else path, scope)
        except HTTPException as error:
            return Response(str(error.detail), error.status_code, media_type="text/plain")
        if use_gzip:
            response.headers["Content-Encoding"] = "gzip"
            # Starlette guesses the type from the .gz suffix, so it is set from the original one.
            response.headers["Content-Type"] = _CONTENT_TYPES.get(Path(path).suffix, "application/octet-stream")
        response.headers["Vary"] = "Accept-Encoding"
        # Names of assets contain a hash of their content.
        response.headers["Cache-Control"] = _IMMUTABLE if path.startswith("assets/") else "no-cache"
        return response
