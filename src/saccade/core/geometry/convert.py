"""Conversion between geometry types, which also reports whether it was exact."""

from __future__ import annotations

import math

from saccade.core.errors import InvalidValueError, suggest
from saccade.core.geometry.contours import mask_to_polygon
from saccade.core.geometry.masks import resize_frame
from saccade.core.geometry.rasterize import polygon_to_mask
from saccade.core.geometry.rotated import min_area_rotated_box
from saccade.core.objects import (
    GEOMETRY_TYPES,
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Points,
    Polygon,
    Polyline,
    Ring,
    RotatedBox,
)

ELLIPSE_POINTS = 64
"""Number of points of the polygon for an ellipse; it loses 0.16 % of the area."""
_TOLERANCE = 1e-9


def convert(
    geometry: Geometry,
    target_type: str,
    size_wh: tuple[int, int] | None = None,
    *,
    ellipse_points: int = ELLIPSE_POINTS,
) -> tuple[Geometry, bool]:
    """Convert a geometry to another type.

    - box: the bounds of any type;
    - rotated_box: the smallest one around any type (for an ellipse, the one along its axes);
    - polygon: from a box, rotated box, mask or ellipse (inscribed);
    - mask: from a box, rotated box, polygon or ellipse, the pixels whose centre is inside; may be empty if the
      geometry is small.

    A geometry that has the target type already is returned unchanged, except that a mask is cropped or padded.

    Args:
        geometry: the geometry.
        target_type: name of the target type.
        size_wh: size of the image in pixels; required for masks.
        ellipse_points: number of points of the polygon for an ellipse.

    Returns:
        The converted geometry, and whether it covers exactly the same region.

    Raises:
        InvalidValueError: unknown target type, impossible conversion (such as points to mask), a geometry without
            extent, or a mask without ``size_wh``.
    """
    if target_type not in GEOMETRY_TYPES:
        raise InvalidValueError(f"There is no geometry '{target_type}'.", hint=suggest(target_type, GEOMETRY_TYPES))
    if target_type == "mask":
        return _to_mask(geometry, size_wh, ellipse_points)
    if target_type == geometry.type:
        return geometry, True
    converted: Geometry
    if target_type == "box":
        converted = _to_box(geometry)
    elif target_type == "rotated_box":
        converted = _to_rotated_box(geometry)
    elif target_type == "polygon":
        converted = _to_polygon(geometry, ellipse_points)
    else:
        raise _impossible(geometry, target_type)
    return converted, _is_same_region(geometry, converted)


def ellipse_to_polygon(ellipse: Ellipse, count: int = ELLIPSE_POINTS) -> Polygon:
    """Return a polygon of ``count`` points on an ellipse, clockwise on screen from the end of its first axis."""
    cos = math.cos(math.radians(ellipse.angle))
    sin = math.sin(math.radians(ellipse.angle))
    steps = (2 * math.pi * index / count for index in range(count))
    local = [(ellipse.rx * math.cos(step), ellipse.ry * math.sin(step)) for step in steps]
    return Polygon.simple((ellipse.cx + u * cos - v * sin, ellipse.cy + u * sin + v * cos) for u, v in local)


def _impossible(geometry: Geometry, target_type: str, why: str = "") -> InvalidValueError:
    return InvalidValueError(f"A {geometry.type} cannot be converted to a {target_type}{why}.")


def _to_box(geometry: Geometry) -> Box:
    box = Box(*geometry.bounds_xyxy())
    _require_extent(geometry, box)
    return box


def _to_rotated_box(geometry: Geometry) -> RotatedBox:
    box: RotatedBox
    match geometry:
        case Box():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            box = RotatedBox((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.0)
        case Ellipse():
            box = RotatedBox(geometry.cx, geometry.cy, 2 * geometry.rx, 2 * geometry.ry, geometry.angle)
        case RotatedBox():
            box = geometry
        case _:
            box = min_area_rotated_box(_outline(geometry))
            _require_extent(geometry, box)
    return box


def _outline(geometry: Mask | Polygon | Polyline | Points | Keypoints) -> Ring:
    """Return points with the same convex hull as the geometry."""
    match geometry:
        case Mask():
            if not geometry.area():
                raise _impossible(geometry, "rotated_box", ": it is empty")
            return _outline(mask_to_polygon(geometry))
        case Polygon():
            return tuple(point for outer, *_ in geometry.parts for point in outer)
        case Polyline() | Points():
            return geometry.points
        case Keypoints():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            shown = tuple(point for point, seen in zip(geometry.points, geometry.visibility, strict=True) if seen)
            return ((x1, y1), (x2, y1), (x2, y2), (x1, y2)) if geometry.box or not shown else shown


def _require_extent(geometry: Geometry, box: Box | RotatedBox) -> None:
    # A region may degenerate to a box without area, but points and lines have no box worth keeping then.
    if not box.area() and isinstance(geometry, Points | Polyline | Keypoints | Mask):
        raise _impossible(geometry, box.type, ": it has no extent")


def _to_polygon(geometry: Geometry, ellipse_points: int) -> Polygon:
    match geometry:
        case Box():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return Polygon.simple(((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
        case RotatedBox():
            return Polygon.simple(geometry.corners())
        case Ellipse():
            return ellipse_to_polygon(geometry, ellipse_points)
        case Mask():
            if not geometry.area():
                raise _impossible(geometry, "polygon", ": it is empty")
            return mask_to_polygon(geometry)
        case Polygon():
            return geometry
        case _:
            raise _impossible(geometry, "polygon")


def _to_mask(geometry: Geometry, size_wh: tuple[int, int] | None, ellipse_points: int) -> tuple[Mask, bool]:
    if isinstance(geometry, Points | Polyline | Keypoints):
        raise _impossible(geometry, "mask")
    if size_wh is None:
        raise InvalidValueError(f"Converting a {geometry.type} to a mask requires the size of the image (size_wh).")
    if isinstance(geometry, Mask):
        resized = resize_frame(geometry, size_wh)
        return resized, resized.area() == geometry.area()
    polygon = _to_polygon(geometry, ellipse_points)
    mask = polygon_to_mask(polygon, size_wh)
    on_grid = all(_is_on_grid(ring) for part in polygon.parts for ring in part)
    return mask, on_grid and mask.area() == polygon.area() > 0


def _is_on_grid(ring: Ring) -> bool:
    """Return whether a ring runs along pixel borders."""
    following = (*ring[1:], ring[0])
    straight = all(x1 == x2 or y1 == y2 for (x1, y1), (x2, y2) in zip(ring, following, strict=True))
    return straight and all(x.is_integer() and y.is_integer() for x, y in ring)


def _is_same_region(geometry: Geometry, converted: Geometry) -> bool:
    """Return whether ``converted``, which encloses ``geometry`` or has its outline, covers nothing more."""
    match geometry:
        case Box():
            return True
        case RotatedBox():
            return isinstance(converted, Polygon) or abs(math.remainder(geometry.angle, 90)) <= _TOLERANCE
        case Polygon() | Mask():
            single = isinstance(geometry, Mask) or len(geometry.parts) == 1
            return single and math.isclose(geometry.area(), converted.area(), rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        case _:
            return False
