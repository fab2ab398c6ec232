"""Decode JSON responses to dataclasses, and build API paths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")
_DATETIME_FIELDS = frozenset({"created", "updated", "started", "finished", "at"})


def from_json(dataclass_type: type[T], data: Mapping[str, Any], **overrides: Any) -> T:
    """Create a dataclass instance from a JSON object. Unknown fields are ignored, lists become tuples.

    Args:
        dataclass_type: The class to create.
        data: The JSON object.
        overrides: Values of fields that replace those of ``data``.
    """
    names = {field.name for field in fields(dataclass_type)}
    values = {name: _decode(name, value) for name, value in data.items() if name in names}
    return dataclass_type(**{**values, **overrides})


def _decode(name: str, value: Any) -> Any:
    if name in _DATETIME_FIELDS and value is not None:
        return datetime.fromisoformat(value)
    return tuple(value) if isinstance(value, list) else value


def api_path(resource: str, *segments: str) -> str:
    """Return the path of a resource with escaped segments, such as ``/datasets/cells%402/tags``."""
    return "/".join(["", resource, *(quote(segment, safe="") for segment in segments)])
