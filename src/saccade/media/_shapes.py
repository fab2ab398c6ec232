"""Paint geometries into an image, anti-aliased and with subpixel precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.geometry import ellipse_to_polygon, mask_to_array
from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Point,
    Points,
    Polygon,
    Polyline,
    Ring,
    RotatedBox,
)
from saccade.media.colors import RGB, luminance

Pixels = npt.NDArray[np.uint8]
_SHIFT = 4
_FIXED_ONE = 1 << _SHIFT
# OpenCV's fixed-point coordinates overflow beyond this; such points are far outside the image.
_MAX_COORDINATE = 1 << 20
_FILL_OPACITY = 0.32
_HALO_OPACITY = 0.35


def _to_fixed_point(points: Iterable[Point]) -> npt.NDArray[np.int32]:
    """Convert points to OpenCV's fixed-point coordinates, whose origin is the centre of the first pixel."""
    array = np.clip(np.asarray(list(points), np.float64) - 0.5, -_MAX_COORDINATE, _MAX_COORDINATE)
    return np.round(array * _FIXED_ONE).astype(np.int32).reshape(-1, 1, 2)


@dataclass(frozen=True, slots=True)
class Brush:
    """Paints into an image in place, with a colour and a line width in pixels."""

    image: Pixels
    color: RGB
    thickness: int

    def outline(self, rings: Sequence[Ring], closed: bool = True) -> None:
        """Draw lines through points, with a translucent halo for contrast with the background."""
        if not (fixed := [_to_fixed_point(ring) for ring in rings]):
            return
        region = self._bounding_slices([point for ring in rings for point in ring], self.thickness + 3)
        if region is None:
            return
        rows, columns = region
        offset = np.array([columns.start, rows.start], np.int32) * _FIXED_ONE
        local_points = [points - offset for points in fixed]
        pixels = self.image[rows, columns]
        halo = np.zeros(pixels.shape[:2], np.uint8)
        cv2.polylines(halo, local_points, closed, 255, self.thickness + 2, cv2.LINE_AA, _SHIFT)
        blend(pixels, halo, (255, 255, 255) if luminance(self.color) < 0.02 else (0, 0, 0), _HALO_OPACITY)
        line = np.zeros(pixels.shape[:2], np.uint8)
        cv2.polylines(line, local_points, closed, 255, self.thickness, cv2.LINE_AA, _SHIFT)
        blend(pixels, line, self.color, 1.0)

    def fill(self, parts: Sequence[Sequence[Ring]], opacity: float = _FILL_OPACITY) -> None:
        """Fill polygon parts, each an outer ring and its holes, with a translucent colour."""
        points = [point for part in parts for point in part[0]]
        if (region := self._bounding_slices(points, 1)) is None:
            return
        rows, columns = region
        offset = np.array([columns.start, rows.start], np.int32) * _FIXED_ONE
        coverage = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for part in parts:
            part_coverage = np.zeros_like(coverage)
            cv2.fillPoly(part_coverage, [_to_fixed_point(ring) - offset for ring in part], 255, cv2.LINE_AA, _SHIFT)
            np.maximum(coverage, part_coverage, out=coverage)
        blend(self.image[rows, columns], coverage, self.color, opacity)

    def dot(self, point: Point, radius: float, hollow: bool = False) -> None:
        """Draw a disc with a contrasting rim, or only a ring if ``hollow``."""
        if (region := self._bounding_slices([point], radius + 3)) is None:
            return
        rows, columns = region
        part = self.image[rows, columns]
        centre = [int(value) for value in _to_fixed_point([(point[0] - columns.start, point[1] - rows.start)]).ravel()]
        rim: RGB = (255, 255, 255) if luminance(self.color) < 0.4 else (0, 0, 0)
        for size, color in ((radius + 1, rim), (radius, self.color), (radius * 0.5, rim)):
            if size == radius * 0.5 and not hollow:
                continue
            cover = np.zeros(part.shape[:2], np.uint8)
            cv2.circle(cover, centre, round(size * _FIXED_ONE), 255, -1, cv2.LINE_AA, _SHIFT)
            blend(part, cover, color, 1.0)

    def _bounding_slices(self, points: Sequence[Point], margin: float) -> tuple[slice, slice] | None:
        """Return the rows and columns of the points' bounds plus a margin, or None if they lie outside the image."""
        array = np.asarray(points, np.float64)
        height, width = self.image.shape[:2]
        low = np.clip(np.floor(array.min(axis=0) - margin), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(array.max(axis=0) + margin), 0, (width, height)).astype(int)
        if (high <= low).any():
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def blend(region: Pixels, coverage: Pixels, color: RGB, opacity: float) -> None:
    """Blend a colour into an image region in place, with the alpha ``coverage / 255 * opacity``."""
    weight = (coverage.astype(np.float32) * (opacity / 255))[..., None]
    region[:] = np.rint(region + (np.asarray(color, np.float32) - region) * weight).astype(np.uint8)


def paint_geometry(brush: Brush, geometry: Geometry, skeleton: Sequence[tuple[int, int]] = ()) -> None:
    """Paint a geometry, clipped to the image.

    Args:
        brush: the image, the colour and the line width.
        geometry: any geometry.
        skeleton: pairs of keypoint indices to connect.
    """
    match geometry:
        case Box():
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            brush.outline([((x1, y1), (x2, y1), (x2, y2), (x1, y2))])
        case RotatedBox():
            _paint_rotated_box(brush, geometry)
        case Polygon():
            brush.fill(geometry.parts)
            brush.outline([ring for part in geometry.parts for ring in part])
        case Mask():
            _paint_mask(brush, geometry)
        case Polyline():
            brush.outline([geometry.points], closed=False)
            for end in (geometry.points[0], geometry.points[-1]):
                brush.dot(end, brush.thickness * 1.2)
        case Points():
            for point in geometry.points:
                brush.dot(point, brush.thickness * 1.6 + 1)
        case Keypoints():
            _paint_keypoints(brush, geometry, skeleton)
        case Ellipse():
            around = ellipse_to_polygon(geometry, 72)
            brush.fill(around.parts)
            brush.outline(around.parts[0])


def _paint_rotated_box(brush: Brush, box: RotatedBox) -> None:
    corners = box.corners()
    brush.outline([corners])
    # A tick on the side that is "up" at angle 0 shows the direction.
    (x1, y1), (x2, y2) = corners[0], corners[1]
    middle = (x1 + x2) / 2, (y1 + y2) / 2
    inward = middle[0] + (box.cx - middle[0]) * 0.3, middle[1] + (box.cy - middle[1]) * 0.3
    brush.outline([(middle, inward)], closed=False)


def _paint_mask(brush: Brush, mask: Mask) -> None:
    height, width = brush.image.shape[:2]
    pixels = np.zeros((height, width), np.uint8)
    source = mask_to_array(mask)[:height, :width]
    pixels[: source.shape[0], : source.shape[1]] = source
    if not pixels.any():
        return
    blend(brush.image, pixels * np.uint8(255), brush.color, _FILL_OPACITY)
    contours = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    brush.outline([_ring(contour) for contour in contours])


def _ring(contour: npt.NDArray[Any]) -> Ring:
    """Convert a contour of OpenCV, in pixel indices, to image coordinates."""
    return tuple((float(x) + 0.5, float(y) + 0.5) for x, y in contour.reshape(-1, 2))


def _paint_keypoints(brush: Brush, keypoints: Keypoints, skeleton: Sequence[tuple[int, int]]) -> None:
    points, visibilities = keypoints.points, keypoints.visibility
    for a, b in skeleton:
        if max(a, b) < len(points) and visibilities[a] and visibilities[b]:
            brush.outline([(points[a], points[b])], closed=False)
    for point, visibility in zip(points, visibilities, strict=True):
        if visibility:
            brush.dot(point, brush.thickness * 1.3 + 0.5, hollow=visibility == 1)
