"""Predict: a model version on a picture, a folder, a glob or a dataset."""

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
from saccade.app.io.atomic_dir import new_folder
from saccade.app.ml.image_sources import Picture, files_of, pictures_of_files
from saccade.app.ml.model_loader import ReadyModel, check_any_readable, ready_model
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError, SaccadeError
from saccade.core.objects import Objects
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.inference.predictor import Prediction
from saccade.media.draw import draw_objects
from saccade.media.image import encode
from saccade.media.loader import read_image
from saccade.store.catalog.names import check_name
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class PredictResult:
    """What was predicted, and where it went."""

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
    dataset: str | None = None,
    split: str | None = None,
    min_score: float = 0.25,
    render: bool = True,
    progress: Progress | None = None,
) -> PredictResult:
    """Run a model on ``source``: a dataset reference, or a path or glob of images.

    Where a dataset and a path have the same name, the dataset is meant; ``./name`` is the path. An image that cannot be
    read is set aside; where that is so for all, MediaError is raised. After an error nothing is left of the results.

    Args:
        out: a new or empty folder for ``predictions.json`` (COCO, with scores) and, with ``render``, drawn pictures.
        dataset: the name of a new dataset of the predictions, with their images.
        min_score: objects below are left out.
    """
    if dataset is not None and workspace.datasets.exists(check_name("dataset", dataset)):
        raise ConflictError(f"There is already a dataset '{dataset}'.", hint="Choose another name with --dataset.")
    ready = ready_model(workspace, model_ref, min_score=min_score)
    pictures, inputs = _pictures(workspace, source, ready, split)
    with nullcontext() if out is None else new_folder(out) as folder:
        writer = _Writer(ready, folder, render)
        predictions = _run(ready, pictures, writer, progress or Silent())
        writer.close()
        ref = None if dataset is None else _as_dataset(workspace, ready, dataset, pictures, predictions, inputs)
    return PredictResult(ready.version.ref, predictions, ready.predictor.class_names[ready.target], ref, out)


def _run(ready: ReadyModel, pictures: Sequence[Picture], writer: _Writer, progress: Progress) -> list[Prediction]:
    by_key = {picture.key: picture for picture in pictures}
    predictions = []
    progress.start("Predicting", len(pictures))
    for prediction in ready.predictor.predict((picture.key, picture.read) for picture in pictures):
        writer.add(by_key[prediction.key], prediction)
        predictions.append(prediction)
        progress.advance(1, prediction.key)
    progress.finish()
    check_any_readable(predictions)
    return predictions


def _pictures(
    workspace: Workspace, source: str, ready: ReadyModel, split: str | None
) -> tuple[list[Picture], list[str]]:
    """The images of a source, and the dataset versions they come from."""
    version = _dataset(workspace, source)
    if version is None:
        if split is not None:
            raise InvalidValueError(f"'{source}' is no dataset and has no splits.", hint="Leave out --split.")
        return pictures_of_files(files_of(source), Path(source)), []
    check_split(version, split)
    image = ready.version.manifest["image_column"]
    items = version.items([image] if split is None else [image, SPLIT])
    chosen = [item for item in items if item[image] is not None and split in (None, item.values.get(SPLIT))]
    if not chosen:
        raise NotFoundError(f"'{version.ref}' has no images in '{image}'.", hint="Choose another dataset or split.")
    return [_picture_of_item(version, item, image) for item in chosen], [version.ref]


def _dataset(workspace: Workspace, source: str) -> DatasetVersion | None:
    """The version that a source refers to; None where it is a path or a glob."""
    try:
        return workspace.datasets.open(source)
    except SaccadeError as error:
        if Path(source).exists() or glob.has_magic(source):
            return None
        raise NotFoundError(
            f"'{source}' is neither an image, a folder, a glob nor a dataset.", hint=error.hint
        ) from None


def _picture_of_item(version: DatasetVersion, item: Item, image: str) -> Picture:
    ref: ImageRef = item[image]
    suffix = Path(ref.name).suffix if ref.frame is None else ".jpg"
    name = item.key if item.key.endswith(suffix) else item.key + suffix
    return Picture(item.key, name, partial(read_image, version, ref), lambda: ref)


class _Writer:
    """Writes predictions as COCO JSON and as drawn pictures while they come."""

    def __init__(self, ready: ReadyModel, out: Path | None, render: bool) -> None:
        self.ready, self.out, self.render = ready, out, render
        self.names = list(ready.predictor.class_names[ready.target])
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []

    def add(self, picture: Picture, prediction: Prediction) -> None:
        if self.out is None or prediction.error is not None:
            return
        width, height = prediction.size_wh
        image = {"id": len(self.images) + 1, "file_name": picture.name, "width": width, "height": height}
        if self.ready.is_detector:
            objects = prediction.objects[self.ready.target]
            self.annotations += [
                self._annotation(len(self.images) + 1, number, found) for number, found in enumerate(objects)
            ]
            if self.render:
                self._draw(picture, objects)
        else:
            image["labels"] = dict(zip(self.names, prediction.probabilities[self.ready.target], strict=True))
        self.images.append(image)

    def _annotation(self, image_id: int, number: int, found: Any) -> dict[str, Any]:
        x1, y1, x2, y2 = found.geometry.bounds_xyxy()
        return {
            "id": len(self.annotations) + number + 1,
            "image_id": image_id,
            "category_id": self.names.index(found.class_name) + 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": found.geometry.area(),
            "iscrowd": 0,
            "score": found.score,
        }

    def _draw(self, picture: Picture, objects: Objects) -> None:
        assert self.out is not None
        target = self.out / "pictures" / f"{picture.key}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(encode(draw_objects(picture.read(), objects), "jpeg"))

    def close(self) -> None:
        if self.out is None:
            return
        content = {
            "info": {"description": f"Predictions of {self.ready.version.ref}"},
            "images": self.images,
            "annotations": self.annotations,
            "categories": [{"id": index + 1, "name": name} for index, name in enumerate(self.names)],
        }
        (self.out / "predictions.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _as_dataset(
    workspace: Workspace,
    ready: ReadyModel,
    name: str,
    pictures: Sequence[Picture],
    predictions: Sequence[Prediction],
    inputs: Sequence[str],
) -> str:
    classes = tuple(ClassInfo(class_name) for class_name in ready.predictor.class_names[ready.target])
    kind = Kind.OBJECTS if ready.is_detector else Kind.LABEL
    columns = [Column("image", Kind.IMAGE), Column(ready.target, kind, classes)]
    if not ready.is_detector:
        columns += [Column("score", Kind.NUMBER), Column("probabilities", Kind.EMBEDDING)]
    run = workspace.runs.start("predict", name, {"model": ready.version.ref}, [f"model:{ready.version.ref}", *inputs])
    items = (
        Item(picture.key, {"image": picture.refer(), **_values(ready, prediction)})
        for picture, prediction in zip(pictures, predictions, strict=True)
        if prediction.error is None
    )
    with workspace.runs.noting_failure(run.id):
        version = workspace.datasets.write(
            name,
            Schema(tuple(columns)),
            items,
            mode="create",
            message=f"predictions of {ready.version.ref}",
            run_id=run.id,
            inputs=[f"model:{ready.version.ref}", *inputs],
        )
    workspace.runs.finish(run.id, "finished", outputs=[version.ref])
    return version.ref


def _values(ready: ReadyModel, prediction: Prediction) -> Mapping[str, Any]:
    if ready.is_detector:
        return {ready.target: prediction.objects[ready.target]}
    probabilities = prediction.probabilities[ready.target]
    best = max(range(len(probabilities)), key=probabilities.__getitem__)
    label = ready.predictor.class_names[ready.target][best]
    return {ready.target: label, "score": probabilities[best], "probabilities": probabilities}
