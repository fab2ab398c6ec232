"""Values of Saccade as JSON has them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import orjson
from fastapi import Response

from saccade.core.objects import Box, Geometry, Object
from saccade.core.reader import Item
from saccade.core.schema import FileRef, ImageRef, VideoRef

_FIELDS: dict[type[Any], tuple[str, ...]] = {}
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def plain(value: Any) -> Any:
    """A value as JSON; numbers that are not finite as the texts NaN, Infinity and -Infinity."""
    return _PLAIN.get(type(value), _plain_other)(value)


def _plain_number(value: float) -> float | str:
    return value if math.isfinite(value) else _NOT_FINITE.get(value, "NaN")


def _plain_list(value: Sequence[Any]) -> list[Any]:
    return [plain(inner) for inner in value]


def _plain_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): plain(inner) for name, inner in value.items()}


def _plain_media(value: ImageRef | VideoRef | FileRef) -> dict[str, Any]:
    return {name: plain(getattr(value, name)) for name in _fields_of(type(value)) if name != "uri"}


def _plain_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _plain_mapping(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain_mapping(asdict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _plain_list(value)
    return value


def _plain_object(one: Object) -> dict[str, Any]:
    return {
        "id": one.id,
        "class": one.class_name,
        "score": one.score,
        "track": one.track,
        "geometry": _plain_geometry(one.geometry),
        "bounds": one.geometry.bounds_xyxy(),
        "attributes": plain(one.attributes) if one.attributes else {},
    }


def _plain_geometry(geometry: Geometry) -> dict[str, Any]:
    """A shape by its fields; their numbers are finite."""
    made: dict[str, Any] = {"type": geometry.type}
    for name in _fields_of(type(geometry)):
        value = getattr(geometry, name)
        made[name] = _plain_geometry(value) if isinstance(value, Box) else value
    return made


def _fields_of(kind: type[Any]) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(one.name for one in fields(kind))
    return _FIELDS[kind]


_PLAIN: Mapping[type[Any], Callable[[Any], Any]] = {
    float: _plain_number,
    list: _plain_list,
    tuple: _plain_list,
    dict: _plain_mapping,
    Object: _plain_object,
    ImageRef: _plain_media,
    VideoRef: _plain_media,
    FileRef: _plain_media,
    str: lambda text: text,
}


def plain_item(item: Item) -> dict[str, Any]:
    """An item as :class:`ItemAnswer` has it."""
    return {"key": item.key, "values": {name: plain(value) for name, value in item.values.items()}}


def as_json(value: Any) -> Response:
    """An answer that is plain already: not looked at again by pydantic, which for a page takes longer than all else."""
    try:
        body = orjson.dumps(value)
    except TypeError:  # a number of more than 64 bits
        body = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    return Response(body, media_type="application/json")
