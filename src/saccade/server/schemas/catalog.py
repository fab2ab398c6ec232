"""What is installed: formats, operations, components."""

from __future__ import annotations

from typing import Any

from saccade.server.schemas.base import Answer


class FormatAnswer(Answer):
    name: str
    holds: str
    can_write: bool


class PortAnswer(Answer):
    name: str
    type: str
    several: bool
    optional: bool
    help: str


class OperationAnswer(Answer):
    """An operation; ``granularity`` says what is done again when something changes, ``parameters`` is a JSON Schema."""

    name: str
    granularity: str
    help: str
    output: str
    inputs: list[PortAnswer]
    parameters: dict[str, Any]


class ComponentNames(Answer):
    encoders: list[str]
    necks: list[str]
    heads: list[str]
    augmentations: list[str]
