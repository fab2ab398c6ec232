"""Inference: a model with its preprocessing and class names; images to objects and labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from saccade.core.errors import SaccadeError
from saccade.core.objects import Box, Object, Objects
from saccade.models.components.base import Predictions
from saccade.models.device import autocast, best_device, best_precision
from saccade.models.factory import VisionModel
from saccade.models.preprocess import ImageArray, LetterboxTransform, fit_image, normalize
from saccade.runtime.threads import map_ahead

ReadImage = Callable[[], ImageArray]


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predictions for one image.

    Attributes:
        key: Key of the image.
        size_wh: Size of the image in pixels.
        objects: Objects by target column.
        probabilities: Class probabilities by target column, in the order of the class names.
        error: Why the image could not be read; the other attributes are empty then.
    """

    key: str
    size_wh: tuple[int, int] = (0, 0)
    objects: Mapping[str, Objects] = field(default_factory=dict)
    probabilities: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    error: SaccadeError | None = None


@dataclass(frozen=True, slots=True)
class _PreparedImage:
    key: str
    size_wh: tuple[int, int] = (0, 0)
    tensor: Tensor | None = None
    transform: LetterboxTransform | None = None
    error: SaccadeError | None = None


class Predictor:
    """Runs a model on images; decodes further images in threads meanwhile.

    Args:
        model: The model; moved to the device.
        class_names: Class names by target, in the order of the head's outputs.
        batch_size: Images in each forward pass.
        min_score: Score threshold of objects.
        precision: "fp32", "bf16", "fp16", or "auto" for the fastest of the device.
        device: Where to run (None: the first CUDA device, else the CPU).
    """

    def __init__(
        self,
        model: VisionModel,
        class_names: Mapping[str, Sequence[str]],
        *,
        batch_size: int = 16,
        min_score: float = 0.0,
        precision: str = "auto",
        device: torch.device | None = None,
    ) -> None:
        self.device = device or best_device()
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.class_names = class_names
        self.batch_size = batch_size
        self.min_score = min_score
        self.precision = best_precision(self.device) if precision == "auto" else precision

    def predict(self, images: Iterable[tuple[str, ReadImage]], *, workers: int = 2) -> Iterator[Prediction]:
        """Predict images, in order.

        Args:
            images: Keys, each with a function that reads its image (H, W, 3), RGB. If the function raises a
                SaccadeError, the prediction has that error, and the other images are not affected.
            workers: Threads that read and preprocess images.
        """
        batch: list[_PreparedImage] = []
        # Two batches ahead, so that the next one is ready when the model finishes the current one.
        for prepared in map_ahead(
            lambda image: self._prepare(*image),
            images,
            threads=workers,
            ahead=2 * self.batch_size,
            name="saccade-decode",
        ):
            batch.append(prepared)
            if len(batch) == self.batch_size:
                yield from self._predict_batch(batch)
                batch = []
        yield from self._predict_batch(batch)

    def _prepare(self, key: str, read: ReadImage) -> _PreparedImage:
        try:
            image = read()
        except SaccadeError as error:
            return _PreparedImage(key, error=error)
        fitted, transform = fit_image(self.model.spec.input, image)
        height, width = image.shape[:2]
        return _PreparedImage(key, (width, height), torch.from_numpy(fitted), transform)

    @torch.no_grad()
    def _predict_batch(self, batch: Sequence[_PreparedImage]) -> Iterator[Prediction]:
        tensors = [prepared.tensor for prepared in batch if prepared.tensor is not None]
        raw_by_target: dict[str, Iterator[Predictions]] = {}
        if tensors:
            # Restore the mode afterwards: validation runs on a model that is being trained.
            was_training = self.model.training
            self.model.eval()
            images = normalize(self.model.spec.input, torch.stack(tensors), self.device)
            with autocast(self.device, self.precision):
                outputs = self.model(images)
            raw_by_target = {target: iter(self.model.head(target).predict(out)) for target, out in outputs.items()}
            self.model.train(was_training)
        for prepared in batch:
            if prepared.error is not None:
                yield Prediction(prepared.key, error=prepared.error)
            else:
                yield self._decode(prepared, {target: next(raw) for target, raw in raw_by_target.items()})

    def _decode(self, prepared: _PreparedImage, raw_by_target: Mapping[str, Predictions]) -> Prediction:
        assert prepared.transform is not None
        objects = {}
        probabilities = {}
        for target, raw in raw_by_target.items():
            if raw.probabilities is not None:
                probabilities[target] = tuple(raw.probabilities.tolist())
            else:
                objects[target] = self._objects(target, raw, prepared.transform, prepared.size_wh)
        return Prediction(prepared.key, prepared.size_wh, objects, probabilities)

    def _objects(
        self, target: str, raw: Predictions, transform: LetterboxTransform, size_wh: tuple[int, int]
    ) -> Objects:
        assert raw.boxes_xyxy is not None
        assert raw.scores is not None
        assert raw.classes is not None
        boxes = transform.boxes_to_image(raw.boxes_xyxy.double().numpy())
        boxes = np.clip(boxes, 0, np.array([*size_wh, *size_wh]))
        names = self.class_names[target]
        rows = zip(boxes.tolist(), raw.scores.tolist(), raw.classes.tolist(), strict=True)
        scored = [(box, score, names[index]) for box, score, index in rows if score >= self.min_score]
        # Clipping leaves no area of a box that lies entirely in the padding.
        return tuple(
            Object(str(number), name, Box(*box), score=score)
            for number, (box, score, name) in enumerate(scored)
            if box[2] > box[0] and box[3] > box[1]
        )
