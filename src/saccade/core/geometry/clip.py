"""Clipping of geometries to the image."""

from __future__ import annotations

import math

import numpy as np

from saccade.core.geometry.boxes import FloatArray
from saccade.core.geometry.convert import ELLIPSE_POINTS, ellipse_to_polygon
from saccade.core.geometry.masks import resize_frame
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, Ring, RotatedBox

_EPSILON = 1e-9  # areas (square pixels) and lengths (pixels) up to this count as zero


def clip_geometry(geometry: Geometry, size_wh: tuple[int, int]) -> Geometry | None:
    """Clip a geometry to an image of ``size_wh``.

    A geometry inside the image is returned unchanged. Otherwise:

    - box, polygon: clipped (rings by Sutherland and Hodgman 1974; pieces of a part may stay joined along the border);
    - rotated box, ellipse: a polygon (an ellipse with ``ELLIPSE_POINTS`` points);
    - mask: cropped or padded to ``size_wh``;
    - polyline: the longest piece inside; ``clip_polyline`` returns all pieces;
    - points: those inside;
    - keypoints: those outside get visibility 0, the box is clipped, and ``region_area`` shrinks in proportion to the
      bounds, which is an estimate.

    Returns:
        The clipped geometry, or None if nothing is left or a region had no area.
    """
    match geometry:
        case Mask():
            cropped = resize_frame(geometry, size_wh)
            return cropped if cropped.area() else None
        case Polyline():
            pieces = clip_polyline(geometry, size_wh)
            return max(pieces, key=_line_length, default=None)
        case Points():
            inside = tuple(point for point in geometry.points if _is_inside(point, size_wh))
            return Points(inside) if inside else None
        case Keypoints():
            return _clip_keypoints(geometry, size_wh)
        case _:
            return _clip_region(geometry, size_wh)


def visible_share(geometry: Geometry, size_wh: tuple[int, int]) -> float:
    """Return the fraction, 0 to 1, of a geometry inside an image of ``size_wh``.

    Measured by area, by length for polylines, and by number for points and labelled keypoints (by the area of the box
    if none is labelled). A geometry without extent counts as inside if the centre of its bounds is.
    """
    match geometry:
        case Points():
            return _share_of_points(geometry.points, size_wh)
        case Keypoints():
            labelled = [point for point, visible in zip(geometry.points, geometry.visibility, strict=True) if visible]
            if labelled or geometry.box is None:
                return _share_of_points(tuple(labelled), size_wh)
            return visible_share(geometry.box, size_wh)
        case Polyline():
            total = _line_length(geometry)
            visible = math.fsum(map(_line_length, clip_polyline(geometry, size_wh)))
        case Ellipse():
            # Both areas from the same polygon, so that the approximation error cancels out.
            return visible_share(ellipse_to_polygon(geometry, ELLIPSE_POINTS), size_wh)
        case _:
            total = geometry.area()
            clipped = clip_geometry(geometry, size_wh)
            visible = clipped.area() if clipped is not None else 0.0
    return min(1.0, visible / total) if total > _EPSILON else _share_of_bounds(geometry, size_wh)


def clip_polyline(polyline: Polyline, size_wh: tuple[int, int]) -> list[Polyline]:
    """Return the pieces of a polyline inside the image, in order (Liang and Barsky 1984)."""
    pieces: list[list[tuple[float, float]]] = []
    for start, end in zip(polyline.points, polyline.points[1:], strict=False):
        segment = _clip_segment(start, end, size_wh)
        if segment is None:
            continue
        if pieces and pieces[-1][-1] == segment[0]:
            pieces[-1].append(segment[1])
        else:
            pieces.append(list(segment))
    polylines = [Polyline(tuple(points)) for points in pieces]
    return [piece for piece in polylines if _line_length(piece) > _EPSILON]


def clip_ring(ring: Ring, size_wh: tuple[int, int]) -> Ring:
    """Clip a ring to the image (Sutherland and Hodgman 1974); fewer than three points if nothing is left."""
    points = np.array(ring)
    for axis, limit in enumerate(size_wh):
        points = _clip_side(points, axis, 0.0, 1.0)
        points = _clip_side(points, axis, float(limit), -1.0)
    # Clipping along one axis rounds the other coordinate, possibly past the border.
    points = np.clip(points, 0, np.array(size_wh, dtype=np.float64))
    return tuple((x, y) for x, y in points.tolist())


def _clip_side(points: FloatArray, axis: int, limit: float, sign: float) -> FloatArray:
    """Keep the side with ``sign * (coordinate - limit) >= 0``."""
    if not len(points):
        return points
    following = np.roll(points, -1, axis=0)
    depth = sign * (points[:, axis] - limit)
    next_depth = sign * (following[:, axis] - limit)
    inside = depth >= 0
    crosses = inside != (next_depth >= 0)
    fraction = np.divide(depth, depth - next_depth, out=np.zeros_like(depth), where=crosses)
    crossing = points + fraction[:, None] * (following - points)
    crossing[:, axis] = limit
    candidates = np.stack([points, crossing], axis=1)
    clipped: FloatArray = candidates[np.stack([inside, crosses], axis=1)]
    return clipped


def _clip_region(region: Box | RotatedBox | Polygon | Ellipse, size_wh: tuple[int, int]) -> Geometry | None:
    bounds = Box(*region.bounds_xyxy())
    clipped_bounds = _clip_box(bounds, size_wh)
    if clipped_bounds is None or region.area() <= _EPSILON:
        return None
    if _is_within(bounds, size_wh):
        return region
    match region:
        case Box():
            return clipped_bounds
        case RotatedBox():
            return _clip_polygon(Polygon.simple(region.corners()), size_wh)
        case Ellipse():
            return _clip_polygon(ellipse_to_polygon(region, ELLIPSE_POINTS), size_wh)
        case Polygon():
            return _clip_polygon(region, size_wh)


def _clip_box(box: Box, size_wh: tuple[int, int]) -> Box | None:
    width, height = size_wh
    left = max(box.x1, 0.0)
    top = max(box.y1, 0.0)
    right = min(box.x2, float(width))
    bottom = min(box.y2, float(height))
    has_area = right > left and bottom > top and (right - left) * (bottom - top) > _EPSILON
    return Box(left, top, right, bottom) if has_area else None


def _clip_polygon(polygon: Polygon, size_wh: tuple[int, int]) -> Polygon | None:
    parts = []
    for outer, *holes in polygon.parts:
        rings = [clip_ring(ring, size_wh) for ring in (outer, *holes)]
        if len(rings[0]) < 3:
            continue
        part = (rings[0], *(ring for ring in rings[1:] if len(ring) >= 3 and Polygon.simple(ring).area() > _EPSILON))
        if Polygon((part,)).area() > _EPSILON:
            parts.append(part)
    return Polygon(tuple(parts)) if parts else None


def _clip_keypoints(keypoints: Keypoints, size_wh: tuple[int, int]) -> Keypoints | None:
    pairs = list(zip(keypoints.points, keypoints.visibility, strict=True))
    visibility = tuple(visible if _is_inside(point, size_wh) else 0 for point, visible in pairs)
    box = keypoints.box
    if box is not None and not _is_within(box, size_wh):
        box = _clip_box(box, size_wh)
    if not any(visibility) and box is None:
        return None
    if visibility == keypoints.visibility and box == keypoints.box:
        return keypoints
    area = keypoints.region_area
    if area is not None:
        area *= visible_share(Box(*keypoints.bounds_xyxy()), size_wh)
    return Keypoints(keypoints.points, visibility, box, area)


def _clip_segment(
    start: tuple[float, float], end: tuple[float, float], size_wh: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    enter = 0.0
    leave = 1.0
    for a, b, limit in zip(start, end, size_wh, strict=True):
        if a == b:
            if not 0 <= a <= limit:
                return None
            continue
        first, last = sorted(((0 - a) / (b - a), (limit - a) / (b - a)))
        enter = max(enter, first)
        leave = min(leave, last)
    if enter > leave:
        return None
    return _interpolate(start, end, enter, size_wh), _interpolate(start, end, leave, size_wh)


def _interpolate(
    start: tuple[float, float], end: tuple[float, float], fraction: float, size_wh: tuple[int, int]
) -> tuple[float, float]:
    x, y = (b if fraction == 1 else a + fraction * (b - a) for a, b in zip(start, end, strict=True))
    # A fraction that was rounded to 0 or 1 may give a point outside by less than the rounding error.
    return min(max(x, 0.0), float(size_wh[0])), min(max(y, 0.0), float(size_wh[1]))


def _is_inside(point: tuple[float, float], size_wh: tuple[int, int]) -> bool:
    return 0 <= point[0] <= size_wh[0] and 0 <= point[1] <= size_wh[1]


def _is_within(box: Box, size_wh: tuple[int, int]) -> bool:
    return _is_inside((box.x1, box.y1), size_wh) and _is_inside((box.x2, box.y2), size_wh)


def _line_length(polyline: Polyline) -> float:
    return math.fsum(map(math.dist, polyline.points, polyline.points[1:]))


def _share_of_points(points: Ring, size_wh: tuple[int, int]) -> float:
    return sum(_is_inside(point, size_wh) for point in points) / len(points) if points else 0.0


def _share_of_bounds(geometry: Geometry, size_wh: tuple[int, int]) -> float:
    x1, y1, x2, y2 = geometry.bounds_xyxy()
    return float(_is_inside(((x1 + x2) / 2, (y1 + y2) / 2), size_wh))
