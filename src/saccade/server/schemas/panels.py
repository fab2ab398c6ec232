"""Panels of plugins."""

from __future__ import annotations

from saccade.app.panels.blocks import AnyBlock
from saccade.app.panels.panel import PanelSlot
from saccade.core.roles import Role
from saccade.server.schemas.base import ErrorDetail, ResponseModel


class PanelResponse(ResponseModel):
    """A panel. If its package fails to load, ``error`` says why, and ``slot`` is null."""

    name: str
    title: str
    slot: PanelSlot | None
    role: Role
    help: str
    package: str
    error: str


class PanelContent(ResponseModel):
    """The rendered blocks of a panel in order; empty if it failed, with the reason in ``error``."""

    blocks: list[AnyBlock]
    error: ErrorDetail | None
