"""Geometry: boxes as arrays, masks as runs, transforms, clipping and conversion.

The origin is the top-left corner of the top-left pixel, so pixel (column 2, row 1) covers [2, 3) x [1, 2) and its
centre is (2.5, 1.5). Angles are clockwise degrees. Importing this imports numpy and OpenCV.
"""

from saccade.core.geometry.boxes import (
    boxes_area,
    boxes_iou,
    boxes_visible_share,
    clip_boxes,
    cxcywh_to_xyxy,
    xywh_to_xyxy,
    xyxy_to_cxcywh,
    xyxy_to_xywh,
)
from saccade.core.geometry.clip import clip_geometry, clip_polyline, visible_share
from saccade.core.geometry.contours import mask_to_polygon
from saccade.core.geometry.convert import ELLIPSE_POINTS, convert, ellipse_to_polygon
from saccade.core.geometry.masks import mask_iou, masks_iou, resize_frame, subtract_masks, union_masks
from saccade.core.geometry.rasterize import polygon_to_mask
from saccade.core.geometry.rle import (
    coco_string_to_counts,
    counts_to_coco_string,
    distinct_values,
    mask_from_array,
    mask_to_array,
    masks_from_labels,
)
from saccade.core.geometry.rotated import (
    min_area_rotated_box,
    rotated_box_from_corners,
    rotated_boxes_array,
    rotated_corners,
    rotated_iou,
)
from saccade.core.geometry.transforms import flip_matrix, invert_matrix, orientation_matrix, transform_geometry

__all__ = [
    "ELLIPSE_POINTS",
    "boxes_area",
    "boxes_iou",
    "boxes_visible_share",
    "clip_boxes",
    "clip_geometry",
    "clip_polyline",
    "coco_string_to_counts",
    "convert",
    "counts_to_coco_string",
    "cxcywh_to_xyxy",
    "distinct_values",
    "ellipse_to_polygon",
    "flip_matrix",
    "invert_matrix",
    "mask_from_array",
    "mask_iou",
    "mask_to_array",
    "mask_to_polygon",
    "masks_from_labels",
    "masks_iou",
    "min_area_rotated_box",
    "orientation_matrix",
    "polygon_to_mask",
    "resize_frame",
    "rotated_box_from_corners",
    "rotated_boxes_array",
    "rotated_corners",
    "rotated_iou",
    "subtract_masks",
    "transform_geometry",
    "union_masks",
    "visible_share",
    "xywh_to_xyxy",
    "xyxy_to_cxcywh",
    "xyxy_to_xywh",
]
