"""Objects that overlap so much that they are one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from saccade.core.geometry.boxes import boxes_area, boxes_iou
from saccade.core.objects import Object


def without_overlap(
    objects: Sequence[Object], most: float, *, measure: str = "iou", by_class: bool = True
) -> list[Object]:
    """Non-maximum suppression by bounds: of objects that overlap more than ``most`` the best one stays.

    The best is that of the highest score, among those without one the largest. Their order stays.

    Args:
        measure: ``iou``, or ``smaller``: the intersection as a share of the smaller one's bounds.
        by_class: objects of different classes do not suppress each other.
    """
    if not objects:
        return []
    boxes = np.array([one.geometry.bounds_xyxy() for one in objects])
    areas = boxes_area(boxes)
    scores = np.array([-1.0 if one.score is None else one.score for one in objects])
    order = np.lexsort((-areas, -scores))
    classes = np.unique([one.class_name for one in objects], return_inverse=True)[1]
    alive = np.ones(len(objects), bool)
    for at in order.tolist():
        if not alive[at]:
            continue
        rivals = np.flatnonzero(alive & ((classes == classes[at]) | (not by_class)))
        rivals = rivals[rivals != at]
        if not len(rivals):
            continue
        shares = boxes_iou(boxes[at : at + 1], boxes[rivals])[0]
        if measure == "smaller":
            both = shares / (1 + shares) * (areas[at] + areas[rivals])
            shares = both / np.maximum(np.minimum(areas[at], areas[rivals]), 1e-12)
        alive[rivals[shares > most]] = False
    return [one for one, stays in zip(objects, alive.tolist(), strict=True) if stays]
