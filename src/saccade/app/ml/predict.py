"""Run a model version on images, videos or a dataset."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from saccade.app.datasets.splits import SPLIT, check_split
from saccade.app.ml.class_alignment import align_model_classes
from saccade.app.ml.image_sources import ImageInput, list_images, list_media_files
from saccade.app.ml.model_loader import LoadedPredictor, load_predictor, require_some_readable
from saccade.core.errors import InvalidValueError, NotFoundError, SaccadeError
from saccade.core.objects import Object, Objects
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Item
from saccade.core.records.datasets import WriteMode
from saccade.core.refs import split_branch_ref
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.inference.predictor import Prediction
from saccade.io.atomic import atomic_output_dir
from saccade.media.draw import draw_objects
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PredictResult:
    """Result of a prediction.

    Attributes:
        model: The model version.
        predictions: The prediction of each image, in order.
        class_names: The classes of the model.
        dataset: The new dataset version, if one was requested.
        folder: The output folder, if one was requested.
    """

    model: str
    predictions: Sequence[Prediction]
    class_names: Sequence[str]
    dataset: str | None
    folder: Path | None

    @property
    def unreadable(self) -> list[Prediction]:
        return [prediction for prediction in self.predictions if prediction.error is not None]


def predict(
    workspace: Workspace,
    model_ref: str,
    source: str,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    dataset: str | None = None,
    mode: WriteMode = "create",
    split: str | None = None,
    min_score: float = 0.25,
    render: bool = True,
    progress: Progress | None = None,
) -> PredictResult:
    """Run a model on a source. Images that cannot be read are skipped; after an error there is no output.

    Args:
        workspace: The workspace.
        model_ref: The model version.
        source: A dataset version, or a path or glob of images and videos. A dataset takes precedence over a path of
            the same name; use ``./name`` for the path.
        out: A new or empty folder for ``predictions.json`` (COCO, with scores) and, with ``render``, images with the
            predicted objects.
        overwrite: Replace the output of an earlier prediction in that folder. Other folders are never replaced.
        dataset: The dataset to write with the images and predictions: NAME or NAME@BRANCH.
        mode: How to write it: "create" a new one, "replace" its items, or "append" or "merge" them by key.
        split: Only the items of this split of a dataset.
        min_score: Objects with a lower score are discarded.
        render: Draw the predicted objects.
        progress: Advances by each image.

    Raises:
        ConflictError: The dataset exists, or the folder is not empty.
        NotFoundError: The model, source or split does not exist, or there are no images.
        InvalidValueError: ``split`` is given for a source that is not a dataset.
        MediaError: No image can be read.
    """
    if dataset is not None:
        workspace.datasets.resolve_target(dataset, mode)  # before the work
    loaded = load_predictor(workspace, model_ref, min_score=min_score)
    images, version = _resolve_images(workspace, source, loaded, split)
    inputs = [] if version is None else [version.ref]
    if version is not None and loaded.target in version.schema:
        # Predictions have the current names of classes that were renamed or merged since the training.
        loaded = loaded.with_class_names(align_model_classes(workspace, loaded, version).model)
    with nullcontext() if out is None else atomic_output_dir(out, replaceable=True, overwrite=overwrite) as folder:
        writer = _PredictionWriter(loaded, folder, render)
        predictions = _predict_images(loaded, images, writer, progress or NullProgress())
        writer.close()
        ref = None if dataset is None else _write_dataset(workspace, loaded, dataset, images, predictions, inputs, mode)
    return PredictResult(loaded.version.ref, predictions, loaded.class_names, ref, out)


def _predict_images(
    loaded: LoadedPredictor, images: Sequence[ImageInput], writer: _PredictionWriter, progress: Progress
) -> list[Prediction]:
    by_key = {image.key: image for image in images}
    predictions = []
    progress.start("Predicting", len(images))
    for prediction in loaded.predictor.predict((image.key, image.read) for image in images):
        writer.add(by_key[prediction.key], prediction)
        predictions.append(prediction)
        progress.advance(1, prediction.key)
    progress.finish()
    require_some_readable(predictions)
    return predictions


def _resolve_images(
    workspace: Workspace, source: str, loaded: LoadedPredictor, split: str | None
) -> tuple[list[ImageInput], DatasetVersion | None]:
    """Return the images of a source, and the dataset version they come from."""
    version = _find_dataset(workspace, source)
    if version is None:
        if split is not None:
            raise InvalidValueError(f"'{source}' is not a dataset and has no splits.", hint="Leave out --split.")
        return list_images(list_media_files(source), Path(source)), None
    check_split(version, split)
    image = loaded.version.manifest["image_column"]
    items = version.items([image] if split is None else [image, SPLIT])
    selected = [item for item in items if item[image] is not None and split in (None, item.values.get(SPLIT))]
    if not selected:
        raise NotFoundError(f"'{version.ref}' has no images in '{image}'.", hint="Choose another dataset or split.")
    return [_item_image(version, item, image) for item in selected], version


def _find_dataset(workspace: Workspace, source: str) -> DatasetVersion | None:
    """Return the dataset version that a source refers to, or None if it is a path or a glob."""
    try:
        return workspace.datasets.open(source)
    except SaccadeError as error:
        if Path(source).exists() or glob.has_magic(source):
            return None
        raise NotFoundError(f"'{source}' is not an image, a folder, a glob or a dataset.", hint=error.hint) from None


def _item_image(version: DatasetVersion, item: Item, column: str) -> ImageInput:
    ref: ImageRef = item[column]
    suffix = Path(ref.name).suffix if ref.frame is None else ".jpg"
    name = item.key if item.key.endswith(suffix) else item.key + suffix
    return ImageInput(item.key, name, partial(read_image, version, ref), lambda: ref)


class _PredictionWriter:
    """Writes predictions as COCO JSON and as rendered images, one at a time. Does nothing without a folder."""

    def __init__(self, loaded: LoadedPredictor, folder: Path | None, render: bool) -> None:
        self.loaded = loaded
        self.folder = folder
        self.render = render
        self.class_names = list(dict.fromkeys(loaded.class_names))
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, image: ImageInput, prediction: Prediction) -> None:
        if self.folder is None or prediction.error is not None:
            return
        width, height = prediction.size_wh
        image_id = len(self.images) + 1
        entry = {"id": image_id, "file_name": image.name, "width": width, "height": height}
        if self.loaded.is_detector:
            objects = prediction.objects[self.loaded.target]
            first_id = len(self.annotations) + 1
            self.annotations += [self._annotation(image_id, first_id + index, obj) for index, obj in enumerate(objects)]
            if self.render:
                self._render(image, objects)
        else:
            probabilities = prediction.probabilities[self.loaded.target]
            labels = dict.fromkeys(self.class_names, 0.0)
            for name, probability in zip(self.loaded.class_names, probabilities, strict=True):
                labels[name] += probability
            entry["labels"] = labels
        self.images.append(entry)

    def _annotation(self, image_id: int, annotation_id: int, obj: Object) -> dict[str, Any]:
        x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
        return {
            "id": annotation_id,
            "image_id": image_id,
            "category_id": self.class_names.index(obj.class_name) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": obj.geometry.area(),
            "iscrowd": 0,
            "score": obj.score,
        }

    def _render(self, image: ImageInput, objects: Objects) -> None:
        assert self.folder is not None
        target = self.folder / "pictures" / f"{image.key}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(draw_objects(image.read(), objects), "jpeg"))

    def close(self) -> None:
        if self.folder is None:
            return
        content = {
            "info": {"description": f"Predictions of {self.loaded.version.ref}"},
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": index, "name": name} for index, name in enumerate(self.class_names, 1)],
        }
        (self.folder / "predictions.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_dataset(
    workspace: Workspace,
    loaded: LoadedPredictor,
    name: str,
    images: Sequence[ImageInput],
    predictions: Sequence[Prediction],
    inputs: Sequence[str],
    mode: WriteMode,
) -> str:
    classes = tuple(ClassInfo(class_name) for class_name in dict.fromkeys(loaded.class_names))
    kind = Kind.OBJECTS if loaded.is_detector else Kind.LABEL
    columns = [Column("image", Kind.IMAGE), Column(loaded.target, kind, classes)]
    if not loaded.is_detector:
        columns += [Column("score", Kind.NUMBER), Column("probabilities", Kind.EMBEDDING)]
    model_ref = loaded.version.ref
    lineage = [f"model:{model_ref}", *inputs]
    name, branch = split_branch_ref(name)
    run = workspace.runs.start("predict", name, {"model": model_ref}, lineage)
    items = (
        Item(image.key, {"image": image.to_ref(), **_item_values(loaded, prediction)})
        for image, prediction in zip(images, predictions, strict=True)
        if prediction.error is None
    )
    with workspace.runs.record_failure(run.id):
        version = workspace.datasets.write(
            name,
            Schema(tuple(columns)),
            items,
            mode=mode,
            branch=branch,
            message=f"predictions of {model_ref}",
            run_id=run.id,
            inputs=lineage,
        )
    workspace.runs.finish(run.id, "finished", outputs=[version.ref])
    return version.ref


def _item_values(loaded: LoadedPredictor, prediction: Prediction) -> Mapping[str, Any]:
    if loaded.is_detector:
        return {loaded.target: prediction.objects[loaded.target]}
    label, score = loaded.top_label(prediction)
    return {loaded.target: label, "score": score, "probabilities": prediction.probabilities[loaded.target]}
