"""Shapes of VIA, in both directions; only ``rect`` is read by the reader itself, since boxes are clipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Box, Ellipse, Geometry, Points, Polygon, Polyline
from saccade.formats._common.json import Json, to_float


def _read_points(shape: Json) -> list[tuple[float, float]]:
    xs = shape.get("all_points_x")
    ys = shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise InvalidValueError("all_points_x and all_points_y must be lists of the same length.")
    return [(to_float(x), to_float(y)) for x, y in zip(xs, ys, strict=True)]


def _read_circle(shape: Json) -> Ellipse:
    radius = to_float(shape.get("r"))
    return Ellipse(to_float(shape.get("cx")), to_float(shape.get("cy")), radius, radius, 0.0)


def _read_ellipse(shape: Json) -> Ellipse:
    cx, cy, rx, ry = (to_float(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
    return Ellipse(cx, cy, rx, ry, math.degrees(to_float(shape.get("theta", 0.0))))


READERS: Mapping[str, Callable[[Json], Geometry]] = {
    "circle": _read_circle,
    "ellipse": _read_ellipse,
    "polygon": lambda shape: Polygon.simple(_read_points(shape)),
    "polyline": lambda shape: Polyline(tuple(_read_points(shape))),
    "point": lambda shape: Points(((to_float(shape.get("cx")), to_float(shape.get("cy"))),)),
}
"""Functions that build a geometry from the ``shape_attributes`` of a region, by their ``name``."""


def write_shape(geometry: Geometry) -> Json:
    """Return the ``shape_attributes`` of a geometry of a type that VIA has."""
    match geometry:
        case Ellipse(cx, cy, rx, ry, angle):
            if rx == ry and angle == 0:
                return {"name": "circle", "cx": cx, "cy": cy, "r": rx}
            return {"name": "ellipse", "cx": cx, "cy": cy, "rx": rx, "ry": ry, "theta": math.radians(angle)}
        case Polygon():
            return _point_lists("polygon", geometry.parts[0][0])
        case Polyline():
            return _point_lists("polyline", geometry.points)
        case Points():
            ((x, y),) = geometry.points
            return {"name": "point", "cx": x, "cy": y}
        case _:
            assert isinstance(geometry, Box)
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}


def _point_lists(name: str, points: Sequence[tuple[float, float]]) -> Json:
    return {"name": name, "all_points_x": [x for x, _ in points], "all_points_y": [y for _, y in points]}
