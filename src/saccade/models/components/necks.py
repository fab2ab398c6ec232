"""Necks: mix feature maps of several strides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import interpolate

from saccade.core.config import StrictModel, validate_params
from saccade.core.errors import RecipeError
from saccade.models.components.base import FeatureInfo, FeatureModule
from saccade.models.components.blocks import Activation, ConvNormAct, CspBlock


class FpnParams(StrictModel):
    channels: int = Field(64, ge=8, description="channels of each output feature map")
    depth: int = Field(1, ge=1, description="bottlenecks in each mixing block")
    bottom_up: bool = Field(True, description="add the path from fine to coarse (PANet)")
    activation: Activation = Field("silu", description="after each convolution")


class FpnNeck(FeatureModule):
    """Feature pyramid: a top-down path from coarse to fine maps, then an optional bottom-up path.

    After FPN (Lin et al., 2017) and PANet (Liu et al., 2018), with CSP blocks for mixing.
    """

    def __init__(self, params: FpnParams, features: FeatureInfo) -> None:
        super().__init__()
        if params.bottom_up and any(fine * 2 != coarse for fine, coarse in pairwise(features.strides)):
            raise RecipeError(
                f"The neck's 'bottom_up' path needs strides that double, such as 8, 16, 32, not {features.strides}.",
                hint="Add the missing strides to model.encoder.strides, or set model.neck.bottom_up to false.",
            )
        width = params.channels
        levels = len(features.channels)
        bottom_up_levels = levels - 1 if params.bottom_up else 0

        def mix() -> nn.Module:
            return CspBlock(2 * width, width, params.depth, params.activation, residual=False)

        # The names of the modules are keys of saved weights: renaming one breaks existing models.
        self.lateral = nn.ModuleList(
            ConvNormAct(count, width, 1, activation=params.activation) for count in features.channels
        )
        self.down_mix = nn.ModuleList(mix() for _ in range(levels - 1))
        self.shrink = nn.ModuleList(ConvNormAct(width, width, 3, 2, params.activation) for _ in range(bottom_up_levels))
        self.up_mix = nn.ModuleList(mix() for _ in range(bottom_up_levels))
        self.info = FeatureInfo((width,) * levels, features.strides)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        maps = [lateral(feature) for lateral, feature in zip(self.lateral, features, strict=True)]
        for index in range(len(maps) - 2, -1, -1):
            coarse = interpolate(maps[index + 1], size=maps[index].shape[-2:], mode="nearest")
            maps[index] = self.down_mix[index](torch.cat([maps[index], coarse], dim=1))
        for index, (shrink, mix) in enumerate(zip(self.shrink, self.up_mix, strict=True)):
            maps[index + 1] = mix(torch.cat([maps[index + 1], shrink(maps[index])], dim=1))
        return maps


def fpn_neck(params: Mapping[str, Any], features: FeatureInfo) -> FeatureModule:
    """Feature pyramid: a top-down path from coarse to fine maps, then an optional bottom-up path."""
    return FpnNeck(validate_params(FpnParams, params, "model.neck"), features)
