"""Boxes as they come from files: checked, repaired and clipped, and every change reported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from saccade.core.objects import BoundsXYXY, Box, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.formats.base import SizeWH

NEAR_DUPLICATE_IOU = 0.9
# Beyond this number of boxes in an image, the quadratic search for near duplicates is skipped.
_MAX_PAIRWISE = 2000


def fit_box(
    xyxy: BoundsXYXY,
    size_wh: SizeWH | None,
    report: ConversionReport,
    *,
    key: str,
    object_id: str,
    swap: bool = False,
    tolerance: float = 0.0,
) -> Box | None:
    """Clip a box to its image.

    Args:
        xyxy: corners in pixels.
        size_wh: size of the image; None skips the clipping.
        swap: repair corners in the wrong order; otherwise such a box is dropped.
        tolerance: share of the image's side by which a box may exceed the edge, because of rounding, without the
            clipping being reported.

    Returns:
        None, and reported, if the box has no area, is not finite, or lies outside the image.
    """
    x1, y1, x2, y2 = xyxy
    width, height = size_wh or (math.inf, math.inf)
    # The usual case first: a valid box, with nothing to report.
    if 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height and x2 < math.inf and y2 < math.inf:
        return Box(x1, y1, x2, y2)

    detail = f"{xyxy} in an image of {size_wh}"
    add = partial(report.add, key=key, object_id=object_id, detail=detail)
    if reason := _invalid_reason(xyxy, swap):
        add(FindingType.DROPPED, reason)
        return None
    if x2 < x1 or y2 < y1:
        add(FindingType.REPAIRED, "corners of a box swapped")
        x1, x2 = min(x1, x2), max(x1, x2)
        y1, y2 = min(y1, y2), max(y1, y2)
    if size_wh is None:
        return Box(x1, y1, x2, y2)
    clipped = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        add(FindingType.DROPPED, "box outside the image")
        return None
    excess_x = max(clipped[0] - x1, x2 - clipped[2])
    excess_y = max(clipped[1] - y1, y2 - clipped[3])
    if excess_x > tolerance * width or excess_y > tolerance * height:
        add(FindingType.CLIPPED, "box over the edge of the image")
    return Box(*clipped)


def _invalid_reason(xyxy: BoundsXYXY, swap: bool) -> str:
    x1, y1, x2, y2 = xyxy
    if not all(map(math.isfinite, xyxy)):
        return "box with numbers that are not finite"
    if x1 == x2 or y1 == y2:
        return "box without area"
    return "box with negative size" if not swap and (x2 < x1 or y2 < y1) else ""


def report_duplicates(objects: Sequence[Object], key: str, report: ConversionReport, *, near: bool = True) -> None:
    """Report boxes of one class that are equal.

    Args:
        near: also report boxes of one class with an IoU above :data:`NEAR_DUPLICATE_IOU`.
    """
    boxes = [obj for obj in objects if isinstance(obj.geometry, Box)]
    first_ids: dict[tuple[str, BoundsXYXY], str] = {}
    for obj in boxes:
        first_id = first_ids.setdefault((obj.class_name, obj.geometry.bounds_xyxy()), obj.id)
        if first_id is not obj.id:
            detail = f"the same as {first_id}"
            report.add(FindingType.WARNING, "duplicate box", key=key, object_id=obj.id, detail=detail)
    if near and 2 <= len(boxes) <= _MAX_PAIRWISE:
        _report_near_duplicates(boxes, key, report)


def _report_near_duplicates(boxes: Sequence[Object], key: str, report: ConversionReport) -> None:
    xyxy = np.array([obj.geometry.bounds_xyxy() for obj in boxes])
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.maximum(xyxy[:, None, :2], xyxy[:, :2])
        high = np.minimum(xyxy[:, None, 2:], xyxy[:, 2:])
        intersection = np.clip(high - low, 0, None).prod(axis=2)
        area = (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1)
        is_near = intersection > NEAR_DUPLICATE_IOU * (area[:, None] + area - intersection)
    for i, j in np.argwhere(np.triu(is_near, 1)):
        first = boxes[i]
        second = boxes[j]
        if first.class_name == second.class_name and first.geometry != second.geometry:
            detail = f"with {first.id}"
            report.add(FindingType.WARNING, "boxes that almost coincide", key=key, object_id=second.id, detail=detail)
