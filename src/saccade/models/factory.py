"""Builds a torch module from a model specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from saccade.core.errors import RecipeError
from saccade.models.components.base import ENCODERS, HEADS, NECKS, Head
from saccade.models.spec import ModelSpec


class VisionModel(nn.Module):
    """An encoder, an optional neck, and a head for each target.

    Attributes:
        stride: Coarsest stride of the features; the sides of the input must be multiples of it.
    """

    def __init__(self, spec: ModelSpec, class_counts: Mapping[str, int]) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = ENCODERS.get(spec.encoder.type)(spec.encoder.params())
        features = self.encoder.info
        self.neck = NECKS.get(spec.neck.type)(spec.neck.params(), features) if spec.neck else None
        if self.neck is not None:
            features = self.neck.info
        self.heads = nn.ModuleDict(
            {
                target: HEADS.get(head.type)(head.params(), features, class_counts[target])
                for target, head in spec.heads.items()
            }
        )
        self.stride = max(features.strides)

    def head(self, target: str) -> Head:
        """Return the head of a target column."""
        head = self.heads[target]
        assert isinstance(head, Head)
        return head

    def forward(self, images: Tensor) -> dict[str, Any]:
        """Return the raw outputs of each head by target for normalised images (B, 3, H, W)."""
        features = self.encoder(images)
        if self.neck is not None:
            features = self.neck(features)
        return {target: head(features) for target, head in self.heads.items()}


def build_model(spec: ModelSpec, class_counts: Mapping[str, int]) -> VisionModel:
    """Build a model with random weights, unless the encoder's parameters name pretrained ones.

    Args:
        spec: Specification of the model.
        class_counts: Number of classes by target.

    Raises:
        RecipeError: A parameter is invalid, the classes of a target are missing, or the input size does not fit.
        NotFoundError: A component is not registered.
    """
    if missing := set(spec.heads) - set(class_counts):
        raise RecipeError(f"The classes of the target '{min(missing)}' are unknown.")
    model = VisionModel(spec, class_counts)
    width, height = spec.input.size
    if width % model.stride or height % model.stride:
        valid_width, valid_height = (max(1, round(side / model.stride)) * model.stride for side in (width, height))
        raise RecipeError(
            f"'model.input.size' is {width} x {height}, which is not a multiple of the coarsest stride {model.stride}.",
            hint=f"Try {valid_width} x {valid_height}.",
        )
    return model
