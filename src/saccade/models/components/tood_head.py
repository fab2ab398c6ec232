"""The head ``dense_boxes``: an anchor-free detector with a class and a box at every cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchvision.ops import batched_nms

from saccade.models.assignment import task_aligned
from saccade.models.box_ops import boxes_from_distances, complete_iou
from saccade.models.components.base import FeatureInfo, Head, Predictions, checked, to_cpu
from saccade.models.components.blocks import Activation, ConvNormAct
from saccade.models.spec import Strict


class DenseBoxesParams(Strict):
    channels: int = Field(64, ge=8, description="channels of the two branches")
    depth: int = Field(2, ge=1, description="convolutions in each branch")
    bins: int = Field(16, ge=4, description="steps of a side's distance, in strides")
    activation: Activation = Field("silu", description="after each convolution")
    top_k: int = Field(10, ge=1, description="how many cells learn one labelled box")
    score_power: float = Field(0.5, ge=0, description="weight of the class score when cells are chosen")
    iou_power: float = Field(6.0, ge=0, description="weight of the overlap when cells are chosen")
    class_weight: float = Field(0.5, ge=0, description="weight of the class loss")
    box_weight: float = Field(7.5, ge=0, description="weight of the CIoU loss")
    distribution_weight: float = Field(1.5, ge=0, description="weight of the loss over the steps of a distance")
    nms_iou: float = Field(0.6, gt=0, le=1, description="predictions of one class that overlap more are merged")
    min_score: float = Field(0.01, ge=0, le=1, description="predictions below are not given")
    max_predictions: int = Field(300, ge=1, description="the most predictions of one image")


_RARE = -math.log((1 - 0.01) / 0.01)
"""The logit of a score of 1 %: at first nearly every cell is background."""


@dataclass(frozen=True, slots=True)
class DenseOutputs:
    """Class logits (B, A, C), distance logits (B, A, 4, bins); anchors (A, 2) and strides (A, 1) in input pixels."""

    class_logits: Tensor
    distance_logits: Tensor
    anchors: Tensor
    strides: Tensor


class DenseBoxes(Head):
    """An anchor-free dense detector.

    A side's distance is a distribution over steps (GFL, Li et al., 2020); cells are chosen by task alignment
    (TOOD, Feng et al., 2021); boxes learn by CIoU, classes by binary cross-entropy towards the match's quality.
    """

    target_kind = "objects"

    def __init__(self, params: DenseBoxesParams, features: FeatureInfo, class_count: int) -> None:
        super().__init__()
        self.params, self.class_count, self.level_strides = params, class_count, features.strides
        self.register_buffer("steps", torch.arange(params.bins, dtype=torch.float32), persistent=False)
        self.class_branches = nn.ModuleList(self._branch(count, class_count, _RARE) for count in features.channels)
        self.box_branches = nn.ModuleList(self._branch(count, 4 * params.bins, 1.0) for count in features.channels)

    def _branch(self, inputs: int, outputs: int, bias: float) -> nn.Sequential:
        width = self.params.channels
        convs = [
            ConvNormAct(width if index else inputs, width, 3, activation=self.params.activation)
            for index in range(self.params.depth)
        ]
        last = nn.Conv2d(width, outputs, 1)
        with torch.no_grad():
            last.get_parameter("bias").fill_(bias)
        return nn.Sequential(*convs, last)

    def forward(self, features: Sequence[Tensor]) -> DenseOutputs:
        classes, distances, anchors, strides = [], [], [], []
        for level, (feature, stride) in enumerate(zip(features, self.level_strides, strict=True)):
            classes.append(self.class_branches[level](feature).flatten(2))
            distances.append(self.box_branches[level](feature).flatten(2))
            anchors.append(_cell_centres(feature, stride))
            strides.append(torch.full_like(anchors[-1][:, :1], stride))
        logits = torch.cat(distances, dim=2).float().transpose(1, 2)
        logits = logits.reshape(*logits.shape[:2], 4, self.params.bins)
        return DenseOutputs(
            torch.cat(classes, dim=2).float().transpose(1, 2), logits, torch.cat(anchors), torch.cat(strides)
        )

    def _boxes(self, outputs: DenseOutputs) -> Tensor:
        distances = outputs.distance_logits.softmax(-1) @ self.get_buffer("steps")
        return boxes_from_distances(outputs.anchors, distances * outputs.strides)

    def loss(self, outputs: DenseOutputs, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        truth_boxes, truth_classes, present = _padded(targets, outputs.anchors.device)
        boxes = self._boxes(outputs)
        with torch.no_grad():
            assigned = task_aligned(
                outputs.class_logits.sigmoid(),
                boxes,
                outputs.anchors,
                truth_boxes,
                truth_classes,
                present,
                top_k=self.params.top_k,
                score_power=self.params.score_power,
                iou_power=self.params.iou_power,
            )
            image, anchor = (assigned.box_index >= 0).nonzero(as_tuple=True)
            box_index = assigned.box_index[image, anchor]
            quality = assigned.quality[image, anchor]
            wanted = torch.zeros_like(outputs.class_logits)
            wanted[image, anchor, truth_classes[image, box_index]] = quality
            total = wanted.sum().clamp_min(1.0)
        class_loss = binary_cross_entropy_with_logits(outputs.class_logits, wanted, reduction="sum") / total
        truth = truth_boxes[image, box_index]
        box_loss = ((1 - complete_iou(boxes[image, anchor], truth)) * quality).sum() / total
        sides = self._sides(outputs, truth, anchor)
        distribution_loss = (_between(outputs.distance_logits[image, anchor], sides) * quality).sum() / total
        return {
            "class": class_loss * self.params.class_weight,
            "box": box_loss * self.params.box_weight,
            "distribution": distribution_loss * self.params.distribution_weight,
        }

    def _sides(self, outputs: DenseOutputs, truth: Tensor, anchor: Tensor) -> Tensor:
        """Distances of the true sides (N, 4), in strides, within the range of the steps."""
        centre = outputs.anchors[anchor]
        sides = torch.cat([centre - truth[:, :2], truth[:, 2:] - centre], dim=-1) / outputs.strides[anchor]
        return sides.clamp(0, self.params.bins - 1.01)

    @torch.no_grad()
    def predict(self, outputs: DenseOutputs) -> list[Predictions]:
        scores = outputs.class_logits.sigmoid()
        return [self._predict_one(*pair) for pair in zip(scores, self._boxes(outputs), strict=True)]

    def _predict_one(self, scores: Tensor, boxes: Tensor) -> Predictions:
        anchor, classes = (scores > self.params.min_score).nonzero(as_tuple=True)
        kept_scores, kept_boxes = scores[anchor, classes], boxes[anchor]
        order = batched_nms(kept_boxes, kept_scores, classes, self.params.nms_iou)[: self.params.max_predictions]
        return Predictions(to_cpu(kept_boxes[order]), to_cpu(kept_scores[order]), to_cpu(classes[order]))


def _cell_centres(feature: Tensor, stride: int) -> Tensor:
    rows, columns = feature.shape[-2:]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * stride
    return centres.to(feature.device)


def _padded(targets: Sequence[Mapping[str, Tensor]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes (B, M, 4), classes (B, M) and presence (B, M) of a batch whose images have up to M boxes (at least 1)."""
    most = max(1, *(len(target["classes"]) for target in targets))
    boxes = torch.zeros(len(targets), most, 4, device=device)
    classes = torch.zeros(len(targets), most, dtype=torch.long, device=device)
    present = torch.zeros(len(targets), most, dtype=torch.bool, device=device)
    for index, target in enumerate(targets):
        count = len(target["classes"])
        boxes[index, :count] = target["boxes_xyxy"].to(device)
        classes[index, :count] = target["classes"].to(device)
        present[index, :count] = True
    return boxes, classes, present


def _between(logits: Tensor, sides: Tensor) -> Tensor:
    """Cross-entropy towards the two steps around each true distance: logits (N, 4, bins), sides (N, 4): (N,)."""
    lower = sides.floor()
    share = (sides - lower).flatten()
    flat, step = logits.flatten(0, 1), lower.long().flatten()
    loss = cross_entropy(flat, step, reduction="none") * (1 - share)
    loss = loss + cross_entropy(flat, step + 1, reduction="none") * share
    return loss.view_as(sides).mean(-1)


def dense_boxes_head(params: Mapping[str, Any], features: FeatureInfo, class_count: int) -> Head:
    """Boxes of objects, anchor-free: each place of each map predicts a class and the distances to four sides."""
    return DenseBoxes(checked(DenseBoxesParams, params, "model.heads"), features, class_count)
