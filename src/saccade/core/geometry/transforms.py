"""Affine transforms of geometries: 2x3 matrices that map corner-origin pixel coordinates, ``x' = a x + b y + c``."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import BoolArray, FloatArray
from saccade.core.geometry.rle import mask_from_runs, mask_window
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Points, Polygon, Polyline, Ring, RotatedBox

_MAX_COSINE = 1e-9  # axes with a smaller cosine between them count as perpendicular


def transform_geometry(geometry: Geometry, matrix: npt.ArrayLike, size_wh: tuple[int, int] | None = None) -> Geometry:
    """Transform a geometry by an affine matrix; its type stays.

    Polygons, polylines, points and ellipses are exact, keypoints too (left and right are not swapped by flips). A box
    becomes the bounds of its transformed corners. A rotated box is exact if its sides stay perpendicular, as under
    translation, rotation, flips and uniform scaling; otherwise it becomes the smallest rotated box around its corners.
    Resulting angles are in [-180, 180]. A mask is resampled with nearest neighbours.

    Args:
        geometry: the geometry.
        matrix: affine matrix (2, 3).
        size_wh: size of the resulting image; required for masks only.

    Raises:
        InvalidValueError: the matrix is not 2x3, finite and invertible, or ``size_wh`` is missing for a mask.
    """
    affine = _affine(matrix)
    transformed: Geometry
    match geometry:
        case Box():
            transformed = _transform_box(geometry, affine)
        case RotatedBox():
            transformed = _transform_rotated_box(geometry, affine)
        case Polygon():
            rings = (tuple(_transform_ring(ring, affine) for ring in part) for part in geometry.parts)
            transformed = Polygon(tuple(rings))
        case Polyline() | Points():
            transformed = type(geometry)(_transform_ring(geometry.points, affine))
        case Keypoints():
            transformed = _transform_keypoints(geometry, affine)
        case Ellipse():
            transformed = _transform_ellipse(geometry, affine)
        case Mask():
            transformed = _transform_mask(geometry, affine, size_wh)
    return transformed


def invert_matrix(matrix: npt.ArrayLike) -> FloatArray:
    """Return the inverse of an affine matrix (2, 3).

    Raises:
        InvalidValueError: the matrix is not 2x3, finite and invertible.
    """
    affine = _affine(matrix)
    linear = np.linalg.inv(affine[:, :2]).astype(np.float64)
    return np.hstack([linear, -linear @ affine[:, 2:]])


def flip_matrix(size_wh: tuple[int, int], *, horizontal: bool = False, vertical: bool = False) -> FloatArray:
    """Return the affine matrix (2, 3) that flips an image.

    Args:
        size_wh: size of the image in pixels.
        horizontal: flip left to right.
        vertical: flip top to bottom.
    """
    width, height = size_wh
    x = (-1.0, 0.0, float(width)) if horizontal else (1.0, 0.0, 0.0)
    y = (0.0, -1.0, float(height)) if vertical else (0.0, 1.0, 0.0)
    return np.array([x, y])


def orientation_matrix(orientation: int, stored_wh: tuple[int, int]) -> FloatArray:
    """Return the affine matrix (2, 3) from the stored pixels of an image to its pixels as displayed.

    Args:
        orientation: EXIF orientation, 1 to 8.
        stored_wh: size of the image before the orientation is applied.

    Raises:
        InvalidValueError: the orientation is not in 1 to 8.
    """
    if orientation not in range(1, 9):
        raise InvalidValueError(f"An EXIF orientation lies in 1 to 8, not {orientation}.")
    # As for pixels: transpose, then flip horizontally, then vertically.
    matrix = np.array([(0.0, 1.0, 0.0), (1.0, 0.0, 0.0)] if orientation >= 5 else [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0)])
    width, height = stored_wh[::-1] if orientation >= 5 else stored_wh
    if orientation in (2, 3, 6, 7):
        matrix[0] = np.array([0.0, 0.0, float(width)]) - matrix[0]
    if orientation in (3, 4, 7, 8):
        matrix[1] = np.array([0.0, 0.0, float(height)]) - matrix[1]
    return matrix


def _affine(matrix: npt.ArrayLike) -> FloatArray:
    affine = np.asarray(matrix, dtype=np.float64)
    if affine.shape != (2, 3) or not np.isfinite(affine).all() or np.linalg.det(affine[:, :2]) == 0:
        raise InvalidValueError(f"A transform needs a finite, invertible 2x3 matrix, not {affine.tolist()}.")
    return affine


def _transform_ring(points: Ring, affine: FloatArray) -> Ring:
    transformed = np.array(points) @ affine[:, :2].T + affine[:, 2]
    return tuple((x, y) for x, y in transformed.tolist())


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
    """Transform the two unit axes of a shape that is rotated by ``angle``."""
    cos = math.cos(math.radians(angle))
    sin = math.sin(math.radians(angle))
    return affine[:, :2] @ np.array([cos, sin]), affine[:, :2] @ np.array([-sin, cos])


def _are_perpendicular(u: FloatArray, v: FloatArray) -> bool:
    return abs(float(u @ v)) <= _MAX_COSINE * _length(u) * _length(v)


def _length(vector: FloatArray) -> float:
    return math.hypot(*vector.tolist())


def _angle(direction: FloatArray) -> float:
    return math.degrees(math.atan2(direction[1], direction[0]))


def _transform_angle(angle: float, affine: FloatArray, u: FloatArray) -> float:
    """Return the new angle of an axis that now points along ``u``, free of rounding for translations and flips."""
    (a, b, _), (c, d, _) = affine.tolist()
    if b == c == 0 and abs(a) == abs(d):
        mirrored = angle if a * d > 0 else -angle
        return math.remainder(mirrored + (180 if a < 0 else 0), 360)
    return _angle(u)


def _transform_rotated_box(box: RotatedBox, affine: FloatArray) -> RotatedBox:
    ((cx, cy),) = _transform_ring(((box.cx, box.cy),), affine)
    u, v = _axes(box.angle, affine)
    if _are_perpendicular(u, v):
        angle = _transform_angle(box.angle, affine, u)
        return RotatedBox(cx, cy, _length(u) * box.width, _length(v) * box.height, angle)
    return RotatedBox(cx, cy, *_around_parallelogram(u * box.width, v * box.height, u, v))


def _around_parallelogram(
    side: FloatArray, other: FloatArray, u: FloatArray, v: FloatArray
) -> tuple[float, float, float]:
    """Return width, height and angle of the smallest box around a parallelogram: it is aligned with the longer side.

    ``u`` and ``v`` are the directions of the sides, needed if a side has length 0.
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
        angle = _transform_angle(ellipse.angle, affine, u)
        return Ellipse(cx, cy, _length(u) * ellipse.rx, _length(v) * ellipse.ry, angle)
    directions, radii, _ = np.linalg.svd(np.stack([u * ellipse.rx, v * ellipse.ry], axis=1))
    return Ellipse(cx, cy, radii[0], radii[1], _angle(directions[:, 0]))


def _transform_mask(mask: Mask, affine: FloatArray, size_wh: tuple[int, int] | None) -> Mask:
    """Resample by mapping each pixel centre of the result, within the target bounds, back to its source pixel."""
    if size_wh is None:
        raise InvalidValueError("Transforming a mask requires the size of the resulting image (size_wh).")
    bounds = mask.bounds_xyxy()
    target = _transform_box(Box(*bounds), affine)
    limits = (*size_wh, *size_wh)
    sides = (math.floor(target.x1), math.floor(target.y1), math.ceil(target.x2), math.ceil(target.y2))
    left, top, right, bottom = (min(max(side, 0), limit) for side, limit in zip(sides, limits, strict=True))
    x1, y1, x2, y2 = (int(side) for side in bounds)
    source = mask_window(mask, (x1, y1, x2, y2))
    (a, b, c), (d, e, f) = invert_matrix(affine).tolist()
    x = np.arange(left, right) + 0.5
    y = np.arange(top, bottom)[:, None] + 0.5
    columns = np.floor(a * x + b * y + c).astype(np.int64) - x1
    rows = np.floor(d * x + e * y + f).astype(np.int64) - y1
    inside = (columns >= 0) & (columns < x2 - x1) & (rows >= 0) & (rows < y2 - y1)
    window = np.zeros(inside.shape, dtype=np.bool_)
    window[inside] = source[rows[inside], columns[inside]]
    return _mask_from_window(window, (left, top), size_wh)


def _mask_from_window(window: BoolArray, left_top: tuple[int, int], size_wh: tuple[int, int]) -> Mask:
    left, top = left_top
    height = size_wh[1]
    steps = np.diff(window.T.astype(np.int8), axis=1, prepend=0, append=0)
    columns, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    first = (columns + left) * height + top
    return mask_from_runs(first + starts, first + ends, size_wh)
