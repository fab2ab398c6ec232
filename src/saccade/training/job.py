"""Builds a training from a recipe and a reader: model, data loader and validation, ready for the loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from saccade.core.errors import RecipeError, SaccadeError, suggest
from saccade.core.objects import Objects
from saccade.core.reader import Item, Reader
from saccade.core.schema import Column, Kind
from saccade.evaluation.classification import evaluate_labels
from saccade.evaluation.detection import evaluate_objects
from saccade.inference.predictor import Prediction, Predictor
from saccade.media.loader import read_image
from saccade.models.components.base import HEADS
from saccade.models.device import tune_malloc
from saccade.models.factory import VisionModel, build_model
from saccade.training.augment import build_augmentations
from saccade.training.hooks import Hook
from saccade.training.loader import BatchLoader, TrainingDataset, split_keys
from saccade.training.loop import FitResult, Validate, fit
from saccade.training.recipe import Recipe

# Settings of `train` that may differ in a resumed training, because they do not affect the weights of a step.
_RESUMABLE_SETTINGS = {"epochs", "max_minutes", "early_stop", "workers", "checkpoint_every"}


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A validated training, ready to run.

    Attributes:
        recipe: The recipe.
        target: Column to learn.
        class_names: Classes of the target, in the order of the head's outputs.
        model: The model before training.
        loader: Batches of the training split.
        validate: Computes metrics of a model on the validation split.
        validation_images: Number of images of the validation split.
    """

    recipe: Recipe
    target: str
    class_names: tuple[str, ...]
    model: VisionModel
    loader: BatchLoader
    validate: Validate
    validation_images: int = 0

    def run(
        self,
        folder: Path,
        *,
        inputs: Sequence[str],
        hooks: Sequence[Hook] = (),
        resume: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> FitResult:
        """Train the model; see :func:`saccade.training.loop.fit`.

        Args:
            folder: Receives the weights and the checkpoint.
            inputs: Dataset versions; part of what identifies the training on resume.
            hooks: Observers of the training.
            resume: Continue from the checkpoint in ``folder``.
            should_stop: Polled after each step; True stops the training.
        """
        tune_malloc()
        return fit(
            self.recipe.train,
            self.model,
            self.loader,
            self.validate,
            folder,
            fingerprint=resume_fingerprint(self.recipe, inputs),
            hooks=hooks,
            resume=resume,
            should_stop=should_stop,
            validation_steps=self.validation_images / self.recipe.train.batch_size,
        )


def resume_fingerprint(recipe: Recipe, inputs: Sequence[str]) -> dict[str, Any]:
    """Return what must be equal for a training to resume from the checkpoint of another.

    Settings of duration and loading are left out, so that a finished training can be extended.

    Args:
        recipe: The recipe.
        inputs: Dataset versions.
    """
    config = recipe.to_json()
    config["train"] = {name: value for name, value in config["train"].items() if name not in _RESUMABLE_SETTINGS}
    config.pop("description")
    return {"recipe": config, "inputs": list(inputs)}


def build_training(recipe: Recipe, reader: Reader) -> TrainingJob:
    """Check a recipe against its data and build model, data loader and validation.

    Raises:
        RecipeError: The recipe does not fit the data.
        NotFoundError: A component is not registered.
    """
    target = _single_target(recipe)
    column = _require_column(reader, recipe, target)
    classes = column.class_names
    if not classes:
        raise RecipeError(f"The column '{target}' of '{recipe.data.dataset}' has no classes.")
    if _require_column(reader, recipe, recipe.data.image).kind is not Kind.IMAGE:
        raise RecipeError(f"'data.image' is '{recipe.data.image}', which is not a column of images.")
    train_keys = split_keys(reader, recipe.data, recipe.data.train)
    validate_keys = split_keys(reader, recipe.data, recipe.data.validate_split)
    # Seed before the model is built: its random initial weights are part of a reproducible training.
    torch.manual_seed(recipe.train.seed)
    model = build_model(recipe.model, {target: len(classes)})
    if model.head(target).target_kind != column.kind:
        raise RecipeError(
            f"The head '{recipe.model.heads[target].type}' learns a column of kind {model.head(target).target_kind}, "
            f"but '{target}' is of kind {column.kind}.",
            hint=f"Registered heads: {', '.join(HEADS.names())}.",
        )
    dataset = TrainingDataset(
        reader,
        train_keys,
        recipe.data,
        target,
        classes,
        recipe.model.input,
        build_augmentations(recipe.augment),
        recipe.train.seed,
    )
    loader = BatchLoader(dataset, recipe.train.batch_size, recipe.train.workers)
    items = [item for item in reader.items([recipe.data.image, target], validate_keys) if item[target] is not None]
    validate = partial(_validate, recipe, reader, items, target, classes)
    return TrainingJob(recipe, target, classes, model, loader, validate, len(items))


def _require_column(reader: Reader, recipe: Recipe, name: str) -> Column:
    if name not in reader.schema:
        raise RecipeError(
            f"The dataset '{recipe.data.dataset}' has no column '{name}', which the recipe needs.",
            hint=suggest(name, reader.schema.names),
        )
    return reader.schema[name]


def _single_target(recipe: Recipe) -> str:
    if len(recipe.model.heads) != 1:
        raise RecipeError(f"This Saccade trains one head at a time, not {len(recipe.model.heads)}.")
    return next(iter(recipe.model.heads))


def _validate(
    recipe: Recipe,
    reader: Reader,
    items: Sequence[Item],
    target: str,
    classes: Sequence[str],
    model: VisionModel,
    should_stop: Callable[[], bool],
) -> dict[str, float] | None:
    """Return metrics on the validation split, or None if it was stopped; the first one selects the best weights."""
    predictor = Predictor(model, {target: classes}, precision=recipe.train.precision)
    images = ((item.key, partial(read_image, reader, item[recipe.data.image])) for item in items)
    predictions = {}
    for prediction in predictor.predict(images):
        if prediction.error is None:
            predictions[prediction.key] = prediction
        if should_stop():
            return None
    if not predictions:
        raise SaccadeError("No image of the validation split can be decoded.", hint="Run `saccade doctor`.")
    if reader.schema[target].kind is Kind.LABEL:
        return _label_metrics(items, target, classes, predictions)
    return _object_metrics(items, target, classes, predictions)


def _object_metrics(
    items: Sequence[Item], target: str, classes: Sequence[str], predictions: Mapping[str, Prediction]
) -> dict[str, float]:
    truth: dict[str, Objects] = {item.key: item[target] for item in items if item.key in predictions}
    predicted = {key: prediction.objects[target] for key, prediction in predictions.items()}
    sizes_wh = {key: prediction.size_wh for key, prediction in predictions.items()}
    metrics = evaluate_objects(truth, predicted, sizes_wh, kind="boxes", classes=classes)
    return {"ap": metrics.ap or 0.0, "ap50": metrics.ap50 or 0.0, "ap75": metrics.ap75 or 0.0}


def _label_metrics(
    items: Sequence[Item], target: str, classes: Sequence[str], predictions: Mapping[str, Prediction]
) -> dict[str, float]:
    truth = {item.key: item[target] for item in items if item.key in predictions}
    probabilities = {key: prediction.probabilities[target] for key, prediction in predictions.items()}
    metrics = evaluate_labels(truth, probabilities, classes)
    return {"accuracy": metrics.accuracy, "macro_f1": metrics.macro.f1, "log_loss": metrics.log_loss}
