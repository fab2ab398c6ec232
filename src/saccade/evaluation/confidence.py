"""Precision, recall and F1 as functions of the confidence threshold, at IoU 0.50."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.evaluation.annotations import Annotation
from saccade.evaluation.inputs import EvaluationInput
from saccade.evaluation.similarity import is_ignored, match_greedily

THRESHOLD_COUNT = 101


@dataclass(frozen=True, slots=True)
class RankedOutcomes:
    """Predictions of one class by descending score, without those matched to ignored regions."""

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    truths: int
    predictions: int


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Precision, recall and F1 of the predictions with a score of at least ``threshold``."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """Precision, recall and F1 at 101 evenly spaced thresholds from 0 to 1 (or to the highest score).

    Precision is None if no prediction reaches the threshold; recall and F1 are 0 then. ``best`` is the point of highest
    F1 among all scores (the highest such threshold), or None if there are no true positives.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    best: OperatingPoint | None
    truths: int
    predictions: int


def rank_by_class(
    problem: EvaluationInput, similarities: Mapping[tuple[int, int], NDArray[np.float64]], limit: int
) -> dict[int, RankedOutcomes]:
    """Match every image and class at IoU 0.50.

    Args:
        problem: the annotations.
        similarities: the evaluator's matrices (predictions by descending score, truths) by image and class id.
        limit: maximum number of predictions per image and class.

    Returns:
        The ranked predictions by class id.
    """
    truths = _group(problem.truths)
    predictions = _group(problem.predictions)
    scores: dict[int, list[float]] = defaultdict(list)
    correct: dict[int, list[bool]] = defaultdict(list)
    for pair, group in predictions.items():
        ranked = sorted(group, key=lambda prediction: -prediction["score"])[:limit]
        pair_truths = truths.get(pair, [])
        ignored = [is_ignored(truth, problem.kind) for truth in pair_truths]
        crowd = [bool(truth["iscrowd"]) for truth in pair_truths]
        matrix = np.asarray(similarities[pair], dtype=np.float64).reshape(len(ranked), len(pair_truths))
        for prediction, match in zip(ranked, match_greedily(matrix, ignored, crowd, 0.5), strict=True):
            if match == -1 or not ignored[match]:
                scores[pair[1]].append(prediction["score"])
                correct[pair[1]].append(match > -1)
    regular = _count(truth for truth in problem.truths if not is_ignored(truth, problem.kind))
    predicted = _count(problem.predictions)
    return {
        number: _rank(scores[number], correct[number], regular.get(number, 0), predicted.get(number, 0))
        for number in (category["id"] for category in problem.categories)
    }


def _group(annotations: Iterable[Annotation]) -> dict[tuple[int, int], list[Annotation]]:
    groups: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"], annotation["category_id"]].append(annotation)
    return dict(groups)


def _count(annotations: Iterable[Annotation]) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    for annotation in annotations:
        counts[annotation["category_id"]] += 1
    return dict(counts)


def _rank(scores: list[float], correct: list[bool], truths: int, predictions: int) -> RankedOutcomes:
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    return RankedOutcomes(values[order], np.asarray(correct, dtype=bool)[order], truths, predictions)


def confidence_curve(outcomes: Iterable[RankedOutcomes]) -> ConfidenceCurve:
    """Compute the curve of the pooled predictions of several classes."""
    classes = list(outcomes)
    scores = np.concatenate([ranked.scores for ranked in classes] or [np.zeros(0)])
    correct = np.concatenate([ranked.correct for ranked in classes] or [np.zeros(0, dtype=bool)])
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    true_positives = np.cumsum(correct[order])
    truths = sum(ranked.truths for ranked in classes)
    thresholds = np.linspace(0, max(1.0, float(scores[0]) if scores.size else 1.0), THRESHOLD_COUNT)
    counts = np.searchsorted(-scores, -thresholds, side="right")
    hits = np.where(counts > 0, true_positives[np.maximum(counts - 1, 0)], 0) if scores.size else np.zeros(len(counts))
    return ConfidenceCurve(
        thresholds=tuple(thresholds.tolist()),
        precision=tuple(float(hit / count) if count else None for hit, count in zip(hits, counts, strict=True)),
        recall=tuple((hits / max(truths, 1)).tolist()),
        f1=tuple((2 * hits / np.maximum(counts + truths, 1)).tolist()),
        best=_best_point(scores, true_positives, truths),
        truths=truths,
        predictions=sum(ranked.predictions for ranked in classes),
    )


def _best_point(scores: NDArray[np.float64], hits: NDArray[np.int_], truths: int) -> OperatingPoint | None:
    if not scores.size or not truths or not hits[-1]:
        return None
    counts = np.arange(1, len(scores) + 1)
    is_cut = np.append(scores[1:] != scores[:-1], True)  # no threshold separates equal scores
    f1 = np.where(is_cut, 2 * hits / (counts + truths), 0)
    best = int(np.argmax(f1))
    return OperatingPoint(
        threshold=float(scores[best]),
        precision=float(hits[best] / counts[best]),
        recall=float(hits[best] / truths),
        f1=float(f1[best]),
    )
