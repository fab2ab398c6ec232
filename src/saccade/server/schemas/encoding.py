"""JSON encoding of values and errors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import orjson
from fastapi import Response
from fastapi.responses import JSONResponse

from saccade.core.objects import Box, Geometry, Object
from saccade.core.reader import Item
from saccade.core.schema import FileRef, ImageRef, VideoRef

_NON_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
_field_names: dict[type[Any], tuple[str, ...]] = {}


def to_jsonable(value: Any) -> Any:
    """Convert a value to JSON types. Non-finite numbers become the strings NaN, Infinity and -Infinity."""
    return _ENCODERS.get(type(value), _encode_other)(value)


def _encode_float(value: float) -> float | str:
    return value if math.isfinite(value) else _NON_FINITE.get(value, "NaN")


def _encode_list(value: Sequence[Any]) -> list[Any]:
    return [to_jsonable(element) for element in value]


def _encode_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): to_jsonable(element) for name, element in value.items()}


def _encode_media(value: ImageRef | VideoRef | FileRef) -> dict[str, Any]:
    # ``uri`` is a location on the server, which clients must not learn.
    return {name: to_jsonable(getattr(value, name)) for name in _fields_of(type(value)) if name != "uri"}


def _encode_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _encode_mapping(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _encode_mapping(asdict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _encode_list(value)
    return value


def _encode_object(obj: Object) -> dict[str, Any]:
    return {
        "id": obj.id,
        "class": obj.class_name,
        "score": obj.score,
        "track": obj.track,
        "geometry": _encode_geometry(obj.geometry),
        "bounds": obj.geometry.bounds_xyxy(),
        "attributes": to_jsonable(obj.attributes) if obj.attributes else {},
    }


def _encode_geometry(geometry: Geometry) -> dict[str, Any]:
    """Encode a geometry by its fields, without a check of each number: coordinates are always finite."""
    encoded: dict[str, Any] = {"type": geometry.type}
    for name in _fields_of(type(geometry)):
        value = getattr(geometry, name)
        encoded[name] = _encode_geometry(value) if isinstance(value, Box) else value
    return encoded


def _fields_of(dataclass_type: type[Any]) -> tuple[str, ...]:
    if dataclass_type not in _field_names:
        _field_names[dataclass_type] = tuple(field.name for field in fields(dataclass_type))
    return _field_names[dataclass_type]


_ENCODERS: Mapping[type[Any], Callable[[Any], Any]] = {
    float: _encode_float,
    list: _encode_list,
    tuple: _encode_list,
    dict: _encode_mapping,
    Object: _encode_object,
    ImageRef: _encode_media,
    VideoRef: _encode_media,
    FileRef: _encode_media,
    str: lambda text: text,
}


def item_to_jsonable(item: Item) -> dict[str, Any]:
    """Convert an item to the JSON of :class:`~saccade.server.schemas.datasets.ItemResponse`."""
    return {"key": item.key, "values": {name: to_jsonable(value) for name, value in item.values.items()}}


def orjson_response(value: Any) -> Response:
    """Respond with JSON types without validation by pydantic, which takes most of the time of a page of items."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # orjson refuses integers of more than 64 bits
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(body, media_type="application/json")


def error_response(
    status: int, code: str, message: str, hint: str = "", fields: Mapping[str, str] | None = None
) -> JSONResponse:
    """Respond with an error in the format of :class:`~saccade.server.schemas.base.ErrorResponse`."""
    error = {"code": code, "message": message, "hint": hint, "fields": dict(fields or {})}
    return JSONResponse({"error": error}, status)
