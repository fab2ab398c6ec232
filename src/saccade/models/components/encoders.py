"""Encoders: images in, feature maps out, finest first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import timm
import torch
from pydantic import AfterValidator, Field
from timm.layers.format import Format
from torch import Tensor, nn

from saccade.core.errors import RecipeError, nearest
from saccade.models.components.base import FeatureInfo, FeatureModule, checked
from saccade.models.components.blocks import Activation, ConvNormAct, CspBlock
from saccade.models.spec import Strict


def _rising(strides: tuple[int, ...]) -> tuple[int, ...]:
    if any(fine >= coarse for fine, coarse in pairwise(strides)):
        raise ValueError("the finest comes first, and none twice")
    return strides


_RESERVED = {"cache_dir", "checkpoint_path", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}


def _of_architecture(args: dict[str, Any]) -> dict[str, Any]:
    """Refuses what would fetch or read weights: a model must be built again from its manifest alone."""
    if wrong := _RESERVED & set(args):
        raise ValueError(f"'{min(wrong)}' cannot be set here")
    return args


class TimmParams(Strict):
    name: str = Field(description="a timm model, such as resnet18; `saccade models backbones` lists them")
    pretrained: bool = Field(False, description="start from timm's published weights (fetched when first used)")
    strides: Annotated[tuple[int, ...], AfterValidator(_rising)] = Field(
        (8, 16, 32), min_length=1, description="which feature maps to keep, by their stride"
    )
    args: Annotated[dict[str, Any], AfterValidator(_of_architecture)] = Field(
        default_factory=dict, description="further arguments of the architecture, such as {img_size: [320, 320]}"
    )


class TimmEncoder(FeatureModule):
    """Any timm model that can give feature maps.

    Source: pytorch-image-models (Wightman, 2019).
    """

    def __init__(self, params: TimmParams) -> None:
        super().__init__()
        if params.name.split(".")[0] not in timm.list_models():
            known = nearest(params.name, timm.list_models())
            raise RecipeError(f"There is no timm backbone '{params.name}'.", hint=known)
        offered = self._create(params).feature_info.reduction()
        if missing := set(params.strides) - set(offered):
            raise RecipeError(
                f"'{params.name}' has no feature map of stride {min(missing)}.",
                hint=f"Choose 'strides' among {tuple(offered)}.",
            )
        body = self._create(params, out_indices=[offered.index(stride) for stride in params.strides])
        self.info = FeatureInfo(tuple(body.feature_info.channels()), params.strides)
        self.name, self.body = params.name, body

    @staticmethod
    def _create(params: TimmParams, **extra: Any) -> Any:
        pretrained = params.pretrained and bool(extra)
        try:
            return timm.create_model(params.name, features_only=True, pretrained=pretrained, **extra, **params.args)
        except OSError as error:
            raise RecipeError(
                f"The published weights of '{params.name}' cannot be fetched: {error}.",
                hint="Go online once, or set model.encoder.pretrained to false.",
            ) from error
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, AssertionError) as error:
            raise RecipeError(f"timm cannot build '{params.name}' as an encoder: {error}.") from error

    def forward(self, images: Tensor) -> list[Tensor]:
        try:
            features: list[Tensor] = self.body(images)
        except AssertionError as error:  # how timm's transformers say that they were made for another size
            height, width = images.shape[-2:]
            raise RecipeError(
                f"'{self.name}' does not take images of {width} x {height} pixels: {error}.",
                hint=f"Set model.input.size, or model.encoder.args to {{img_size: [{height}, {width}]}}.",
            ) from error
        if getattr(self.body, "output_fmt", Format.NCHW) == Format.NHWC:
            return [feature.permute(0, 3, 1, 2) for feature in features]
        return features


Width = Annotated[int, Field(ge=2, le=8192)]
Depth = Annotated[int, Field(ge=0, le=256)]


class CspParams(Strict):
    widths: tuple[Width, ...] = Field((32, 64, 128, 192), min_length=1, description="channels at stride 4, 8, 16, …")
    depths: tuple[Depth, ...] = Field((1, 2, 2, 1), min_length=1, description="bottlenecks at stride 4, 8, 16, …")
    first_stride: int = Field(8, description="the finest feature map that is given")
    activation: Activation = Field("silu", description="after each convolution")


class CspEncoder(FeatureModule):
    """A small convolutional encoder that is quick on a CPU and learns from few images.

    The stem goes to stride 4 in one step (pixels are folded into channels first), because normalisation and
    pooling at full resolution are what a CPU spends most of its time on.
    """

    def __init__(self, params: CspParams) -> None:
        super().__init__()
        if len(params.widths) != len(params.depths):
            raise RecipeError(f"'widths' {params.widths} and 'depths' {params.depths} must be of one length.")
        self.fold = nn.PixelUnshuffle(2)
        self.stem = ConvNormAct(12, params.widths[0], 3, stride=2, activation=params.activation)
        stages = []
        inputs = params.widths[0]
        for index, (width, depth) in enumerate(zip(params.widths, params.depths, strict=True)):
            down = ConvNormAct(inputs, width, 3, 2, params.activation) if index else nn.Identity()
            stages.append(nn.Sequential(down, CspBlock(width, width, depth, params.activation)))
            inputs = width
        self.stages = nn.ModuleList(stages)
        strides = tuple(4 << index for index in range(len(params.widths)))
        if params.first_stride not in strides:
            raise RecipeError(f"'first_stride' is {params.first_stride}, not one of {strides}.")
        self.first = strides.index(params.first_stride)
        self.info = FeatureInfo(params.widths[self.first :], strides[self.first :])

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.stem(self.fold(images))
        kept = []
        for stage in self.stages:
            features = stage(features)
            kept.append(features)
        return kept[self.first :]


def timm_encoder(params: Mapping[str, Any]) -> FeatureModule:
    """Any timm model that can give feature maps."""
    return TimmEncoder(checked(TimmParams, params, "model.encoder"))


def csp_encoder(params: Mapping[str, Any]) -> FeatureModule:
    """A small convolutional encoder that is quick on a CPU and learns from few images."""
    return CspEncoder(checked(CspParams, params, "model.encoder"))


def backbone_names() -> list[str]:
    """Every encoder by name: timm's models as ``timm/NAME`` and our own."""
    return ["csp", *(f"timm/{name}" for name in timm.list_models())]


def set_batch_norm_momentum(module: nn.Module, momentum: float) -> None:
    """Set the momentum of every batch norm in a module."""
    for child in module.modules():
        if isinstance(child, torch.nn.modules.batchnorm._BatchNorm):
            child.momentum = momentum
