"""The lines of YOLO label files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.core.geometry import rotated_box_from_corners
from saccade.core.objects import AttributeValue, Box, Geometry, Keypoints, Object, Objects, Polygon
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.encoding import read_head
from saccade.formats._common.paths import replace_surrogates
from saccade.formats._common.text import read_text
from saccade.formats.base import SizeWH

ROUNDING = 2e-6
"""How far numbers written with six decimals may exceed the edge, as a share of the side."""
_MAX_CLASSES = 100_000


def _parse_numbers(line: str) -> list[float] | None:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return None


def _class_number(value: float) -> int:
    return int(value) if math.isfinite(value) and value == int(value) else -1


def looks_like_labels(path: Path) -> bool:
    """Whether the first line of a text file is a line of YOLO labels."""
    text = read_head(path).removeprefix("\ufeff")
    line = next((line for line in text.split("\n") if line.strip()), "")
    numbers = _parse_numbers(line)
    return numbers is not None and len(numbers) >= 5 and _class_number(numbers[0]) >= 0


def max_class_number(path: Path) -> int:
    """Return the highest class number in a label file, or -1 if there is none."""
    try:
        lines = read_text(path).split("\n")
    except (FormatError, OSError):
        # Reported when the labels are read.
        return -1
    class_numbers = (_class_number(numbers[0]) for line in lines if (numbers := _parse_numbers(line)))
    return max((number for number in class_numbers if number < _MAX_CLASSES), default=-1)


def dota_class_names(path: Path) -> set[str]:
    """Return the classes in a label file of DOTA."""
    try:
        lines = read_text(path).split("\n")
    except (FormatError, OSError):
        return set()
    return {fields[1] for line in lines if (fields := _parse_dota_line(line)) is not None}


def _parse_dota_line(line: str) -> tuple[list[float], str, bool] | None:
    """Parse ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult``; return the corners, the class and the flag."""
    words = line.split()
    has_flag = len(words) >= 10 and words[-1] in ("0", "1", "2")
    name = " ".join(words[8:-1] if has_flag else words[8:])
    corners = _parse_numbers(" ".join(words[:8]))
    if not name or corners is None or not all(map(math.isfinite, corners)):
        return None
    return corners, replace_surrogates(name), has_flag and words[-1] != "0"


class LabelReader:
    """Converts label files to objects; bad lines are reported.

    Args:
        names: names of the classes.
        keypoints_shape: number of keypoints, and 2 or 3 numbers for each; None if there are none.
        oriented: whether four points are the corners of a rotated box, and not a polygon.
    """

    def __init__(
        self,
        names: Sequence[str],
        keypoints_shape: tuple[int, int] | None,
        report: ConversionReport,
        *,
        oriented: bool = False,
    ) -> None:
        self._names = names
        self._keypoints_shape = keypoints_shape
        self._oriented = oriented
        self._report = report

    def read(self, text: str, key: str, size_wh: SizeWH) -> Objects:
        """Return the objects of one image; their ids are the numbers of their lines, not counting empty ones.

        Args:
            text: content of the label file.
            key: key of the item, for the report.
            size_wh: size of the image, by which coordinates are scaled.
        """
        objects = []
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        for position, line in enumerate(lines, 1):
            obj = self._object(line, key, str(position), size_wh)
            if obj is not None:
                objects.append(obj)
        report_duplicates(objects, key, self._report)
        return tuple(objects)

    def read_dota(self, text: str, key: str) -> Objects:
        """Return the objects of a label file of DOTA: rotated boxes by their corners in pixels, with class names.

        Args:
            text: content of the label file.
            key: key of the item, for the report.
        """
        objects = []
        # The first lines of the original files state the source and the resolution of the image.
        lines = [line.strip() for line in text.split("\n")]
        lines = [line for line in lines if line and not line.lower().startswith(("imagesource:", "gsd:"))]
        for position, line in enumerate(lines, 1):
            fields = _parse_dota_line(line)
            corners = [] if fields is None else list(zip(fields[0][::2], fields[0][1::2], strict=True))
            if fields is None or Polygon.simple(corners).area() == 0:
                reason = "line that is not corners and a class" if fields is None else "shape without area"
                detail = repr(line[:200])
                self._report.add(FindingType.DROPPED, reason, key=key, object_id=str(position), detail=detail)
                continue
            attributes: dict[str, AttributeValue] = {"difficult": True} if fields[2] else {}
            geometry = rotated_box_from_corners(corners)
            objects.append(Object(str(position), fields[1], geometry, None, None, attributes))
        report_duplicates(objects, key, self._report)
        return tuple(objects)

    def _object(self, line: str, key: str, object_id: str, size_wh: SizeWH) -> Object | None:
        numbers = _parse_numbers(line)
        reason = "line that is not numbers" if numbers is None else self._invalid_reason(numbers[0], numbers[1:])
        if numbers is None or reason:
            self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=repr(line[:200]))
            return None
        class_number, *values = numbers
        has_score = len(values) == (9 if self._oriented else 5)
        score = values.pop() if has_score else None
        geometry = self._geometry(values, key, object_id, size_wh)
        return None if geometry is None else Object(object_id, self._names[int(class_number)], geometry, score)

    def _invalid_reason(self, class_number: float, values: Sequence[float]) -> str:
        if not 0 <= _class_number(class_number) < len(self._names):
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

    def _geometry(self, values: list[float], key: str, object_id: str, size_wh: SizeWH) -> Geometry | None:
        width, height = size_wh
        has_keypoints = self._has_keypoints(values)
        if len(values) == 4 or has_keypoints:
            cx, cy, w, h = values[:4]
            xyxy = (cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height
            box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, tolerance=ROUNDING)
            return self._keypoints(values[4:], box, size_wh) if has_keypoints and box else box
        points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2], strict=True)]
        polygon = Polygon.simple(points)
        if polygon.area() == 0:
            self._report.add(FindingType.DROPPED, "shape without area", key=key, object_id=object_id)
            return None
        return rotated_box_from_corners(points) if self._oriented else polygon

    def _keypoints(self, values: list[float], box: Box, size_wh: SizeWH) -> Keypoints:
        assert self._keypoints_shape is not None
        width, height = size_wh
        step = self._keypoints_shape[1]
        points = [(values[start] * width, values[start + 1] * height) for start in range(0, len(values), step)]
        if step == 3:
            visibility = tuple(int(value) if value in (0.0, 1.0) else 2 for value in values[2::3])
        else:
            # Without a visibility, a point at the origin is one that is not labelled.
            visibility = tuple(0 if point == (0.0, 0.0) else 2 for point in points)
        return Keypoints(tuple(points), visibility, box)
