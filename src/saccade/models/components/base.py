"""Interfaces of encoders, necks and heads, and their registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from saccade.core.registry import Registry


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """Channels and stride (input pixels per cell) of each feature map, finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class FeatureModule(nn.Module):
    """An encoder or neck; ``info`` describes what ``forward`` returns."""

    info: FeatureInfo


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of a head for one image, on the CPU.

    Attributes:
        boxes_xyxy: Detection: (N, 4) in pixels of the model's input, highest score first.
        scores: Detection: (N,).
        classes: Detection: (N,) class indices.
        probabilities: Classification: (C,).
    """

    boxes_xyxy: Tensor | None = None
    scores: Tensor | None = None
    classes: Tensor | None = None
    probabilities: Tensor | None = None


class Head(nn.Module):
    """Output layers, losses and decoding of one target.

    Attributes:
        target_kind: Kind of column that the head learns: "objects" or "label".
    """

    target_kind: str

    def loss(self, outputs: Any, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return weighted losses by name; ``targets`` has one mapping of tensors for each image of the batch."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[Predictions]:
        """Decode raw outputs to the predictions for each image of the batch."""
        raise NotImplementedError


class EncoderBuilder(Protocol):
    def __call__(self, params: Mapping[str, Any]) -> FeatureModule: ...


class NeckBuilder(Protocol):
    def __call__(self, params: Mapping[str, Any], features: FeatureInfo) -> FeatureModule: ...


class HeadBuilder(Protocol):
    def __call__(self, params: Mapping[str, Any], features: FeatureInfo, class_count: int) -> Head: ...


ENCODERS: Registry[EncoderBuilder] = Registry("encoder", "saccade.encoders")
NECKS: Registry[NeckBuilder] = Registry("neck", "saccade.necks")
HEADS: Registry[HeadBuilder] = Registry("head", "saccade.heads")


def to_cpu(tensor: Tensor) -> Tensor:
    """Detach a tensor and copy it to the CPU, as float32 if it is floating-point."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).to(torch.device("cpu"))
