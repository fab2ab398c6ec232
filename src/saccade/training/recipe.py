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
    """The dataset, its splits and its columns."""

    dataset: str = Field(description="a dataset, such as cells, cells@3 or cells@latest")
    train: str = Field("train", description="split to train on")
    validate_split: str = Field("val", alias="validate", description="split that selects the best weights")
    image: str = Field("image", description="column of images")
    split: str = Field("split", description="column with the split of each item")


class OptimizerSpec(StrictModel):
    """The optimiser."""

    type: Literal["AdamW", "Adam", "SGD", "RMSprop"] = Field("AdamW", description="class of torch.optim")
    lr: float = Field(0.001, gt=0, description="peak learning rate")
    weight_decay: float = Field(0.05, ge=0, description="not applied to biases and normalisation")
    args: dict[str, Any] = Field(default_factory=dict, description="further arguments of the optimiser")


class ScheduleSpec(StrictModel):
    """The learning-rate schedule."""

    type: Literal["one_cycle", "cosine", "constant"] = Field("cosine", description="shape after the warm-up")
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps in which the rate rises to its peak")
    final: float = Field(0.01, ge=0, le=1, description="final rate, as a share of the peak")


class EarlyStopSpec(StrictModel):
    """Stop when validation no longer improves."""

    patience: int = Field(10, ge=1, description="validations without improvement before stopping")
    min_delta: float = Field(0.0, ge=0, description="minimum improvement of the metric")


class TrainSpec(StrictModel):
    """The training loop."""

    epochs: int = Field(100, ge=1, description="passes through the training split")
    batch_size: int = Field(16, ge=1, description="images in each optimiser step")
    accumulate: int = Field(1, ge=1, description="micro-batches of a batch (gradient accumulation); saves memory")
    optimizer: OptimizerSpec = OptimizerSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    clip_norm: float | None = Field(10.0, gt=0, description="maximum norm of the gradients")
    ema: float | None = Field(0.999, gt=0, lt=1, description="decay of the moving average of weights, which is saved")
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto", description="auto selects bf16 if the device computes it in hardware, else fp32 (on CUDA fp16)"
    )
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    early_stop: EarlyStopSpec | None = None
    max_minutes: float | None = Field(None, gt=0, description="stop after this time, with the best weights so far")
    checkpoint_every: int = Field(1, ge=1, description="epochs between checkpoints")
    workers: int = Field(2, ge=1, description="threads that load and augment images")
    seed: int = Field(0, ge=0, description="the same seed gives the same weights")


class Recipe(StrictModel):
    """The declarative description of a training."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$", description="name of the model")
    description: str = Field("", description="purpose of the model")
    data: DataSpec
    model: ModelSpec
    augment: tuple[ComponentSpec, ...] = Field((), description="augmentations of each training sample, in order")
    train: TrainSpec = TrainSpec()

    def to_json(self) -> dict[str, Any]:
        """Return the recipe as plain data, with all defaults."""
        return self.model_dump(mode="json", by_alias=True)


def parse_recipe(data: Any, overrides: Sequence[str] = ()) -> Recipe:
    """Parse a recipe from plain data.

    Args:
        data: The recipe as a mapping; not modified.
        overrides: Settings to replace, as ``key.path=value`` with the value in YAML; applied in order. A component of
            the model or augmentation whose ``type`` changes loses its other settings, which belong to the old type.

    Raises:
        RecipeError: A setting is unknown, missing or invalid.
    """
    if not isinstance(data, Mapping):
        raise RecipeError(f"A recipe must be a mapping, not {type(data).__name__}.", hint="See docs/recipes.md.")
    merged = copy.deepcopy(dict(data))
    # Types first: a changed type drops the settings of the old one, which other overrides may set anew.
    for override in sorted(overrides, key=lambda text: not text.partition("=")[0].endswith(".type")):
        _apply_override(merged, override)
    try:
        return Recipe.model_validate(merged)
    except ValidationError as error:
        raise recipe_error(error, Recipe, "") from None


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe from a YAML file.

    Args:
        path: The file.
        overrides: See :func:`parse_recipe`.

    Raises:
        RecipeError: The file is missing, is not YAML, or is not a valid recipe.
    """
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
        node: Any = data
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
        is_component = last == "type" and parents[:1] in (["model"], ["augment"]) and isinstance(node, dict)
        if is_component and node.get("type") != value:
            node.clear()
        node[int(last) if isinstance(node, list) else last] = value
    except yaml.YAMLError:
        raise RecipeError(f"'--set {override}': {text!r} is not valid YAML.") from None
    except (ValueError, IndexError):
        raise RecipeError(f"'--set {override}' names an index that a list does not have; indexes start at 0.") from None
    except (AttributeError, TypeError):
        raise RecipeError(f"'--set {override}': '{'.'.join(parents)}' is a value, not a group of settings.") from None
