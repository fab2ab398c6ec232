"""Which prediction found which object, and what went wrong with the others, at one IoU and one confidence.

Matching is that of the COCO protocol, class by class. The kinds of errors follow TIDE (Bolya et al. 2020, "TIDE: A
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
TOUCHING = 0.1
"""A false positive that overlaps no object by this much lies on background (TIDE's threshold)."""


class Outcome(StrEnum):
    """What became of a prediction (tp, fp, ignored) or of an object that none found (fn)."""

    TP = "tp"
    FP = "fp"
    FN = "fn"
    IGNORED = "ignored"


class ErrorKind(StrEnum):
    """Why a prediction is a false positive, the first that applies.

    duplicate: overlaps enough with an object of its class that a better prediction has taken; wrong_class: overlaps
    enough with an object of another class; localisation: overlaps an object of its class, but not enough;
    background: overlaps nothing.
    """

    DUPLICATE = "duplicate"
    WRONG_CLASS = "wrong_class"
    LOCALISATION = "localisation"
    BACKGROUND = "background"


@dataclass(frozen=True, slots=True)
class Match:
    """One prediction, or one object that no prediction of its class found.

    ``class_name`` is the predicted class, for a false negative the true one. ``iou`` (keypoint similarity for
    keypoints) is with the object ``truth_id``: the one found, for a false positive the one that explains its error.
    A false negative carries ``prediction_id`` and ``predicted_class`` where a prediction of another class took it
    for its own; that prediction is a false positive of kind wrong_class.
    """

    key: str
    class_name: str
    outcome: Outcome
    iou: float | None = None
    score: float | None = None
    truth_id: str | None = None
    prediction_id: str | None = None
    error: ErrorKind | None = None
    predicted_class: str | None = None


@dataclass(frozen=True, slots=True)
class ConfusionMatrix:
    """``counts[i][j]``: objects of class i seen as class j; the last row and column are the background."""

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
    """Every prediction scored at least ``score_threshold``, and every object that none of its class found.

    Items whose truth is None are left out. Arguments and errors are otherwise those of ``evaluate_objects``; there is
    no limit on the number of predictions. Within an item predictions come by falling score, then the missed objects.
    """
    checked = check_kind(kind)
    check_keys(truth, predictions)
    if not 0 < iou_threshold <= 1:
        raise InvalidValueError(f"The IoU threshold must be above 0 and at most 1, not {iou_threshold}.")
    wanted = None if classes is None else set(classes)
    matches: list[Match] = []
    for key, things in truth.items():
        if things is not None:
            found = _Item(
                key,
                things,
                predictions.get(key) or (),
                kind=checked,
                size_wh=sizes_wh.get(key),
                wanted=wanted,
                sigmas=sigmas,
            )
            matches.extend(found.matches(iou_threshold, score_threshold))
    return matches


class _Item:
    """The objects of one item, as annotations side by side with the originals."""

    def __init__(
        self,
        key: str,
        truth: Objects,
        predictions: Objects,
        *,
        kind: ObjectKind,
        size_wh: tuple[int, int] | None,
        wanted: set[str] | None,
        sigmas: Sequence[float] | None,
    ) -> None:
        self.key = key
        self.kind = kind
        self.truth = [thing for thing in truth if wanted is None or thing.class_name in wanted]
        chosen = [thing for thing in predictions if wanted is None or thing.class_name in wanted]
        made = [(thing, prediction_annotation(thing, kind, size_wh)) for thing in chosen]
        self.predicted = sorted(made, key=lambda pair: -pair[1]["score"])
        self.true_annotations = [truth_annotation(thing, kind, size_wh) for thing in self.truth]
        everything = [*self.true_annotations, *(annotation for _, annotation in made)]
        self.sigmas = keypoint_sigmas(everything, sigmas) if kind == "keypoints" else ()

    def matches(self, iou_threshold: float, score_threshold: float) -> list[Match]:
        kept = [pair for pair in self.predicted if pair[1]["score"] >= score_threshold]
        predicted = [thing for thing, _ in kept]
        annotations = [annotation for _, annotation in kept]
        matrix = similarities(annotations, self.true_annotations, self.kind, self.sigmas)
        taken = self._match_classes(predicted, matrix, iou_threshold)
        made = [
            self._outcome(thing, row, match, iou_threshold)
            for thing, row, match in zip(predicted, matrix, taken, strict=True)
        ]
        return self._with_missed(made, set(taken), matrix, iou_threshold)

    def _ignored(self, index: int) -> bool:
        return is_ignored(self.true_annotations[index], self.kind)

    def _match_classes(self, predicted: Sequence[Object], matrix: NDArray[np.float64], threshold: float) -> list[int]:
        taken = [-1] * len(predicted)
        for name in {thing.class_name for thing in predicted}:
            rows = [index for index, thing in enumerate(predicted) if thing.class_name == name]
            columns = [index for index, thing in enumerate(self.truth) if thing.class_name == name]
            ignored = [self._ignored(column) for column in columns]
            crowd = [self.truth[column].is_crowd for column in columns]
            found = match_greedily(matrix[np.ix_(rows, columns)], ignored, crowd, threshold)
            for row, match in zip(rows, found, strict=True):
                taken[row] = columns[match] if match > -1 else -1
        return taken

    def _outcome(self, thing: Object, row: NDArray[np.float64], match: int, threshold: float) -> Match:
        made = Match(self.key, thing.class_name, Outcome.FP, score=thing.score, prediction_id=thing.id)
        if match > -1:
            outcome = Outcome.IGNORED if self._ignored(match) else Outcome.TP
            return replace(made, outcome=outcome, iou=float(row[match]), truth_id=self.truth[match].id)
        error, column = self._explain(thing.class_name, row, threshold)
        if column is None:
            return replace(made, error=error)
        return replace(made, error=error, iou=float(row[column]), truth_id=self.truth[column].id)

    def _explain(self, name: str, row: NDArray[np.float64], threshold: float) -> tuple[ErrorKind, int | None]:
        regular = [column for column in range(len(self.truth)) if not self._ignored(column)]
        same = [column for column in regular if self.truth[column].class_name == name]
        other = [column for column in regular if self.truth[column].class_name != name]
        for columns, error, least in (
            (same, ErrorKind.DUPLICATE, threshold),
            (other, ErrorKind.WRONG_CLASS, threshold),
            (same, ErrorKind.LOCALISATION, min(TOUCHING, threshold)),
        ):
            best = max(columns, key=lambda column: row[column], default=None)
            if best is not None and row[best] >= least:
                return error, best
        return ErrorKind.BACKGROUND, None

    def _with_missed(
        self, made: list[Match], taken: set[int], matrix: NDArray[np.float64], threshold: float
    ) -> list[Match]:
        """Add the objects that were missed, each tied to the best free prediction of another class that lies on it."""
        missed = [index for index in range(len(self.truth)) if index not in taken and not self._ignored(index)]
        seen_as: dict[int, int] = {}
        for index, match in enumerate(made):
            free = [column for column in missed if column not in seen_as and matrix[index, column] >= threshold]
            if match.error is ErrorKind.WRONG_CLASS and free:
                column = max(free, key=lambda column: matrix[index, column])
                seen_as[column] = index
                made[index] = replace(match, truth_id=self.truth[column].id, iou=float(matrix[index, column]))
        return [*made, *(self._missed(column, made, seen_as.get(column)) for column in missed)]

    def _missed(self, column: int, made: Sequence[Match], seen_as: int | None) -> Match:
        thing = self.truth[column]
        missed = Match(self.key, thing.class_name, Outcome.FN, truth_id=thing.id)
        if seen_as is None:
            return missed
        other: Match = made[seen_as]
        return replace(
            missed,
            prediction_id=other.prediction_id,
            predicted_class=other.class_name,
            iou=other.iou,
            score=other.score,
        )


def confusion_matrix(matches: Iterable[Match], classes: Sequence[str] | None = None) -> ConfusionMatrix:
    """Count true classes against predicted ones; a missed object is seen as background, a false alarm is background.

    ``classes`` fixes order and selection; otherwise all that occur, sorted. Ignored predictions do not count.
    """
    given = [match for match in matches if match.outcome is not Outcome.IGNORED]
    names = tuple(sorted({match.class_name for match in given}) if classes is None else classes)
    position = {name: index for index, name in enumerate(names)}
    background = len(names)
    confused = {(match.key, match.prediction_id) for match in given if match.outcome is Outcome.FN}
    counts = np.zeros((background + 1, background + 1), dtype=int)
    for match in given:
        if (place := position.get(match.class_name)) is None:
            continue
        if match.outcome is Outcome.TP:
            counts[place, place] += 1
        elif match.outcome is Outcome.FN:
            counts[place, position.get(match.predicted_class or "", background)] += 1
        elif (match.key, match.prediction_id) not in confused:
            counts[background, place] += 1
    return ConfusionMatrix((*names, BACKGROUND), tuple(tuple(row) for row in counts.tolist()))
