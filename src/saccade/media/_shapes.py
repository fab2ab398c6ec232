"""Geometries painted into an image, anti-aliased and at fractions of a pixel."""

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
_ONE = 1 << _SHIFT
# OpenCV's fixed-point coordinates overflow; nothing this far away is seen.
_FAR = 1 << 20
_FILL = 0.32
_HALO = 0.35


def _fixed(points: Iterable[Point]) -> npt.NDArray[np.int32]:
    """Points in OpenCV's fixed-point coordinates, whose origin is the centre of the first pixel."""
    array = np.clip(np.asarray(list(points), np.float64) - 0.5, -_FAR, _FAR)
    return np.round(array * _ONE).astype(np.int32).reshape(-1, 1, 2)


@dataclass(frozen=True, slots=True)
class Brush:
    """A colour and a line width in pixels on an image that is painted in place."""

    image: Pixels
    color: RGB
    thickness: int

    def outline(self, rings: Sequence[Ring], closed: bool = True) -> None:
        """Lines through points, over a soft rim that sets them off from any ground."""
        if not (fixed := [_fixed(ring) for ring in rings]):
            return
        region = self._region([point for ring in rings for point in ring], self.thickness + 3)
        if region is None:
            return
        rows, columns = region
        offset = np.array([columns.start, rows.start], np.int32) * _ONE
        moved = [points - offset for points in fixed]
        part = self.image[rows, columns]
        rim = np.zeros(part.shape[:2], np.uint8)
        cv2.polylines(rim, moved, closed, 255, self.thickness + 2, cv2.LINE_AA, _SHIFT)
        blend(part, rim, (255, 255, 255) if luminance(self.color) < 0.02 else (0, 0, 0), _HALO)
        line = np.zeros(part.shape[:2], np.uint8)
        cv2.polylines(line, moved, closed, 255, self.thickness, cv2.LINE_AA, _SHIFT)
        blend(part, line, self.color, 1.0)

    def fill(self, parts: Sequence[Sequence[Ring]], opacity: float = _FILL) -> None:
        """Parts, each an outer ring and its holes, filled so that one sees through."""
        points = [point for part in parts for point in part[0]]
        if (region := self._region(points, 1)) is None:
            return
        rows, columns = region
        offset = np.array([columns.start, rows.start], np.int32) * _ONE
        cover = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        for part in parts:
            one = np.zeros_like(cover)
            cv2.fillPoly(one, [_fixed(ring) - offset for ring in part], 255, cv2.LINE_AA, _SHIFT)
            np.maximum(cover, one, out=cover)
        blend(self.image[rows, columns], cover, self.color, opacity)

    def dot(self, point: Point, radius: float, hollow: bool = False) -> None:
        """A disc with a contrasting rim, or a ring of the colour where ``hollow``."""
        if (region := self._region([point], radius + 3)) is None:
            return
        rows, columns = region
        part = self.image[rows, columns]
        centre = [int(value) for value in _fixed([(point[0] - columns.start, point[1] - rows.start)]).ravel()]
        rim: RGB = (255, 255, 255) if luminance(self.color) < 0.4 else (0, 0, 0)
        for size, color in ((radius + 1, rim), (radius, self.color), (radius * 0.5, rim)):
            if size == radius * 0.5 and not hollow:
                continue
            cover = np.zeros(part.shape[:2], np.uint8)
            cv2.circle(cover, centre, round(size * _ONE), 255, -1, cv2.LINE_AA, _SHIFT)
            blend(part, cover, color, 1.0)

    def _region(self, points: Sequence[Point], margin: float) -> tuple[slice, slice] | None:
        """Rows and columns of the image that the points reach with a margin, None where it is none."""
        array = np.asarray(points, np.float64)
        height, width = self.image.shape[:2]
        low = np.clip(np.floor(array.min(axis=0) - margin), 0, (width, height)).astype(int)
        high = np.clip(np.ceil(array.max(axis=0) + margin), 0, (width, height)).astype(int)
        if (high <= low).any():
            return None
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


def blend(part: Pixels, cover: Pixels, color: RGB, opacity: float) -> None:
    """Lay a colour over a part of an image in place, ``cover`` (0 to 255) times ``opacity`` strong."""
    weight = (cover.astype(np.float32) * (opacity / 255))[..., None]
    part[:] = np.rint(part + (np.asarray(color, np.float32) - part) * weight).astype(np.uint8)


def paint(brush: Brush, geometry: Geometry, skeleton: Sequence[tuple[int, int]] = ()) -> None:
    """Paint one geometry; what lies off the image is left out."""
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
    # The side that is "up" at angle 0 carries a tick, so that the direction can be read.
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
    blend(brush.image, pixels * np.uint8(255), brush.color, _FILL)
    contours = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)[0]
    brush.outline([_ring(contour) for contour in contours])


def _ring(contour: npt.NDArray[Any]) -> Ring:
    """A contour through pixel centres, in our coordinates."""
    return tuple((float(x) + 0.5, float(y) + 0.5) for x, y in contour.reshape(-1, 2))


def _paint_keypoints(brush: Brush, keypoints: Keypoints, skeleton: Sequence[tuple[int, int]]) -> None:
    points, seen = keypoints.points, keypoints.visibility
    bones = [(a, b) for a, b in skeleton if max(a, b) < len(points) and seen[a] and seen[b]]
    for a, b in bones:
        brush.outline([(points[a], points[b])], closed=False)
    for point, visibility in zip(points, seen, strict=True):
        if visibility:
            brush.dot(point, brush.thickness * 1.3 + 0.5, hollow=visibility == 1)
