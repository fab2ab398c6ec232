"""The recipe: the declarative description of a training."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from saccade.core.config import StrictModel, recipe_error
from saccade.core.errors import RecipeError
from saccade.models.spec import ComponentSpec, ModelSpec


class DataSpec(StrictModel):
    """Which items are learned from, and which columns."""

    dataset: str = Field(description="a dataset, such as cells, cells@3 or cells@latest")
    train: str = Field("train", description="the split to learn from")
    validate_split: str = Field("val", alias="validate", description="the split that chooses the best weights")
    image: str = Field("image", description="the column of images")
    split: str = Field("split", description="the column that names each item's split")


class OptimizerSpec(StrictModel):
    """An optimiser of torch.optim by name."""

    type: Literal["AdamW", "Adam", "SGD", "RMSprop"] = Field("AdamW", description="a class of torch.optim")
    lr: float = Field(0.001, gt=0, description="the highest learning rate")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases and normalisation")
    args: dict[str, Any] = Field(default_factory=dict, description="further arguments of the optimiser")


class ScheduleSpec(StrictModel):
    """How the learning rate moves from step to step."""

    type: Literal["one_cycle", "cosine", "constant"] = Field("cosine", description="the shape after the warm-up")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps in which the rate rises to its highest")
    final: float = Field(0.01, ge=0, le=1, description="the last rate, as a share of the highest")


class EarlyStopSpec(StrictModel):
    """Stop when validation no longer improves."""

    patience: int = Field(10, ge=1, description="how many validations without improvement")
    min_delta: float = Field(0.0, ge=0, description="what counts as an improvement")


class TrainSpec(StrictModel):
    """How the model is fitted."""

    epochs: int = Field(100, ge=1, description="passes through the training split")
    batch_size: int = Field(16, ge=1, description="images in each step")
    accumulate: int = Field(1, ge=1, description="parts in which a batch passes the model, to need less memory")
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    clip_norm: float | None = Field(10.0, gt=0, description="gradients longer than this are shortened to it")
    ema: float | None = Field(0.999, gt=0, lt=1, description="decay of the averaged weights, which are what is kept")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto takes bf16 where the processor has fast bf16, else fp32"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    early_stop: EarlyStopSpec | None = None
    max_minutes: float | None = Field(None, gt=0, description="stop and keep the best when this time is over")
    checkpoint_every: int = Field(1, ge=1, description="epochs between checkpoints")
    workers: int = Field(2, ge=1, description="threads that load and augment")
    seed: int = Field(0, ge=0, description="the same seed gives the same weights")


class Recipe(StrictModel):
    """A whole training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", description="the model's name")
    description: str = Field("", description="what it is for, in words")
    data: DataSpec
    model: ModelSpec
    augment: tuple[ComponentSpec, ...] = Field((), description="steps applied to each training sample, in order")
    train: TrainSpec = TrainSpec()

    def to_json(self) -> dict[str, Any]:
        """The recipe with every default written out."""
        return self.model_dump(mode="json", by_alias=True)


def parse_recipe(data: Any, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from plain data, after ``key.path=value`` overrides; RecipeError names what is wrong."""
    if not isinstance(data, Mapping):
        raise RecipeError("A recipe is a mapping of settings.", hint="See docs/recipes.md.")
    merged = copy.deepcopy(dict(data))
    for override in overrides:
        _apply_override(merged, override)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise recipe_error(error, Recipe, "") from None


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe from a YAML file; RecipeError where the file is missing, not YAML or not a recipe."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"The recipe {path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid YAML: {error}.") from None
    return parse_recipe(data, overrides)


def _apply_override(data: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise RecipeError(f"'--set {override}' is not of the form key.path=value.")
    *parents, last = path.split(".")
    try:
        value = yaml.safe_load(text)
        place: Any = data
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = value
    except yaml.YAMLError:
        raise RecipeError(f"'--set {override}': {text!r} is not a value in YAML.") from None
    except (ValueError, IndexError):
        raise RecipeError(f"'--set {override}' names a place in a list that is not there; they count from 0.") from None
    except (AttributeError, TypeError):
        raise RecipeError(f"'--set {override}': '{'.'.join(parents)}' is a value, not a group of settings.") from None
