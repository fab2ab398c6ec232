"""Pipeline operations that train, load, run and evaluate models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from saccade.app.ml import MODEL_LIBRARIES
from saccade.app.pipelines.steps.data import write_if_changed
from saccade.core.digest import digest_json
from saccade.core.errors import InvalidValueError, NotFoundError, RecipeError
from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.operations.base import (
    Context,
    Granularity,
    Inputs,
    ModelInput,
    Parameters,
    Port,
    PortType,
    dataset_op,
    operation,
    per_item,
    resolve_column,
    single_dataset,
)
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace

_MIN_STD = 1e-3
"""Lower bound of the standard deviation, since the pixels of uniform images have none."""


class TrainParameters(Parameters):
    recipe: Path = Field(description="A recipe in YAML; its dataset is the input of the step.")
    set: list[str] = Field([], description="Settings to change, as 'train.epochs=50'.")
    dataset: str | None = Field(
        None, description="The dataset that the training data is written to; by default MODEL-training."
    )


def _load_recipe(
    parameters: TrainParameters, dataset: str = "pipeline", pixels: Mapping[str, Any] | None = None
) -> Any:
    """Load the recipe, set its dataset, and set the mean and standard deviation of the input if it has neither."""
    from saccade.training.recipe import parse_recipe

    try:
        data = yaml.safe_load(parameters.recipe.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"The recipe {parameters.recipe} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{parameters.recipe} is not valid YAML: {error}.") from None
    if isinstance(data, dict):
        data = {**data, "data": {**(data.get("data") or {}), "dataset": dataset}}
    if pixels is not None and isinstance(data, dict) and isinstance(data.get("model"), dict):
        input_spec = data["model"].get("input") or {}
        if isinstance(input_spec, dict) and not input_spec.keys() & {"mean", "std"}:
            statistics = {"mean": pixels["mean"], "std": [max(std, _MIN_STD) for std in pixels["std"]]}
            data = {**data, "model": {**data["model"], "input": {**input_spec, **statistics}}}
    return parse_recipe(data, parameters.set)


def _recipe_fingerprint(parameters: TrainParameters, workspace: Workspace) -> str:
    return digest_json(_load_recipe(parameters).to_json())


def _training_columns(parameters: TrainParameters, schema: Schema) -> Sequence[str]:
    recipe = _load_recipe(parameters)
    columns = {recipe.data.image, recipe.data.split, *recipe.model.heads}
    return [name for name in schema.names if name in columns]


def _model_exists(workspace: Workspace, value: Mapping[str, Any]) -> bool:
    try:
        return bool(model_digest(workspace.models.open(value["ref"])) == value["digest"])
    except NotFoundError:
        return False


def model_digest(version: ModelVersion) -> str:
    """Return a digest of what determines a model's predictions: its files and its model graph."""
    return digest_json({"files": dict(version.files), "model": version.manifest.get("model")})


@operation(
    "train",
    Granularity.TRAINING,
    parameters=TrainParameters,
    output=PortType.MODEL,
    needs_workspace=True,
    inputs=(
        Port("data", help="The items."),
        Port(
            "pixels",
            PortType.VALUE,
            optional=True,
            help="Output of `pixel_statistics`: mean and standard deviation, used if the recipe has neither.",
        ),
    ),
    input_columns=_training_columns,
    fingerprint=_recipe_fingerprint,
    exists=_model_exists,
    libraries=MODEL_LIBRARIES,
)
def train(inputs: Inputs, parameters: TrainParameters, context: Context) -> ModelInput:
    """Train a model from a recipe, or resume an interrupted training."""
    from saccade.app.ml.train import train as run_training

    workspace: Workspace = context.workspace
    reader = single_dataset(inputs)
    name = parameters.dataset or f"{_load_recipe(parameters).name}-training"
    version = write_if_changed(context, _select_columns(reader, _training_columns(parameters, reader.schema)), name)
    recipe = _load_recipe(parameters, version.ref, inputs.get("pixels"))
    try:
        result = run_training(workspace, recipe, resume=True, progress=context.progress)
    except NotFoundError:
        result = run_training(workspace, recipe, progress=context.progress)
    if result.run.state == "stopped" or result.model is None:
        raise KeyboardInterrupt
    return ModelInput(result.model.ref, model_digest(result.model))


def _select_columns(reader: Any, names: Sequence[str]) -> Any:
    """Return a reader with only the named columns, if the reader supports it."""
    from saccade.pipeline.data.table import Table, TableReader

    if not isinstance(reader, TableReader):
        return reader
    columns = {name: reader.table.columns[name] for name in names}
    return TableReader(Table(reader.schema.select(names), reader.table.keys, columns), reader.loader, reader.blobs)


class ModelParameters(Parameters):
    name: str = Field(description="A model, as NAME, NAME@VERSION or NAME@ALIAS.")


def _model_fingerprint(parameters: ModelParameters, workspace: Workspace) -> str:
    return model_digest(workspace.models.open(parameters.name))


@dataset_op(
    "model",
    parameters=ModelParameters,
    inputs=(),
    output=PortType.MODEL,
    needs_workspace=True,
    fingerprint=_model_fingerprint,
    exists=_model_exists,
)
def model(inputs: Inputs, parameters: ModelParameters, context: Context) -> ModelInput:
    """Load a model of the workspace."""
    version = context.workspace.models.open(parameters.name)
    return ModelInput(version.ref, model_digest(version))


class PredictParameters(Parameters):
    image: str | None = Field(None, description="The column of the image; the first one by default.")
    column: str = Field("predicted", description="The column of the predictions.")
    min_score: float = Field(0.25, ge=0, le=1, description="Objects with a lower score are discarded.")
    kind: Literal["objects", "label"] = Field("objects", description="What the model predicts.")


def _predicted_columns(parameters: PredictParameters, schema: Schema) -> Sequence[Column]:
    kind = Kind.OBJECTS if parameters.kind == "objects" else Kind.LABEL
    score = [] if kind is Kind.OBJECTS else [Column(f"{parameters.column}_score", Kind.NUMBER)]
    return [Column(parameters.column, kind), *score]


@per_item(
    "predict",
    parameters=PredictParameters,
    inputs=(Port("data", help="The items."), Port("model", PortType.MODEL, help="The model.")),
    input_columns=lambda parameters, schema: [resolve_column(schema, parameters.image, Kind.IMAGE).name],
    output_columns=_predicted_columns,
    libraries=MODEL_LIBRARIES,
    prepared=True,
    needs_workspace=True,
)
def predict(parameters: PredictParameters, schema: Schema) -> Callable[[Item, Context], Mapping[str, Any]]:
    """Run a model on each image."""
    from saccade.app.ml.model_loader import LoadedPredictor, load_predictor
    from saccade.media.loader import read_image

    image = resolve_column(schema, parameters.image, Kind.IMAGE).name
    cached: list[LoadedPredictor] = []

    def run(item: Item, context: Context) -> Mapping[str, Any]:
        if item[image] is None:
            return {}
        if not cached:
            # Loaded only if there is an item to predict.
            model_ref = context.inputs["model"].ref
            cached.append(load_predictor(context.workspace, model_ref, min_score=parameters.min_score))
        loaded = cached[0]
        if loaded.is_detector is not (parameters.kind == "objects"):
            kind = "objects" if loaded.is_detector else "label"
            raise InvalidValueError(f"The model {loaded.version.ref} predicts {kind}.", hint=f"Set 'kind: {kind}'.")
        ref = item[image]
        images = [(item.key, lambda: read_image(context, ref))]
        prediction = next(iter(loaded.predictor.predict(images, workers=1)))
        if prediction.error is not None:
            raise prediction.error
        if loaded.is_detector:
            return {parameters.column: prediction.objects[loaded.target]}
        label, score = loaded.top_label(prediction)
        return {parameters.column: label, f"{parameters.column}_score": score}

    return run


class EvaluateParameters(Parameters):
    truth: str = Field("objects", description="The column with the ground truth.")
    predicted: str = Field("predicted", description="The column with the predictions, with scores.")
    kind: Literal["boxes", "masks", "keypoints"] = Field("boxes", description="The geometry to compare.")
    split: str | None = Field(None, description="Only the items of this split.")
    split_column: str = Field("split", description="The column that names each item's split.")


def _compared_columns(parameters: EvaluateParameters, schema: Schema) -> Sequence[str]:
    columns = [parameters.truth, parameters.predicted, *([parameters.split_column] if parameters.split else [])]
    images = [column.name for column in schema.columns_of_kind(Kind.IMAGE)[:1]]
    # schema[name] raises an error that suggests similar names.
    return [*(schema[name].name for name in columns), *images]


@dataset_op(
    "evaluate",
    parameters=EvaluateParameters,
    output=PortType.VALUE,
    input_columns=_compared_columns,
    libraries=("faster-coco-eval", "numpy"),
)
def evaluate(inputs: Inputs, parameters: EvaluateParameters, context: Context) -> dict[str, Any]:
    """Evaluate predictions against the ground truth with the COCO metrics."""
    from saccade.evaluation.detection import evaluate_objects

    reader = single_dataset(inputs)
    names = _compared_columns(parameters, reader.schema)
    items = [
        item for item in reader.items(names) if parameters.split in (None, item.values.get(parameters.split_column))
    ]
    if not items:
        raise NotFoundError(f"There are no items in the split '{parameters.split}'.", hint="Check 'split'.")
    image = next((name for name in names if reader.schema[name].kind is Kind.IMAGE), None)
    sizes = {
        item.key: (item[image].width, item[image].height)
        for item in items
        if image is not None and item[image] is not None
    }
    truth = {item.key: item[parameters.truth] for item in items}
    resolve_class = reader.schema[parameters.truth].resolve_class
    predictions = {
        # A model that was trained before a class was renamed predicts its former name.
        item.key: tuple(
            replace(obj, class_name=resolve_class(obj.class_name) or obj.class_name)
            for obj in item[parameters.predicted] or ()
        )
        for item in items
        if item[parameters.truth] is not None
    }
    metrics = evaluate_objects(truth, predictions, sizes, kind=parameters.kind)
    return {"items": len(items), **metrics.to_json()}
