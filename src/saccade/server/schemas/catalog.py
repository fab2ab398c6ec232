"""Installed formats, operations and model components."""

from __future__ import annotations

from typing import Any

from saccade.server.schemas.base import ResponseModel


class FormatResponse(ResponseModel):
    """A dataset format; ``supports`` describes what it can hold."""

    name: str
    supports: str
    can_write: bool


class PortResponse(ResponseModel):
    """An input of an operation; ``multiple``: it accepts any number of inputs."""

    name: str
    type: str
    multiple: bool
    optional: bool
    help: str


class OperationResponse(ResponseModel):
    """A pipeline operation.

    ``granularity`` is the unit that is recomputed if an input changes, ``parameters`` a JSON Schema.
    """

    name: str
    granularity: str
    help: str
    output: str
    inputs: list[PortResponse]
    parameters: dict[str, Any]


class ComponentsResponse(ResponseModel):
    """Names of model components and augmentations for recipes."""

    encoders: list[str]
    necks: list[str]
    heads: list[str]
    augmentations: list[str]
