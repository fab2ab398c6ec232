"""Panels that packages add to the web app."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from saccade.app.panels.host import Panels
from saccade.core.errors import InvalidValueError, PanelError
from saccade.core.roles import Role
from saccade.server.dependencies.auth import Served, SignedIn
from saccade.server.permissions import API
from saccade.server.schemas.base import Problem
from saccade.server.schemas.panels import PanelAnswer, PanelShown
from saccade.store.auth.service import Caller

router = APIRouter(prefix=API, tags=["panels"])


def _panels(request: Request) -> Panels:
    found: Panels = request.app.state.panels
    return found


def _role(caller: Caller) -> Role:
    assert caller.role is not None, "only members come here"
    return caller.role


@router.get("/panels")
def panels(request: Request, caller: SignedIn) -> list[PanelAnswer]:
    """The panels that one may see; for managers also those whose package is broken."""
    return [PanelAnswer.model_validate(one) for one in _panels(request).list(_role(caller))]


@router.get("/panels/{panel}")
def panel(
    panel: str,
    request: Request,
    served: Served,
    caller: SignedIn,
    dataset: Annotated[str | None, Query(max_length=300)] = None,
    key: Annotated[str | None, Query(max_length=1000)] = None,
    parameters: Annotated[str, Query(max_length=8000, description="A JSON object.")] = "{}",
) -> PanelShown:
    """What a panel shows of a dataset, of an item or of the project; where it fails, why."""
    given = _object(parameters)
    try:
        blocks = _panels(request).show(panel, served.project, _role(caller), dataset=dataset, key=key, parameters=given)
    except PanelError as error:
        return PanelShown(blocks=[], error=Problem(code=error.code, message=error.message, hint=error.hint))
    return PanelShown(blocks=blocks, error=None)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidValueError(
            "The parameters of a panel are an object of JSON.", hint='Such as {"column": "objects"}.'
        )
    return found
