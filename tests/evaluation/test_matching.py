"""Matching at one IoU threshold: status, error kinds, confusion matrix."""

from __future__ import annotations

import pytest

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Box, Object
from saccade.evaluation.matching import (
    BACKGROUND,
    ErrorKind,
    Match,
    MatchStatus,
    confusion_matrix,
    match_objects,
)


def make_object(id: str, x: float, name: str = "cat", score: float | None = None, crowd: bool = False) -> Object:
    """A box of 10 x 10 at ``x``."""
    return Object(id, name, Box(x, 0, x + 10, 10), score=score, attributes={"crowd": crowd})


TRUTH = {
    "a": (
        make_object("t1", 0),
        make_object("t2", 100, "dog"),
        make_object("t3", 200),
        make_object("t4", 300, crowd=True),
        make_object("t5", 400),
    ),
    "empty": (),
    "unlabelled": None,
}
PREDICTIONS = {
    "a": (
        make_object("weak", 0, score=0.05),
        make_object("hit", 1, score=0.9),
        make_object("duplicate", 0, score=0.8),
        make_object("confused", 100, score=0.7),
        make_object("loose", 206, score=0.6),
        make_object("nowhere", 600, score=0.5),
        make_object("crowded", 302, score=0.4),
    ),
    "empty": (make_object("alarm", 0, "dog", score=0.95),),
    "unlabelled": (make_object("any", 0, score=0.95),),
}


def by_id(matches: list[Match]) -> dict[str, Match]:
    return {
        match.prediction_id: match for match in matches if match.prediction_id and match.status is not MatchStatus.FN
    }


def test_every_outcome_and_error() -> None:
    matches = match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", score_threshold=0.1)
    matched = by_id(matches)
    assert {id: (match.status, match.error) for id, match in matched.items()} == {
        "hit": (MatchStatus.TP, None),
        "duplicate": (MatchStatus.FP, ErrorKind.DUPLICATE),
        "confused": (MatchStatus.FP, ErrorKind.WRONG_CLASS),
        "loose": (MatchStatus.FP, ErrorKind.LOCALISATION),
        "nowhere": (MatchStatus.FP, ErrorKind.BACKGROUND),
        "crowded": (MatchStatus.IGNORED, None),
        "alarm": (MatchStatus.FP, ErrorKind.BACKGROUND),
    }
    assert matched["hit"].iou == pytest.approx(90 / 110)
    assert (matched["hit"].truth_id, matched["duplicate"].truth_id, matched["loose"].truth_id) == ("t1", "t1", "t3")
    assert matched["loose"].iou == pytest.approx(40 / 160)
    assert matched["nowhere"].truth_id is None
    assert matched["nowhere"].iou is None
    missed = {match.truth_id: match for match in matches if match.status is MatchStatus.FN}
    assert set(missed) == {"t2", "t3", "t5"}
    assert (missed["t2"].prediction_id, missed["t2"].predicted_class) == ("confused", "cat")
    assert missed["t5"].prediction_id is None


def test_thresholds_change_the_outcome() -> None:
    strict = by_id(match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", iou_threshold=0.9))
    assert (strict["hit"].error, strict["duplicate"].status) == (ErrorKind.LOCALISATION, MatchStatus.TP)
    assert "weak" in strict
    certain = match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", score_threshold=0.99)
    assert [match.status for match in certain] == [MatchStatus.FN] * 4
    with pytest.raises(InvalidValueError, match="above 0"):
        match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", iou_threshold=0)


def test_an_object_is_confused_with_one_prediction_only() -> None:
    truth = {"a": (make_object("t", 0, "dog"),)}
    guesses = {"a": (make_object("p", 0, score=0.9), make_object("q", 0, "owl", score=0.8))}
    matches = match_objects(truth, guesses, {}, kind="boxes")
    assert [match.prediction_id for match in matches if match.status is MatchStatus.FN] == ["p"]
    matrix = confusion_matrix(matches)
    assert matrix.names == ("cat", "dog", "owl", BACKGROUND)
    assert matrix.counts == ((0, 0, 0, 0), (1, 0, 0, 0), (0, 0, 0, 0), (0, 0, 1, 0))


def test_the_confusion_matrix_counts_every_object_and_prediction_once() -> None:
    matches = match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", score_threshold=0.1)
    matrix = confusion_matrix(matches, ["dog", "cat"])
    assert matrix.names == ("dog", "cat", BACKGROUND)
    assert matrix.counts == ((0, 1, 0), (0, 1, 2), (1, 3, 0))
    assert confusion_matrix(matches, ["dog"]).counts == ((0, 1), (1, 0))


def test_chosen_classes_and_unknown_keys() -> None:
    dogs = match_objects(TRUTH, PREDICTIONS, {}, kind="boxes", classes=["dog"])
    assert {match.class_name for match in dogs} == {"dog"}
    with pytest.raises(InvalidValueError, match="'elsewhere'"):
        match_objects(TRUTH, {"elsewhere": ()}, {}, kind="boxes")
