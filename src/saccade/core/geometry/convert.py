"""One type of geometry to another, with word on whether anything was lost."""

from __future__ import annotations

import math

from saccade.core.errors import InvalidValueError, nearest
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
"""How many points an ellipse gets as a polygon: 0.16 % of its area is lost."""
_ROUNDING = 1e-9


def convert(
    geometry: Geometry,
    target_type: str,
    size_wh: tuple[int, int] | None = None,
    *,
    ellipse_points: int = ELLIPSE_POINTS,
) -> tuple[Geometry, bool]:
    """A geometry as another type, and whether the new one covers exactly the same.

    box: the bounds, of any type. rotated_box: the smallest around any type (an ellipse gets the one along its axes).
    polygon: of box, rotated box, mask, and ellipse (inscribed, ``ellipse_points`` points). mask: of box, rotated box,
    polygon and ellipse, the pixels of an image of ``size_wh`` whose centre lies inside; a small thing may hold none.
    A geometry that is of that type already comes back as it is, but a mask is cut or filled up to ``size_wh``.

    Raises:
        InvalidValueError: no such type; a type that cannot become it (points a mask); a thing without extent; a
            mask is wanted and ``size_wh`` is not given.
    """
    if target_type not in GEOMETRY_TYPES:
        raise InvalidValueError(f"There is no geometry '{target_type}'.", hint=nearest(target_type, GEOMETRY_TYPES))
    if target_type == "mask":
        return _to_mask(geometry, size_wh, ellipse_points)
    if target_type == geometry.type:
        return geometry, True
    made: Geometry
    if target_type == "box":
        made = _to_box(geometry)
    elif target_type == "rotated_box":
        made = _to_rotated_box(geometry)
    elif target_type == "polygon":
        made = _to_polygon(geometry, ellipse_points)
    else:
        raise _impossible(geometry, target_type)
    return made, _same_region(geometry, made)


def ellipse_to_polygon(ellipse: Ellipse, count: int = ELLIPSE_POINTS) -> Polygon:
    """A polygon of ``count`` points on an ellipse, clockwise on the screen from the end of its first axis."""
    cos, sin = math.cos(math.radians(ellipse.angle)), math.sin(math.radians(ellipse.angle))
    steps = (2 * math.pi * index / count for index in range(count))
    local = [(ellipse.rx * math.cos(step), ellipse.ry * math.sin(step)) for step in steps]
    return Polygon.simple((ellipse.cx + u * cos - v * sin, ellipse.cy + u * sin + v * cos) for u, v in local)


def _impossible(geometry: Geometry, target_type: str, why: str = "") -> InvalidValueError:
    return InvalidValueError(f"A geometry of type {geometry.type} cannot become one of type {target_type}{why}.")


def _to_box(geometry: Geometry) -> Box:
    box = Box(*geometry.bounds_xyxy())
    _need_extent(geometry, box)
    return box


def _to_rotated_box(geometry: Geometry) -> RotatedBox:
    made: RotatedBox
    match geometry:
        case Box():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            made = RotatedBox((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.0)
        case Ellipse():
            made = RotatedBox(geometry.cx, geometry.cy, 2 * geometry.rx, 2 * geometry.ry, geometry.angle)
        case RotatedBox():
            made = geometry
        case _:
            made = min_area_rotated_box(_outline(geometry))
            _need_extent(geometry, made)
    return made


def _outline(geometry: Mask | Polygon | Polyline | Points | Keypoints) -> Ring:
    """Points with the same convex hull as the geometry."""
    match geometry:
        case Mask():
            if not geometry.area():
                raise _impossible(geometry, "rotated_box", ", as it has no pixel")
            return _outline(mask_to_polygon(geometry))
        case Polygon():
            return tuple(point for outer, *_ in geometry.parts for point in outer)
        case Polyline() | Points():
            return geometry.points
        case Keypoints():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            shown = tuple(point for point, seen in zip(geometry.points, geometry.visibility, strict=True) if seen)
            return ((x1, y1), (x2, y1), (x2, y2), (x1, y2)) if geometry.box or not shown else shown


def _need_extent(geometry: Geometry, made: Box | RotatedBox) -> None:
    """Bounds without area are as good as a thin box, but not for things that never had one."""
    if not made.area() and isinstance(geometry, Points | Polyline | Keypoints | Mask):
        raise _impossible(geometry, made.type, ", as it has no extent")


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
                raise _impossible(geometry, "polygon", ", as it has no pixel")
            return mask_to_polygon(geometry)
        case Polygon():
            return geometry
        case _:
            raise _impossible(geometry, "polygon")


def _to_mask(geometry: Geometry, size_wh: tuple[int, int] | None, ellipse_points: int) -> tuple[Mask, bool]:
    if isinstance(geometry, Points | Polyline | Keypoints):
        raise _impossible(geometry, "mask")
    if size_wh is None:
        raise InvalidValueError(f"To turn a {geometry.type} into a mask the size of the image (size_wh) is needed.")
    if isinstance(geometry, Mask):
        cut = resize_frame(geometry, size_wh)
        return cut, cut.area() == geometry.area()
    polygon = _to_polygon(geometry, ellipse_points)
    mask = polygon_to_mask(polygon, size_wh)
    on_grid = all(_is_on_grid(ring) for part in polygon.parts for ring in part)
    return mask, on_grid and mask.area() == polygon.area() > 0


def _is_on_grid(ring: Ring) -> bool:
    """Whether a ring runs along the borders of pixels."""
    following = (*ring[1:], ring[0])
    straight = all(x1 == x2 or y1 == y2 for (x1, y1), (x2, y2) in zip(ring, following, strict=True))
    return straight and all(x.is_integer() and y.is_integer() for x, y in ring)


def _same_region(geometry: Geometry, made: Geometry) -> bool:
    """Whether ``made``, which encloses ``geometry`` or has its outline, covers nothing more."""
    match geometry:
        case Box():
            return True
        case RotatedBox():
            return isinstance(made, Polygon) or abs(math.remainder(geometry.angle, 90)) <= _ROUNDING
        case Polygon() | Mask():
            single = isinstance(geometry, Mask) or len(geometry.parts) == 1
            return single and math.isclose(geometry.area(), made.area(), rel_tol=_ROUNDING, abs_tol=_ROUNDING)
        case _:
            return False
