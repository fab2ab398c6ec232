"""Objects as an Arrow list of structs; every geometry comes back exactly.

A box is its bounds. Every other geometry keeps its numbers in ``coords`` (float64) and ``shape`` (int64):

============  ==================================================  ==============================================
type          coords                                              shape
============  ==================================================  ==============================================
rotated_box   cx, cy, width, height, angle
polygon       x, y of every point                                 for each part: rings, then points of each ring
mask                                                              width, height, then the counts
polyline      x, y of every point
points        x, y of every point
keypoints     x, y of every point; its box; its region_area       has box, has area, visibility of each point
ellipse       cx, cy, rx, ry, angle
============  ==================================================  ==============================================

``x1, y1, x2, y2`` and ``area`` are there for every geometry, so that a query needs to know none of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from saccade.core.errors import InvalidValueError
from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Objects,
    Point,
    Points,
    Polygon,
    Polyline,
    Ring,
    RotatedBox,
)
from saccade.store.arrow.columns import build, cut, lists_from, offsets_of, to_list, to_list_of_few

OBJECT = pa.struct(
    [
        ("id", pa.string()),
        ("class", pa.string()),
        ("type", pa.string()),
        ("x1", pa.float64()),
        ("y1", pa.float64()),
        ("x2", pa.float64()),
        ("y2", pa.float64()),
        ("area", pa.float64()),
        ("coords", pa.list_(pa.float64())),
        ("shape", pa.list_(pa.int64())),
        ("score", pa.float64()),
        ("track", pa.string()),
        ("attributes", pa.string()),
    ]
)
OBJECTS = pa.list_(OBJECT)

Packed = tuple[Sequence[float], Sequence[int]]


def _flat(points: Iterable[Point]) -> list[float]:
    return list(chain.from_iterable(points))


def _pack_polygon(polygon: Polygon) -> Packed:
    shape: list[int] = []
    for part in polygon.parts:
        shape += [len(part), *map(len, part)]
    return _flat(chain.from_iterable(chain.from_iterable(polygon.parts))), shape


def _pack_keypoints(keypoints: Keypoints) -> Packed:
    box, area = keypoints.box, keypoints.region_area
    coords = _flat(keypoints.points)
    coords += [] if box is None else box.bounds_xyxy()
    coords += [] if area is None else [area]
    return coords, [int(box is not None), int(area is not None), *keypoints.visibility]


_PACK: Mapping[type, Callable[[Any], Packed]] = {
    Box: lambda _: ((), ()),
    RotatedBox: lambda g: ((g.cx, g.cy, g.width, g.height, g.angle), ()),
    Polygon: _pack_polygon,
    Mask: lambda g: ((), (g.width, g.height, *g.counts)),
    Polyline: lambda g: (_flat(g.points), ()),
    Points: lambda g: (_flat(g.points), ()),
    Keypoints: _pack_keypoints,
    Ellipse: lambda g: ((g.cx, g.cy, g.rx, g.ry, g.angle), ()),
}


def _pairs(coords: Sequence[float]) -> Ring:
    return tuple(zip(coords[::2], coords[1::2], strict=True))


def _unpack_polygon(coords: Sequence[float], shape: Sequence[int]) -> Polygon:
    points, parts, at = _pairs(coords), [], 0
    lengths = iter(shape)
    for rings in lengths:
        part = []
        for _ in range(rings):
            end = at + next(lengths)
            part.append(points[at:end])
            at = end
        parts.append(tuple(part))
    return Polygon(tuple(parts))


def _unpack_keypoints(coords: Sequence[float], shape: Sequence[int]) -> Keypoints:
    has_box, has_area, *visibility = shape
    end = 2 * len(visibility)
    box = Box(*coords[end : end + 4]) if has_box else None
    return Keypoints(_pairs(coords[:end]), tuple(visibility), box, coords[-1] if has_area else None)


_UNPACK: Mapping[str, Callable[[Sequence[float], Sequence[int]], Geometry]] = {
    RotatedBox.type: lambda coords, _: RotatedBox(*coords),
    Polygon.type: _unpack_polygon,
    Mask.type: lambda _, shape: build(Mask, 1, width=[shape[0]], height=[shape[1]], counts=[tuple(shape[2:])])[0],
    Polyline.type: lambda coords, _: Polyline(_pairs(coords)),
    Points.type: lambda coords, _: Points(_pairs(coords)),
    Keypoints.type: _unpack_keypoints,
    Ellipse.type: lambda coords, _: Ellipse(*coords),
}

_BOUNDS = attrgetter("x1", "y1", "x2", "y2")


def _bounds_and_areas(geometries: list[Geometry], plain: bool) -> tuple[npt.NDArray[np.float64], Any]:
    """Bounds as float64 (N, 4), and areas (N,)."""
    bounds = map(_BOUNDS, geometries) if plain else (geometry.bounds_xyxy() for geometry in geometries)
    made = np.fromiter(chain.from_iterable(bounds), np.float64, 4 * len(geometries)).reshape(-1, 4)
    if plain:
        return made, (made[:, 2] - made[:, 0]) * (made[:, 3] - made[:, 1])
    return made, np.fromiter((geometry.area() for geometry in geometries), np.float64, len(geometries))


def _pack(geometries: list[Geometry], plain: bool) -> tuple[pa.Array, pa.Array]:
    """The ``coords`` and ``shape`` columns."""
    packed: list[Packed] = [] if plain else [_PACK[type(geometry)](geometry) for geometry in geometries]
    made = []
    for index, dtype in ((0, np.float64), (1, np.int64)):
        if plain:
            offsets = np.zeros(len(geometries) + 1, np.int32)
            flat = np.empty(0, dtype)
        else:
            offsets = offsets_of((len(numbers[index]) for numbers in packed), len(packed))
            flat = np.fromiter(chain.from_iterable(numbers[index] for numbers in packed), dtype, int(offsets[-1]))
        made.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat)))
    return made[0], made[1]


def _check_ids(rows: Iterable[Objects | None]) -> None:
    for objects in rows:
        if objects and len({thing.id for thing in objects}) != len(objects):
            raise InvalidValueError(f"Two objects of one item share an id: {[thing.id for thing in objects][:20]}.")


def encode_objects(rows: Sequence[Objects | None]) -> pa.Array:
    """An array of type ``OBJECTS``: None becomes null, ``()`` an empty list."""
    _check_ids(rows)
    things = list(chain.from_iterable(objects for objects in rows if objects))
    geometries = [thing.geometry for thing in things]
    plain = set(map(type, geometries)) <= {Box}
    bounds, areas = _bounds_and_areas(geometries, plain)
    coords, shape = _pack(geometries, plain)
    children = [
        pa.array([thing.id for thing in things], pa.string()),
        pa.array([thing.class_name for thing in things], pa.string()),
        pa.array([geometry.type for geometry in geometries], pa.string()),
        *(pa.array(bounds[:, index]) for index in range(4)),
        pa.array(areas),
        coords,
        shape,
        pa.array([thing.score for thing in things], pa.float64()),
        pa.array([thing.track for thing in things], pa.string()),
        pa.array([_attributes_text(thing.attributes) for thing in things], pa.string()),
    ]
    return lists_from(rows, pa.StructArray.from_arrays(children, fields=list(OBJECT)))


def _attributes_text(attributes: Mapping[str, Any]) -> str | None:
    return json.dumps(dict(attributes), sort_keys=True) if attributes else None


def _numbers(lists: pa.Array) -> list[Sequence[Any] | None]:
    return cut(lists.flatten().to_numpy(zero_copy_only=False).tolist(), lists)


def _boxes(things: pa.StructArray) -> list[Box]:
    corners = {name: to_list(things.field(name)) for name in ("x1", "y1", "x2", "y2")}
    return build(Box, len(things), **corners)


def _decode_geometries(things: pa.StructArray, types: list[str]) -> Sequence[Geometry]:
    boxes = _boxes(things)
    if set(types) <= {Box.type}:
        return boxes
    coords, shapes = _numbers(things.field("coords")), _numbers(things.field("shape"))
    return [
        box if kind == Box.type else _UNPACK[kind](numbers or (), shape or ())
        for kind, box, numbers, shape in zip(types, boxes, coords, shapes, strict=True)
    ]


def decode_objects(array: pa.Array) -> list[Objects | None]:
    """The objects of each row of an array of type ``OBJECTS``."""
    things = array.flatten()
    types = to_list_of_few(things.field("type"))
    texts = to_list(things.field("attributes"))
    made = build(
        Object,
        len(things),
        id=to_list(things.field("id")),
        class_name=to_list_of_few(things.field("class")),
        geometry=_decode_geometries(things, types),
        score=to_list(things.field("score")),
        track=to_list(things.field("track")),
        attributes=[{} if text is None else json.loads(text) for text in texts],
    )
    return [None if objects is None else tuple(objects) for objects in cut(made, array)]
