"""Matching of predictions with true objects, and error types of the rest, at one IoU and one confidence threshold.

Matching is that of the COCO protocol, class by class. The error types follow TIDE (Bolya et al. 2020, "TIDE: A
General Toolbox for Identifying Object Detection Errors").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Object, Objects
from saccade.evaluation.annotations import (
    ObjectKind,
    check_keys,
    check_kind,
    prediction_annotation,
    truth_annotation,
)
from saccade.evaluation.similarity import is_ignored, keypoint_sigmas, match_greedily, similarities

BACKGROUND = "background"
MIN_OVERLAP = 0.1
"""A false positive that overlaps no object by at least this IoU is a background error (TIDE's threshold)."""


class MatchStatus(StrEnum):
    """Status of a prediction (tp, fp, ignored) or of a missed object (fn)."""

    TP = "tp"
    FP = "fp"
    FN = "fn"
    IGNORED = "ignored"


class ErrorKind(StrEnum):
    """Why a prediction is a false positive; the first that applies.

    duplicate: overlaps an object of its class that a better prediction is matched with; wrong_class: overlaps an
    object of another class; localisation: overlaps an object of its class, but not enough; background: overlaps
    nothing.
    """

    DUPLICATE = "duplicate"
    WRONG_CLASS = "wrong_class"
    LOCALISATION = "localisation"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Match:
    """One prediction, or one missed object.

    ``class_name`` is the predicted class, for a false negative the true one. ``iou`` (keypoint similarity for
    keypoints) is the overlap with the object ``truth_id``: the matched one, or for a false positive the one that
    explains the error. A false negative has ``prediction_id`` and ``predicted_class`` if a prediction of another class
    lies on the object; that prediction is a false positive with the error wrong_class.
    """

    key: str
    class_name: str
    status: MatchStatus
    iou: float | None = None
    score: float | None = None
    truth_id: str | None = None
    prediction_id: str | None = None
    error: ErrorKind | None = None
    predicted_class: str | None = None


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """``counts[i][j]``: objects of class i predicted as class j; the last row and column are the background."""

    names: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


def match_objects(
    truth: Mapping[str, Objects | None],
    predictions: Mapping[str, Objects],
    sizes_wh: Mapping[str, tuple[int, int]],
    *,
    kind: str,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.0,
    classes: Sequence[str] | None = None,
    sigmas: Sequence[float] | None = None,
) -> list[Match]:
    """Match predictions with true objects.

    Args:
        truth: true objects by key; items with None (not labelled) are left out.
        predictions: predicted objects by key.
        sizes_wh: image sizes in pixels; required for masks only.
        kind: "boxes", "masks" or "keypoints".
        iou_threshold: minimum IoU (or keypoint similarity) of a match.
        score_threshold: predictions with a lower score are left out.
        classes: classes to evaluate (None: all).
        sigmas: one for each keypoint (None: as in ``evaluate_objects``).

    Returns:
        For each item, the predictions by descending score, then the missed objects.

    Raises:
        InvalidValueError: as in ``evaluate_objects``, or an IoU threshold outside (0, 1].
    """
    object_kind = check_kind(kind)
    check_keys(truth, predictions)
    if not 0 < iou_threshold <= 1:
        raise InvalidValueError(f"The IoU threshold must be above 0 and at most 1, not {iou_threshold}.")
    selected = None if classes is None else set(classes)
    matches: list[Match] = []
    for key, objects in truth.items():
        if objects is not None:
            matcher = _ItemMatcher(
                key,
                objects,
                predictions.get(key) or (),
                kind=object_kind,
                size_wh=sizes_wh.get(key),
                classes=selected,
                sigmas=sigmas,
            )
            matches.extend(matcher.matches(iou_threshold, score_threshold))
    return matches


class _ItemMatcher:
    """Matches the objects of one item."""

    def __init__(
        self,
        key: str,
        truth: Objects,
        predictions: Objects,
        *,
        kind: ObjectKind,
        size_wh: tuple[int, int] | None,
        classes: set[str] | None,
        sigmas: Sequence[float] | None,
    ) -> None:
        self.key = key
        self.kind = kind
        self.truth = [obj for obj in truth if classes is None or obj.class_name in classes]
        selected = [obj for obj in predictions if classes is None or obj.class_name in classes]
        predicted = [(obj, prediction_annotation(obj, kind, size_wh)) for obj in selected]
        self.predicted = sorted(predicted, key=lambda pair: -pair[1]["score"])
        self.true_annotations = [truth_annotation(obj, kind, size_wh) for obj in self.truth]
        annotations = [*self.true_annotations, *(annotation for _, annotation in predicted)]
        self.sigmas = keypoint_sigmas(annotations, sigmas) if kind == "keypoints" else ()

    def matches(self, iou_threshold: float, score_threshold: float) -> list[Match]:
        confident = [pair for pair in self.predicted if pair[1]["score"] >= score_threshold]
        predicted = [obj for obj, _ in confident]
        annotations = [annotation for _, annotation in confident]
        matrix = similarities(annotations, self.true_annotations, self.kind, self.sigmas)
        matched = self._match_classes(predicted, matrix, iou_threshold)
        matches = [
            self._match(obj, row, column, iou_threshold)
            for obj, row, column in zip(predicted, matrix, matched, strict=True)
        ]
        return self._add_missed(matches, set(matched), matrix, iou_threshold)

    def _is_ignored(self, index: int) -> bool:
        return is_ignored(self.true_annotations[index], self.kind)

    def _match_classes(self, predicted: Sequence[Object], matrix: NDArray[np.float64], threshold: float) -> list[int]:
        matched = [-1] * len(predicted)
        for name in {obj.class_name for obj in predicted}:
            rows = [index for index, obj in enumerate(predicted) if obj.class_name == name]
            columns = [index for index, obj in enumerate(self.truth) if obj.class_name == name]
            ignored = [self._is_ignored(column) for column in columns]
            crowd = [self.truth[column].is_crowd for column in columns]
            matches = match_greedily(matrix[np.ix_(rows, columns)], ignored, crowd, threshold)
            for row, match in zip(rows, matches, strict=True):
                matched[row] = columns[match] if match > -1 else -1
        return matched

    def _match(self, obj: Object, row: NDArray[np.float64], column: int, threshold: float) -> Match:
        match = Match(self.key, obj.class_name, MatchStatus.FP, score=obj.score, prediction_id=obj.id)
        if column > -1:
            status = MatchStatus.IGNORED if self._is_ignored(column) else MatchStatus.TP
            return replace(match, status=status, iou=float(row[column]), truth_id=self.truth[column].id)
        error, explaining = self._explain(obj.class_name, row, threshold)
        if explaining is None:
            return replace(match, error=error)
        return replace(match, error=error, iou=float(row[explaining]), truth_id=self.truth[explaining].id)

    def _explain(self, name: str, row: NDArray[np.float64], threshold: float) -> tuple[ErrorKind, int | None]:
        regular = [column for column in range(len(self.truth)) if not self._is_ignored(column)]
        same_class = [column for column in regular if self.truth[column].class_name == name]
        other_class = [column for column in regular if self.truth[column].class_name != name]
        for columns, error, minimum in (
            (same_class, ErrorKind.DUPLICATE, threshold),
            (other_class, ErrorKind.WRONG_CLASS, threshold),
            (same_class, ErrorKind.LOCALISATION, min(MIN_OVERLAP, threshold)),
        ):
            best = max(columns, key=lambda column: row[column], default=None)
            if best is not None and row[best] >= minimum:
                return error, best
        return ErrorKind.BACKGROUND, None

    def _add_missed(
        self, matches: list[Match], matched: set[int], matrix: NDArray[np.float64], threshold: float
    ) -> list[Match]:
        """Add the missed objects, each linked to the best unlinked prediction of another class that lies on it."""
        missed = [index for index in range(len(self.truth)) if index not in matched and not self._is_ignored(index)]
        confused_with: dict[int, int] = {}
        for index, match in enumerate(matches):
            free = [column for column in missed if column not in confused_with and matrix[index, column] >= threshold]
            if match.error is ErrorKind.WRONG_CLASS and free:
                column = max(free, key=lambda column: matrix[index, column])
                confused_with[column] = index
                matches[index] = replace(match, truth_id=self.truth[column].id, iou=float(matrix[index, column]))
        return [*matches, *(self._missed(column, matches, confused_with.get(column)) for column in missed)]

    def _missed(self, column: int, matches: Sequence[Match], confused_with: int | None) -> Match:
        obj = self.truth[column]
        missed = Match(self.key, obj.class_name, MatchStatus.FN, truth_id=obj.id)
        if confused_with is None:
            return missed
        prediction = matches[confused_with]
        return replace(
            missed,
            prediction_id=prediction.prediction_id,
            predicted_class=prediction.class_name,
            iou=prediction.iou,
            score=prediction.score,
        )


def confusion_matrix(matches: Iterable[Match], classes: Sequence[str] | None = None) -> ConfusionMatrix:
    """Count true against predicted classes; missed objects are predicted as background, false positives are background.

    Args:
        matches: the matches; ignored predictions do not count.
        classes: order and selection of the classes (None: all that occur, sorted).
    """
    counted = [match for match in matches if match.status is not MatchStatus.IGNORED]
    names = tuple(sorted({match.class_name for match in counted}) if classes is None else classes)
    index_of = {name: index for index, name in enumerate(names)}
    background = len(names)
    confused = {(match.key, match.prediction_id) for match in counted if match.status is MatchStatus.FN}
    counts = np.zeros((background + 1, background + 1), dtype=int)
    for match in counted:
        if (index := index_of.get(match.class_name)) is None:
            continue
        if match.status is MatchStatus.TP:
            counts[index, index] += 1
        elif match.status is MatchStatus.FN:
            counts[index, index_of.get(match.predicted_class or "", background)] += 1
        elif (match.key, match.prediction_id) not in confused:
            counts[background, index] += 1
    return ConfusionMatrix((*names, BACKGROUND), tuple(tuple(row) for row in counts.tolist()))
