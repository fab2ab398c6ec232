"""Rotated boxes as float64 arrays of shape (N, 5): centre x and y, width, height, clockwise degrees (``cxcywha``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import FloatArray, as_rows, overlap_ratio
from saccade.core.objects import RotatedBox

_CORNERS = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
_PAIRS_PER_BATCH = 1 << 16  # about 100 MB of working memory


def rotated_boxes_array(boxes: Iterable[RotatedBox]) -> FloatArray:
    """Stack rotated boxes to an array (N, 5)."""
    return as_rows("rotated_boxes_array", [(box.cx, box.cy, box.width, box.height, box.angle) for box in boxes], 5)


def rotated_corners(boxes_cxcywha: npt.ArrayLike) -> FloatArray:
    """Return the corners (N, 4, 2) clockwise on screen, starting with the one that is top-left at angle 0."""
    boxes = as_rows("rotated_corners", boxes_cxcywha, 5)
    offsets = _CORNERS * boxes[:, None, 2:4]
    return _rotate(offsets, boxes[:, 4, None]) + boxes[:, None, :2]


def rotated_iou(
    boxes_cxcywha: npt.ArrayLike, others_cxcywha: npt.ArrayLike, crowd: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the intersection over union (N, M) of two sets of rotated boxes.

    Exact up to float64 rounding, also for boxes that share edges or have no area (for which OpenCV's
    intersectConvexConvex may return 0): each box is moved into the frame of the other, and the area inside is
    integrated along its edges. Only pairs whose bounds overlap are computed.

    Args:
        boxes_cxcywha: boxes (N, 5).
        others_cxcywha: boxes (M, 5).
        crowd: flags (M,) as in ``boxes_iou``.
    """
    boxes = as_rows("rotated_iou", boxes_cxcywha, 5)
    others = as_rows("rotated_iou", others_cxcywha, 5)
    corners = rotated_corners(boxes)
    other_corners = rotated_corners(others)
    pairs = np.argwhere(_bounds_overlap(corners, other_corners))
    intersections = np.zeros((len(boxes), len(others)))
    for first in range(0, len(pairs), _PAIRS_PER_BATCH):
        rows, columns = pairs[first : first + _PAIRS_PER_BATCH].T
        base = boxes[rows]
        # Relative to the centre first: large coordinates would cost small boxes their precision.
        local = _rotate(other_corners[columns] - base[:, None, :2], -base[:, 4, None])
        intersections[rows, columns] = area_in_rectangle(local, -base[:, 2:4] / 2, base[:, 2:4] / 2)
    areas = boxes[:, 2] * boxes[:, 3]
    other_areas = others[:, 2] * others[:, 3]
    intersections = np.minimum(intersections, np.minimum(areas[:, None], other_areas))
    return overlap_ratio(intersections, areas, other_areas, crowd)


def area_in_rectangle(rings: FloatArray, low_xy: FloatArray, high_xy: FloatArray) -> FloatArray:
    """Return the area (P,) of simple rings inside axis-aligned rectangles.

    The area under an edge, with y clamped to the rectangle, is a sum of at most three trapezoids; the signed sum over
    all edges is the area (Green's theorem). It is continuous in the coordinates, so touching and coincident edges
    need no special case.

    Args:
        rings: rings (P, K, 2).
        low_xy: top-left corners of the rectangles (P, 2).
        high_xy: bottom-right corners of the rectangles (P, 2).
    """
    low_x, low_y, high_x, high_y = (side[:, None] for side in (*low_xy.T, *high_xy.T))
    x1, y1 = np.moveaxis(rings, -1, 0)
    x2, y2 = np.moveaxis(np.roll(rings, -1, axis=1), -1, 0)
    run = x2 - x1
    rise = y2 - y1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cuts = [(low_x - x1) / run, (high_x - x1) / run, (low_y - y1) / rise, (high_y - y1) / rise]
    inner = np.clip(np.nan_to_num(np.stack(cuts, axis=-1), nan=0.0), 0, 1)
    steps = np.sort(np.concatenate([np.zeros_like(inner[..., :1]), inner, np.ones_like(inner[..., :1])], axis=-1))
    xs = np.clip(x1[..., None] + steps * run[..., None], low_x[..., None], high_x[..., None])
    ys = np.clip(y1[..., None] + steps * rise[..., None], low_y[..., None], high_y[..., None]) - low_y[..., None]
    area: FloatArray = np.abs(np.sum(np.diff(xs) * (ys[..., 1:] + ys[..., :-1]) / 2, axis=(-2, -1)))
    return area


def min_area_rotated_box(points: npt.ArrayLike) -> RotatedBox:
    """Return the rotated box of smallest area around points (N, 2), with its angle in [0, 90) degrees.

    A smallest box has a side along an edge of the convex hull (Freeman and Shapira 1975). OpenCV selects the hull
    points in float32; the sides are fitted to all points in float64, so that none lies outside.

    Raises:
        InvalidValueError: there are no points.
    """
    array = as_rows("min_area_rotated_box", points, 2)
    if not len(array):
        raise InvalidValueError("min_area_rotated_box needs at least one point.")
    origin = (array.min(axis=0) + array.max(axis=0)) / 2
    local = array - origin
    angles = _edge_angles(local)
    cos = np.cos(angles)
    sin = np.sin(angles)
    along = local @ np.stack([cos, sin])
    across = local @ np.stack([-sin, cos])
    widths = np.ptp(along, axis=0)
    heights = np.ptp(across, axis=0)
    areas = widths * heights
    # Among equally small boxes take the most square one, so that rounding does not decide.
    best = int(np.argmin(np.where(areas <= areas.min() * (1 + 1e-9), widths + heights, np.inf)))
    u, v = ((values[:, best].min() + values[:, best].max()) / 2 for values in (along, across))
    cx = origin[0] + u * cos[best] - v * sin[best]
    cy = origin[1] + u * sin[best] + v * cos[best]
    return RotatedBox(cx, cy, widths[best], heights[best], np.degrees(angles[best]))


def rotated_box_from_corners(corners: Sequence[tuple[float, float]]) -> RotatedBox:
    """Return the rotated box of four corners in order, whose width runs from the first to the second corner.

    Exact if the corners form a rectangle; otherwise the smallest rectangle around them.
    """
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = corners
    width = math.dist((x1, y1), (x2, y2))
    height = math.dist((x2, y2), (x3, y3))
    tolerance = 1e-4 * max(width, height)
    right_angled = abs((x2 - x1) * (x3 - x2) + (y2 - y1) * (y3 - y2)) <= tolerance * max(width, height)
    clockwise = (x2 - x1) * (y3 - y2) - (y2 - y1) * (x3 - x2) > 0
    if not (right_angled and clockwise and math.dist((x1 + x3, y1 + y3), (x2 + x4, y2 + y4)) <= 2 * tolerance):
        return min_area_rotated_box(corners)
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    return RotatedBox((x1 + x2 + x3 + x4) / 4, (y1 + y2 + y3 + y4) / 4, width, height, angle)


def _edge_angles(points: FloatArray) -> FloatArray:
    """Return the directions of the edges of the convex hull in radians, modulo 90 degrees."""
    # Adding 0 turns -0 into +0: OpenCV finds no hull of points that differ only in the sign of zero.
    hull = cv2.convexHull(points.astype(np.float32) + np.float32(0), returnPoints=False).ravel()
    edges = np.diff(points[hull], axis=0, append=points[hull[:1]])
    edges = edges[np.any(edges != 0, axis=1)]
    if not len(edges):
        return np.zeros(1)
    quarter = np.pi / 2
    angles: FloatArray = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), quarter))
    # np.mod of a tiny negative angle rounds up to the quarter turn.
    return np.where(angles >= quarter, 0.0, angles)


def _rotate(vectors: FloatArray, degrees: FloatArray) -> FloatArray:
    radians = np.radians(degrees)
    cos = np.cos(radians)
    sin = np.sin(radians)
    x, y = np.moveaxis(vectors, -1, 0)
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


def _bounds_overlap(corners: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    low = corners.min(axis=1)[:, None]
    high = corners.max(axis=1)[:, None]
    other_low = others.min(axis=1)[None]
    other_high = others.max(axis=1)[None]
    overlap: npt.NDArray[np.bool_] = np.all((low < other_high) & (other_low < high), axis=-1)
    return overlap
