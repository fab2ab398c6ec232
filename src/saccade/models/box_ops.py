"""Differentiable box operations on tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_EPSILON = 1e-9


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the IoU (B, M, N) of each box of ``boxes_a`` (B, M, 4) with each of ``boxes_b`` (B, N, 4), xyxy."""
    top_left = torch.maximum(boxes_a[:, :, None, :2], boxes_b[:, None, :, :2])
    bottom_right = torch.minimum(boxes_a[:, :, None, 2:], boxes_b[:, None, :, 2:])
    intersection = (bottom_right - top_left).clamp_min(0).prod(-1)
    area_a = (boxes_a[..., 2:] - boxes_a[..., :2]).clamp_min(0).prod(-1)
    area_b = (boxes_b[..., 2:] - boxes_b[..., :2]).clamp_min(0).prod(-1)
    return intersection / (area_a[:, :, None] + area_b[:, None, :] - intersection).clamp_min(_EPSILON)


def complete_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Return the CIoU (N,) of pairs of boxes (N, 4), xyxy.

    CIoU is the IoU minus penalties for the distance of the centres and the difference of the aspect ratios.

    Source: Zheng et al., 2020, "Distance-IoU loss".
    """
    ax1, ay1, ax2, ay2 = boxes_a.unbind(-1)
    bx1, by1, bx2, by2 = boxes_b.unbind(-1)
    width_a = ax2 - ax1
    height_a = ay2 - ay1
    width_b = bx2 - bx1
    height_b = by2 - by1
    overlap_width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_min(0)
    overlap_height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_min(0)
    intersection = overlap_width * overlap_height
    iou = intersection / (width_a * height_a + width_b * height_b - intersection).clamp_min(_EPSILON)
    hull_width = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    hull_height = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    squared_diagonal = hull_width.square() + hull_height.square()
    squared_distance = ((ax1 + ax2 - bx1 - bx2).square() + (ay1 + ay2 - by1 - by2).square()) / 4
    angle_a = torch.atan(width_a / height_a.clamp_min(_EPSILON))
    angle_b = torch.atan(width_b / height_b.clamp_min(_EPSILON))
    aspect_penalty = (4 / math.pi**2) * (angle_b - angle_a).square()
    # The paper treats the trade-off weight as a constant: no gradient passes through it.
    with torch.no_grad():
        weight = aspect_penalty / (1 - iou + aspect_penalty).clamp_min(_EPSILON)
    return iou - squared_distance / squared_diagonal.clamp_min(_EPSILON) - weight * aspect_penalty


def boxes_from_distances(anchors: Tensor, distances: Tensor) -> Tensor:
    """Return boxes (…, A, 4), xyxy, from anchor points (A, 2) and distances (…, A, 4) to left, top, right, bottom."""
    return torch.cat([anchors - distances[..., :2], anchors + distances[..., 2:]], dim=-1)
