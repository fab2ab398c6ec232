"""Box arithmetic on tensors that gradients pass through."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU of every box of (B, M, 4) with every box of (B, N, 4), xyxy: (B, M, N)."""
    low = torch.maximum(first[:, :, None, :2], second[:, None, :, :2])
    high = torch.minimum(first[:, :, None, 2:], second[:, None, :, 2:])
    overlap = (high - low).clamp_min(0).prod(-1)
    area_first = (first[..., 2:] - first[..., :2]).clamp_min(0).prod(-1)
    area_second = (second[..., 2:] - second[..., :2]).clamp_min(0).prod(-1)
    return overlap / (area_first[:, :, None] + area_second[:, None, :] - overlap).clamp_min(1e-9)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """CIoU of pairs of boxes (N, 4), xyxy: IoU less the distance of centres and the difference of shapes.

    Source: Zheng et al., 2020, "Distance-IoU loss".
    """
    x1, y1, x2, y2 = first.unbind(-1)
    u1, v1, u2, v2 = second.unbind(-1)
    width, height, other_width, other_height = x2 - x1, y2 - y1, u2 - u1, v2 - v1
    overlap = (torch.minimum(x2, u2) - torch.maximum(x1, u1)).clamp_min(0) * (
        torch.minimum(y2, v2) - torch.maximum(y1, v1)
    ).clamp_min(0)
    iou = overlap / (width * height + other_width * other_height - overlap).clamp_min(1e-9)
    diagonal = (torch.maximum(x2, u2) - torch.minimum(x1, u1)).square() + (
        torch.maximum(y2, v2) - torch.minimum(y1, v1)
    ).square()
    distance = ((x1 + x2 - u1 - u2).square() + (y1 + y2 - v1 - v2).square()) / 4
    shape = (4 / math.pi**2) * (
        torch.atan(other_width / other_height.clamp_min(1e-9)) - torch.atan(width / height.clamp_min(1e-9))
    ).square()
    with torch.no_grad():
        weight = shape / (1 - iou + shape).clamp_min(1e-9)
    return iou - distance / diagonal.clamp_min(1e-9) - weight * shape


def boxes_from_distances(anchors: Tensor, distances: Tensor) -> Tensor:
    """Boxes xyxy from anchor points (A, 2) and distances to left, top, right, bottom (…, A, 4)."""
    return torch.cat([anchors - distances[..., :2], anchors + distances[..., 2:]], dim=-1)
