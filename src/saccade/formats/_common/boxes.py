"""Boxes as they come from files: checked, repaired and clipped, with a report of each change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from saccade.core.objects import BoundsXYXY, Box, Object
from saccade.core.report import Action, Report

NEAR_DUPLICATE_IOU = 0.9
_MAX_PAIRWISE = 2000


def fit_box(
    xyxy: BoundsXYXY,
    size_wh: tuple[int, int] | None,
    report: Report,
    *,
    key: str,
    object_id: str,
    swap: bool = False,
    slack: float = 0.0,
) -> Box | None:
    """The box inside its image, or None where nothing is left; each change goes to the report.

    Args:
        xyxy: corners in pixels.
        size_wh: size of the image; None leaves the box as it is.
        swap: whether corners in the wrong order are swapped (else the box is dropped).
        slack: the share of a side by which a box may reach over the edge because its numbers were rounded; that
            much is cut without a word.
    """
    x1, y1, x2, y2 = xyxy
    width, height = size_wh or (math.inf, math.inf)
    if 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height and x2 < math.inf and y2 < math.inf:
        return Box(x1, y1, x2, y2)

    detail = f"{xyxy} in an image of {size_wh}"
    add = partial(report.add, key=key, object_id=object_id, detail=detail)
    if fault := _fault(xyxy, swap):
        add(Action.DROPPED, fault)
        return None
    if x2 < x1 or y2 < y1:
        add(Action.REPAIRED, "corners of a box swapped")
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if size_wh is None:
        return Box(x1, y1, x2, y2)
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        add(Action.DROPPED, "box outside the image")
        return None
    over_x, over_y = max(clipped[0] - x1, x2 - clipped[2]), max(clipped[1] - y1, y2 - clipped[3])
    if over_x > slack * width or over_y > slack * height:
        add(Action.CLIPPED, "box over the edge of the image")
    return Box(*clipped)


def _fault(xyxy: BoundsXYXY, swap: bool) -> str:
    """Why a box cannot be used, or nothing."""
    x1, y1, x2, y2 = xyxy
    if not all(map(math.isfinite, xyxy)):
        return "box with numbers that are not finite"
    if x1 == x2 or y1 == y2:
        return "box without area"
    return "box with negative size" if not swap and (x2 < x1 or y2 < y1) else ""


def notice_duplicates(objects: Sequence[Object], key: str, report: Report, *, near: bool = True) -> None:
    """Report boxes of one class that are the same or, with ``near``, overlap by an IoU of more than 0.9."""
    boxes = [found for found in objects if isinstance(found.geometry, Box)]
    seen: dict[tuple[str, BoundsXYXY], str] = {}
    for found in boxes:
        first = seen.setdefault((found.class_name, found.geometry.bounds_xyxy()), found.id)
        if first is not found.id:
            report.add(Action.NOTICED, "duplicate box", key=key, object_id=found.id, detail=f"the same as {first}")
    if near and 2 <= len(boxes) <= _MAX_PAIRWISE:
        _notice_near(boxes, key, report)


def _notice_near(boxes: Sequence[Object], key: str, report: Report) -> None:
    xyxy = np.array([found.geometry.bounds_xyxy() for found in boxes])
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.maximum(xyxy[:, None, :2], xyxy[:, :2]), np.minimum(xyxy[:, None, 2:], xyxy[:, 2:])
        inter = np.clip(high - low, 0, None).prod(axis=2)
        area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
        near = inter > NEAR_DUPLICATE_IOU * (area[:, None] + area - inter)
    for first, second in np.argwhere(np.triu(near, 1)):
        one, other = boxes[first], boxes[second]
        if one.class_name == other.class_name and one.geometry != other.geometry:
            report.add(
                Action.NOTICED, "boxes that almost coincide", key=key, object_id=other.id, detail=f"with {one.id}"
            )
