"""Builds a torch module from a model specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from saccade.core.errors import RecipeError
from saccade.models.components.base import ENCODERS, HEADS, NECKS, Head
from saccade.models.preprocess import normalized_padding
from saccade.models.spec import ModelSpec


class VisionModel(nn.Module):
    """An encoder, an optional neck, and a head for each target.

    Attributes:
        stride: Coarsest stride of the features; images are padded to a multiple of it on the right and at the bottom.
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
        """Return the raw outputs of each head by target for normalised images (B, 3, H, W) of any size.

        Outputs are in pixels of the image without padding, whose origin the padding does not move.
        """
        features = self.encoder(self._pad_to_stride(images))
        if self.neck is not None:
            features = self.neck(features)
        return {target: head(features) for target, head in self.heads.items()}

    def _pad_to_stride(self, images: Tensor) -> Tensor:
        """Pad with the colour of the letterbox on the right and at the bottom; unchanged if no padding is needed."""
        height, width = images.shape[-2:]
        right = -width % self.stride
        bottom = -height % self.stride
        if not right and not bottom:
            return images
        padded = functional.pad(images, (0, right, 0, bottom))
        color = normalized_padding(self.spec.input, images)
        padded[..., height:, :] = color
        padded[..., width:] = color
        return padded


def build_model(spec: ModelSpec, class_counts: Mapping[str, int]) -> VisionModel:
    """Build a model with random weights, unless the encoder's parameters name pretrained ones.

    Args:
        spec: Specification of the model.
        class_counts: Number of classes by target.

    Raises:
        RecipeError: A parameter is invalid, or the classes of a target are missing.
        NotFoundError: A component is not registered.
    """
    if missing := set(spec.heads) - set(class_counts):
        raise RecipeError(f"The classes of the target '{min(missing)}' are unknown.")
    return VisionModel(spec, class_counts)
