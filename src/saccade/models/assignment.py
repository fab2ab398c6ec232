"""Label assignment: which predictions learn which ground-truth boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.box_ops import pairwise_iou


@dataclass(frozen=True, slots=True)
class Assignment:
    """Assignment of ground-truth boxes to anchors.

    Attributes:
        box_index: (B, A) index of the anchor's ground-truth box; -1 for background.
        quality: (B, A) quality of the match, from 0 to 1.
    """

    box_index: Tensor
    quality: Tensor


def assign_task_aligned(
    scores: Tensor,
    boxes: Tensor,
    anchors: Tensor,
    truth_boxes: Tensor,
    truth_classes: Tensor,
    truth_present: Tensor,
    *,
    top_k: int,
    score_power: float,
    iou_power: float,
) -> Assignment:
    """Assign each ground-truth box to the ``top_k`` anchors inside it that classify and locate it best.

    An anchor selected by several boxes goes to the one with which it has the highest IoU. The quality is the
    alignment metric, scaled so that the best anchor of a box has the best IoU of that box.

    Source: TOOD (Feng et al., 2021).

    Args:
        scores: (B, A, C) class probabilities.
        boxes: (B, A, 4) predicted boxes, xyxy.
        anchors: (A, 2) anchor points, xy.
        truth_boxes: (B, M, 4) ground-truth boxes, xyxy, padded to M boxes for each image.
        truth_classes: (B, M) class indices.
        truth_present: (B, M) bool, False for padding.
        top_k: Number of anchors for each box.
        score_power: Exponent of the class probability in the alignment metric.
        iou_power: Exponent of the IoU in the alignment metric.
    """
    inside = _anchors_inside(anchors, truth_boxes) & truth_present[..., None]
    iou = pairwise_iou(truth_boxes, boxes).clamp_(0) * inside
    class_scores = scores.gather(2, truth_classes[:, None, :].expand(-1, scores.shape[1], -1)).transpose(1, 2)
    alignment = class_scores.pow(score_power) * iou.pow(iou_power) * inside

    top_alignment, top_anchors = alignment.topk(min(top_k, alignment.shape[-1]), dim=-1)
    selected = torch.zeros_like(inside).scatter_(-1, top_anchors, top_alignment > 0)
    best_iou, box_index = torch.where(selected, iou, -1.0).max(dim=1)
    is_foreground = best_iou >= 0
    box_numbers = torch.arange(iou.shape[1], device=iou.device)
    is_assigned = selected & (box_index[:, None, :] == box_numbers[None, :, None])

    alignment = alignment * is_assigned
    scale = (iou * is_assigned).amax(-1, keepdim=True) / alignment.amax(-1, keepdim=True).clamp_min(1e-9)
    quality = (alignment * scale).amax(dim=1)
    return Assignment(torch.where(is_foreground, box_index, -1), quality)


def _anchors_inside(anchors: Tensor, boxes: Tensor) -> Tensor:
    """Return (B, M, A) bool: whether each anchor (A, 2) lies inside each box (B, M, 4)."""
    x = anchors[None, None, :, 0]
    y = anchors[None, None, :, 1]
    x1, y1, x2, y2 = (side[..., None] for side in boxes.unbind(-1))
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)
