"""Installed dataset formats, pipeline operations and model components."""

from __future__ import annotations

from typing import Any

from saccade.core.registry import entry_point_names
from saccade.operations.base import OPERATIONS, describe_operation
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.catalog import ComponentsResponse, FormatResponse, OperationResponse
from saccade.server.schemas.encoding import to_jsonable

router = ApiRouter(tags=["catalog"])


@router.get("/formats")
def list_formats() -> list[FormatResponse]:
    """List the dataset formats for import and export, with what each supports."""
    from saccade.formats.base import FORMATS

    return [
        FormatResponse(name=format.name, supports=format.supports, can_write=hasattr(format, "write"))
        for format in FORMATS
    ]


@router.get("/operations")
def list_operations() -> list[OperationResponse]:
    """List the pipeline operations."""
    return [_operation_response(name) for name in OPERATIONS.names()]


@router.get("/operations/{operation}")
def get_operation(operation: str) -> OperationResponse:
    """Get the inputs, output and parameters of a pipeline operation."""
    return _operation_response(operation)


def _operation_response(name: str) -> OperationResponse:
    description: dict[str, Any] = to_jsonable(describe_operation(OPERATIONS.get(name)))
    return OperationResponse(**description)


@router.get("/components")
def list_components() -> ComponentsResponse:
    """List the names of the model components and augmentations that recipes can use."""
    groups = ("encoders", "necks", "heads", "augmentations")
    return ComponentsResponse(**{group: entry_point_names(f"saccade.{group}") for group in groups})
