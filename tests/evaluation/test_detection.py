"""Detection metrics on real files, rules of crowds and unlabelled items, errors of invalid input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faster_coco_eval import mask as coco_mask
from pycocotools import mask as pycoco_mask

from saccade.core.errors import FormatError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.objects import Box, Ellipse, Keypoints, Mask, Object, Points, Polygon, RotatedBox
from saccade.evaluation.annotations import geometry_rle
from saccade.evaluation.detection import evaluate_coco_files, evaluate_objects
from saccade.evaluation.similarity import COCO_SIGMAS, default_sigmas, keypoint_sigmas

SIZE_WH = (100, 80)


def true(id: str, box: tuple[float, float, float, float], name: str = "cat", **attributes: bool) -> Object:
    return Object(id, name, Box(*box), attributes=attributes)


def guess(id: str, box: tuple[float, float, float, float], score: float, name: str = "cat") -> Object:
    return Object(id, name, Box(*box), score=score)


@pytest.mark.parametrize(
    ("kind", "truth", "results", "expected"),
    [
        (
            "boxes",
            "coco-eval/instances_val2014_100.json",
            "coco-eval/instances_val2014_fakebbox100_results.json",
            {
                "ap": 0.5046,
                "ap50": 0.6970,
                "ap75": 0.5730,
                "ap_small": 0.5856,
                "ap_medium": 0.5194,
                "ap_large": 0.5014,
                "ar_1": 0.3868,
                "ar_10": 0.5937,
                "ar_100": 0.5954,
                "ar_small": 0.6398,
                "ar_medium": 0.5664,
                "ar_large": 0.5643,
            },
        ),
        (
            "masks",
            "coco-eval/instances_val2014_100.json",
            "coco-eval/instances_val2014_fakesegm100_results.json",
            {
                "ap": 0.3195,
                "ap50": 0.5623,
                "ap75": 0.2989,
                "ap_small": 0.3874,
                "ap_medium": 0.3102,
                "ap_large": 0.3269,
                "ar_1": 0.2682,
                "ar_10": 0.4154,
                "ar_100": 0.4168,
                "ar_small": 0.4694,
                "ar_medium": 0.3768,
                "ar_large": 0.3815,
            },
        ),
        (
            "keypoints",
            "coco-keypoints/gt_dataset.json",
            "coco-keypoints/dt_dataset.json",
            {
                "ap": 0.5049,
                "ap50": 0.7228,
                "ap75": 0.6337,
                "ap_small": None,
                "ap_medium": 0.4663,
                "ap_large": 0.7505,
                "ar": 0.5182,
                "ar_medium": 0.4667,
                "ar_large": 0.75,
                "ar_100": None,
            },
        ),
    ],
)
def test_coco_files_give_the_figures_of_pycocotools(
    shared_data: Path, kind: str, truth: str, results: str, expected: dict[str, float | None]
) -> None:
    metrics = evaluate_coco_files(shared_data / truth, shared_data / results, kind)
    actual = {name: getattr(metrics, name) for name in expected}
    assert {name: None if value is None else round(value, 4) for name, value in actual.items()} == expected


def test_a_class_absent_from_the_truth_has_no_figures(shared_data: Path) -> None:
    folder = shared_data / "coco-eval"
    metrics = evaluate_coco_files(
        folder / "instances_val2014_100.json", folder / "instances_val2014_fakebbox100_results.json", "boxes"
    )
    absent = [entry for entry in metrics.per_class if entry.truths == 0]
    assert len(metrics.per_class) == 80
    assert absent
    assert all(entry.ap is entry.ap50 is entry.ar is None and not entry.curve_precision for entry in absent)
    assert metrics.class_metrics("person").ap == pytest.approx(0.5326, abs=1e-4)
    data = json.loads(json.dumps(metrics.to_json(), allow_nan=False))
    assert data["ap50"] == metrics.ap50
    assert len(data["per_class"][0]["curve_precision"]) == 101
    assert "confidence" not in metrics.to_json(curves=False)
    with pytest.raises(NotFoundError, match="Did you mean person"):
        metrics.class_metrics("persn")


def test_unlabelled_items_are_left_out_and_empty_ones_count() -> None:
    truth = {"a": (true("t", (0, 0, 10, 10)),), "empty": (), "unknown": None}
    here = guess("p", (0, 0, 10, 10), 0.5)
    false_alarm = guess("q", (0, 0, 10, 10), 0.9)
    alone = evaluate_objects(truth, {"a": (here,), "unknown": (false_alarm,)}, {}, kind="boxes")
    assert (alone.ap, alone.images, alone.unlabelled_images, alone.predictions) == (1.0, 2, 1, 1)
    disturbed = evaluate_objects(truth, {"a": (here,), "empty": (false_alarm,)}, {}, kind="boxes")
    assert disturbed.ap50 == pytest.approx(0.5)


def test_a_crowd_is_ignored() -> None:
    truth = {"a": (true("t", (0, 0, 10, 10)), true("many", (50, 0, 100, 50), crowd=True))}
    inside = [guess(f"p{index}", (50 + index, 5, 60 + index, 15), 0.9) for index in range(5)]
    metrics = evaluate_objects(truth, {"a": (guess("p", (0, 0, 10, 10), 0.5), *inside)}, {}, kind="boxes")
    assert (metrics.ap, metrics.truths, metrics.ignored_truths) == (1.0, 1, 1)


def test_no_predictions_and_no_truth() -> None:
    truth = {"a": (true("t", (0, 0, 10, 10)),), "b": ()}
    nothing = evaluate_objects(truth, {}, {}, kind="boxes")
    assert (nothing.ap, nothing.ar, nothing.confidence.best) == (0.0, 0.0, None)
    assert nothing.class_metrics("cat").best is None
    for empty in ({}, {"a": ()}, {"a": None}):
        metrics = evaluate_objects(empty, {}, {}, kind="boxes")
        assert (metrics.ap, metrics.per_class, metrics.truths) == (None, (), 0)


def test_chosen_classes_leave_out_and_count_the_others() -> None:
    truth = {"a": (true("t", (0, 0, 10, 10)), true("u", (20, 20, 40, 40), "dog"))}
    guesses = {"a": (guess("p", (0, 0, 10, 10), 0.5), guess("q", (0, 0, 9, 9), 0.5, "owl"))}
    metrics = evaluate_objects(truth, guesses, {}, kind="boxes", classes=["cat"])
    assert (metrics.ap, metrics.other_truths, metrics.other_predictions) == (1.0, 1, 1)
    assert [entry.name for entry in metrics.per_class] == ["cat"]


def test_the_limit_of_detections_is_by_class_and_image() -> None:
    truth = {"a": tuple(true(f"t{index}", (index * 10, 0, index * 10 + 9, 9)) for index in range(4))}
    guesses = {"a": tuple(guess(f"p{index}", (index * 10, 0, index * 10 + 9, 9), 0.5) for index in range(4))}
    metrics = evaluate_objects(truth, guesses, {}, kind="boxes", max_detections=2)
    assert (metrics.ar, metrics.ar_1, metrics.ar_10) == (0.5, 0.25, None)
    many = evaluate_objects(truth, guesses, {}, kind="boxes", max_detections=300)
    assert (many.ar, many.ar_100, many.max_detections) == (1.0, 1.0, 300)


def test_the_best_threshold_is_where_f1_is_highest() -> None:
    truth = {"a": (true("t", (0, 0, 10, 10)), true("u", (20, 0, 30, 10)))}
    guesses = {
        "a": (
            guess("p", (0, 0, 10, 10), 0.9),
            guess("q", (20, 0, 30, 10), 0.6),
            guess("r", (60, 0, 70, 10), 0.6),
            guess("s", (80, 0, 90, 10), 0.1),
        )
    }
    best = evaluate_objects(truth, guesses, {}, kind="boxes").class_metrics("cat").best
    assert best is not None
    assert (best.threshold, best.precision, best.recall, best.f1) == pytest.approx((0.6, 2 / 3, 1.0, 0.8))


def test_keypoints_without_a_label_are_ignored_and_sigmas_are_checked() -> None:
    points = tuple((float(index), 5.0) for index in range(3))
    seen, unseen = Keypoints(points, (2, 2, 1), box=Box(0, 0, 40, 40)), Keypoints(points, (0, 0, 0))
    truth = {"a": (Object("t", "hand", seen), Object("u", "hand", unseen))}
    guesses = {"a": (Object("p", "hand", Keypoints(points, (2, 2, 2)), score=0.9),)}
    metrics = evaluate_objects(truth, guesses, {}, kind="keypoints")
    assert (metrics.ap, metrics.truths, metrics.ignored_truths, metrics.max_detections) == (1.0, 1, 1, 20)
    with pytest.raises(InvalidValueError, match="3 keypoints but 2 sigmas"):
        evaluate_objects(truth, guesses, {}, kind="keypoints", sigmas=[0.1, 0.2])
    assert default_sigmas(17) is COCO_SIGMAS
    assert default_sigmas(4) == (0.25,) * 4
    with pytest.raises(InvalidValueError, match="different numbers of keypoints"):
        keypoint_sigmas([{"keypoints": [1, 1, 2]}, {"keypoints": [1, 1, 2] * 2}], None)


def test_regions_of_every_kind_become_pixels() -> None:
    square = ((10.0, 10.0), (30.0, 10.0), (30.0, 30.0), (10.0, 30.0))
    hole = ((15.0, 15.0), (25.0, 15.0), (25.0, 25.0), (15.0, 25.0))

    def area(geometry: Any) -> float:
        return float(coco_mask.area(geometry_rle(geometry, SIZE_WH)))

    assert area(Box(10, 10, 30, 30)) == area(Polygon.simple(square)) == 400
    assert area(Polygon(((square, hole),))) == pytest.approx(300, abs=1)
    assert area(Polygon(((square,), (tuple((x + 40, y) for x, y in square),)))) == 800
    assert area(RotatedBox(50, 40, 20, 10, 90)) == pytest.approx(200, abs=12)
    assert area(Ellipse(50, 40, 20, 10)) == pytest.approx(628, rel=0.03)
    assert area(Mask(100, 80, (5, 7, 8000 - 12))) == 7


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"predictions": {"b": ()}}, "1 unknown item.*'b'"),
        ({"kind": "lines"}, "Unknown kind of evaluation 'lines'.*boxes, masks, keypoints"),
        ({"predictions": {"a": (true("p", (0, 0, 1, 1)),)}}, "'p' of 'a'.*no score"),
        ({"kind": "masks"}, "'t' of 'a'.*size of their image"),
        ({"kind": "keypoints"}, "'t' of 'a': A box has no keypoints"),
        ({"classes": ["cat", "cat"]}, "Duplicate classes"),
        ({"max_detections": 0}, "at least 1"),
        ({"areas": {"small": (0, 9)}}, "small, medium and large"),
        (
            {"kind": "masks", "truth": {"a": (Object("t", "x", Points(((1, 1),))),)}, "sizes_wh": {"a": SIZE_WH}},
            "points has no region",
        ),
        (
            {"kind": "masks", "truth": {"a": (Object("t", "x", Mask(2, 2, (4,))),)}, "sizes_wh": {"a": SIZE_WH}},
            "2 x 2 does not fit its image of 100 x 80",
        ),
    ],
)
def test_wrong_objects_are_told(call: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {
        "truth": {"a": (true("t", (0, 0, 1, 1)),)},
        "predictions": {},
        "sizes_wh": {},
        "kind": "boxes",
    }
    with pytest.raises(InvalidValueError, match=said):
        evaluate_objects(**(arguments | call))


GOOD_TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "width": 20, "height": 10}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [{"id": 0, "image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}],
}
GOOD_RESULT: dict[str, Any] = {"image_id": 1, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5}


@pytest.fixture
def evaluate(tmp_path: Path) -> Callable[..., Any]:
    def run(truth: Any, results: Any, kind: str = "boxes") -> Any:
        paths = tmp_path / "truth.json", tmp_path / "results.json"
        for path, content in zip(paths, (truth, results), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return evaluate_coco_files(*paths, kind)

    return run


def test_a_truth_with_id_zero_is_found(evaluate: Callable[..., Any]) -> None:
    assert evaluate(GOOD_TRUTH, [GOOD_RESULT]).ap == 1.0


def test_no_results_and_results_of_unknown_categories(evaluate: Callable[..., Any]) -> None:
    assert evaluate(GOOD_TRUTH, []).ap == 0.0
    metrics = evaluate(GOOD_TRUTH, [GOOD_RESULT, GOOD_RESULT | {"category_id": 9}])
    assert (metrics.ap, metrics.other_predictions) == (1.0, 1)


def test_masks_may_be_polygons_runs_or_compressed_runs(evaluate: Callable[..., Any]) -> None:
    runs = {"size": [10, 20], "counts": [0, 5, 5, 5, 5, 5, 175]}
    truth = GOOD_TRUTH | {"annotations": [GOOD_TRUTH["annotations"][0] | {"segmentation": runs}]}
    packed = pycoco_mask.frPyObjects(runs, 10, 20)
    for segmentation in (runs, {"size": [10, 20], "counts": packed["counts"].decode()}, [[0, 0, 3, 0, 3, 5, 0, 5]]):
        result = {"image_id": 1, "category_id": 3, "score": 0.5, "segmentation": segmentation}
        assert evaluate(truth, [result], "masks").ap == 1.0


@pytest.mark.parametrize(
    ("truth", "results", "kind", "said"),
    [
        ("not json", [], "boxes", "ground truth file .*truth.json' is not JSON"),
        (GOOD_TRUTH, "{", "boxes", "results file .*results.json' is not JSON"),
        ([GOOD_RESULT], [], "boxes", "is a list, not a COCO ground truth"),
        (GOOD_TRUTH, GOOD_TRUTH, "boxes", "not a COCO results list.*needs a list"),
        ({"images": []}, [], "boxes", "has no list 'categories'"),
        (GOOD_TRUTH | {"images": [{"id": "x"}]}, [], "boxes", "no integer id"),
        (GOOD_TRUTH | {"images": [{"id": 1}, {"id": 1}]}, [], "boxes", "Duplicate id 1"),
        (GOOD_TRUTH, ["x"], "boxes", "In result 0 of .*expected an object"),
        (GOOD_TRUTH, [GOOD_RESULT | {"image_id": 7}], "boxes", "image_id 7 is not an image of the ground truth"),
        (GOOD_TRUTH, [GOOD_RESULT | {"category_id": "3"}], "boxes", "'category_id' must be an integer"),
        (
            GOOD_TRUTH,
            [GOOD_RESULT, {k: v for k, v in GOOD_RESULT.items() if k != "score"}],
            "boxes",
            "In result 1 of .*'score' must be a finite number",
        ),
        (GOOD_TRUTH, [GOOD_RESULT | {"score": "high"}], "boxes", "'score' must be a finite number"),
        (GOOD_TRUTH, [GOOD_RESULT | {"bbox": [0, 0, -1, 5]}], "boxes", "width >= 0"),
        (GOOD_TRUTH, [GOOD_RESULT | {"bbox": [0, 0, "a", 5]}], "boxes", "list of finite numbers"),
        (GOOD_TRUTH, [GOOD_RESULT | {"bbox": []}], "boxes", "boxes need a 'bbox'.*the entry has none"),
        (GOOD_TRUTH, [GOOD_RESULT], "masks", "masks need a 'segmentation'; the entry has 'bbox'.*Choose another kind"),
        (GOOD_TRUTH, [GOOD_RESULT], "keypoints", "keypoints need 'keypoints'.*the entry has 'bbox'"),
        (
            GOOD_TRUTH | {"annotations": []},
            [GOOD_RESULT | {"keypoints": [1, 2]}],
            "keypoints",
            "three numbers per point, not 2",
        ),
        (
            GOOD_TRUTH | {"annotations": []},
            [GOOD_RESULT | {"segmentation": {"size": [10, 20], "counts": "z" * 40}}],
            "masks",
            "neither polygons nor a run-length mask",
        ),
        (
            GOOD_TRUTH | {"annotations": []},
            [GOOD_RESULT | {"segmentation": {"size": [5, 5], "counts": [25]}}],
            "masks",
            r"\[5, 5\] \(height, width\) but its image is \[10, 20\]",
        ),
        (GOOD_TRUTH | {"annotations": []}, [GOOD_RESULT | {"segmentation": [[1, 2]]}], "masks", "neither polygons"),
        (
            GOOD_TRUTH | {"annotations": [], "images": [{"id": 1}]},
            [GOOD_RESULT | {"segmentation": [[1] * 6]}],
            "masks",
            "no width and height",
        ),
    ],
)
def test_wrong_files_are_told(evaluate: Callable[..., Any], truth: Any, results: Any, kind: str, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        evaluate(truth, results, kind)


def test_a_missing_file_and_an_unknown_kind_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no ground truth file"):
        evaluate_coco_files(tmp_path / "a.json", tmp_path / "b.json", "boxes")
    with pytest.raises(SaccadeError, match="Unknown kind of evaluation"):
        evaluate_coco_files(tmp_path / "a.json", tmp_path / "b.json", "bbox")
