"""Reads and validates a COCO ground-truth file and a COCO results file for evaluation."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faster_coco_eval import mask as coco_mask

from saccade.core.errors import FormatError, InvalidValueError, NotFoundError
from saccade.evaluation.annotations import Annotation, ObjectKind, Rle, points_extent_area
from saccade.evaluation.inputs import EvaluationInput
from saccade.evaluation.similarity import keypoint_sigmas

_NEEDS = {
    "boxes": "a 'bbox' of four numbers [x, y, width, height]",
    "masks": "a 'segmentation'",
    "keypoints": "'keypoints' as [x, y, visibility, ...]",
}


def read_coco_files(
    truth: Path, predictions: Path, kind: ObjectKind, *, sigmas: Sequence[float] | None
) -> EvaluationInput:
    """Read both files.

    Annotation ids are reassigned: pycocotools counts a truth with the id 0 as unmatched. Results of a category that
    the ground truth does not list are left out and counted.

    Args:
        truth: ground-truth file.
        predictions: results file.
        kind: what to compare.
        sigmas: one for each keypoint (None: the default).

    Raises:
        FormatError: a file is malformed; the message names the entry and what it should be.
        NotFoundError: a file does not exist.
    """
    dataset = _read(truth, "ground truth")
    if not isinstance(dataset, dict):
        raise FormatError(
            f"'{truth}' is a {type(dataset).__name__}, not a COCO ground truth.",
            hint="--truth needs an object with 'images', 'annotations' and 'categories'; --predictions takes the list.",
        )
    images = _with_ids(dataset, "images", truth)
    categories = _with_ids(dataset, "categories", truth)
    results = _read(predictions, "results")
    if isinstance(results, dict):
        raise FormatError(
            f"'{predictions}' is an object, not a COCO results list.",
            hint="--predictions needs a list of {image_id, category_id, score, bbox|segmentation|keypoints}.",
        )
    truths = _Entries(truth, "annotation", kind, images).all(_list_field(dataset, "annotations", truth), _truth)
    predicted = _Entries(predictions, "result", kind, images).all(results, _result)
    known_predictions = [entry for entry in predicted if entry["category_id"] in categories]
    known_truths = [entry for entry in truths if entry["category_id"] in categories]
    for entries in (known_truths, known_predictions):
        for number, entry in enumerate(entries, start=1):
            entry["id"] = number
    return EvaluationInput(
        kind=kind,
        images=list(images.values()),
        categories=[{"id": number, "name": str(entry.get("name", number))} for number, entry in categories.items()],
        truths=known_truths,
        predictions=known_predictions,
        sigmas=keypoint_sigmas([*known_truths, *known_predictions], sigmas) if kind == "keypoints" else (),
        other_truths=len(truths) - len(known_truths),
        other_predictions=len(predicted) - len(known_predictions),
    )


def _read(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"There is no {what} file '{path}'.", hint="Check the path.") from None
    except OSError as error:
        raise FormatError(f"The {what} file '{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The {what} file '{path}' is not JSON: {error}.", hint="Pass a COCO JSON file.") from error


def _list_field(dataset: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    entries = dataset.get(name)
    if not isinstance(entries, list):
        raise FormatError(
            f"'{path}' has no list '{name}'.",
            hint="A COCO ground truth has 'images', 'annotations' and 'categories'.",
        )
    return entries


def _with_ids(dataset: Mapping[str, Any], name: str, path: Path) -> dict[int, dict[str, Any]]:
    by_id: dict[int, dict[str, Any]] = {}
    for entry in _list_field(dataset, name, path):
        number = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(number, int):
            raise FormatError(f"An entry of '{name}' in '{path}' has no integer id: {_excerpt(entry)}.")
        if number in by_id:
            raise FormatError(f"Duplicate id {number} in '{name}' of '{path}'.", hint="Ids must be unique.")
        by_id[number] = entry
    return by_id


def _excerpt(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


class _Entries:
    """Converts the raw entries of a file to annotations; errors name the entry."""

    def __init__(self, path: Path, what: str, kind: ObjectKind, images: Mapping[int, Mapping[str, Any]]) -> None:
        self.path = path
        self.what = what
        self.kind = kind
        self.images = images

    def all(self, raw: Sequence[Any], convert: Any) -> list[Annotation]:
        annotations = []
        for index, entry in enumerate(raw):
            try:
                annotations.append(self._common(entry) | convert(entry, self.kind, self._size_wh(entry)))
            except InvalidValueError as error:
                location = f"{self.what} {index} of '{self.path}'"
                raise FormatError(f"In {location}: {error.message}", hint=error.hint) from error
        return annotations

    def _common(self, entry: Any) -> Annotation:
        if not isinstance(entry, dict):
            raise InvalidValueError(f"expected an object, not {_excerpt(entry)}.")
        for name in ("image_id", "category_id"):
            if not isinstance(entry.get(name), int):
                raise InvalidValueError(f"'{name}' must be an integer, not {entry.get(name)!r}.")
        if entry["image_id"] not in self.images:
            raise InvalidValueError(
                f"image_id {entry['image_id']} is not an image of the ground truth.",
                hint="Results and ground truth must cover the same images; remove the other results.",
            )
        return {"image_id": entry["image_id"], "category_id": entry["category_id"]}

    def _size_wh(self, entry: Mapping[str, Any]) -> tuple[int, int]:
        image = self.images[entry["image_id"]]
        size_wh = image.get("width"), image.get("height")
        if self.kind == "masks" and not all(isinstance(side, int) and side > 0 for side in size_wh):
            raise InvalidValueError(
                f"image {entry['image_id']} has no width and height, which masks need: {size_wh}.",
                hint="Add them to 'images' in the ground truth.",
            )
        return size_wh[0] or 0, size_wh[1] or 0


def _numbers(entry: Mapping[str, Any], name: str) -> list[float]:
    values = entry[name]
    if not (isinstance(values, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in values)):
        raise InvalidValueError(f"'{name}' must be a list of finite numbers, not {_excerpt(values)}.")
    return list(values)


def _bbox(entry: Mapping[str, Any]) -> list[float] | None:
    if not entry.get("bbox"):
        return None
    bbox = _numbers(entry, "bbox")
    if len(bbox) != 4 or min(bbox[2:]) < 0:
        raise InvalidValueError(f"'bbox' must be [x, y, width >= 0, height >= 0], not {_excerpt(bbox)}.")
    return bbox


def _rle(entry: Mapping[str, Any], size_wh: tuple[int, int]) -> Rle | None:
    segmentation = entry.get("segmentation")
    if not segmentation:
        return None
    width, height = size_wh
    try:
        if isinstance(segmentation, list):
            _check_rings(segmentation)
            rle: Rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation["counts"], list):
            rle = coco_mask.frPyObjects(segmentation, height, width)
        else:
            counts = segmentation["counts"]
            rle = {
                "size": list(segmentation["size"]),
                "counts": counts.encode() if isinstance(counts, str) else counts,
            }
        size = list(rle["size"])
        coco_mask.area(rle)  # raises if the counts are damaged or exceed the size
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InvalidValueError(
            f"'segmentation' is neither polygons nor a run-length mask: {_excerpt(segmentation)} ({error})."
        ) from error
    if size != [height, width]:
        raise InvalidValueError(f"'segmentation' is {size} (height, width) but its image is {[height, width]}.")
    return rle


def _check_rings(rings: list[Any]) -> None:
    for ring in rings:
        is_numeric = isinstance(ring, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in ring)
        if not is_numeric or len(ring) < 4 or len(ring) % 2:
            raise ValueError(f"a ring must be [x, y, x, y, ...], not {_excerpt(ring)}")


def _keypoints(entry: Mapping[str, Any]) -> list[float] | None:
    if not entry.get("keypoints"):
        return None
    values = _numbers(entry, "keypoints")
    if len(values) % 3:
        raise InvalidValueError(f"'keypoints' must have three numbers per point, not {len(values)} in total.")
    return values


def _compared_fields(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    """Return the fields that this kind compares."""
    annotation: Annotation = {}
    if (bbox := _bbox(entry)) is not None:
        annotation["bbox"] = bbox
    if kind == "masks" and (rle := _rle(entry, size_wh)) is not None:
        annotation["segmentation"] = rle
    if kind == "keypoints" and (keypoints := _keypoints(entry)) is not None:
        annotation["keypoints"] = keypoints
    if {"boxes": "bbox", "masks": "segmentation", "keypoints": "keypoints"}[kind] not in annotation:
        available = [name for name in ("bbox", "segmentation", "keypoints") if entry.get(name)]
        raise InvalidValueError(
            f"{kind} need {_NEEDS[kind]}; the entry has {' and '.join(map(repr, available)) or 'none'}.",
            hint="Choose another kind: boxes for 'bbox', masks for 'segmentation', keypoints for 'keypoints'.",
        )
    return annotation


def _truth(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    annotation = _compared_fields(entry, kind, size_wh) | {"iscrowd": int(bool(entry.get("iscrowd", 0)))}
    if kind == "keypoints":
        labelled = sum(flag > 0 for flag in annotation["keypoints"][2::3])
        annotation["num_keypoints"] = int(entry.get("num_keypoints", labelled))
    return _with_extent(annotation, entry.get("area"))


def _result(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    score = entry.get("score")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise InvalidValueError(
            f"'score' must be a finite number, not {score!r}.",
            hint="Every result needs a score: it determines the order of matching.",
        )
    return _with_extent(_compared_fields(entry, kind, size_wh), None) | {"iscrowd": 0, "score": float(score)}


def _with_extent(annotation: Annotation, stated_area: Any) -> Annotation:
    """Add area and box as pycocotools' loadRes does: from the box, else the mask, else the extent of the keypoints."""
    if "bbox" in annotation:
        area = annotation["bbox"][2] * annotation["bbox"][3]
    elif "segmentation" in annotation:
        annotation["bbox"] = coco_mask.toBbox(annotation["segmentation"]).tolist()
        area = float(coco_mask.area(annotation["segmentation"]))
    else:
        xs = annotation["keypoints"][0::3]
        ys = annotation["keypoints"][1::3]
        annotation["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        area = points_extent_area(zip(xs, ys, strict=True))
    return annotation | {"area": float(stated_area) if isinstance(stated_area, int | float) else area}
