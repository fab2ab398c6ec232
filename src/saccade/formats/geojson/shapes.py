"""Shapes of GeoJSON, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from saccade.core.objects import Box, Geometry, Keypoints, Points, Polygon, Polyline
from saccade.formats._common.json import Json, to_float

RESERVED_PROPERTIES = ("classification", "saccade", "objectType", "isLocked", "color")
"""Properties of a feature that are not attributes."""


def _read_points(positions: Any) -> tuple[tuple[float, float], ...]:
    return tuple((to_float(position[0]), to_float(position[1])) for position in positions)


def _read_ring(positions: Any) -> tuple[tuple[float, float], ...]:
    points = _read_points(positions)
    # GeoJSON repeats the first point at the end of a ring.
    return points[:-1] if len(points) > 3 and points[0] == points[-1] else points


READERS: Mapping[str, Callable[[Any], Geometry]] = {
    "Polygon": lambda coordinates: Polygon((tuple(map(_read_ring, coordinates)),)),
    "MultiPolygon": lambda coordinates: Polygon(tuple(tuple(map(_read_ring, part)) for part in coordinates)),
    "LineString": lambda coordinates: Polyline(_read_points(coordinates)),
    "Point": lambda coordinates: Points(_read_points([coordinates])),
    "MultiPoint": lambda coordinates: Points(_read_points(coordinates)),
}
"""Functions that build a geometry from the ``coordinates`` of a shape, by its type."""


def read_keypoints(data: Json) -> Keypoints:
    """Build the keypoints that :func:`keypoints_extra` describes."""
    box = data.get("box")
    return Keypoints(
        _read_points(data["points"]),
        tuple(int(visibility) for visibility in data["visibility"]),
        Box(*(to_float(side) for side in box)) if box else None,
        data.get("area"),
    )


def keypoints_extra(keypoints: Keypoints) -> Json:
    """Return what GeoJSON's points cannot express of keypoints."""
    return {
        "points": keypoints.points,
        "visibility": keypoints.visibility,
        "area": keypoints.region_area,
        "box": keypoints.box.bounds_xyxy() if keypoints.box else None,
    }


def write_shape(geometry: Geometry) -> Json:
    """Return the GeoJSON geometry; types that GeoJSON lacks become their bounding box."""
    match geometry:
        case Polygon():
            parts = [[_closed_ring(ring) for ring in part] for part in geometry.parts]
            if len(parts) == 1:
                return {"type": "Polygon", "coordinates": parts[0]}
            return {"type": "MultiPolygon", "coordinates": parts}
        case Polyline():
            return {"type": "LineString", "coordinates": [list(point) for point in geometry.points]}
        case Points() | Keypoints():
            points = [list(point) for point in geometry.points]
            if len(points) == 1:
                return {"type": "Point", "coordinates": points[0]}
            return {"type": "MultiPoint", "coordinates": points}
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return {"type": "Polygon", "coordinates": [_closed_ring(((x1, y1), (x2, y1), (x2, y2), (x1, y2)))]}


def _closed_ring(ring: Sequence[tuple[float, float]]) -> list[list[float]]:
    return [list(point) for point in (*ring, ring[0])]
