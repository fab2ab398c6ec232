"""Non-maximum suppression of objects by their bounding boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saccade.core.geometry.boxes import boxes_area, boxes_iou
from saccade.core.objects import Object


def non_max_suppression(
    objects: Sequence[Object], max_overlap: float, *, measure: str = "iou", per_class: bool = True
) -> list[Object]:
    """Drop every object that overlaps a better one by more than ``max_overlap``.

    A higher score is better; among objects without a score, a larger area. The remaining objects keep their order.

    Args:
        objects: the candidates; their axis-aligned bounds are compared.
        max_overlap: the largest overlap that is tolerated, from 0 to 1.
        measure: ``iou``, or ``smaller`` for the intersection as a share of the smaller box.
        per_class: compare objects of the same class only.
    """
    if not objects:
        return []
    boxes = np.array([obj.geometry.bounds_xyxy() for obj in objects])
    areas = boxes_area(boxes)
    scores = np.array([-1.0 if obj.score is None else obj.score for obj in objects])
    # By descending score, then by descending area; objects without a score come last.
    order = np.lexsort((-areas, -scores))
    classes = np.unique([obj.class_name for obj in objects], return_inverse=True)[1]
    alive = np.ones(len(objects), bool)
    for best in order.tolist():
        if not alive[best]:
            continue
        rivals = np.flatnonzero(alive & ((classes == classes[best]) | (not per_class)))
        rivals = rivals[rivals != best]
        if not len(rivals):
            continue
        overlaps = boxes_iou(boxes[best : best + 1], boxes[rivals])[0]
        if measure == "smaller":
            intersections = overlaps / (1 + overlaps) * (areas[best] + areas[rivals])
            overlaps = intersections / np.maximum(np.minimum(areas[best], areas[rivals]), 1e-12)
        alive[rivals[overlaps > max_overlap]] = False
    return [obj for obj, is_alive in zip(objects, alive.tolist(), strict=True) if is_alive]
