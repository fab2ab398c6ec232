"""What a confidence threshold does to precision, recall and F1, at IoU 0.50."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saccade.evaluation.annotations import Annotation
from saccade.evaluation.inputs import Problem
from saccade.evaluation.similarity import is_ignored, match_greedily

LEVELS = 101


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Predictions of one class by falling score, without those that fell on regions to ignore."""

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    truths: int
    predictions: int


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Predictions with a score of at least ``threshold``, and how good they are together."""

    threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class ConfidenceCurve:
    """Precision, recall and F1 at 101 evenly spaced thresholds from 0 to 1 (or to the highest score).

    Precision is None where no prediction reaches the threshold; recall and F1 are 0 there. ``best`` is the threshold,
    among all scores, of highest F1 (the highest such threshold), None where nothing was found or nothing is there.
    """

    thresholds: tuple[float, ...]
    precision: tuple[float | None, ...]
    recall: tuple[float, ...]
    f1: tuple[float, ...]
    best: OperatingPoint | None
    truths: int
    predictions: int


def outcomes_by_class(
    problem: Problem, similarities: Mapping[tuple[int, int], NDArray[np.float64]], limit: int
) -> dict[int, Outcomes]:
    """Match at 0.50 every image and class by the matrices (predictions by falling score, truths) of the evaluator."""
    truths, predictions = _grouped(problem.truths), _grouped(problem.predictions)
    scores: dict[int, list[float]] = defaultdict(list)
    correct: dict[int, list[bool]] = defaultdict(list)
    for pair, group in predictions.items():
        ranked = sorted(group, key=lambda made: -made["score"])[:limit]
        there = truths.get(pair, [])
        ignored = [is_ignored(truth, problem.kind) for truth in there]
        crowd = [bool(truth["iscrowd"]) for truth in there]
        matrix = np.asarray(similarities[pair], dtype=np.float64).reshape(len(ranked), len(there))
        for prediction, match in zip(ranked, match_greedily(matrix, ignored, crowd, 0.5), strict=True):
            if match == -1 or not ignored[match]:
                scores[pair[1]].append(prediction["score"])
                correct[pair[1]].append(match > -1)
    regular = _counted(truth for truth in problem.truths if not is_ignored(truth, problem.kind))
    predicted = _counted(problem.predictions)
    return {
        number: _ranked(scores[number], correct[number], regular.get(number, 0), predicted.get(number, 0))
        for number in (category["id"] for category in problem.categories)
    }


def _grouped(annotations: Iterable[Annotation]) -> dict[tuple[int, int], list[Annotation]]:
    groups: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        groups[annotation["image_id"], annotation["category_id"]].append(annotation)
    return dict(groups)


def _counted(annotations: Iterable[Annotation]) -> dict[int, int]:
    counts: dict[int, int] = defaultdict(int)
    for annotation in annotations:
        counts[annotation["category_id"]] += 1
    return dict(counts)


def _ranked(scores: list[float], correct: list[bool], truths: int, predictions: int) -> Outcomes:
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    return Outcomes(values[order], np.asarray(correct, dtype=bool)[order], truths, predictions)


def confidence_curve(outcomes: Iterable[Outcomes]) -> ConfidenceCurve:
    """The curve of all these outcomes pooled."""
    given = list(outcomes)
    scores = np.concatenate([found.scores for found in given] or [np.zeros(0)])
    correct = np.concatenate([found.correct for found in given] or [np.zeros(0, dtype=bool)])
    order = np.argsort(-scores, kind="stable")
    scores, found = scores[order], np.cumsum(correct[order])
    truths = sum(entry.truths for entry in given)
    thresholds = np.linspace(0, max(1.0, float(scores[0]) if scores.size else 1.0), LEVELS)
    kept = np.searchsorted(-scores, -thresholds, side="right")
    hits = np.where(kept > 0, found[np.maximum(kept - 1, 0)], 0) if scores.size else np.zeros(LEVELS)
    return ConfidenceCurve(
        thresholds=tuple(thresholds.tolist()),
        precision=tuple(float(hit / count) if count else None for hit, count in zip(hits, kept, strict=True)),
        recall=tuple((hits / max(truths, 1)).tolist()),
        f1=tuple((2 * hits / np.maximum(kept + truths, 1)).tolist()),
        best=_best(scores, found, truths),
        truths=truths,
        predictions=sum(entry.predictions for entry in given),
    )


def _best(scores: NDArray[np.float64], found: NDArray[np.int_], truths: int) -> OperatingPoint | None:
    if not scores.size or not truths or not found[-1]:
        return None
    kept = np.arange(1, len(scores) + 1)
    whole = np.append(scores[1:] != scores[:-1], True)  # equal scores are kept or dropped together
    f1 = np.where(whole, 2 * found / (kept + truths), 0)
    at = int(np.argmax(f1))
    return OperatingPoint(float(scores[at]), float(found[at] / kept[at]), float(found[at] / truths), float(f1[at]))
