"""Panels that plugins add to the web app."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Query, Request

from saccade.app.panels.host import PanelHost
from saccade.core.errors import InvalidValueError, PanelError
from saccade.core.roles import Role
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.base import ErrorDetail
from saccade.server.schemas.panels import PanelContent, PanelResponse
from saccade.store.auth.service import Principal

router = ApiRouter(tags=["panels"])


def _host(request: Request) -> PanelHost:
    host: PanelHost = request.app.state.panels
    return host


def _role(principal: Principal) -> Role:
    assert principal.role is not None, "the permission of these routes requires a role"
    return principal.role


@router.get("/panels")
def list_panels(request: Request, principal: CurrentUser) -> list[PanelResponse]:
    """List the panels that the current user may see; managers also see those that fail to load."""
    return [PanelResponse.model_validate(panel) for panel in _host(request).list(_role(principal))]


@router.get("/panels/{panel}")
def render_panel(
    panel: str,
    request: Request,
    workspace: CurrentWorkspace,
    principal: CurrentUser,
    dataset: Annotated[str | None, Query(max_length=300)] = None,
    key: Annotated[str | None, Query(max_length=1000)] = None,
    parameters: Annotated[str, Query(max_length=8000, description="A JSON object.")] = "{}",
) -> PanelContent:
    """Render a panel for a dataset, an item or the project. If the panel fails, the response contains the error."""
    values = _parse_parameters(parameters)
    role = _role(principal)
    try:
        blocks = _host(request).render(panel, workspace.project, role, dataset=dataset, key=key, parameters=values)
    except PanelError as error:
        return PanelContent(blocks=[], error=ErrorDetail(code=error.code, message=error.message, hint=error.hint))
    return PanelContent(blocks=blocks, error=None)


def _parse_parameters(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise InvalidValueError(
            "The parameters of a panel must be a JSON object.", hint='For example {"column": "objects"}.'
        )
    return values
