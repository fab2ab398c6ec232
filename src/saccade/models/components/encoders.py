"""Encoders: images to feature maps, finest first."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, Field
from torch import Tensor, nn

from saccade.core.config import StrictModel, validate_params
from saccade.core.errors import RecipeError, suggest
from saccade.models.components.base import FeatureInfo, FeatureModule
from saccade.models.components.blocks import Activation, ConvNormAct, CspBlock


def _check_increasing(strides: tuple[int, ...]) -> tuple[int, ...]:
    if any(fine >= coarse for fine, coarse in pairwise(strides)):
        raise ValueError("the finest comes first, without duplicates")
    return strides


_RESERVED_ARGS = {"cache_dir", "checkpoint_path", "in_chans", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}


def _reject_weight_args(args: dict[str, Any]) -> dict[str, Any]:
    """Reject arguments that fetch or read weights: a model must be rebuilt from its manifest alone."""
    if reserved := _RESERVED_ARGS & set(args):
        raise ValueError(f"'{min(reserved)}' cannot be set here")
    return args


class TimmParams(StrictModel):
    name: str = Field(description="a timm model, such as resnet18; `saccade models backbones` lists them")
    pretrained: bool = Field(False, description="start from timm's published weights (downloaded on first use)")
    strides: Annotated[tuple[int, ...], AfterValidator(_check_increasing)] = Field(
        (8, 16, 32), min_length=1, description="feature maps to use, by stride"
    )
    args: Annotated[dict[str, Any], AfterValidator(_reject_weight_args)] = Field(
        default_factory=dict, description="further arguments of the architecture, such as {img_size: [320, 320]}"
    )


class TimmEncoder(FeatureModule):
    """Any timm model with feature maps.

    Source: pytorch-image-models (Wightman, 2019).
    """

    def __init__(self, params: TimmParams) -> None:
        import timm  # as long as the imports of torch and of everything else together

        super().__init__()
        # A timm name may carry a tag of its weights after a dot: "resnet18.a1_in1k".
        if params.name.split(".")[0] not in timm.list_models():
            raise RecipeError(
                f"There is no timm backbone '{params.name}'.", hint=suggest(params.name, timm.list_models())
            )
        available_strides = self._create(params).feature_info.reduction()
        if missing := set(params.strides) - set(available_strides):
            raise RecipeError(
                f"'{params.name}' has no feature map of stride {min(missing)}.",
                hint=f"Choose 'strides' from {tuple(available_strides)}.",
            )
        body = self._create(params, out_indices=[available_strides.index(stride) for stride in params.strides])
        self.info = FeatureInfo(tuple(body.feature_info.channels()), params.strides)
        self.name = params.name
        self.body = body

    @staticmethod
    def _create(params: TimmParams, **extra: Any) -> Any:
        import timm

        # Weights are needed only for the final module, not for the one that lists the available strides.
        pretrained = params.pretrained and bool(extra)
        try:
            return timm.create_model(params.name, features_only=True, pretrained=pretrained, **extra, **params.args)
        except OSError as error:
            raise RecipeError(
                f"The published weights of '{params.name}' cannot be downloaded: {error}.",
                hint="Connect to the internet once, or set model.encoder.pretrained to false.",
            ) from error
        except (RuntimeError, TypeError, ValueError, AttributeError, KeyError, AssertionError) as error:
            raise RecipeError(f"timm cannot build '{params.name}' as an encoder: {error}.") from error

    def forward(self, images: Tensor) -> list[Tensor]:
        try:
            features: list[Tensor] = self.body(images)
        except AssertionError as error:  # raised by timm's transformers for an input size they were not built for
            height, width = images.shape[-2:]
            raise RecipeError(
                f"'{self.name}' does not take images of {width} x {height} pixels: {error}.",
                hint=f"Set model.input.size, or model.encoder.args to {{img_size: [{height}, {width}]}}.",
            ) from error
        if getattr(self.body, "output_fmt", "NCHW") == "NHWC":
            return [feature.permute(0, 3, 1, 2) for feature in features]
        return features


# Upper bounds, so that a damaged or hostile manifest cannot exhaust the memory.
Width = Annotated[int, Field(ge=2, le=8192)]
Depth = Annotated[int, Field(ge=0, le=256)]


class CspParams(StrictModel):
    widths: tuple[Width, ...] = Field((32, 64, 128, 192), min_length=1, description="channels at stride 4, 8, 16, …")
    depths: tuple[Depth, ...] = Field((1, 2, 2, 1), min_length=1, description="bottlenecks at stride 4, 8, 16, …")
    first_stride: int = Field(8, description="stride of the finest feature map")
    activation: Activation = Field("silu", description="after each convolution")


class CspEncoder(FeatureModule):
    """A small convolutional encoder that is fast on a CPU and learns from few images."""

    def __init__(self, params: CspParams) -> None:
        super().__init__()
        if len(params.widths) != len(params.depths):
            raise RecipeError(f"'widths' {params.widths} and 'depths' {params.depths} must have the same length.")
        # Fold pixels into channels and reach stride 4 in one step: at full resolution, normalisation and pooling are
        # what a CPU spends most of its time on.
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
        self.first_level = strides.index(params.first_stride)
        self.info = FeatureInfo(params.widths[self.first_level :], strides[self.first_level :])

    def forward(self, images: Tensor) -> list[Tensor]:
        features = self.stem(self.fold(images))
        levels = []
        for stage in self.stages:
            features = stage(features)
            levels.append(features)
        return levels[self.first_level :]


def timm_encoder(params: Mapping[str, Any]) -> FeatureModule:
    """Any timm model with feature maps."""
    return TimmEncoder(validate_params(TimmParams, params, "model.encoder"))


def csp_encoder(params: Mapping[str, Any]) -> FeatureModule:
    """A small convolutional encoder that is fast on a CPU and learns from few images."""
    return CspEncoder(validate_params(CspParams, params, "model.encoder"))


def backbone_names() -> list[str]:
    """Return the names of all encoders: timm's models as ``timm/NAME``, and ``csp``."""
    import timm

    return ["csp", *(f"timm/{name}" for name in timm.list_models())]
