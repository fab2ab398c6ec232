"""Conversion of objects to COCO annotations: boxes ``xywh``, run-length masks and keypoints.

Numeric ids of classes and images exist only here, at the boundary to the metric library.
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
"""COCO's compressed run-length mask: ``{"size": [height, width], "counts": bytes}``."""


def check_kind(kind: str) -> ObjectKind:
    """Validate the kind of an evaluation: boxes, masks or keypoints.

    Raises:
        InvalidValueError: the kind is unknown.
    """
    for known in get_args(ObjectKind):
        if kind == known:
            return known  # type: ignore[no-any-return]  # get_args is typed as tuple[Any, ...]
    raise InvalidValueError(
        f"Unknown kind of evaluation {kind!r}.", hint=f"Use one of {', '.join(get_args(ObjectKind))}."
    )


def _ring_rle(ring: Iterable[tuple[float, float]], size_wh: tuple[int, int]) -> Rle:
    width, height = size_wh
    flat = [number for point in ring for number in point]
    rles: list[Rle] = coco_mask.frPyObjects([flat], height, width)
    return rles[0]


def _part_rle(part: tuple[Ring, ...], size_wh: tuple[int, int]) -> Rle:
    outer = _ring_rle(part[0], size_wh)
    if len(part) == 1:
        return outer
    holes = coco_mask.decode(coco_mask.merge([_ring_rle(ring, size_wh) for ring in part[1:]]))
    pixels = np.asfortranarray(coco_mask.decode(outer) * (1 - holes))
    rle: Rle = coco_mask.encode(pixels)
    return rle


def geometry_rle(geometry: Geometry, size_wh: tuple[int, int]) -> Rle:
    """Rasterise a region in an image of ``size_wh`` with COCO's own rasteriser.

    Raises:
        InvalidValueError: the geometry has no region (points, lines, keypoints), or is a mask of another size.
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
    visibility = geometry.visibility
    flat = [number for (x, y), flag in zip(geometry.points, visibility, strict=True) for number in (x, y, flag)]
    return {"keypoints": flat, "num_keypoints": sum(flag > 0 for flag in visibility)}


def points_extent_area(points: Iterable[tuple[float, float]]) -> float:
    """Return the area of the box around all points, which COCO uses as the size of predicted keypoints."""
    xs, ys = zip(*points, strict=True)
    return float((max(xs) - min(xs)) * (max(ys) - min(ys)))


def truth_annotation(obj: Object, kind: ObjectKind, size_wh: tuple[int, int] | None) -> Annotation:
    """Convert a ground-truth object; its area is that of its own geometry, regardless of ``kind``.

    Raises:
        InvalidValueError: the geometry does not fit ``kind``, or a mask has no image size.
    """
    annotation: Annotation = {
        "bbox": bbox_xywh(obj.geometry),
        "area": obj.geometry.area(),
        "iscrowd": int(obj.is_crowd),
    }
    if kind == "masks":
        annotation["segmentation"] = geometry_rle(obj.geometry, _require_size(size_wh))
    elif kind == "keypoints":
        annotation |= _keypoint_fields(_keypoints(obj.geometry))
    return annotation


def prediction_annotation(obj: Object, kind: ObjectKind, size_wh: tuple[int, int] | None) -> Annotation:
    """Convert a predicted object; its area is that of the compared geometry.

    Raises:
        InvalidValueError: the score is missing, or the geometry does not fit ``kind``.
    """
    if obj.score is None:
        raise InvalidValueError(
            f"The prediction '{obj.id}' of class '{obj.class_name}' has no score.",
            hint="Every prediction needs a score: it determines the order of matching.",
        )
    box = bbox_xywh(obj.geometry)
    annotation: Annotation = {"bbox": box, "area": box[2] * box[3], "iscrowd": 0, "score": float(obj.score)}
    if kind == "masks":
        annotation["segmentation"] = geometry_rle(obj.geometry, _require_size(size_wh))
        annotation["area"] = float(coco_mask.area(annotation["segmentation"]))
    elif kind == "keypoints":
        keypoints = _keypoints(obj.geometry)
        annotation |= _keypoint_fields(keypoints)
        if keypoints.box is None:
            annotation["area"] = points_extent_area(keypoints.points)
    return annotation


def _require_size(size_wh: tuple[int, int] | None) -> tuple[int, int]:
    if size_wh is None:
        raise InvalidValueError("Masks need the size of their image.", hint="Pass sizes_wh for every key.")
    return size_wh


def check_keys(truth: Mapping[str, Any], predictions: Iterable[str]) -> None:
    """Check that all predictions belong to keys of the ground truth.

    Raises:
        InvalidValueError: there are predictions for unknown keys; the message lists the first of them.
    """
    if unknown := sorted(set(predictions) - truth.keys()):
        listed = ", ".join(f"'{key}'" for key in unknown[:5])
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        raise InvalidValueError(
            f"There are predictions for {len(unknown)} unknown item(s): {listed}{more}.",
            hint="Evaluate them on the dataset version for which they were predicted.",
        )
