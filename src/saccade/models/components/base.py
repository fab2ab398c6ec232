"""What encoders, necks and heads implement, and their registries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from pydantic import BaseModel, ValidationError
from torch import Tensor, nn

from saccade.core.errors import RecipeError, nearest
from saccade.core.registry import Registry

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """The feature maps that a component gives: channels and stride (input pixels per cell) of each, finest first."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class FeatureModule(nn.Module):
    """An encoder or neck; ``info`` describes what ``forward`` returns."""

    info: FeatureInfo


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a head says of one image, on the CPU.

    Detection: ``boxes_xyxy`` (N, 4) in pixels of the model's input, ``scores`` (N,), ``classes`` (N,) indices, best
    first. Classification: ``probabilities`` (C,).
    """

    boxes_xyxy: Tensor | None = None
    scores: Tensor | None = None
    classes: Tensor | None = None
    probabilities: Tensor | None = None


class Head(nn.Module):
    """Turns features into outputs for one target, outputs and truth into losses, outputs into predictions."""

    target_kind: str
    """The kind of column that this head learns: "objects" or "label"."""

    def loss(self, outputs: Any, targets: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Named losses, already weighted; ``targets`` has one mapping of tensors for each image of the batch."""
        raise NotImplementedError

    def predict(self, outputs: Any) -> list[Predictions]:
        """Predictions for each image of the batch."""
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


def checked(model: type[P], params: Mapping[str, Any], where: str) -> P:
    """Parameters validated by their pydantic model; RecipeError names each wrong one and the nearest right names."""
    try:
        return model.model_validate(dict(params))
    except ValidationError as error:
        raise recipe_error(error, model, where) from None


def recipe_error(error: ValidationError, model: type[BaseModel], where: str) -> RecipeError:
    """The first thing that is wrong in a recipe or a part of one, in words."""
    first = error.errors()[0]
    place = ".".join([where, *map(str, first["loc"])]).lstrip(".")
    if first["type"] == "extra_forbidden":
        known = _fields_at(model, first["loc"][:-1])
        return RecipeError(f"'{place}' is not a setting.", hint=nearest(str(first["loc"][-1]), known))
    if first["type"] == "missing":
        return RecipeError(f"'{place}' is missing.", hint="Add it to the recipe.")
    said = first["msg"].removeprefix("Value error, ")
    return RecipeError(f"'{place}' is {first['input']!r}: {said}.", hint="Correct it in the recipe.")


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def to_cpu(tensor: Tensor) -> Tensor:
    """Detached, float32 where floating, on the CPU."""
    tensor = tensor.detach()
    return (tensor.float() if tensor.is_floating_point() else tensor).to(torch.device("cpu"))
