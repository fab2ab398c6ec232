"""Geometries cut to the image."""

from __future__ import annotations

import math

import numpy as np

from saccade.core.geometry.boxes import FloatArray
from saccade.core.geometry.convert import ELLIPSE_POINTS, ellipse_to_polygon
from saccade.core.geometry.masks import resize_frame
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, Ring, RotatedBox

_NOTHING = 1e-9  # square pixels (or pixels of length) that count as nothing


def clip_geometry(geometry: Geometry, size_wh: tuple[int, int]) -> Geometry | None:
    """The part of a geometry that lies in an image of ``size_wh``, or None where nothing of it is left.

    What lies wholly inside comes back as it is. Otherwise:
    box, polygon: cut (rings by Sutherland and Hodgman 1974; pieces of one part may stay joined along the border).
    rotated box, ellipse: a polygon, since what is left is neither (an ellipse with ``ELLIPSE_POINTS`` points).
    mask: cut or filled up to ``size_wh``.
    polyline: the longest piece inside; ``clip_polyline`` gives all pieces.
    points: those inside. keypoints: those outside get visibility 0, the box is cut, ``region_area`` shrinks in the
    proportion of the bounds, which is an estimate.
    None is also the answer for a box, rotated box, polygon, mask or ellipse that had no area to begin with.
    """
    match geometry:
        case Mask():
            cut = resize_frame(geometry, size_wh)
            return cut if cut.area() else None
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
    """The share, 0 to 1, of a geometry that lies in an image of ``size_wh``.

    Of the area; of a polyline's length; of points and of labelled keypoints their number (without any, of their box's
    area). A thing of no extent counts by the middle of its bounds.
    """
    match geometry:
        case Points():
            return _share_of_points(geometry.points, size_wh)
        case Keypoints():
            shown = [point for point, seen in zip(geometry.points, geometry.visibility, strict=True) if seen]
            if shown or geometry.box is None:
                return _share_of_points(tuple(shown), size_wh)
            return visible_share(geometry.box, size_wh)
        case Polyline():
            whole = _line_length(geometry)
            visible = math.fsum(map(_line_length, clip_polyline(geometry, size_wh)))
        case Ellipse():
            # Both areas from the same points, so that the share does not feel how coarse they are.
            return visible_share(ellipse_to_polygon(geometry, ELLIPSE_POINTS), size_wh)
        case _:
            whole = geometry.area()
            cut = clip_geometry(geometry, size_wh)
            visible = cut.area() if cut is not None else 0.0
    return min(1.0, visible / whole) if whole > _NOTHING else _share_of_bounds(geometry, size_wh)


def clip_polyline(polyline: Polyline, size_wh: tuple[int, int]) -> list[Polyline]:
    """The pieces of a polyline inside the image, in order; each segment is cut as by Liang and Barsky (1984)."""
    pieces: list[list[tuple[float, float]]] = []
    for start, end in zip(polyline.points, polyline.points[1:], strict=False):
        cut = _clip_segment(start, end, size_wh)
        if cut is None:
            continue
        if pieces and pieces[-1][-1] == cut[0]:
            pieces[-1].append(cut[1])
        else:
            pieces.append(list(cut))
    made = [Polyline(tuple(points)) for points in pieces]
    return [piece for piece in made if _line_length(piece) > _NOTHING]


def clip_ring(ring: Ring, size_wh: tuple[int, int]) -> Ring:
    """A ring cut to the image, fewer than three points where nothing is left (Sutherland and Hodgman 1974)."""
    points = np.array(ring)
    for axis, limit in enumerate(size_wh):
        points = _clip_side(points, axis, 0.0, 1.0)
        points = _clip_side(points, axis, float(limit), -1.0)
    # Where it is cut by one axis the other coordinate is rounded, perhaps past the border.
    points = np.clip(points, 0, np.array(size_wh, dtype=np.float64))
    return tuple((x, y) for x, y in points.tolist())


def _clip_side(points: FloatArray, axis: int, limit: float, sign: float) -> FloatArray:
    """Keep what lies on the side where ``sign * (coordinate - limit) >= 0``."""
    if not len(points):
        return points
    following = np.roll(points, -1, axis=0)
    depth, next_depth = sign * (points[:, axis] - limit), sign * (following[:, axis] - limit)
    inside, crosses = depth >= 0, (depth >= 0) != (next_depth >= 0)
    share = np.divide(depth, depth - next_depth, out=np.zeros_like(depth), where=crosses)
    crossing = points + share[:, None] * (following - points)
    crossing[:, axis] = limit
    both = np.stack([points, crossing], axis=1)
    kept: FloatArray = both[np.stack([inside, crosses], axis=1)]
    return kept


def _clip_region(region: Box | RotatedBox | Polygon | Ellipse, size_wh: tuple[int, int]) -> Geometry | None:
    bounds = Box(*region.bounds_xyxy())
    cut_bounds = _clip_box(bounds, size_wh)
    if cut_bounds is None or region.area() <= _NOTHING:
        return None
    if _is_within(bounds, size_wh):
        return region
    match region:
        case Box():
            return cut_bounds
        case RotatedBox():
            return _clip_polygon(Polygon.simple(region.corners()), size_wh)
        case Ellipse():
            return _clip_polygon(ellipse_to_polygon(region, ELLIPSE_POINTS), size_wh)
        case Polygon():
            return _clip_polygon(region, size_wh)


def _clip_box(box: Box, size_wh: tuple[int, int]) -> Box | None:
    width, height = size_wh
    left, top, right, bottom = max(box.x1, 0.0), max(box.y1, 0.0), min(box.x2, float(width)), min(box.y2, float(height))
    has_area = right > left and bottom > top and (right - left) * (bottom - top) > _NOTHING
    return Box(left, top, right, bottom) if has_area else None


def _clip_polygon(polygon: Polygon, size_wh: tuple[int, int]) -> Polygon | None:
    parts = []
    for outer, *holes in polygon.parts:
        rings = [clip_ring(ring, size_wh) for ring in (outer, *holes)]
        if len(rings[0]) < 3:
            continue
        part = (rings[0], *(ring for ring in rings[1:] if len(ring) >= 3 and Polygon.simple(ring).area() > _NOTHING))
        if Polygon((part,)).area() > _NOTHING:
            parts.append(part)
    return Polygon(tuple(parts)) if parts else None


def _clip_keypoints(keypoints: Keypoints, size_wh: tuple[int, int]) -> Keypoints | None:
    pairs = list(zip(keypoints.points, keypoints.visibility, strict=True))
    visibility = tuple(seen if _is_inside(point, size_wh) else 0 for point, seen in pairs)
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
    enter, leave = 0.0, 1.0
    for at, to, limit in zip(start, end, size_wh, strict=True):
        if at == to:
            if not 0 <= at <= limit:
                return None
            continue
        first, last = sorted(((0 - at) / (to - at), (limit - at) / (to - at)))
        enter, leave = max(enter, first), min(leave, last)
    if enter > leave:
        return None
    return _between(start, end, enter, size_wh), _between(start, end, leave, size_wh)


def _between(
    start: tuple[float, float], end: tuple[float, float], share: float, size_wh: tuple[int, int]
) -> tuple[float, float]:
    at = tuple(b if share == 1 else a + share * (b - a) for a, b in zip(start, end, strict=True))
    # A share that was rounded to 0 or 1 belongs to a point that may lie outside by less than the rounding.
    return min(max(at[0], 0.0), float(size_wh[0])), min(max(at[1], 0.0), float(size_wh[1]))


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
