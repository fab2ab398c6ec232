"""Compare detection evaluation with pycocotools on a synthetic dataset, in one process.

    python benchmarks/evaluation.py --images 2000

Times the evaluation from files (including reading) and, for Saccade, from objects in memory. Exits with an error if the
metrics of both differ.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from saccade.core.objects import Box, Object
from saccade.evaluation.detection import evaluate_coco_files, evaluate_objects

CLASSES = 20
PER_IMAGE = 10
T = TypeVar("T")


def make_dataset(images: int, seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Create a ground truth of 10 boxes per image and two jittered detections of each box."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, images + 1):
        corners = random.uniform(0, [500, 350], (PER_IMAGE, 2))
        sides = random.uniform(8, 120, (PER_IMAGE, 2))
        for number, (corner, side) in enumerate(zip(corners, sides, strict=True)):
            common = {"image_id": image, "category_id": int(random.integers(1, CLASSES + 1))}
            area = float(side[0] * side[1])
            numbered = {"id": (image - 1) * PER_IMAGE + number + 1, "area": area, "iscrowd": 0}
            annotations.append({**common, **numbered, "bbox": [*corner.tolist(), *side.tolist()]})
            for _ in range(2):
                moved = corner + random.normal(0, 0.1, 2) * side
                sized = side * random.uniform(0.8, 1.2, 2)
                results.append({**common, "bbox": [*moved.tolist(), *sized.tolist()], "score": float(random.random())})
    truth = {
        "images": [{"id": image, "width": 640, "height": 480} for image in range(1, images + 1)],
        "categories": [{"id": number, "name": f"class {number:02}"} for number in range(1, CLASSES + 1)],
        "annotations": annotations,
    }
    return truth, results


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def with_pycocotools(truth: Path, results: Path) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        dataset = COCO(str(truth))
        evaluator = COCOeval(dataset, dataset.loadRes(str(results)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return float(evaluator.stats[0])


def as_objects(entries: list[dict[str, Any]], images: int) -> dict[str, tuple[Object, ...]]:
    grouped: dict[str, list[Object]] = {str(image): [] for image in range(1, images + 1)}
    for entry in entries:
        x, y, width, height = entry["bbox"]
        objects = grouped[str(entry["image_id"])]
        name = f"class {entry['category_id']:02}"
        objects.append(Object(str(len(objects)), name, Box(x, y, x + width, y + height), score=entry.get("score")))
    return {key: tuple(objects) for key, objects in grouped.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    truth, results = make_dataset(options.images, options.seed)
    ground_truth, predictions = as_objects(truth["annotations"], options.images), as_objects(results, options.images)
    with tempfile.TemporaryDirectory() as folder:
        truth_path, results_path = Path(folder, "truth.json"), Path(folder, "results.json")
        truth_path.write_text(json.dumps(truth))
        results_path.write_text(json.dumps(results))
        peer, expected = timed(lambda: with_pycocotools(truth_path, results_path))
        files, metrics = timed(lambda: evaluate_coco_files(truth_path, results_path, "boxes"))
    memory, from_objects = timed(lambda: evaluate_objects(ground_truth, predictions, {}, kind="boxes"))
    print(f"{options.images} images, {len(truth['annotations'])} objects, {len(results)} detections")
    print(f"pycocotools, from files   {peer:8.2f} s   AP {expected:.6f}")
    print(f"saccade, from files       {files:8.2f} s   AP {metrics.ap:.6f}   {peer / files:.1f} times as fast")
    print(f"saccade, from objects     {memory:8.2f} s   AP {from_objects.ap:.6f}   {peer / memory:.1f} times as fast")
    agree = all(abs((ap or 0) - expected) < 1e-6 for ap in (metrics.ap, from_objects.ap))
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
