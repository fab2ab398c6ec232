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
_PAIRS_AT_ONCE = 1 << 16  # about 100 MB of working memory


def rotated_boxes_array(boxes: Iterable[RotatedBox]) -> FloatArray:
    """Rotated boxes as an array (N, 5)."""
    return as_rows("rotated_boxes_array", [(box.cx, box.cy, box.width, box.height, box.angle) for box in boxes], 5)


def rotated_corners(boxes_cxcywha: npt.ArrayLike) -> FloatArray:
    """The corners (N, 4, 2), clockwise on the screen, beginning with the one that is top-left at angle 0."""
    boxes = as_rows("rotated_corners", boxes_cxcywha, 5)
    offsets = _CORNERS * boxes[:, None, 2:4]
    turned = _turn(offsets, boxes[:, 4, None])
    return turned + boxes[:, None, :2]


def rotated_iou(
    boxes_cxcywha: npt.ArrayLike, others_cxcywha: npt.ArrayLike, crowd: npt.ArrayLike | None = None
) -> FloatArray:
    """Intersection over union (N, M) of rotated boxes (N, 5) with others (M, 5); ``crowd`` as in ``boxes_iou``.

    Exact up to float64 rounding, also for boxes that share edges or have no area (where OpenCV's
    intersectConvexConvex may answer 0): each box is put into the frame of the other, and the area of the part that
    lies inside is integrated along its edges. Only pairs whose bounds overlap are worked out.
    """
    boxes, others = as_rows("rotated_iou", boxes_cxcywha, 5), as_rows("rotated_iou", others_cxcywha, 5)
    corners, other_corners = rotated_corners(boxes), rotated_corners(others)
    pairs = np.argwhere(_bounds_overlap(corners, other_corners))
    intersections = np.zeros((len(boxes), len(others)))
    for first in range(0, len(pairs), _PAIRS_AT_ONCE):
        rows, columns = pairs[first : first + _PAIRS_AT_ONCE].T
        base = boxes[rows]
        # Relative to the centre first: large coordinates would otherwise eat the precision of small boxes.
        local = _turn(other_corners[columns] - base[:, None, :2], -base[:, 4, None])
        intersections[rows, columns] = area_in_rectangle(local, -base[:, 2:4] / 2, base[:, 2:4] / 2)
    areas, other_areas = boxes[:, 2] * boxes[:, 3], others[:, 2] * others[:, 3]
    intersections = np.minimum(intersections, np.minimum(areas[:, None], other_areas))
    return overlap_ratio(intersections, areas, other_areas, crowd)


def area_in_rectangle(rings: FloatArray, low_xy: FloatArray, high_xy: FloatArray) -> FloatArray:
    """The area (P,) of simple rings (P, K, 2) inside the rectangles from ``low_xy`` to ``high_xy``, (P, 2) each.

    The area under an edge, with y held between the rectangle's sides, is a sum of at most three trapezoids; the
    signed sum over all edges is the area (Green's theorem). It is continuous in the coordinates, so that touching
    and coincident edges need no special case.
    """
    low_x, low_y, high_x, high_y = (side[:, None] for side in (*low_xy.T, *high_xy.T))
    start, end = rings, np.roll(rings, -1, axis=1)
    x1, y1, x2, y2 = start[..., 0], start[..., 1], end[..., 0], end[..., 1]
    run, rise = x2 - x1, y2 - y1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        cuts = [(low_x - x1) / run, (high_x - x1) / run, (low_y - y1) / rise, (high_y - y1) / rise]
    inner = np.clip(np.nan_to_num(np.stack(cuts, axis=-1), nan=0.0), 0, 1)
    steps = np.sort(np.concatenate([np.zeros_like(inner[..., :1]), inner, np.ones_like(inner[..., :1])], axis=-1))
    xs = np.clip(x1[..., None] + steps * run[..., None], low_x[..., None], high_x[..., None])
    ys = np.clip(y1[..., None] + steps * rise[..., None], low_y[..., None], high_y[..., None]) - low_y[..., None]
    area: FloatArray = np.abs(np.sum(np.diff(xs) * (ys[..., 1:] + ys[..., :-1]) / 2, axis=(-2, -1)))
    return area


def min_area_rotated_box(points: npt.ArrayLike) -> RotatedBox:
    """The rotated box of smallest area around points (N, 2), its angle in [0, 90) degrees; needs one point or more.

    A smallest box has a side along an edge of the convex hull (Freeman and Shapira 1975). OpenCV picks the points of
    the hull in float32, the sides are then fitted to all points in float64, so that none lies outside.
    """
    array = as_rows("min_area_rotated_box", points, 2)
    if not len(array):
        raise InvalidValueError("min_area_rotated_box needs at least one point, not none.")
    origin = (array.min(axis=0) + array.max(axis=0)) / 2
    local = array - origin
    angles = _edge_angles(local)
    cos, sin = np.cos(angles), np.sin(angles)
    along, across = local @ np.stack([cos, sin]), local @ np.stack([-sin, cos])
    widths, heights = np.ptp(along, axis=0), np.ptp(across, axis=0)
    areas = widths * heights
    # Of equally small ones the most square, lest rounding choose.
    best = int(np.argmin(np.where(areas <= areas.min() * (1 + 1e-9), widths + heights, np.inf)))
    u, v = ((values[:, best].min() + values[:, best].max()) / 2 for values in (along, across))
    cx, cy = origin[0] + u * cos[best] - v * sin[best], origin[1] + u * sin[best] + v * cos[best]
    return RotatedBox(cx, cy, widths[best], heights[best], np.degrees(angles[best]))


def rotated_box_from_corners(corners: Sequence[tuple[float, float]]) -> RotatedBox:
    """The rotated box whose first side runs from the first corner to the second, about four corners in order.

    Exact where the corners are those of a rectangle, else the smallest rectangle about them.
    """
    (x1, y1), (x2, y2), (x3, y3), (x4, y4) = corners
    width, height = math.dist((x1, y1), (x2, y2)), math.dist((x2, y2), (x3, y3))
    slack = 1e-4 * max(width, height)
    right_angled = abs((x2 - x1) * (x3 - x2) + (y2 - y1) * (y3 - y2)) <= slack * max(width, height)
    clockwise = (x2 - x1) * (y3 - y2) - (y2 - y1) * (x3 - x2) > 0
    if not (right_angled and clockwise and math.dist((x1 + x3, y1 + y3), (x2 + x4, y2 + y4)) <= 2 * slack):
        return min_area_rotated_box(corners)
    angle = math.degrees(math.atan2(y2 - y1, x2 - x1))
    return RotatedBox((x1 + x2 + x3 + x4) / 4, (y1 + y2 + y3 + y4) / 4, width, height, angle)


def _edge_angles(points: FloatArray) -> FloatArray:
    """The directions of the hull's edges in radians, turned by quarters into [0, 90) degrees."""
    # OpenCV finds no hull of points that differ by nothing but the sign of 0, so that sign is taken off.
    hull = cv2.convexHull(points.astype(np.float32) + np.float32(0), returnPoints=False).ravel()
    edges = np.diff(points[hull], axis=0, append=points[hull[:1]])
    edges = edges[np.any(edges != 0, axis=1)]
    if not len(edges):
        return np.zeros(1)
    quarter = np.pi / 2
    angles: FloatArray = np.unique(np.mod(np.arctan2(edges[:, 1], edges[:, 0]), quarter))
    # np.mod of a tiny negative angle rounds to the quarter itself.
    return np.where(angles >= quarter, 0.0, angles)


def _turn(vectors: FloatArray, degrees: FloatArray) -> FloatArray:
    radians = np.radians(degrees)
    cos, sin = np.cos(radians), np.sin(radians)
    x, y = vectors[..., 0], vectors[..., 1]
    return np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)


def _bounds_overlap(corners: FloatArray, others: FloatArray) -> npt.NDArray[np.bool_]:
    low, high = corners.min(axis=1)[:, None], corners.max(axis=1)[:, None]
    other_low, other_high = others.min(axis=1)[None], others.max(axis=1)[None]
    overlap: npt.NDArray[np.bool_] = np.all((low < other_high) & (other_low < high), axis=-1)
    return overlap
