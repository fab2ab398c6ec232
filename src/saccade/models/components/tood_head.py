"""The head ``dense_boxes``: an anchor-free detector that predicts classes and a box at every cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from saccade.core.config import StrictModel, validate_params
from saccade.models.assignment import assign_task_aligned
from saccade.models.box_ops import boxes_from_distances, complete_iou
from saccade.models.components.base import FeatureInfo, Head, Predictions, to_cpu
from saccade.models.components.blocks import Activation, ConvNormAct
from saccade.models.nms import batched_nms


class DenseDetectionParams(StrictModel):
    channels: int = Field(64, ge=8, description="channels of the two branches")
    depth: int = Field(2, ge=1, description="convolutions in each branch")
    bins: int = Field(16, ge=4, description="bins of the distribution of a side's distance; a bin is one stride")
    activation: Activation = Field("silu", description="after each convolution")
    top_k: int = Field(10, ge=1, description="cells assigned to each ground-truth box")
    score_power: float = Field(0.5, ge=0, description="exponent of the class score in the assignment")
    iou_power: float = Field(6.0, ge=0, description="exponent of the IoU in the assignment")
    class_weight: float = Field(0.5, ge=0, description="weight of the class loss")
    box_weight: float = Field(7.5, ge=0, description="weight of the CIoU loss")
    distribution_weight: float = Field(1.5, ge=0, description="weight of the distribution focal loss")
    nms_iou: float = Field(0.6, gt=0, le=1, description="IoU threshold of non-maximum suppression, by class")
    min_score: float = Field(0.01, ge=0, le=1, description="score threshold of predictions")
    max_predictions: int = Field(300, ge=1, description="maximum predictions in one image")


# The logit of a score of 1 %: at the start of training nearly every cell is background.
_BACKGROUND_BIAS = -math.log((1 - 0.01) / 0.01)


@dataclass(frozen=True, slots=True)
class DenseOutputs:
    """Raw outputs for B images and A anchors.

    Attributes:
        class_logits: (B, A, C).
        distance_logits: (B, A, 4, bins), for the distances to left, top, right and bottom.
        anchors: (A, 2) centres of the cells, xy in input pixels.
        strides: (A, 1) in input pixels.
    """

    class_logits: Tensor
    distance_logits: Tensor
    anchors: Tensor
    strides: Tensor


class DenseDetectionHead(Head):
    """An anchor-free dense detector.

    The distance to a side is a distribution over bins (GFL, Li et al., 2020). Cells are assigned by task alignment
    (TOOD, Feng et al., 2021). Boxes learn by CIoU, classes by binary cross-entropy with the quality of the match as
    target.
    """

    target_kind = "objects"

    def __init__(self, params: DenseDetectionParams, features: FeatureInfo, class_count: int) -> None:
        super().__init__()
        self.params = params
        self.class_count = class_count
        self.level_strides = features.strides
        self.register_buffer("bin_values", torch.arange(params.bins, dtype=torch.float32), persistent=False)
        self.class_branches = nn.ModuleList(
            self._branch(count, class_count, _BACKGROUND_BIAS) for count in features.channels
        )
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
        class_logits = []
        distance_logits = []
        anchors = []
        strides = []
        for level, (feature, stride) in enumerate(zip(features, self.level_strides, strict=True)):
            class_logits.append(self.class_branches[level](feature).flatten(2))
            distance_logits.append(self.box_branches[level](feature).flatten(2))
            anchors.append(_anchor_points(feature, stride))
            strides.append(torch.full_like(anchors[-1][:, :1], stride))
        # Losses and box decoding are computed in float32, also under autocast.
        distances = torch.cat(distance_logits, dim=2).float().transpose(1, 2)
        return DenseOutputs(
            torch.cat(class_logits, dim=2).float().transpose(1, 2),
            distances.reshape(*distances.shape[:2], 4, self.params.bins),
            torch.cat(anchors),
            torch.cat(strides),
        )

    def _decode_boxes(self, outputs: DenseOutputs) -> Tensor:
        """Return boxes (B, A, 4), xyxy in input pixels, from the expected distances."""
        distances = outputs.distance_logits.softmax(-1) @ self.get_buffer("bin_values")
        return boxes_from_distances(outputs.anchors, distances * outputs.strides)

    def loss(self, outputs: DenseOutputs, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        truth_boxes, truth_classes, truth_present = _pad_targets(targets, outputs.anchors.device)
        boxes = self._decode_boxes(outputs)
        with torch.no_grad():
            assignment = assign_task_aligned(
                outputs.class_logits.sigmoid(),
                boxes,
                outputs.anchors,
                truth_boxes,
                truth_classes,
                truth_present,
                top_k=self.params.top_k,
                score_power=self.params.score_power,
                iou_power=self.params.iou_power,
            )
            image, anchor = (assignment.box_index >= 0).nonzero(as_tuple=True)
            box_index = assignment.box_index[image, anchor]
            quality = assignment.quality[image, anchor]
            class_targets = torch.zeros_like(outputs.class_logits)
            class_targets[image, anchor, truth_classes[image, box_index]] = quality
            # At least 1, so that a batch without objects does not divide by zero.
            total_quality = class_targets.sum().clamp_min(1.0)
        class_loss = (
            binary_cross_entropy_with_logits(outputs.class_logits, class_targets, reduction="sum") / total_quality
        )
        assigned_boxes = truth_boxes[image, box_index]
        box_loss = ((1 - complete_iou(boxes[image, anchor], assigned_boxes)) * quality).sum() / total_quality
        distances = self._target_distances(outputs, assigned_boxes, anchor)
        focal_loss = _distribution_focal_loss(outputs.distance_logits[image, anchor], distances)
        distribution_loss = (focal_loss * quality).sum() / total_quality
        return {
            "class": class_loss * self.params.class_weight,
            "box": box_loss * self.params.box_weight,
            "distribution": distribution_loss * self.params.distribution_weight,
        }

    def _target_distances(self, outputs: DenseOutputs, truth_boxes: Tensor, anchor: Tensor) -> Tensor:
        """Return the distances (N, 4) from anchors to the sides of their boxes, in strides, limited to the bins."""
        centre = outputs.anchors[anchor]
        distances = torch.cat([centre - truth_boxes[:, :2], truth_boxes[:, 2:] - centre], dim=-1)
        # Slightly below the last bin, because the loss also uses the next bin above each distance.
        return (distances / outputs.strides[anchor]).clamp(0, self.params.bins - 1.01)

    @torch.no_grad()
    def predict(self, outputs: DenseOutputs) -> list[Predictions]:
        scores = outputs.class_logits.sigmoid()
        boxes = self._decode_boxes(outputs)
        return [
            self._predict_image(image_scores, image_boxes)
            for image_scores, image_boxes in zip(scores, boxes, strict=True)
        ]

    def _predict_image(self, scores: Tensor, boxes: Tensor) -> Predictions:
        anchor, classes = (scores > self.params.min_score).nonzero(as_tuple=True)
        candidate_scores = scores[anchor, classes]
        candidate_boxes = boxes[anchor]
        order = batched_nms(candidate_boxes, candidate_scores, classes, self.params.nms_iou)
        order = order[: self.params.max_predictions]
        return Predictions(to_cpu(candidate_boxes[order]), to_cpu(candidate_scores[order]), to_cpu(classes[order]))


def _anchor_points(feature: Tensor, stride: int) -> Tensor:
    """Return the centres (A, 2) of the cells of a feature map, xy in input pixels."""
    rows, columns = feature.shape[-2:]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    centres = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * stride
    return centres.to(feature.device)


def _pad_targets(targets: Sequence[Mapping[str, Tensor]], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes (B, M, 4), classes (B, M) and presence (B, M), padded to the largest count M (at least 1)."""
    max_boxes = max(1, *(len(target["classes"]) for target in targets))
    boxes = torch.zeros(len(targets), max_boxes, 4, device=device)
    classes = torch.zeros(len(targets), max_boxes, dtype=torch.long, device=device)
    present = torch.zeros(len(targets), max_boxes, dtype=torch.bool, device=device)
    for index, target in enumerate(targets):
        count = len(target["classes"])
        boxes[index, :count] = target["boxes_xyxy"].to(device)
        classes[index, :count] = target["classes"].to(device)
        present[index, :count] = True
    return boxes, classes, present


def _distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Return the cross-entropy (N,) towards the two bins around each distance.

    Source: GFL (Li et al., 2020).

    Args:
        logits: (N, 4, bins).
        distances: (N, 4), in bins.
    """
    lower = distances.floor()
    upper_weight = (distances - lower).flatten()
    flat_logits = logits.flatten(0, 1)
    lower_bin = lower.long().flatten()
    loss = cross_entropy(flat_logits, lower_bin, reduction="none") * (1 - upper_weight)
    loss = loss + cross_entropy(flat_logits, lower_bin + 1, reduction="none") * upper_weight
    return loss.view_as(distances).mean(-1)


def dense_boxes_head(params: Mapping[str, Any], features: FeatureInfo, class_count: int) -> Head:
    """Object detection, anchor-free: each cell of each feature map predicts classes and the distances to four sides."""
    return DenseDetectionHead(validate_params(DenseDetectionParams, params, "model.heads"), features, class_count)
