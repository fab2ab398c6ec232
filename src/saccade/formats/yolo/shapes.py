"""Geometry as the numbers of a YOLO line, by task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import clip_geometry, convert
from saccade.core.objects import Box, Keypoints, Object, Point, Polygon, Ring, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.boxes import fit_box
from saccade.formats.base import SizeWH

TASKS = ("detect", "segment", "obb", "pose")
_MAX_DISTANCES = 1 << 20
GEOMETRY_TYPES = {"detect": "box", "segment": "polygon", "obb": "rotated_box", "pose": "keypoints"}
"""The geometry type that the lines of a task express."""


class ShapeWriter:
    """Converts geometry to the numbers after the class, in shares of the image's sides; changes are reported.

    Args:
        keypoints: number of keypoints of each object for the task ``pose``; 0 for that of the first object.
    """

    def __init__(self, task: str, keypoints: int, report: ConversionReport) -> None:
        self.task = task
        self.keypoints = keypoints
        self._report = report

    def numbers(self, key: str, obj: Object, size_wh: SizeWH) -> list[float] | None:
        """Return the numbers of one object.

        Args:
            key: key of the item, for the report.
            size_wh: size of the image, to which the geometry is clipped.

        Returns:
            None, and reported, if the object cannot be written.
        """
        match self.task:
            case "segment":
                return self._segment(key, obj, size_wh)
            case "obb":
                return self._oriented_box(key, obj, size_wh)
            case "pose":
                return self._pose(key, obj, size_wh)
            case _:
                box = self._clipped_box(key, obj, size_wh)
                return None if box is None else _box_shares(box, size_wh)

    def _add(self, action: FindingType, reason: str, key: str, obj: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=obj.id, detail=detail)

    def _drop(self, reason: str, key: str, obj: Object) -> None:
        self._add(FindingType.DROPPED, reason, key, obj, f"a {obj.geometry.type.replace('_', ' ')}")

    def _clipped_box(self, key: str, obj: Object, size_wh: SizeWH) -> Box | None:
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        if x1 == x2 or y1 == y2:
            self._drop("object without area", key, obj)
            return None
        return fit_box((x1, y1, x2, y2), size_wh, self._report, key=key, object_id=obj.id)

    def _segment(self, key: str, obj: Object, size_wh: SizeWH) -> list[float] | None:
        try:
            polygon, _ = convert(obj.geometry, "polygon")
        except InvalidValueError:
            self._drop("shape that cannot become a polygon", key, obj)
            return None
        clipped = clip_geometry(polygon, size_wh)
        if not isinstance(clipped, Polygon):
            self._drop("object without area in the image", key, obj)
            return None
        if clipped != polygon:
            self._add(FindingType.CLIPPED, "polygon over the edge of the image", key, obj)
        if any(len(part) > 1 for part in clipped.parts):
            self._add(FindingType.DROPPED, "holes of a polygon", key, obj)
        if len(clipped.parts) > 1:
            reason = "parts of a polygon joined to one outline"
            self._add(FindingType.REPAIRED, reason, key, obj, f"{len(clipped.parts)} parts")
        return _point_shares(join_rings([part[0] for part in clipped.parts]), size_wh)

    def _oriented_box(self, key: str, obj: Object, size_wh: SizeWH) -> list[float] | None:
        try:
            box, _ = convert(obj.geometry, "rotated_box")
        except InvalidValueError:
            self._drop("object without area", key, obj)
            return None
        assert isinstance(box, RotatedBox)
        if clip_geometry(box, size_wh) is None:
            self._drop("object without area in the image", key, obj)
            return None
        corners = np.array(box.corners())
        inside = np.clip(corners, 0, size_wh)
        if np.abs(corners - inside).max() > 1e-9 * max(size_wh):
            self._add(FindingType.CLIPPED, "corners over the edge of the image moved onto it", key, obj)
        return _point_shares([(float(x), float(y)) for x, y in inside], size_wh)

    def _pose(self, key: str, obj: Object, size_wh: SizeWH) -> list[float] | None:
        box = self._clipped_box(key, obj, size_wh)
        if box is None:
            return None
        keypoints = obj.geometry if isinstance(obj.geometry, Keypoints) else None
        points = keypoints.points if keypoints else ()
        visibility = keypoints.visibility if keypoints else ()
        self.keypoints = self.keypoints or len(points)
        if len(points) != self.keypoints:
            reason = "keypoints of another number, cut or filled up with points that are not labelled"
            self._add(FindingType.DROPPED, reason, key, obj, f"{len(points)} for {self.keypoints}")
        width, height = size_wh
        numbers = _box_shares(box, size_wh)
        for index in range(self.keypoints):
            x, y, visible = (*points[index], visibility[index]) if index < len(points) else (0.0, 0.0, 0)
            if visible and not (0 <= x <= width and 0 <= y <= height):
                reason = "keypoint outside the image, written as not labelled"
                self._add(FindingType.CLIPPED, reason, key, obj, f"{index}")
                visible = 0
            numbers += [x / width, y / height, float(visible)] if visible else [0.0, 0.0, 0.0]
        return numbers


def join_rings(rings: Sequence[Ring]) -> Ring:
    """Join rings to one that covers the same area: each is entered and left by a line of no width.

    The line connects the nearest points of the ring and of those before it. Ultralytics converts the segmentations of
    COCO in this way.
    """
    if len(rings) == 1:
        return rings[0]
    joined = _clockwise(rings[0])
    for ring in map(_clockwise, rings[1:]):
        start, entry = _nearest_points(joined, ring)
        around = np.roll(ring, -entry, axis=0)
        joined = np.concatenate([joined[: start + 1], around, around[:1], joined[start:]])
    return tuple((x, y) for x, y in joined.tolist())


def _nearest_points(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Return the indices of the nearest pair of points, in bounded memory."""
    step = max(1, _MAX_DISTANCES // len(first))
    nearest = (np.inf, 0, 0)
    for offset in range(0, len(second), step):
        distances = ((first[:, None] - second[offset : offset + step]) ** 2).sum(axis=2)
        row, column = divmod(int(distances.argmin()), distances.shape[1])
        nearest = min(nearest, (float(distances[row, column]), row, offset + column))
    return nearest[1], nearest[2]


def _clockwise(ring: Ring) -> npt.NDArray[np.float64]:
    """Return the points of a ring in one direction, so that areas add up when rings are joined."""
    points = np.array(ring)
    following = np.roll(points, -1, axis=0)
    signed_area = (points[:, 0] * following[:, 1] - following[:, 0] * points[:, 1]).sum()
    return points if signed_area >= 0 else points[::-1]


def _box_shares(box: Box, size_wh: SizeWH) -> list[float]:
    """Return center x and y, width and height."""
    width, height = size_wh
    return [
        (box.x1 + box.x2) / 2 / width,
        (box.y1 + box.y2) / 2 / height,
        (box.x2 - box.x1) / width,
        (box.y2 - box.y1) / height,
    ]


def _point_shares(points: Iterable[Point], size_wh: SizeWH) -> list[float]:
    width, height = size_wh
    return [share for x, y in points for share in (x / width, y / height)]
