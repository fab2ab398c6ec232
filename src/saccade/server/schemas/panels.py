"""Panels of packages."""

from __future__ import annotations

from saccade.app.panels.blocks import AnyBlock
from saccade.app.panels.panel import Place
from saccade.core.roles import Role
from saccade.server.schemas.base import Answer, Problem


class PanelAnswer(Answer):
    """A panel; ``error`` says why it cannot be shown, where its package is broken, and nobody knows its place."""

    name: str
    title: str
    place: Place | None
    role: Role
    help: str
    package: str
    error: str


class PanelShown(Answer):
    """The blocks of a panel in order; none where it failed, and ``error`` then says why."""

    blocks: list[AnyBlock]
    error: Problem | None
