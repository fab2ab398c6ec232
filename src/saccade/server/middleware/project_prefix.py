"""Project prefix of request paths: ``/api/v1/projects/{project}/...``."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.types import ASGIApp, Receive, Scope, Send

from saccade.server.permissions import API

PROJECT_SCOPE_KEY = "saccade.project"
"""Key of the ASGI scope that holds the name of the requested project; absent for the default project."""
_PROJECT_PATH = re.compile(rf"{API}/projects/(?P<project>[^/]+)/(?P<rest>.+)", re.DOTALL)


class ProjectPrefixMiddleware:
    """Move the project from the path into the scope, so that every project is served by the same routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _PROJECT_PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is not None:
            path = f"{API}/{match['rest']}"
            scope = {**scope, PROJECT_SCOPE_KEY: match["project"], "path": path, "raw_path": quote(path).encode()}
        await self._app(scope, receive, send)
