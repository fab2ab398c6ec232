"""Objects as the annotations that the COCO protocol compares: boxes ``xywh``, run-length masks, keypoints.

Class and image numbers exist only here, at the edge to the metric library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from faster_coco_eval import mask as coco_mask

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import ellipse_to_polygon
from saccade.core.objects import Box, Ellipse, Geometry, Keypoints, Mask, Object, Polygon, Ring, RotatedBox

ObjectKind = Literal["boxes", "masks", "keypoints"]
Annotation = dict[str, Any]
Rle = dict[str, Any]
"""A compressed run-length mask of COCO: ``{"size": [height, width], "counts": bytes}``."""


def check_kind(kind: str) -> ObjectKind:
    """``kind`` as one of boxes, masks, keypoints; InvalidValueError for any other word."""
    for known in get_args(ObjectKind):
        if kind == known:
            return known  # type: ignore[no-any-return]  # get_args is typed as tuple[Any, ...]
    raise InvalidValueError(
        f"There is no kind of evaluation called {kind!r}.", hint=f"Use one of {', '.join(get_args(ObjectKind))}."
    )


def _ring_rle(ring: Iterable[tuple[float, float]], size_wh: tuple[int, int]) -> Rle:
    width, height = size_wh
    flat = [number for point in ring for number in point]
    made: list[Rle] = coco_mask.frPyObjects([flat], height, width)
    return made[0]


def _part_rle(part: tuple[Ring, ...], size_wh: tuple[int, int]) -> Rle:
    outer = _ring_rle(part[0], size_wh)
    if len(part) == 1:
        return outer
    holes = coco_mask.decode(coco_mask.merge([_ring_rle(ring, size_wh) for ring in part[1:]]))
    pixels = np.asfortranarray(coco_mask.decode(outer) * (1 - holes))
    made: Rle = coco_mask.encode(pixels)
    return made


def geometry_rle(geometry: Geometry, size_wh: tuple[int, int]) -> Rle:
    """The pixels of a region in an image of ``size_wh``, rasterised as COCO does.

    InvalidValueError for geometry without a region (points, lines, keypoints) and for a mask of another size.
    """
    width, height = size_wh
    match geometry:
        case Mask():
            if (geometry.width, geometry.height) != (width, height):
                raise InvalidValueError(
                    f"A mask of {geometry.width} x {geometry.height} does not fit its image of {width} x {height}."
                )
            rle: Rle = coco_mask.frPyObjects({"size": [height, width], "counts": list(geometry.counts)}, height, width)
            return rle
        case Polygon():
            parts = [_part_rle(part, size_wh) for part in geometry.parts]
        case Box(x1, y1, x2, y2):
            parts = [_ring_rle(((x1, y1), (x1, y2), (x2, y2), (x2, y1)), size_wh)]
        case RotatedBox():
            parts = [_ring_rle(geometry.corners(), size_wh)]
        case Ellipse():
            parts = [_ring_rle(ellipse_to_polygon(geometry).parts[0][0], size_wh)]
        case _:
            raise InvalidValueError(
                f"A {geometry.type} has no region to compare as a mask.", hint="Evaluate it as boxes or keypoints."
            )
    merged: Rle = parts[0] if len(parts) == 1 else coco_mask.merge(parts)
    return merged


def bbox_xywh(geometry: Geometry) -> list[float]:
    x1, y1, x2, y2 = geometry.bounds_xyxy()
    return [x1, y1, x2 - x1, y2 - y1]


def _keypoints(geometry: Geometry) -> Keypoints:
    if not isinstance(geometry, Keypoints):
        raise InvalidValueError(
            f"A {geometry.type} has no keypoints to compare.", hint="Evaluate it as boxes or masks instead."
        )
    return geometry


def _keypoint_fields(geometry: Keypoints) -> Annotation:
    seen = geometry.visibility
    flat = [number for (x, y), mark in zip(geometry.points, seen, strict=True) for number in (x, y, mark)]
    return {"keypoints": flat, "num_keypoints": sum(mark > 0 for mark in seen)}


def extent_area(points: Iterable[tuple[float, float]]) -> float:
    """Area of the box around all points, which is how COCO sizes predicted keypoints."""
    xs, ys = zip(*points, strict=True)
    return float((max(xs) - min(xs)) * (max(ys) - min(ys)))


def truth_annotation(thing: Object, kind: ObjectKind, size_wh: tuple[int, int] | None) -> Annotation:
    """A true object; its area is that of its own geometry, whatever ``kind`` compares."""
    made: Annotation = {
        "bbox": bbox_xywh(thing.geometry),
        "area": thing.geometry.area(),
        "iscrowd": int(thing.is_crowd),
    }
    if kind == "masks":
        made["segmentation"] = geometry_rle(thing.geometry, _size(size_wh))
    elif kind == "keypoints":
        made |= _keypoint_fields(_keypoints(thing.geometry))
    return made


def prediction_annotation(thing: Object, kind: ObjectKind, size_wh: tuple[int, int] | None) -> Annotation:
    """A predicted object; its area is that of what is compared. A missing score raises InvalidValueError."""
    if thing.score is None:
        raise InvalidValueError(
            f"The prediction '{thing.id}' of class '{thing.class_name}' has no score.",
            hint="Every prediction needs one: it decides the order in which predictions are matched.",
        )
    box = bbox_xywh(thing.geometry)
    made: Annotation = {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": float(thing.score)}
    if kind == "masks":
        made["segmentation"] = geometry_rle(thing.geometry, _size(size_wh))
        made["area"] = float(coco_mask.area(made["segmentation"]))
    elif kind == "keypoints":
        keypoints = _keypoints(thing.geometry)
        made |= _keypoint_fields(keypoints)
        if keypoints.box is None:
            made["area"] = extent_area(keypoints.points)
    return made


def _size(size_wh: tuple[int, int] | None) -> tuple[int, int]:
    if size_wh is None:
        raise InvalidValueError("Masks need the size of their image.", hint="Give sizes_wh for every key.")
    return size_wh


def check_keys(truth: Mapping[str, Any], predictions: Iterable[str]) -> None:
    """InvalidValueError that names the predictions whose key the truth does not have."""
    if unknown := sorted(set(predictions) - truth.keys()):
        shown = ", ".join(f"'{key}'" for key in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise InvalidValueError(
            f"There are predictions for {len(unknown)} unknown item(s): {shown}{more}.",
            hint="Evaluate them against the dataset version they were made from.",
        )
