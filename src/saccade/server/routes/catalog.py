"""What there is to choose from: formats, operations of pipelines, components of models."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from saccade.core.registry import names_of
from saccade.operations.base import OPERATIONS, facts_of
from saccade.server.permissions import API
from saccade.server.schemas.catalog import ComponentNames, FormatAnswer, OperationAnswer
from saccade.server.schemas.encoding import plain

router = APIRouter(prefix=API, tags=["parts"])


@router.get("/formats")
def formats() -> list[FormatAnswer]:
    """The formats that can be imported and exported, and what each can hold."""
    from saccade.formats.base import FORMATS

    return [FormatAnswer(name=one.name, holds=one.holds, can_write=hasattr(one, "write")) for one in FORMATS]


@router.get("/operations")
def operations() -> list[OperationAnswer]:
    """The operations of which pipelines are made."""
    return [_answer(name) for name in OPERATIONS.names()]


@router.get("/operations/{operation}")
def operation(operation: str) -> OperationAnswer:
    """What an operation takes and gives."""
    return _answer(operation)


def _answer(name: str) -> OperationAnswer:
    facts: dict[str, Any] = plain(facts_of(OPERATIONS.get(name)))
    return OperationAnswer(**facts)


@router.get("/components")
def components() -> ComponentNames:
    """The names of the parts of models and of augmentations that a recipe may use."""
    groups = ("encoders", "necks", "heads", "augmentations")
    return ComponentNames(**{group: names_of(f"saccade.{group}") for group in groups})
