"""Shapes as the numbers of a YOLO line, by task."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import clip_geometry, convert
from saccade.core.objects import Box, Keypoints, Object, Point, Polygon, Ring, RotatedBox
from saccade.core.report import Action, Report
from saccade.formats._common.boxes import fit_box

TASKS = ("detect", "segment", "obb", "pose")
HELD = {"detect": "box", "segment": "polygon", "obb": "rotated_box", "pose": "keypoints"}
"""The geometry that the lines of a task hold."""
Size = tuple[int, int]


class ShapeWriter:
    """Makes the numbers after the class, in shares of the image; every change goes to the report.

    Args:
        keypoints: how many each object has in the task ``pose``; where it is 0, as many as the first one.
    """

    def __init__(self, task: str, keypoints: int, report: Report) -> None:
        self.task, self.keypoints = task, keypoints
        self._report = report

    def numbers(self, key: str, found: Object, size_wh: Size) -> list[float] | None:
        """The numbers of one object, or None, reported, where it cannot be written."""
        match self.task:
            case "segment":
                return self._segment(key, found, size_wh)
            case "obb":
                return self._oriented(key, found, size_wh)
            case "pose":
                return self._pose(key, found, size_wh)
            case _:
                return self._box(key, found, size_wh)

    def _add(self, action: Action, reason: str, key: str, found: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def _box(self, key: str, found: Object, size_wh: Size) -> list[float] | None:
        box = self._fitted(key, found, size_wh)
        return None if box is None else _box_shares(box, size_wh)

    def _fitted(self, key: str, found: Object, size_wh: Size) -> Box | None:
        x1, y1, x2, y2 = found.geometry.bounds_xyxy()
        if x1 == x2 or y1 == y2:
            self._add(Action.DROPPED, "object without area", key, found, f"a {_words(found)}")
            return None
        return fit_box((x1, y1, x2, y2), size_wh, self._report, key=key, object_id=found.id)

    def _segment(self, key: str, found: Object, size_wh: Size) -> list[float] | None:
        try:
            polygon, _ = convert(found.geometry, "polygon")
        except InvalidValueError:
            self._add(Action.DROPPED, "shape that cannot become a polygon", key, found, f"a {_words(found)}")
            return None
        cut = clip_geometry(polygon, size_wh)
        if not isinstance(cut, Polygon):
            self._add(Action.DROPPED, "object without area in the image", key, found, f"a {_words(found)}")
            return None
        if cut != polygon:
            self._add(Action.CLIPPED, "polygon over the edge of the image", key, found)
        ring = max((part[0] for part in cut.parts), key=lambda ring: Polygon.simple(ring).area())
        if len(cut.parts) > 1 or len(cut.parts[0]) > 1:
            self._add(Action.DROPPED, "holes and all but the largest part of a polygon", key, found)
        return _point_shares(ring, size_wh)

    def _oriented(self, key: str, found: Object, size_wh: Size) -> list[float] | None:
        try:
            box, _ = convert(found.geometry, "rotated_box")
        except InvalidValueError:
            self._add(Action.DROPPED, "object without area", key, found, f"a {_words(found)}")
            return None
        assert isinstance(box, RotatedBox)
        if clip_geometry(box, size_wh) is None:
            self._add(Action.DROPPED, "object without area in the image", key, found, f"a {_words(found)}")
            return None
        corners = np.array(box.corners())
        inside = np.clip(corners, 0, size_wh)
        if np.abs(corners - inside).max() > 1e-9 * max(size_wh):
            self._add(Action.CLIPPED, "corners over the edge of the image moved onto it", key, found)
        return _point_shares([(float(x), float(y)) for x, y in inside], size_wh)

    def _pose(self, key: str, found: Object, size_wh: Size) -> list[float] | None:
        box = self._fitted(key, found, size_wh)
        if box is None:
            return None
        points, seen = self._points(found)
        self.keypoints = self.keypoints or len(points)
        if len(points) != self.keypoints:
            reason = "keypoints of another number, cut or filled up with points that are not labelled"
            self._add(Action.DROPPED, reason, key, found, f"{len(points)} for {self.keypoints}")
        width, height = size_wh
        numbers = _box_shares(box, size_wh)
        for at in range(self.keypoints):
            x, y, visible = (*points[at], seen[at]) if at < len(points) else (0.0, 0.0, 0)
            if visible and not (0 <= x <= width and 0 <= y <= height):
                self._add(Action.CLIPPED, "keypoint outside the image, written as not labelled", key, found, f"{at}")
                visible = 0
            numbers += [x / width, y / height, float(visible)] if visible else [0.0, 0.0, 0.0]
        return numbers

    def _points(self, found: Object) -> tuple[Ring, tuple[int, ...]]:
        if not isinstance(found.geometry, Keypoints):
            return (), ()
        return found.geometry.points, found.geometry.visibility


def _words(found: Object) -> str:
    return found.geometry.type.replace("_", " ")


def _box_shares(box: Box, size_wh: Size) -> list[float]:
    """Centre and sides as shares of the image."""
    width, height = size_wh
    return [
        (box.x1 + box.x2) / 2 / width,
        (box.y1 + box.y2) / 2 / height,
        (box.x2 - box.x1) / width,
        (box.y2 - box.y1) / height,
    ]


def _point_shares(points: Iterable[Point], size_wh: Size) -> list[float]:
    width, height = size_wh
    return [share for x, y in points for share in (x / width, y / height)]
