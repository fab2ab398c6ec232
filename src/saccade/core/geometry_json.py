"""Geometries as JSON, in the form of the HTTP API: ``{"type": "box", "x1": 1.0, …}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from saccade.core.errors import InvalidValueError, suggest
from saccade.core.objects import GEOMETRY_TYPES, Box, Geometry, Keypoints


def geometry_to_json(geometry: Geometry) -> dict[str, Any]:
    """Encode a geometry with JSON types only; equal geometries have equal encodings."""
    encoded: dict[str, Any] = {"type": geometry.type}
    for field in fields(geometry):
        value = getattr(geometry, field.name)
        encoded[field.name] = geometry_to_json(value) if isinstance(value, Box) else _to_lists(value)
    return encoded


def _to_lists(value: Any) -> Any:
    return [_to_lists(element) for element in value] if isinstance(value, tuple) else value


def geometry_from_json(data: object) -> Geometry:
    """Decode and validate a geometry.

    Raises:
        InvalidValueError: the type is unknown, a field is missing or unknown, or a value is not valid.
    """
    if not isinstance(data, Mapping):
        raise InvalidValueError("A geometry is an object with a type.")
    type_name = data.get("type")
    if not isinstance(type_name, str) or type_name not in GEOMETRY_TYPES:
        text = str(type_name)[:60]
        raise InvalidValueError(f"There is no geometry '{text}'.", hint=suggest(text, GEOMETRY_TYPES))
    geometry_type = GEOMETRY_TYPES[type_name]
    values = {name: value for name, value in data.items() if name != "type"}
    known = {field.name: field for field in fields(geometry_type)}
    if unknown := sorted(values.keys() - known.keys()):
        raise InvalidValueError(f"A geometry '{type_name}' has no field '{str(unknown[0])[:60]}'.")
    for name, field in known.items():
        if name not in values and field.default is MISSING:
            raise InvalidValueError(f"A geometry '{type_name}' needs the field '{name}'.")
    if geometry_type is Keypoints and values.get("box") is not None:
        values["box"] = _box_from_json(values["box"])
    try:
        return geometry_type(**values)
    except (TypeError, OverflowError) as error:  # a value of another type, or an integer that is too large for a float
        raise InvalidValueError(f"A geometry '{type_name}' is not valid: {error}.") from None


def _box_from_json(data: object) -> Box:
    box = geometry_from_json({"type": "box", **data} if isinstance(data, Mapping) else data)
    if not isinstance(box, Box):
        raise InvalidValueError(f"The box of keypoints is a geometry 'box', not '{box.type}'.")
    return box
