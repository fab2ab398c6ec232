"""The head ``classes``: pooled features to one class of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from saccade.models.components.base import FeatureInfo, Head, Predictions, checked, to_cpu
from saccade.models.spec import Strict


class ClassesParams(Strict):
    pooling: Literal["avg", "max"] = Field("avg", description="how the coarsest map becomes a vector")
    dropout: float = Field(0.0, ge=0, lt=1, description="share of the vector that is dropped in training")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each label spread over all classes")


class Classes(Head):
    """Global pooling of the coarsest feature map, dropout, one linear layer; cross-entropy."""

    target_kind = "label"

    def __init__(self, params: ClassesParams, features: FeatureInfo, class_count: int) -> None:
        super().__init__()
        self.params = params
        self.pool = nn.AdaptiveAvgPool2d(1) if params.pooling == "avg" else nn.AdaptiveMaxPool2d(1)
        self.dropout = nn.Dropout(params.dropout)
        self.linear = nn.Linear(features.channels[-1], class_count)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.linear(self.dropout(self.pool(features[-1]).flatten(1)))
        return logits.float()

    def loss(self, outputs: Tensor, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        truth = torch.stack([target["class"] for target in targets]).to(outputs.device)
        return {"class": cross_entropy(outputs, truth, label_smoothing=self.params.label_smoothing)}

    @torch.no_grad()
    def predict(self, outputs: Tensor) -> list[Predictions]:
        return [Predictions(probabilities=row) for row in to_cpu(outputs.softmax(-1))]


def classes_head(params: Mapping[str, Any], features: FeatureInfo, class_count: int) -> Head:
    """One class for each image: global pooling of the coarsest map, dropout, one linear layer; cross-entropy."""
    return Classes(checked(ClassesParams, params, "model.heads"), features, class_count)
