"""Detection figures equal those of pycocotools on random data: crowds, ties, empty images, all sizes."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycoco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from saccade.core.objects import Box, Keypoints, Mask, Object, Objects, Polygon
from saccade.evaluation.annotations import truth_annotation
from saccade.evaluation.detection import evaluate_objects
from saccade.evaluation.matching import MatchStatus, match_objects
from saccade.evaluation.metrics import DetectionMetrics

CLASSES = ("cat", "dog", "owl")
SIZE_WH = (160, 130)
IOU_TYPE = {"boxes": "bbox", "masks": "segm", "keypoints": "keypoints"}
Truth = dict[str, Objects]


def random_box(random: np.random.Generator) -> Box:
    side = float(random.choice([10, 30, 60, 120]))
    x, y = np.round(random.uniform(0, [160 - side, max(130 - side, 1)]))
    width, height = np.round(random.uniform(side / 2, side, 2))
    return Box(x, y, x + max(width, 1), y + max(height, 1))


def jittered(box: Box, random: np.random.Generator) -> Box:
    shift = np.round(random.normal(0, 0.12, 4) * (box.x2 - box.x1))
    xs = sorted((box.x1 + shift[0], box.x2 + shift[1]))
    ys = sorted((box.y1 + shift[2], box.y2 + shift[3]))
    return Box(xs[0], ys[0], xs[1] + 1, ys[1] + 1)


def shaped(box: Box, kind: str, random: np.random.Generator) -> Any:
    if kind == "boxes":
        return box
    x1, y1, x2, y2 = box.bounds_xyxy()
    if kind == "masks":
        if random.random() < 0.5:
            return Polygon.simple([(x1, y1), (x2, y1 + 2), (x2 - 1, y2), (x1 + 2, y2)])
        pixels = np.zeros(SIZE_WH, dtype=bool)  # column-major: the first axis is x
        pixels[max(int(x1), 0) : int(x2), max(int(y1), 0) : int(y2)] = True
        flat = np.concatenate([[False], pixels.ravel(), [False]])
        changes = np.flatnonzero(flat[1:] != flat[:-1])
        return Mask(*SIZE_WH, tuple(np.diff([0, *changes.tolist(), pixels.size]).tolist()))
    points = [(x, y) for x, y in random.uniform([x1, y1], [x2, y2], (5, 2)).tolist()]
    seen = random.choice([0, 1, 2], 5) if random.random() < 0.8 else np.zeros(5, dtype=int)
    return Keypoints(tuple(points), tuple(seen.tolist()), box=box)


def moved(obj: Object, kind: str, random: np.random.Generator) -> Any:
    if not isinstance(obj.geometry, Keypoints):
        return shaped(jittered(Box(*obj.geometry.bounds_xyxy()), random), kind, random)
    points = np.asarray(obj.geometry.points) + random.normal(0, 4, (5, 2))
    box = jittered(Box(*obj.geometry.bounds_xyxy()), random)
    return Keypoints(tuple((x, y) for x, y in points.tolist()), (2,) * 5, box=box)


def random_problem(seed: int, images: int, kind: str) -> tuple[Truth, Truth]:
    random = np.random.default_rng(seed)
    truth: Truth = {}
    predictions: Truth = {}
    for image in range(images):
        names = [str(random.choice(CLASSES[: 2 + image % 2])) for _ in range(random.integers(0, 6))]
        objects = [
            Object(
                f"t{index}",
                name,
                shaped(random_box(random), kind, random),
                attributes={"crowd": bool(random.random() < 0.2)},
            )
            for index, name in enumerate(names)
        ]
        guesses: list[Object] = []
        for obj in objects:
            for _ in range(random.integers(0, 3)):
                name = obj.class_name if random.random() < 0.85 else str(random.choice(CLASSES))
                score = float(np.round(random.uniform(0.05, 1), 1))  # one digit: many ties
                guesses.append(Object(f"p{len(guesses)}", name, moved(obj, kind, random), score=score))
        for _ in range(random.integers(0, 3)):
            score = float(np.round(random.uniform(0, 1), 1))
            box = shaped(random_box(random), kind, random)
            guesses.append(Object(f"p{len(guesses)}", str(random.choice(CLASSES)), box, score=score))
        truth[f"image {image}"] = tuple(objects)
        predictions[f"image {image}"] = tuple(guesses)
    return truth, predictions


def segmentation(geometry: Any) -> Any:
    width, height = SIZE_WH
    if isinstance(geometry, Mask):
        runs = {"size": [height, width], "counts": list(geometry.counts)}
        return pycoco_mask.frPyObjects(runs, height, width)
    return pycoco_mask.merge(
        pycoco_mask.frPyObjects([[n for point in geometry.parts[0][0] for n in point]], height, width)
    )


def oracle_entry(obj: Object, image: int, kind: str) -> dict[str, Any]:
    x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
    entry: dict[str, Any] = {"image_id": image, "category_id": CLASSES.index(obj.class_name) + 1}
    if kind == "masks":
        entry["segmentation"] = segmentation(obj.geometry)
    else:
        entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
    if isinstance(obj.geometry, Keypoints):
        marks = zip(obj.geometry.points, obj.geometry.visibility, strict=True)
        entry["keypoints"] = [n for (x, y), seen in marks for n in (x, y, seen)]
        entry["num_keypoints"] = sum(seen > 0 for seen in obj.geometry.visibility)
    return entry


def pycocotools(truth: Truth, predictions: Truth, kind: str) -> COCOeval:
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image, (key, objects) in enumerate(truth.items(), start=1):
        for obj in objects:
            extra = {"id": len(annotations) + 1, "iscrowd": int(obj.is_crowd), "area": obj.geometry.area()}
            annotations.append(oracle_entry(obj, image, kind) | extra)
        results += [oracle_entry(obj, image, kind) | {"score": obj.score} for obj in predictions[key]]
    width, height = SIZE_WH
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO()
        dataset.dataset = {
            "images": [{"id": image + 1, "width": width, "height": height} for image in range(len(truth))],
            "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, start=1)],
            "annotations": annotations,
        }
        dataset.createIndex()
        empty = COCO()
        empty.dataset = {**dataset.dataset, "annotations": []}
        empty.createIndex()
        evaluator = COCOeval(dataset, dataset.loadRes(results) if results else empty, IOU_TYPE[kind])
        if kind == "keypoints":
            evaluator.params.kpt_oks_sigmas = np.full(5, 1 / 5)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def said(values: np.ndarray[Any, Any]) -> float | None:
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else None


def summary(metrics: DetectionMetrics) -> list[float | None]:
    m = metrics
    if m.kind == "keypoints":
        return [m.ap, m.ap50, m.ap75, m.ap_medium, m.ap_large, m.ar, None, None, m.ar_medium, m.ar_large]
    sizes = [m.ap_small, m.ap_medium, m.ap_large]
    return [m.ap, m.ap50, m.ap75, *sizes, m.ar_1, m.ar_10, m.ar_100, m.ar_small, m.ar_medium, m.ar_large]


@pytest.mark.parametrize("kind", ["boxes", "masks", "keypoints"])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 12))
def test_figures_equal_pycocotools(kind: str, seed: int, images: int) -> None:
    truth, predictions = random_problem(seed, images, kind)
    sizes = dict.fromkeys(truth, SIZE_WH)
    ours = evaluate_objects(truth, predictions, sizes, kind=kind, classes=CLASSES)
    theirs = pycocotools(truth, predictions, kind)
    for place, (own, other) in enumerate(zip(summary(ours), theirs.stats, strict=True)):
        if kind == "keypoints" and place in (6, 7):
            continue  # recall at one threshold, which we do not give
        assert (-1.0 if own is None else own) == pytest.approx(other, abs=1e-9), place
    precision, recall = theirs.eval["precision"][..., 0, -1], theirs.eval["recall"][..., 0, -1]
    for k, entry in enumerate(ours.per_class):
        assert entry.ap == pytest.approx(said(precision[:, :, k]), abs=1e-9)
        assert entry.ap50 == pytest.approx(said(precision[0, :, k]), abs=1e-9)
        assert entry.ap75 == pytest.approx(said(precision[5, :, k]), abs=1e-9)
        assert entry.ar == pytest.approx(said(recall[:, k]), abs=1e-9)
        if entry.curve_precision:
            assert entry.curve_precision == pytest.approx(precision[0, :, k].tolist(), abs=1e-9)
            assert entry.curve_scores == pytest.approx(theirs.eval["scores"][0, :, k, 0, -1].tolist(), abs=1e-9)


def matches_of_pycocotools(theirs: COCOeval) -> tuple[int, int, int, int]:
    """Correct, false, ignored predictions and missed objects at 0.50, all areas."""
    area = theirs.params.areaRng[0]
    images = [result for result in theirs.evalImgs if result is not None and result["aRng"] == area]
    correct = false = ignored = missed = 0
    for result in images:
        out = result["dtIgnore"][0].astype(bool)
        hit = result["dtMatches"][0] > 0
        correct += int((hit & ~out).sum())
        false += int((~hit & ~out).sum())
        ignored += int(out.sum())
        missed += int(((result["gtMatches"][0] == 0) & (result["gtIgnore"] == 0)).sum())
    return correct, false, ignored, missed


@pytest.mark.parametrize("kind", ["boxes", "masks", "keypoints"])
@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 8))
def test_matches_equal_pycocotools_and_the_confidence_curve(kind: str, seed: int, images: int) -> None:
    truth, predictions = random_problem(seed, images, kind)
    sizes = dict.fromkeys(truth, SIZE_WH)
    matches = match_objects(truth, predictions, sizes, kind=kind)
    counts = tuple(
        sum(match.status is outcome for match in matches)
        for outcome in (MatchStatus.TP, MatchStatus.FP, MatchStatus.IGNORED, MatchStatus.FN)
    )
    assert counts == matches_of_pycocotools(pycocotools(truth, predictions, kind))
    curve = evaluate_objects(truth, predictions, sizes, kind=kind).confidence
    correct, false, _, missed = counts
    assert curve.truths == correct + missed
    assert curve.precision[0] == (pytest.approx(correct / (correct + false)) if correct + false else None)
    assert curve.f1[0] == pytest.approx(2 * correct / max(2 * correct + false + missed, 1))
    if curve.best is not None:
        at = match_objects(truth, predictions, sizes, kind=kind, score_threshold=curve.best.threshold)
        hits = sum(match.status is MatchStatus.TP for match in at)
        wrong = sum(match.status is not MatchStatus.IGNORED for match in at) - hits
        assert curve.best.f1 == pytest.approx(2 * hits / (2 * hits + wrong))
        assert curve.best.f1 >= max(curve.f1) - 1e-12


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_a_mask_keeps_its_area_as_runs(seed: int) -> None:
    random = np.random.default_rng(seed)
    obj = Object("a", "cat", shaped(random_box(random), "masks", random))
    annotation: Mapping[str, Any] = truth_annotation(obj, "masks", SIZE_WH)
    pixels = pycoco_mask.area(annotation["segmentation"])
    if isinstance(obj.geometry, Mask):
        assert pixels == obj.geometry.area()
