"""A COCO ground truth file and a COCO results file, checked and made comparable."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faster_coco_eval import mask as coco_mask

from saccade.core.errors import FormatError, InvalidValueError, NotFoundError
from saccade.evaluation.annotations import Annotation, ObjectKind, Rle, extent_area
from saccade.evaluation.inputs import Problem
from saccade.evaluation.similarity import keypoint_sigmas

_NEEDS = {
    "boxes": "a 'bbox' of four numbers [x, y, width, height]",
    "masks": "a 'segmentation'",
    "keypoints": "'keypoints' as [x, y, visibility, ...]",
}


def problem_of_files(truth: Path, predictions: Path, kind: ObjectKind, *, sigmas: Sequence[float] | None) -> Problem:
    """Read both files; FormatError says which entry is wrong and what it should be.

    Annotation ids are numbered anew: pycocotools counts a truth whose id is 0 as never found. Results of a category
    that the truth does not list are left out and counted.
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
    truths = _Entries(truth, "annotation", kind, images).all(_listed(dataset, "annotations", truth), _truth)
    made = _Entries(predictions, "result", kind, images).all(results, _result)
    known = [entry for entry in made if entry["category_id"] in categories]
    kept = [entry for entry in truths if entry["category_id"] in categories]
    for entries in (kept, known):
        for number, entry in enumerate(entries, start=1):
            entry["id"] = number
    return Problem(
        kind=kind,
        images=list(images.values()),
        categories=[{"id": number, "name": str(entry.get("name", number))} for number, entry in categories.items()],
        truths=kept,
        predictions=known,
        sigmas=keypoint_sigmas([*kept, *known], sigmas) if kind == "keypoints" else (),
        other_truths=len(truths) - len(kept),
        other_predictions=len(made) - len(known),
    )


def _read(path: Path, what: str) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotFoundError(f"There is no {what} file '{path}'.", hint="Check the path.") from None
    except OSError as error:
        raise FormatError(f"The {what} file '{path}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"The {what} file '{path}' is not JSON: {error}.", hint="Give a COCO JSON file.") from error


def _listed(dataset: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    entries = dataset.get(name)
    if not isinstance(entries, list):
        raise FormatError(
            f"'{path}' has no list '{name}'.",
            hint="A COCO ground truth has 'images', 'annotations' and 'categories'.",
        )
    return entries


def _with_ids(dataset: Mapping[str, Any], name: str, path: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for entry in _listed(dataset, name, path):
        number = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(number, int):
            raise FormatError(f"An entry of '{name}' in '{path}' has no whole number as its id: {_short(entry)}.")
        if number in found:
            raise FormatError(f"'{name}' in '{path}' has the id {number} twice.", hint="Ids must be unique.")
        found[number] = entry
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."


class _Entries:
    """Turns raw entries of one file into annotations, naming the entry in every error."""

    def __init__(self, path: Path, what: str, kind: ObjectKind, images: Mapping[int, Mapping[str, Any]]) -> None:
        self.path = path
        self.what = what
        self.kind = kind
        self.images = images

    def all(self, raw: Sequence[Any], convert: Any) -> list[Annotation]:
        made = []
        for index, entry in enumerate(raw):
            try:
                made.append(self._common(entry) | convert(entry, self.kind, self._size_wh(entry)))
            except InvalidValueError as error:
                where = f"{self.what} {index} of '{self.path}'"
                raise FormatError(f"In {where}: {error.message}", hint=error.hint) from error
        return made

    def _common(self, entry: Any) -> Annotation:
        if not isinstance(entry, dict):
            raise InvalidValueError(f"an object is expected, not {_short(entry)}.")
        for name in ("image_id", "category_id"):
            if not isinstance(entry.get(name), int):
                raise InvalidValueError(f"'{name}' must be a whole number, not {entry.get(name)!r}.")
        if entry["image_id"] not in self.images:
            raise InvalidValueError(
                f"image_id {entry['image_id']} is not an image of the ground truth.",
                hint="Results and ground truth must be of the same images; leave out the results of others.",
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
    fine = isinstance(values, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in values)
    if not fine:
        raise InvalidValueError(f"'{name}' must be a list of finite numbers, not {_short(values)}.")
    return list(values)


def _bbox(entry: Mapping[str, Any]) -> list[float] | None:
    if not entry.get("bbox"):
        return None
    bbox = _numbers(entry, "bbox")
    if len(bbox) != 4 or min(bbox[2:]) < 0:
        raise InvalidValueError(f"'bbox' must be [x, y, width >= 0, height >= 0], not {_short(bbox)}.")
    return bbox


def _rle(entry: Mapping[str, Any], size_wh: tuple[int, int]) -> Rle | None:
    segmentation = entry.get("segmentation")
    if not segmentation:
        return None
    width, height = size_wh
    try:
        if isinstance(segmentation, list):
            _check_rings(segmentation)
            made: Rle = coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
        elif isinstance(segmentation["counts"], list):
            made = coco_mask.frPyObjects(segmentation, height, width)
        else:
            counts = segmentation["counts"]
            made = {
                "size": list(segmentation["size"]),
                "counts": counts.encode() if isinstance(counts, str) else counts,
            }
        stated = list(made["size"])
        coco_mask.area(made)  # refuses counts that are damaged or exceed the size
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise InvalidValueError(
            f"'segmentation' is neither polygons nor a run-length mask: {_short(segmentation)} ({error})."
        ) from error
    if stated != [height, width]:
        raise InvalidValueError(f"'segmentation' is {stated} (height, width) but its image is {[height, width]}.")
    return made


def _check_rings(rings: list[Any]) -> None:
    for ring in rings:
        fine = isinstance(ring, list) and all(isinstance(v, int | float) and math.isfinite(v) for v in ring)
        if not fine or len(ring) < 4 or len(ring) % 2:
            raise ValueError(f"a ring must be [x, y, x, y, ...], not {_short(ring)}")


def _keypoints(entry: Mapping[str, Any]) -> list[float] | None:
    if not entry.get("keypoints"):
        return None
    values = _numbers(entry, "keypoints")
    if len(values) % 3:
        raise InvalidValueError(f"'keypoints' must hold three numbers per point, not {len(values)} in all.")
    return values


def _compared(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    """The fields that this kind compares, or InvalidValueError that says what the entry has instead."""
    made: Annotation = {}
    if (bbox := _bbox(entry)) is not None:
        made["bbox"] = bbox
    if kind == "masks" and (rle := _rle(entry, size_wh)) is not None:
        made["segmentation"] = rle
    if kind == "keypoints" and (keypoints := _keypoints(entry)) is not None:
        made["keypoints"] = keypoints
    if {"boxes": "bbox", "masks": "segmentation", "keypoints": "keypoints"}[kind] not in made:
        others = [name for name in ("bbox", "segmentation", "keypoints") if entry.get(name)]
        raise InvalidValueError(
            f"{kind} need {_NEEDS[kind]}; it has {' and '.join(map(repr, others)) or 'none'}.",
            hint="Choose another kind: boxes for 'bbox', masks for 'segmentation', keypoints for 'keypoints'.",
        )
    return made


def _truth(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    made = _compared(entry, kind, size_wh) | {"iscrowd": int(bool(entry.get("iscrowd", 0)))}
    if kind == "keypoints":
        made["num_keypoints"] = int(entry.get("num_keypoints", sum(mark > 0 for mark in made["keypoints"][2::3])))
    return _with_extent(made, entry.get("area"))


def _result(entry: Mapping[str, Any], kind: ObjectKind, size_wh: tuple[int, int]) -> Annotation:
    score = entry.get("score")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise InvalidValueError(
            f"'score' must be a finite number, not {score!r}.", hint="Every result needs one: it decides the order."
        )
    return _with_extent(_compared(entry, kind, size_wh), None) | {"iscrowd": 0, "score": float(score)}


def _with_extent(made: Annotation, stated_area: Any) -> Annotation:
    """Add area and box as pycocotools' loadRes does: by the box, else the mask, else the extent of the keypoints."""
    if "bbox" in made:
        area = made["bbox"][2] * made["bbox"][3]
    elif "segmentation" in made:
        made["bbox"] = coco_mask.toBbox(made["segmentation"]).tolist()
        area = float(coco_mask.area(made["segmentation"]))
    else:
        xs, ys = made["keypoints"][0::3], made["keypoints"][1::3]
        made["bbox"] = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        area = extent_area(zip(xs, ys, strict=True))
    return made | {"area": float(stated_area) if isinstance(stated_area, int | float) else area}
