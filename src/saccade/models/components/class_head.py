"""The head ``classes``: image classification with one class for each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from saccade.core.config import StrictModel, validate_params
from saccade.models.components.base import FeatureInfo, Head, Predictions, to_cpu


class ClassificationHeadParams(StrictModel):
    pooling: Literal["avg", "max"] = Field("avg", description="global pooling of the coarsest feature map")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout probability of the pooled features")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label spread over all classes")


class ClassificationHead(Head):
    """Global pooling of the coarsest feature map, dropout, one linear layer; cross-entropy loss."""

    target_kind = "label"

    def __init__(self, params: ClassificationHeadParams, features: FeatureInfo, class_count: int) -> None:
        super().__init__()
        self.params = params
        self.pool = nn.AdaptiveAvgPool2d(1) if params.pooling == "avg" else nn.AdaptiveMaxPool2d(1)
        self.dropout = nn.Dropout(params.dropout)
        self.linear = nn.Linear(features.channels[-1], class_count)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.linear(self.dropout(self.pool(features[-1]).flatten(1)))
        # Losses are computed in float32, also under autocast.
        return logits.float()

    def loss(self, outputs: Tensor, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        truth = torch.stack([target["class"] for target in targets]).to(outputs.device)
        return {"class": cross_entropy(outputs, truth, label_smoothing=self.params.label_smoothing)}

    @torch.no_grad()
    def predict(self, outputs: Tensor) -> list[Predictions]:
        return [Predictions(probabilities=row) for row in to_cpu(outputs.softmax(-1))]


def classes_head(params: Mapping[str, Any], features: FeatureInfo, class_count: int) -> Head:
    """Image classification: global pooling of the coarsest feature map, dropout, one linear layer; cross-entropy."""
    return ClassificationHead(validate_params(ClassificationHeadParams, params, "model.heads"), features, class_count)
