"""How alike a predicted and a true object are, and the greedy matching of the COCO protocol."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from faster_coco_eval import mask as coco_mask
from numpy.typing import NDArray

from saccade.core.errors import InvalidValueError
from saccade.evaluation.annotations import Annotation, ObjectKind

COCO_SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035),  # nose, eyes, ears
    *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),  # shoulders, elbows, wrists
    *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),  # hips, knees, ankles
)
"""How far people place each of the 17 keypoints of a person apart, relative to its size (COCO keypoints 2017)."""


def default_sigmas(count: int) -> tuple[float, ...]:
    """COCO's sigmas for 17 keypoints; for any other skeleton, where nobody measured them, ``1 / count`` for each."""
    return COCO_SIGMAS if count == len(COCO_SIGMAS) else (1 / count,) * count


def keypoint_sigmas(annotations: Sequence[Annotation], sigmas: Sequence[float] | None) -> tuple[float, ...]:
    """The sigmas for these annotations, which must all have the same number of keypoints as there are sigmas."""
    counts = {len(annotation["keypoints"]) // 3 for annotation in annotations}
    if len(counts) > 1:
        raise InvalidValueError(
            f"The objects have different numbers of keypoints: {sorted(counts)}.",
            hint="Evaluate one skeleton at a time (choose its classes).",
        )
    count = counts.pop() if counts else len(sigmas or COCO_SIGMAS)
    if sigmas is None:
        return default_sigmas(count)
    if len(sigmas) != count or min(sigmas) <= 0:
        raise InvalidValueError(
            f"There are {count} keypoints but {len(sigmas)} sigmas: {tuple(sigmas)}.",
            hint="Give one sigma above 0 for each keypoint, in order.",
        )
    return tuple(map(float, sigmas))


def _oks_column(points_xy: NDArray[np.float64], truth: Annotation, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    true_x, true_y, seen = np.asarray(truth["keypoints"], dtype=np.float64).reshape(-1, 3).T
    shown = seen > 0
    if shown.any():
        dx, dy = points_xy[:, 0] - true_x, points_xy[:, 1] - true_y
    else:  # nothing labelled: the distance to the box grown by its own size on every side
        x, y, width, height = truth["bbox"]
        dx = np.maximum(0, x - width - points_xy[:, 0]) + np.maximum(0, points_xy[:, 0] - (x + 2 * width))
        dy = np.maximum(0, y - height - points_xy[:, 1]) + np.maximum(0, points_xy[:, 1] - (y + 2 * height))
        shown = np.ones_like(shown)
    exponent = (dx**2 + dy**2) / (2 * sigmas) ** 2 / (truth["area"] + np.spacing(1)) / 2
    similarity: NDArray[np.float64] = np.exp(-exponent[:, shown]).mean(axis=1)
    return similarity


def similarities(
    predictions: Sequence[Annotation], truths: Sequence[Annotation], kind: ObjectKind, sigmas: Sequence[float] = ()
) -> NDArray[np.float64]:
    """IoU of boxes or masks, or object keypoint similarity, of every prediction with every truth.

    Shape (predictions, truths). For a crowd region it is the share of the prediction that lies inside it.
    """
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    if kind == "keypoints":
        points = np.asarray([prediction["keypoints"] for prediction in predictions], dtype=np.float64)
        points_xy = points.reshape(len(predictions), -1, 3)[:, :, :2].transpose(0, 2, 1)
        return np.stack([_oks_column(points_xy, truth, np.asarray(sigmas)) for truth in truths], axis=1)
    field = "bbox" if kind == "boxes" else "segmentation"
    crowd = [int(truth["iscrowd"]) for truth in truths]
    found = coco_mask.iou([made[field] for made in predictions], [made[field] for made in truths], crowd)
    return np.asarray(found, dtype=np.float64).reshape(len(predictions), len(truths))


def is_ignored(truth: Annotation, kind: ObjectKind) -> bool:
    """Whether a truth is a region to ignore: a crowd or, among keypoints, a thing without a labelled point."""
    return bool(truth["iscrowd"]) or (kind == "keypoints" and truth["num_keypoints"] == 0)


def match_greedily(
    similarity: NDArray[np.float64], ignored: Sequence[bool], crowd: Sequence[bool], threshold: float
) -> list[int]:
    """For each prediction, best score first, the index of the truth it takes, or -1.

    A prediction takes the most similar free truth at or above ``threshold``; only where there is none, a region to
    ignore. A crowd may be taken many times. Of equally similar truths the last wins, as in pycocotools.
    """
    regular_first = sorted(range(len(ignored)), key=ignored.__getitem__)
    taken: set[int] = set()
    matched = []
    for row in similarity.tolist():  # plain lists: most matrices have a handful of entries
        best, least = -1, min(threshold, 1 - 1e-10)
        for column in regular_first:
            if best > -1 and ignored[column] and not ignored[best]:
                break
            if row[column] >= least and (column not in taken or crowd[column]):
                best, least = column, row[column]
        taken.add(best)
        matched.append(best)
    return matched
