"""Similarity of predicted and true objects (IoU, OKS), and the greedy matching of the COCO protocol."""

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
"""Standard deviations of human annotators for the 17 keypoints of a person, relative to its size (COCO 2017)."""


def default_sigmas(count: int) -> tuple[float, ...]:
    """Return COCO's sigmas for 17 keypoints, and ``1 / count`` for skeletons without measured sigmas."""
    return COCO_SIGMAS if count == len(COCO_SIGMAS) else (1 / count,) * count


def keypoint_sigmas(annotations: Sequence[Annotation], sigmas: Sequence[float] | None) -> tuple[float, ...]:
    """Return the sigmas for annotations with equally many keypoints.

    Args:
        annotations: keypoint annotations.
        sigmas: one for each keypoint; None for the default.

    Raises:
        InvalidValueError: the numbers of keypoints differ, or do not match the sigmas.
    """
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
            hint="Pass one sigma above 0 for each keypoint, in order.",
        )
    return tuple(map(float, sigmas))


def _oks_column(points_xy: NDArray[np.float64], truth: Annotation, sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    true_x, true_y, visibility = np.asarray(truth["keypoints"], dtype=np.float64).reshape(-1, 3).T
    labelled = visibility > 0
    if labelled.any():
        dx = points_xy[:, 0] - true_x
        dy = points_xy[:, 1] - true_y
    else:  # no labelled keypoint: the distance to the box extended by its own size on every side, as in pycocotools
        x, y, width, height = truth["bbox"]
        dx = np.maximum(0, x - width - points_xy[:, 0]) + np.maximum(0, points_xy[:, 0] - (x + 2 * width))
        dy = np.maximum(0, y - height - points_xy[:, 1]) + np.maximum(0, points_xy[:, 1] - (y + 2 * height))
        labelled = np.ones_like(labelled)
    exponent = (dx**2 + dy**2) / (2 * sigmas) ** 2 / (truth["area"] + np.spacing(1)) / 2
    similarity: NDArray[np.float64] = np.exp(-exponent[:, labelled]).mean(axis=1)
    return similarity


def similarities(
    predictions: Sequence[Annotation], truths: Sequence[Annotation], kind: ObjectKind, sigmas: Sequence[float] = ()
) -> NDArray[np.float64]:
    """Compute the IoU of boxes or masks, or the object keypoint similarity, of all pairs.

    Args:
        predictions: predicted annotations.
        truths: true annotations.
        kind: what to compare.
        sigmas: one for each keypoint; for keypoints only.

    Returns:
        Matrix (predictions, truths). For a crowd region, the fraction of the prediction inside the region.
    """
    if not predictions or not truths:
        return np.zeros((len(predictions), len(truths)))
    if kind == "keypoints":
        points = np.asarray([prediction["keypoints"] for prediction in predictions], dtype=np.float64)
        points_xy = points.reshape(len(predictions), -1, 3)[:, :, :2].transpose(0, 2, 1)
        return np.stack([_oks_column(points_xy, truth, np.asarray(sigmas)) for truth in truths], axis=1)
    field = "bbox" if kind == "boxes" else "segmentation"
    crowd = [int(truth["iscrowd"]) for truth in truths]
    ious = coco_mask.iou([annotation[field] for annotation in predictions], [truth[field] for truth in truths], crowd)
    return np.asarray(ious, dtype=np.float64).reshape(len(predictions), len(truths))


def is_ignored(truth: Annotation, kind: ObjectKind) -> bool:
    """Return whether a truth is ignored: a crowd region or, for keypoints, an object without a labelled point."""
    return bool(truth["iscrowd"]) or (kind == "keypoints" and truth["num_keypoints"] == 0)


def match_greedily(
    similarity: NDArray[np.float64], ignored: Sequence[bool], crowd: Sequence[bool], threshold: float
) -> list[int]:
    """Match predictions, best score first, to the most similar free truth, as in pycocotools.

    An ignored region is matched only if no regular truth is. A crowd region can be matched several times. Among
    equally similar truths the last one wins.

    Args:
        similarity: matrix (predictions by descending score, truths).
        ignored: for each truth, whether it is ignored.
        crowd: for each truth, whether it is a crowd region.
        threshold: minimum similarity.

    Returns:
        For each prediction the index of its truth, or -1.
    """
    regular_first = sorted(range(len(ignored)), key=ignored.__getitem__)
    matched: set[int] = set()
    matches = []
    for row in similarity.tolist():  # plain lists are faster: most matrices have a handful of entries
        best = -1
        best_similarity = min(threshold, 1 - 1e-10)  # pycocotools' tolerance at a threshold of 1
        for column in regular_first:
            if best > -1 and ignored[column] and not ignored[best]:
                break
            if row[column] >= best_similarity and (column not in matched or crowd[column]):
                best = column
                best_similarity = row[column]
        matched.add(best)
        matches.append(best)
    return matches
