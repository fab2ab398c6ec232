"""Codec between objects and an Arrow list of structs; every geometry is restored exactly.

A box is stored as its bounds. Every other geometry is stored in ``coords`` (float64) and ``shape`` (int64):

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

``x1, y1, x2, y2`` and ``area`` are set for every geometry, so that queries need not decode it.
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
from saccade.store.arrow.columns import (
    fast_init,
    list_array,
    list_offsets,
    split_by_offsets,
    to_list,
    to_list_dictionary,
)

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


_PACKERS: Mapping[type, Callable[[Any], Packed]] = {
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
    points = _pairs(coords)
    parts = []
    start = 0
    counts = iter(shape)
    for ring_count in counts:
        rings = []
        for _ in range(ring_count):
            end = start + next(counts)
            rings.append(points[start:end])
            start = end
        parts.append(tuple(rings))
    return Polygon(tuple(parts))


def _unpack_keypoints(coords: Sequence[float], shape: Sequence[int]) -> Keypoints:
    has_box, has_area, *visibility = shape
    end = 2 * len(visibility)
    box = Box(*coords[end : end + 4]) if has_box else None
    return Keypoints(_pairs(coords[:end]), tuple(visibility), box, coords[-1] if has_area else None)


_UNPACKERS: Mapping[str, Callable[[Sequence[float], Sequence[int]], Geometry]] = {
    RotatedBox.type: lambda coords, _: RotatedBox(*coords),
    Polygon.type: _unpack_polygon,
    Mask.type: lambda _, shape: fast_init(Mask, 1, width=[shape[0]], height=[shape[1]], counts=[tuple(shape[2:])])[0],
    Polyline.type: lambda coords, _: Polyline(_pairs(coords)),
    Points.type: lambda coords, _: Points(_pairs(coords)),
    Keypoints.type: _unpack_keypoints,
    Ellipse.type: lambda coords, _: Ellipse(*coords),
}

_BOUNDS = attrgetter("x1", "y1", "x2", "y2")


def _bounds_and_areas(geometries: list[Geometry], only_boxes: bool) -> tuple[npt.NDArray[np.float64], Any]:
    """Return the bounds as float64 (N, 4) and the areas as float64 (N,)."""
    bounds = map(_BOUNDS, geometries) if only_boxes else (geometry.bounds_xyxy() for geometry in geometries)
    bounds_xyxy = np.fromiter(chain.from_iterable(bounds), np.float64, 4 * len(geometries)).reshape(-1, 4)
    if only_boxes:
        widths = bounds_xyxy[:, 2] - bounds_xyxy[:, 0]
        heights = bounds_xyxy[:, 3] - bounds_xyxy[:, 1]
        return bounds_xyxy, widths * heights
    return bounds_xyxy, np.fromiter((geometry.area() for geometry in geometries), np.float64, len(geometries))


def _pack(geometries: list[Geometry], only_boxes: bool) -> tuple[pa.Array, pa.Array]:
    """Return the ``coords`` and ``shape`` columns."""
    packed: list[Packed] = [] if only_boxes else [_PACKERS[type(geometry)](geometry) for geometry in geometries]
    columns = []
    for index, dtype in ((0, np.float64), (1, np.int64)):
        if only_boxes:
            offsets = np.zeros(len(geometries) + 1, np.int32)
            flat = np.empty(0, dtype)
        else:
            offsets = list_offsets((len(numbers[index]) for numbers in packed), len(packed))
            flat = np.fromiter(chain.from_iterable(numbers[index] for numbers in packed), dtype, int(offsets[-1]))
        columns.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(flat)))
    return columns[0], columns[1]


def _check_ids(rows: Iterable[Objects | None]) -> None:
    for objects in rows:
        if objects and len({obj.id for obj in objects}) != len(objects):
            raise InvalidValueError(f"Two objects of one item share an id: {[obj.id for obj in objects][:20]}.")


def encode_objects(rows: Sequence[Objects | None]) -> pa.Array:
    """Encode the objects of each row as an array of type ``OBJECTS``: None becomes null, ``()`` an empty list.

    Raises:
        InvalidValueError: if two objects of a row have the same id.
    """
    _check_ids(rows)
    objects = list(chain.from_iterable(row for row in rows if row))
    geometries = [obj.geometry for obj in objects]
    only_boxes = set(map(type, geometries)) <= {Box}
    bounds_xyxy, areas = _bounds_and_areas(geometries, only_boxes)
    coords, shape = _pack(geometries, only_boxes)
    children = [
        pa.array([obj.id for obj in objects], pa.string()),
        pa.array([obj.class_name for obj in objects], pa.string()),
        pa.array([geometry.type for geometry in geometries], pa.string()),
        *(pa.array(bounds_xyxy[:, index]) for index in range(4)),
        pa.array(areas),
        coords,
        shape,
        pa.array([obj.score for obj in objects], pa.float64()),
        pa.array([obj.track for obj in objects], pa.string()),
        pa.array([_encode_attributes(obj.attributes) for obj in objects], pa.string()),
    ]
    return list_array(rows, pa.StructArray.from_arrays(children, fields=list(OBJECT)))


def _encode_attributes(attributes: Mapping[str, Any]) -> str | None:
    return json.dumps(dict(attributes), sort_keys=True) if attributes else None


def _decode_lists(lists: pa.Array) -> list[Sequence[Any] | None]:
    return split_by_offsets(lists.flatten().to_numpy(zero_copy_only=False).tolist(), lists)


def _decode_boxes(structs: pa.StructArray) -> list[Box]:
    corners = {name: to_list(structs.field(name)) for name in ("x1", "y1", "x2", "y2")}
    return fast_init(Box, len(structs), **corners)


def _decode_geometries(structs: pa.StructArray, types: list[str]) -> Sequence[Geometry]:
    boxes = _decode_boxes(structs)
    if set(types) <= {Box.type}:
        return boxes
    coords = _decode_lists(structs.field("coords"))
    shapes = _decode_lists(structs.field("shape"))
    return [
        box if geometry_type == Box.type else _UNPACKERS[geometry_type](numbers or (), shape or ())
        for geometry_type, box, numbers, shape in zip(types, boxes, coords, shapes, strict=True)
    ]


def decode_objects(array: pa.Array) -> list[Objects | None]:
    """Decode the objects of each row of an array of type ``OBJECTS``."""
    structs = array.flatten()
    types = to_list_dictionary(structs.field("type"))
    attributes = to_list(structs.field("attributes"))
    objects = fast_init(
        Object,
        len(structs),
        id=to_list(structs.field("id")),
        class_name=to_list_dictionary(structs.field("class")),
        geometry=_decode_geometries(structs, types),
        score=to_list(structs.field("score")),
        track=to_list(structs.field("track")),
        attributes=[{} if text is None else json.loads(text) for text in attributes],
    )
    return [None if row is None else tuple(row) for row in split_by_offsets(objects, array)]
