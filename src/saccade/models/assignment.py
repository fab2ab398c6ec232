"""Which predictions learn which labelled boxes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from saccade.models.box_ops import pairwise_iou


@dataclass(frozen=True, slots=True)
class Assignment:
    """For each image and anchor: the index of its box (or -1), and how good a match it is (0 to 1)."""

    box_index: Tensor
    quality: Tensor


def task_aligned(
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
    """Give each labelled box the ``top_k`` anchors inside it that classify and locate it best.

    An anchor wanted by several boxes goes to the one it overlaps most. The quality is the alignment, scaled so that
    the best anchor of a box has that box's best IoU.

    Shapes: scores (B, A, C) after sigmoid; boxes (B, A, 4) xyxy; anchors (A, 2) xy; truth_boxes (B, M, 4);
    truth_classes (B, M) indices; truth_present (B, M) bool. Source: TOOD (Feng et al., 2021).
    """
    inside = _centres_inside(anchors, truth_boxes) & truth_present[..., None]
    iou = pairwise_iou(truth_boxes, boxes).clamp_(0) * inside
    class_scores = scores.gather(2, truth_classes[:, None, :].expand(-1, scores.shape[1], -1)).transpose(1, 2)
    alignment = class_scores.pow(score_power) * iou.pow(iou_power) * inside

    best, index = alignment.topk(min(top_k, alignment.shape[-1]), dim=-1)
    chosen = torch.zeros_like(inside).scatter_(-1, index, best > 0)
    rivals = torch.where(chosen, iou, -1.0)
    overlap, box_index = rivals.max(dim=1)
    taken = overlap >= 0
    mine = chosen & (box_index[:, None, :] == torch.arange(iou.shape[1], device=iou.device)[None, :, None])

    alignment = alignment * mine
    scale = (iou * mine).amax(-1, keepdim=True) / alignment.amax(-1, keepdim=True).clamp_min(1e-9)
    quality = (alignment * scale).amax(dim=1)
    return Assignment(torch.where(taken, box_index, -1), quality)


def _centres_inside(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(B, M, A): whether each anchor's centre lies in each box."""
    x, y = anchors[None, None, :, 0], anchors[None, None, :, 1]
    x1, y1, x2, y2 = (side[..., None] for side in boxes.unbind(-1))
    return (x > x1) & (x < x2) & (y > y1) & (y < y2)
