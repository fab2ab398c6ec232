"""The web app: its built files, and its one page for every address that is none of the API's."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

PLACE = Path(__file__).parent / "web"
"""Where building the web app leaves it; a wheel carries it."""
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
_FOREVER = "public, max-age=31536000, immutable"
_MISSING = "The web app is not built here. Build it: make web"


class Pages:
    """Serves the built app, compressed where it was built so and the browser takes it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._files = StaticFiles(directory=place, check_dir=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(scope)
        await response(scope, receive, send)

    async def _answer(self, scope: Scope) -> Response:
        path = str(scope["path"]).lstrip("/")
        if path.startswith("api/") or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            error = {"code": "not-found", "message": "There is nothing there.", "hint": "", "fields": {}}
            return JSONResponse({"error": error}, 404)
        if not (self._place / "index.html").exists():
            return Response(_MISSING, 503, media_type="text/plain")
        if path.startswith("assets/") or path in ("icon.svg",):
            return await self._file(path, scope)
        return FileResponse(self._place / "index.html", headers=_PAGE_HEADERS)

    async def _file(self, path: str, scope: Scope) -> Response:
        accepted = dict(scope["headers"]).get(b"accept-encoding", b"").decode("latin-1")
        packed = "gzip" in accepted and (self._place / f"{path}.gz").is_file()
        try:
            response = await self._files.get_response(f"{path}.gz" if packed else path, scope)
        except HTTPException as error:
            return Response(str(error.detail), error.status_code, media_type="text/plain")
        if packed:
            response.headers["Content-Encoding"] = "gzip"
            kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
            response.headers["Content-Type"] = kinds.get(Path(path).suffix, "application/octet-stream")
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = _FOREVER if path.startswith("assets/") else "no-cache"
        return response
