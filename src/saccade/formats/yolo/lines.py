"""The lines of YOLO label files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from saccade.core.geometry import rotated_box_from_corners
from saccade.core.objects import Box, Geometry, Keypoints, Object, Objects, Polygon
from saccade.core.report import Action, Report
from saccade.formats._common.boxes import fit_box, notice_duplicates

ROUNDING = 2e-6
"""How far numbers written with six decimals may reach over the edge, as a share of the side."""
_MAX_CLASSES = 100_000


def _numbers(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _class_number(value: float) -> int:
    return int(value) if math.isfinite(value) and value == int(value) else -1


def looks_like_labels(path: Path) -> bool:
    """Whether the first line of a text file is a line of YOLO labels."""
    with path.open("rb") as file:
        line = next((line for line in file.read(4096).decode("utf-8-sig", "replace").split("\n") if line.strip()), "")
    numbers = _numbers(line)
    return numbers is not None and len(numbers) >= 5 and _class_number(numbers[0]) >= 0


def highest_class(path: Path) -> int:
    """The highest class number in a label file, -1 where there is none."""
    lines = path.read_bytes().decode("utf-8-sig", errors="replace").split("\n")
    found = (_class_number(numbers[0]) for line in lines if (numbers := _numbers(line)))
    return max((number for number in found if number < _MAX_CLASSES), default=-1)


class LineReader:
    """Turns label files into objects; bad lines go to the report.

    Args:
        oriented: whether four points are the corners of a rotated box, and not a polygon.
    """

    def __init__(
        self, names: Sequence[str], keypoints_shape: tuple[int, int] | None, report: Report, *, oriented: bool = False
    ) -> None:
        self._names = names
        self._keypoints_shape = keypoints_shape
        self._oriented = oriented
        self._report = report

    def objects(self, text: str, key: str, size_wh: tuple[int, int]) -> Objects:
        """The objects of one image; their ids are the numbers of their lines, blank ones not counted."""
        made = []
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        for position, line in enumerate(lines, 1):
            found = self._object(line, key, str(position), size_wh)
            if found is not None:
                made.append(found)
        notice_duplicates(made, key, self._report)
        return tuple(made)

    def _object(self, line: str, key: str, object_id: str, size_wh: tuple[int, int]) -> Object | None:
        numbers = _numbers(line)
        fault = "line that is not numbers" if numbers is None else self._fault(numbers[0], numbers[1:])
        if numbers is None or fault:
            self._report.add(Action.DROPPED, fault, key=key, object_id=object_id, detail=repr(line[:200]))
            return None
        number, *values = numbers
        score = values.pop() if len(values) == (9 if self._oriented else 5) else None
        geometry = self._geometry(values, key, object_id, size_wh)
        return None if geometry is None else Object(object_id, self._names[int(number)], geometry, score)

    def _fault(self, number: float, values: Sequence[float]) -> str:
        """What is wrong with a line, or nothing."""
        if not 0 <= _class_number(number) < len(self._names):
            return "class number out of range"
        if not all(map(math.isfinite, values)):
            return "line with numbers that are not finite"
        if self._oriented:
            return "" if len(values) in (8, 9) else "line with a wrong number of values"
        is_box = len(values) in (4, 5) or self._has_keypoints(values)
        if not is_box and (len(values) < 6 or len(values) % 2):
            return "line with a wrong number of values"
        if not all(-ROUNDING <= value <= 1 + ROUNDING for value in (values[:4] if is_box else values)):
            return "coordinates that are not in 0 to 1"
        return ""

    def _has_keypoints(self, values: Sequence[float]) -> bool:
        shape = self._keypoints_shape
        return shape is not None and len(values) == 4 + shape[0] * shape[1]

    def _geometry(self, values: list[float], key: str, object_id: str, size_wh: tuple[int, int]) -> Geometry | None:
        width, height = size_wh
        keypoints = self._has_keypoints(values)
        if len(values) == 4 or keypoints:
            cx, cy, w, h = values[:4]
            xyxy = (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height
            box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, slack=ROUNDING)
            return self._keypoints(values[4:], box, size_wh) if keypoints and box else box
        points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
        polygon = Polygon.simple(points)
        if polygon.area() == 0:
            self._report.add(Action.DROPPED, "shape without area", key=key, object_id=object_id)
            return None
        return rotated_box_from_corners(points) if self._oriented else polygon

    def _keypoints(self, values: list[float], box: Box, size_wh: tuple[int, int]) -> Keypoints:
        assert self._keypoints_shape is not None
        step = self._keypoints_shape[1]
        points = [(values[at] * size_wh[0], values[at + 1] * size_wh[1]) for at in range(0, len(values), step)]
        if step == 3:
            visibility = tuple(int(seen) if seen in (0.0, 1.0) else 2 for seen in values[2::3])
        else:
            visibility = tuple(0 if point == (0.0, 0.0) else 2 for point in points)
        return Keypoints(tuple(points), visibility, box)
