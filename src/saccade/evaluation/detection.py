"""Average precision and recall of detected boxes, masks and keypoints, identical to pycocotools.

Method: COCO detection evaluation (Lin et al. 2014, "Microsoft COCO: Common Objects in Context", and
https://cocodataset.org/#detection-eval), computed by faster-coco-eval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Objects
from saccade.evaluation.annotations import check_kind
from saccade.evaluation.coco_files import read_coco_files
from saccade.evaluation.confidence import ConfidenceCurve, confidence_curve, rank_by_class
from saccade.evaluation.inputs import EvaluationInput, build_input
from saccade.evaluation.metrics import ClassMetrics, DetectionMetrics, mean_valid

COCO_AREAS: Mapping[str, tuple[float, float]] = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Inclusive ranges in square pixels."""

IOU_TYPES = {"boxes": "bbox", "masks": "segm", "keypoints": "keypoints"}
_AT_50 = 0  # indices of the ten IoU thresholds 0.50, 0.55 … 0.95
_AT_75 = 5
_ALL_AREAS = 0
_MAX_DETECTIONS = -1  # the largest of the limits


def evaluate_objects(
    truth: Mapping[str, Objects | None],
    predictions: Mapping[str, Objects],
    sizes_wh: Mapping[str, tuple[int, int]],
    *,
    kind: str,
    classes: Sequence[str] | None = None,
    max_detections: int | None = None,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    sigmas: Sequence[float] | None = None,
) -> DetectionMetrics:
    """Compare predicted with true objects by item key.

    Items whose truth is None (not labelled) are left out and counted; if it is ``()``, every prediction is a false
    positive. Crowd objects are ignored regions. The area of an object is ``geometry.area()``.

    Args:
        truth: true objects by key.
        predictions: predicted objects by key; a missing key means no predictions.
        sizes_wh: image sizes in pixels; required for masks only.
        kind: "boxes" (bounds of any geometry), "masks" (regions) or "keypoints".
        classes: classes to evaluate (None: all that occur). Objects of other classes are left out and counted.
        max_detections: maximum number of predictions per image and class (None: 100, or 20 for keypoints).
        areas: ranges in square pixels for the names small, medium and large.
        sigmas: one for each keypoint (None: COCO's for 17 keypoints, else ``1 / number of keypoints``).

    Raises:
        InvalidValueError: predictions for unknown keys or without scores, an unknown kind, or geometry that does not
            fit the kind.
    """
    problem = build_input(truth, predictions, sizes_wh, kind=check_kind(kind), classes=classes, sigmas=sigmas)
    return evaluate_problem(problem, max_detections=max_detections, areas=areas)


def evaluate_coco_files(
    truth: Path,
    predictions: Path,
    kind: str,
    max_detections: int | None = None,
    *,
    areas: Mapping[str, tuple[float, float]] = COCO_AREAS,
    sigmas: Sequence[float] | None = None,
) -> DetectionMetrics:
    """Compare a COCO results file with a COCO ground-truth file, over all images of the ground truth.

    The areas of true objects are those stated in the ground truth.

    Args:
        truth: ground-truth file.
        predictions: results file.
        kind: "boxes", "masks" or "keypoints".
        max_detections: maximum number of predictions per image and class (None: 100, or 20 for keypoints).
        areas: ranges in square pixels for the names small, medium and large.
        sigmas: one for each keypoint (None: as in ``evaluate_objects``).

    Raises:
        FormatError: a file is malformed.
        InvalidValueError: the kind is unknown or does not fit the annotations.
    """
    problem = read_coco_files(truth, predictions, check_kind(kind), sigmas=sigmas)
    return evaluate_problem(problem, max_detections=max_detections, areas=areas)


def evaluate_problem(
    problem: EvaluationInput, *, max_detections: int | None, areas: Mapping[str, tuple[float, float]]
) -> DetectionMetrics:
    """Run the COCO protocol and collect its metrics.

    Args:
        problem: annotations with ids.
        max_detections: maximum number of predictions per image and class (None: 100, or 20 for keypoints).
        areas: ranges in square pixels for the names small, medium and large.

    Raises:
        InvalidValueError: ``max_detections`` or ``areas`` is invalid.
    """
    limit = max_detections if max_detections is not None else (20 if problem.kind == "keypoints" else 100)
    if limit < 1:
        raise InvalidValueError(f"max_detections must be at least 1, not {limit}.", hint="The default is 100.")
    evaluator = _run(problem, limit, areas)
    outcomes = rank_by_class(problem, evaluator.ious, limit)
    precision = evaluator.eval["precision"]
    recall = evaluator.eval["recall"]
    overall = confidence_curve(outcomes.values())
    truths = sum(ranked.truths for ranked in outcomes.values())
    area_names = list(evaluator.params.areaRngLbl)
    counts = list(evaluator.params.maxDets)

    def at_area(table: NDArray[np.float64], name: str) -> float | None:
        return mean_valid(table[..., area_names.index(name), _MAX_DETECTIONS]) if name in area_names else None

    def at_count(count: int) -> float | None:
        return mean_valid(recall[:, :, _ALL_AREAS, counts.index(count)]) if count in counts else None

    return DetectionMetrics(
        kind=problem.kind,
        max_detections=limit,
        ap=mean_valid(precision[..., _ALL_AREAS, _MAX_DETECTIONS]),
        ap50=mean_valid(precision[_AT_50, ..., _ALL_AREAS, _MAX_DETECTIONS]),
        ap75=mean_valid(precision[_AT_75, ..., _ALL_AREAS, _MAX_DETECTIONS]),
        ap_small=at_area(precision, "small"),
        ap_medium=at_area(precision, "medium"),
        ap_large=at_area(precision, "large"),
        ar=mean_valid(recall[..., _ALL_AREAS, _MAX_DETECTIONS]),
        ar_1=at_count(1),
        ar_10=at_count(10),
        ar_100=at_count(100),
        ar_small=at_area(recall, "small"),
        ar_medium=at_area(recall, "medium"),
        ar_large=at_area(recall, "large"),
        per_class=_per_class(
            problem, evaluator.eval, {number: confidence_curve([ranked]) for number, ranked in outcomes.items()}
        ),
        confidence=overall,
        images=len(problem.images),
        unlabelled_images=problem.unlabelled,
        truths=truths,
        predictions=len(problem.predictions),
        ignored_truths=len(problem.truths) - truths,
        other_truths=problem.other_truths,
        other_predictions=problem.other_predictions,
    )


def _run(problem: EvaluationInput, limit: int, areas: Mapping[str, tuple[float, float]]) -> Any:
    if set(areas) != set(COCO_AREAS):
        raise InvalidValueError(f"Areas are needed for small, medium and large, not {sorted(areas)}.")
    common = {"images": list(problem.images), "categories": list(problem.categories)}
    truth, predicted = (
        COCO({**common, "annotations": list(annotations)}) for annotations in (problem.truths, problem.predictions)
    )
    evaluator = COCOeval_faster(truth, predicted, IOU_TYPES[problem.kind], extra_calc=False)
    named = {name: areas[name] for name in COCO_AREAS if not (problem.kind == "keypoints" and name == "small")}
    params = evaluator.params
    params.imgIds = [image["id"] for image in problem.images]
    params.catIds = [category["id"] for category in problem.categories]
    params.areaRngLbl = ["all", *named]
    params.areaRng = [[0.0, 1e10], *map(list, named.values())]
    params.maxDets = [limit] if problem.kind == "keypoints" else sorted({1, 10, 100, limit} & set(range(1, limit + 1)))
    if problem.kind == "keypoints":
        params.kpt_oks_sigmas = np.asarray(problem.sigmas)
    evaluator.evaluate()
    evaluator.accumulate()
    return evaluator


def _per_class(
    problem: EvaluationInput, tables: Mapping[str, NDArray[np.float64]], curves: Mapping[int, ConfidenceCurve]
) -> tuple[ClassMetrics, ...]:
    precision = tables["precision"][..., _ALL_AREAS, _MAX_DETECTIONS]
    scores = tables["scores"][..., _ALL_AREAS, _MAX_DETECTIONS]
    recall = tables["recall"][..., _ALL_AREAS, _MAX_DETECTIONS]
    index_of = {number: index for index, number in enumerate(sorted(category["id"] for category in problem.categories))}
    metrics = []
    for category in problem.categories:
        k = index_of[category["id"]]
        curve = curves[category["id"]]
        at_50 = precision[_AT_50, :, k]
        absent = bool((at_50 < 0).all())
        metrics.append(
            ClassMetrics(
                name=category["name"],
                ap=mean_valid(precision[:, :, k]),
                ap50=mean_valid(at_50),
                ap75=mean_valid(precision[_AT_75, :, k]),
                ar=mean_valid(recall[:, k]),
                truths=curve.truths,
                predictions=curve.predictions,
                best=curve.best,
                curve_precision=() if absent else tuple(at_50.tolist()),
                curve_scores=() if absent else tuple(scores[_AT_50, :, k].tolist()),
            )
        )
    return tuple(metrics)
