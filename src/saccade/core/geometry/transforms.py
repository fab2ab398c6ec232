"""Affine transforms of geometries: 2x3 matrices that map corner-origin pixel coordinates, ``x' = a x + b y + c``."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import BoolArray, FloatArray
from saccade.core.geometry.rle import mask_from_runs, mask_window
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, Ring, RotatedBox

_SQUARE = 1e-9  # two axes count as perpendicular when the cosine between them is smaller


def transform_geometry(geometry: Geometry, matrix: npt.ArrayLike, size_wh: tuple[int, int] | None = None) -> Geometry:
    """A geometry of the same type under an affine ``matrix`` (2, 3).

    Polygon, polyline, points and keypoints are exact (which keypoint is the left one is not known here), so is an
    ellipse (by the singular values of its axes). A box becomes the bounds of its turned corners. A rotated box is
    exact where its sides stay perpendicular, as under shifts, turns, flips and even scaling; otherwise it becomes the
    smallest rotated box around its corners. Angles come out in [-180, 180]. A mask is sampled at the nearest pixel
    into an image of ``size_wh``, which no other type needs.

    Raises:
        InvalidValueError: the matrix is not 2x3, finite and invertible, or a mask comes without ``size_wh``.
    """
    affine = _affine(matrix)
    made: Geometry
    match geometry:
        case Box():
            made = _transform_box(geometry, affine)
        case RotatedBox():
            made = _transform_rotated_box(geometry, affine)
        case Polygon():
            made = Polygon(tuple(tuple(_transform_ring(ring, affine) for ring in part) for part in geometry.parts))
        case Polyline() | Points():
            made = type(geometry)(_transform_ring(geometry.points, affine))
        case Keypoints():
            made = _transform_keypoints(geometry, affine)
        case Ellipse():
            made = _transform_ellipse(geometry, affine)
        case Mask():
            made = _transform_mask(geometry, affine, size_wh)
    return made


def invert_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """The affine matrix (2, 3) that undoes another."""
    affine = _affine(matrix)
    linear = np.linalg.inv(affine[:, :2]).astype(np.float64)
    return np.hstack([linear, -linear @ affine[:, 2:]])


def flip_matrix(size_wh: tuple[int, int], *, horizontal: bool = False, vertical: bool = False) -> FloatArray:
    """The affine matrix (2, 3) that mirrors an image left to right (``horizontal``), top to bottom, or both."""
    width, height = size_wh
    x = (-1.0, 0.0, float(width)) if horizontal else (1.0, 0.0, 0.0)
    y = (0.0, -1.0, float(height)) if vertical else (0.0, 1.0, 0.0)
    return np.array([x, y])


def _affine(matrix: npt.ArrayLike) -> FloatArray:
    affine = np.asarray(matrix, dtype=np.float64)
    if affine.shape != (2, 3) or not np.isfinite(affine).all() or np.linalg.det(affine[:, :2]) == 0:
        raise InvalidValueError(f"A transform needs a finite, invertible 2x3 matrix, not {affine.tolist()}.")
    return affine


def _transform_ring(points: Ring, affine: FloatArray) -> Ring:
    moved = np.array(points) @ affine[:, :2].T + affine[:, 2]
    return tuple((x, y) for x, y in moved.tolist())


def _transform_box(box: Box, affine: FloatArray) -> Box:
    corners = _transform_ring(((box.x1, box.y1), (box.x2, box.y1), (box.x2, box.y2), (box.x1, box.y2)), affine)
    xs, ys = zip(*corners, strict=True)
    return Box(min(xs), min(ys), max(xs), max(ys))


def _transform_keypoints(keypoints: Keypoints, affine: FloatArray) -> Keypoints:
    box = None if keypoints.box is None else _transform_box(keypoints.box, affine)
    area = keypoints.region_area
    scaled = None if area is None else area * abs(float(np.linalg.det(affine[:, :2])))
    return Keypoints(_transform_ring(keypoints.points, affine), keypoints.visibility, box, scaled)


def _axes(angle: float, affine: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What becomes of the two unit axes of a thing that is turned by ``angle``."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return affine[:, :2] @ np.array([cos, sin]), affine[:, :2] @ np.array([-sin, cos])


def _are_perpendicular(u: FloatArray, v: FloatArray) -> bool:
    return abs(float(u @ v)) <= _SQUARE * _length(u) * _length(v)


def _length(vector: FloatArray) -> float:
    return math.hypot(*vector.tolist())


def _angle(direction: FloatArray) -> float:
    return math.degrees(math.atan2(direction[1], direction[0]))


def _turned(angle: float, affine: FloatArray, u: FloatArray) -> float:
    """The angle of an axis that was at ``angle`` and is along ``u`` now; without rounding for shifts and flips."""
    (a, b, _), (c, d, _) = affine.tolist()
    if b == c == 0 and abs(a) == abs(d):
        turned = angle if a * d > 0 else -angle
        return math.remainder(turned + (180 if a < 0 else 0), 360)
    return _angle(u)


def _transform_rotated_box(box: RotatedBox, affine: FloatArray) -> RotatedBox:
    ((cx, cy),) = _transform_ring(((box.cx, box.cy),), affine)
    u, v = _axes(box.angle, affine)
    if _are_perpendicular(u, v):
        angle = _turned(box.angle, affine, u)
        return RotatedBox(cx, cy, _length(u) * box.width, _length(v) * box.height, angle)
    return RotatedBox(cx, cy, *_around_parallelogram(u * box.width, v * box.height, u, v))


def _around_parallelogram(
    side: FloatArray, other: FloatArray, u: FloatArray, v: FloatArray
) -> tuple[float, float, float]:
    """Width, height and angle of the smallest box around a parallelogram: it lies along the longer of its sides.

    ``u`` and ``v`` point along the sides also where these have no length.
    """
    if _length(side) >= _length(other):
        along = u / _length(u)
        across = np.array([-along[1], along[0]])
        return _length(side) + abs(float(other @ along)), abs(float(other @ across)), _angle(along)
    along = v / _length(v)
    across = np.array([along[1], -along[0]])
    across = across if across @ u >= 0 else -across
    return abs(float(side @ across)), _length(other) + abs(float(side @ along)), _angle(across)


def _transform_ellipse(ellipse: Ellipse, affine: FloatArray) -> Ellipse:
    ((cx, cy),) = _transform_ring(((ellipse.cx, ellipse.cy),), affine)
    u, v = _axes(ellipse.angle, affine)
    if _are_perpendicular(u, v):
        angle = _turned(ellipse.angle, affine, u)
        return Ellipse(cx, cy, _length(u) * ellipse.rx, _length(v) * ellipse.ry, angle)
    directions, radii, _ = np.linalg.svd(np.stack([u * ellipse.rx, v * ellipse.ry], axis=1))
    return Ellipse(cx, cy, radii[0], radii[1], _angle(directions[:, 0]))


def _transform_mask(mask: Mask, affine: FloatArray, size_wh: tuple[int, int] | None) -> Mask:
    """Ask for each pixel centre of the result, within the bounds of what can be hit, which pixel it came from."""
    if size_wh is None:
        raise InvalidValueError("To transform a mask the size of the resulting image (size_wh) is needed.")
    bounds = mask.bounds_xyxy()
    target = _transform_box(Box(*bounds), affine)
    limits = (*size_wh, *size_wh)
    sides = (math.floor(target.x1), math.floor(target.y1), math.ceil(target.x2), math.ceil(target.y2))
    left, top, right, bottom = (min(max(side, 0), limit) for side, limit in zip(sides, limits, strict=True))
    x1, y1, x2, y2 = (int(side) for side in bounds)
    source = mask_window(mask, (x1, y1, x2, y2))
    (a, b, c), (d, e, f) = invert_matrix(affine).tolist()
    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
    columns = np.floor(a * x + b * y + c).astype(np.int64) - x1
    rows = np.floor(d * x + e * y + f).astype(np.int64) - y1
    hit = (columns >= 0) & (columns < x2 - x1) & (rows >= 0) & (rows < y2 - y1)
    window = np.zeros(hit.shape, dtype=np.bool_)
    window[hit] = source[rows[hit], columns[hit]]
    return _mask_of_window(window, (left, top), size_wh)


def _mask_of_window(window: BoolArray, left_top: tuple[int, int], size_wh: tuple[int, int]) -> Mask:
    (left, top), height = left_top, size_wh[1]
    steps = np.diff(window.T.astype(np.int8), axis=1, prepend=0, append=0)
    columns, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    first = (columns + left) * height + top
    return mask_from_runs(first + starts, first + ends, size_wh)
