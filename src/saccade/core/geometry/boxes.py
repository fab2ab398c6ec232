"""Axis-aligned boxes as float64 arrays of shape (N, 4), in absolute pixels.

``xyxy`` is left, top, right, bottom; ``xywh`` is left, top, width, height; ``cxcywh`` is centre, width, height.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def as_rows(what: str, values: npt.ArrayLike, columns: int) -> FloatArray:
    """Convert to a float64 array of shape (N, columns); an empty list becomes (0, columns).

    Args:
        what: name of the function, for the message.
        values: rows of numbers.
        columns: expected number of columns.

    Raises:
        InvalidValueError: the shape is different.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.size == 0 and rows.ndim < 2:
        return rows.reshape(0, columns)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise InvalidValueError(f"{what} needs an array of shape (N, {columns}), not {rows.shape}.")
    return rows


def as_crowd(crowd: npt.ArrayLike | None, count: int) -> BoolArray:
    """Convert crowd flags to a boolean array of shape (count,); None gives all False.

    Raises:
        InvalidValueError: the shape is different.
    """
    flags = np.zeros(count, dtype=np.bool_) if crowd is None else np.asarray(crowd, dtype=np.bool_)
    if flags.shape != (count,):
        raise InvalidValueError(f"The crowd flags need the shape ({count},), not {flags.shape}.")
    return flags


def xywh_to_xyxy(boxes_xywh: npt.ArrayLike) -> FloatArray:
    """Convert boxes (N, 4) from left, top, width, height to left, top, right, bottom."""
    boxes = as_rows("xywh_to_xyxy", boxes_xywh, 4)
    return np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])


def xyxy_to_xywh(boxes_xyxy: npt.ArrayLike) -> FloatArray:
    """Convert boxes (N, 4) from left, top, right, bottom to left, top, width, height."""
    boxes = as_rows("xyxy_to_xywh", boxes_xyxy, 4)
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def xyxy_to_cxcywh(boxes_xyxy: npt.ArrayLike) -> FloatArray:
    """Convert boxes (N, 4) from left, top, right, bottom to centre, width, height."""
    boxes = as_rows("xyxy_to_cxcywh", boxes_xyxy, 4)
    return np.hstack([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]])


def cxcywh_to_xyxy(boxes_cxcywh: npt.ArrayLike) -> FloatArray:
    """Convert boxes (N, 4) from centre, width, height to left, top, right, bottom."""
    boxes = as_rows("cxcywh_to_xyxy", boxes_cxcywh, 4)
    half = boxes[:, 2:] / 2
    return np.hstack([boxes[:, :2] - half, boxes[:, :2] + half])


def boxes_area(boxes_xyxy: npt.ArrayLike) -> FloatArray:
    """Return the area (N,) of boxes (N, 4); inverted boxes have area 0."""
    boxes = as_rows("boxes_area", boxes_xyxy, 4)
    sides: FloatArray = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]


def overlap_ratio(
    intersections: FloatArray, areas: FloatArray, other_areas: FloatArray, crowd: npt.ArrayLike | None
) -> FloatArray:
    """Return the IoU (N, M) from intersections and areas; 0 where both areas are 0.

    Args:
        intersections: areas of the intersections (N, M).
        areas: areas (N,).
        other_areas: areas (M,).
        crowd: flags (M,) of COCO's crowd regions, or None.
    """
    flags = as_crowd(crowd, len(other_areas))
    unions = np.where(flags, areas[:, None], areas[:, None] + other_areas - intersections)
    ratios = np.divide(intersections, unions, out=np.zeros_like(unions), where=unions > 0)
    # Rounding must not lift the IoU of a region with itself above 1.
    return np.clip(ratios, 0, 1, out=ratios)


def boxes_iou(boxes_xyxy: npt.ArrayLike, others_xyxy: npt.ArrayLike, crowd: npt.ArrayLike | None = None) -> FloatArray:
    """Return the intersection over union (N, M) of two sets of boxes.

    Args:
        boxes_xyxy: boxes (N, 4).
        others_xyxy: boxes (M, 4).
        crowd: flags (M,). For a crowd region the union is the area of the box alone, so that a box inside it scores 1,
            as in ``maskUtils.iou`` of pycocotools.

    Returns:
        IoU from 0 to 1; 0 where both areas are 0.
    """
    boxes = as_rows("boxes_iou", boxes_xyxy, 4)
    others = as_rows("boxes_iou", others_xyxy, 4)
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides: FloatArray = np.clip(high - low, 0, None)
    return overlap_ratio(sides[..., 0] * sides[..., 1], boxes_area(boxes), boxes_area(others), crowd)


def clip_boxes(boxes_xyxy: npt.ArrayLike, size_wh: tuple[int, int]) -> FloatArray:
    """Clip boxes (N, 4) to the image; a box outside becomes an empty box on the border."""
    boxes = as_rows("clip_boxes", boxes_xyxy, 4)
    clipped: FloatArray = np.clip(boxes, 0, np.array([*size_wh, *size_wh], dtype=np.float64))
    return clipped


def boxes_visible_share(boxes_xyxy: npt.ArrayLike, size_wh: tuple[int, int]) -> FloatArray:
    """Return the fraction (N,) of each box's area inside the image; 0 for empty boxes."""
    areas = boxes_area(boxes_xyxy)
    inside = boxes_area(clip_boxes(boxes_xyxy, size_wh))
    return np.minimum(np.divide(inside, areas, out=np.zeros_like(areas), where=areas > 0), 1)
