"""Steps that train models, run them and measure them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from saccade.app.pipelines.steps.data import written
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
    column_of,
    on_whole,
    operation,
    per_item,
    the_dataset,
)
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace

_LEAST_SPREAD = 1e-3
"""Of pixels that are all alike, which cannot be divided by."""
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless")


class TrainParameters(Parameters):
    recipe: Path = Field(description="A recipe in YAML; its dataset is the one that comes in.")
    set: list[str] = Field([], description="Settings to change, as 'train.epochs=50'.")
    dataset: str | None = Field(
        None, description="The dataset that keeps what was learned from; NAME-training for a model NAME."
    )


def _recipe(parameters: TrainParameters, dataset: str = "pipeline", pixels: Mapping[str, Any] | None = None) -> Any:
    """The recipe for a dataset; mean and standard deviation of ``pixels`` where it says neither."""
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
        given = data["model"].get("input") or {}
        if isinstance(given, dict) and not given.keys() & {"mean", "std"}:
            measured = {"mean": pixels["mean"], "std": [max(one, _LEAST_SPREAD) for one in pixels["std"]]}
            data = {**data, "model": {**data["model"], "input": {**given, **measured}}}
    return parse_recipe(data, parameters.set)


def _recipe_content(parameters: TrainParameters, workspace: Workspace) -> str:
    return digest_json(_recipe(parameters).to_json())


def _learned_columns(parameters: TrainParameters, schema: Schema) -> Sequence[str]:
    recipe = _recipe(parameters)
    wanted = {recipe.data.image, recipe.data.split, *recipe.model.heads}
    return [name for name in schema.names if name in wanted]


def _same_model(workspace: Workspace, value: Mapping[str, Any]) -> bool:
    try:
        return bool(model_digest(workspace.models.open(value["ref"])) == value["digest"])
    except NotFoundError:
        return False


def model_digest(version: ModelVersion) -> str:
    """A digest of what a model version does: its files, and the model that they belong to."""
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
            help="Of `pixel_statistics`: mean and standard deviation, where the recipe says neither.",
        ),
    ),
    reads=_learned_columns,
    fingerprint=_recipe_content,
    is_there=_same_model,
    libraries=_LIBRARIES,
)
def train(inputs: Inputs, parameters: TrainParameters, context: Context) -> ModelInput:
    """Train a model by a recipe; a training that was interrupted goes on where it was."""
    from saccade.app.ml.train import train as run_training

    workspace: Workspace = context.workspace
    reader = the_dataset(inputs)
    name = parameters.dataset or f"{_recipe(parameters).name}-training"
    kept = written(context, _only(reader, _learned_columns(parameters, reader.schema)), name)
    recipe = _recipe(parameters, kept.ref, inputs.get("pixels"))
    try:
        result = run_training(workspace, recipe, resume=True, progress=context.progress)
    except NotFoundError:
        result = run_training(workspace, recipe, progress=context.progress)
    if result.run.state == "stopped" or result.model is None:
        raise KeyboardInterrupt
    return ModelInput(result.model.ref, model_digest(result.model))


def _only(reader: Any, names: Sequence[str]) -> Any:
    """The reader of a table with some of its columns."""
    from saccade.pipeline.data.table import Table, TableReader

    if not isinstance(reader, TableReader):
        return reader
    columns = {name: reader.table.columns[name] for name in names}
    return TableReader(Table(reader.schema.select(names), reader.table.keys, columns), reader.values, reader.objects)


class ModelParameters(Parameters):
    name: str = Field(description="A model, as NAME, NAME@VERSION or NAME@ALIAS.")


def _exact_model(parameters: ModelParameters, workspace: Workspace) -> str:
    return model_digest(workspace.models.open(parameters.name))


@on_whole(
    "model",
    parameters=ModelParameters,
    inputs=(),
    output=PortType.MODEL,
    needs_workspace=True,
    fingerprint=_exact_model,
    is_there=_same_model,
)
def model(inputs: Inputs, parameters: ModelParameters, context: Context) -> ModelInput:
    """A model of the workspace."""
    version = context.workspace.models.open(parameters.name)
    return ModelInput(version.ref, model_digest(version))


class PredictParameters(Parameters):
    image: str | None = Field(None, description="The column of the image; the first one where none is named.")
    column: str = Field("predicted", description="The column for the result.")
    min_score: float = Field(0.25, ge=0, le=1, description="Objects below are left out.")
    kind: Literal["objects", "label"] = Field("objects", description="What the model gives.")


def _predicted(parameters: PredictParameters, schema: Schema) -> Sequence[Column]:
    kind = Kind.OBJECTS if parameters.kind == "objects" else Kind.LABEL
    more = [] if kind is Kind.OBJECTS else [Column(f"{parameters.column}_score", Kind.NUMBER)]
    return [Column(parameters.column, kind), *more]


@per_item(
    "predict",
    parameters=PredictParameters,
    inputs=(Port("data", help="The items."), Port("model", PortType.MODEL, help="The model.")),
    reads=lambda parameters, schema: [column_of(schema, parameters.image, Kind.IMAGE).name],
    writes=_predicted,
    libraries=_LIBRARIES,
    bound=True,
    needs_workspace=True,
)
def predict(parameters: PredictParameters, schema: Schema) -> Callable[[Item, Context], Mapping[str, Any]]:
    """Run a model on each image, again on those that changed."""
    from saccade.app.ml.model_loader import ReadyModel, ready_model
    from saccade.media.loader import read_image

    image = column_of(schema, parameters.image, Kind.IMAGE).name
    ready: list[ReadyModel] = []

    def run(item: Item, context: Context) -> Mapping[str, Any]:
        if item[image] is None:
            return {}
        if not ready:
            ready.append(ready_model(context.workspace, context.inputs["model"].ref, min_score=parameters.min_score))
        one = ready[0]
        if one.is_detector is not (parameters.kind == "objects"):
            gives = "objects" if one.is_detector else "label"
            raise InvalidValueError(f"The model {one.version.ref} gives {gives}.", hint=f"Set 'kind: {gives}'.")
        ref = item[image]
        found = next(iter(one.predictor.predict([(item.key, lambda: read_image(context, ref))], workers=1)))
        if found.error is not None:
            raise found.error
        if one.is_detector:
            return {parameters.column: found.objects[one.target]}
        probabilities = found.probabilities[one.target]
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        name = one.predictor.class_names[one.target][best]
        return {parameters.column: name, f"{parameters.column}_score": probabilities[best]}

    return run


class EvaluateParameters(Parameters):
    truth: str = Field("objects", description="The column with the labels.")
    predicted: str = Field("predicted", description="The column with what a model found, with scores.")
    kind: Literal["boxes", "masks", "keypoints"] = Field("boxes", description="What is compared.")
    split: str | None = Field(None, description="Only the items of this split.")
    split_column: str = Field("split", description="The column that names each item's split.")


def _compared(parameters: EvaluateParameters, schema: Schema) -> Sequence[str]:
    wanted = [parameters.truth, parameters.predicted, *([parameters.split_column] if parameters.split else [])]
    images = [column.name for column in schema.of_kind(Kind.IMAGE)[:1]]
    return [*(schema[name].name for name in wanted), *images]


@on_whole(
    "evaluate",
    parameters=EvaluateParameters,
    output=PortType.VALUE,
    reads=_compared,
    libraries=("faster-coco-eval", "numpy"),
)
def evaluate(inputs: Inputs, parameters: EvaluateParameters, context: Context) -> dict[str, Any]:
    """Compare what was found with the labels, by COCO's rules; the result is JSON."""
    from saccade.evaluation.detection import evaluate_objects

    reader = the_dataset(inputs)
    names = _compared(parameters, reader.schema)
    items = [
        item for item in reader.items(names) if parameters.split in (None, item.values.get(parameters.split_column))
    ]
    if not items:
        raise NotFoundError(f"No item is in the split '{parameters.split}'.", hint="Check 'split'.")
    image = next((name for name in names if reader.schema[name].kind is Kind.IMAGE), None)
    sizes = {
        item.key: (item[image].width, item[image].height)
        for item in items
        if image is not None and item[image] is not None
    }
    truth = {item.key: item[parameters.truth] for item in items}
    found = {item.key: item[parameters.predicted] or () for item in items if item[parameters.truth] is not None}
    metrics = evaluate_objects(truth, found, sizes, kind=parameters.kind)
    return {"items": len(items), **metrics.to_json()}
