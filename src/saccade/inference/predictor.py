"""A model with its preprocessing and class names: images in, objects and labels out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
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

ReadImage = Callable[[], ImageArray]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one image: objects by target column, class probabilities by target column.

    ``size_wh`` is the image's size; ``error`` is set, and the rest empty, where the image could not be read.
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
    """Runs a model on images, decoding in parallel with the model.

    Args:
        model: its weights are used as they are.
        class_names: of each target, in the order of the head's outputs.
        batch_size: images that pass the model together.
        min_score: objects below are not given.
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
        self.class_names, self.batch_size, self.min_score = class_names, batch_size, min_score
        self.precision = best_precision(self.device) if precision == "auto" else precision

    def predict(self, images: Iterable[tuple[str, ReadImage]], *, workers: int = 2) -> Iterator[Prediction]:
        """A prediction for each key and function that reads its image (H, W, 3), in order.

        An image whose function raises SaccadeError gives a prediction with that error; the rest goes on.
        """
        batch: list[_PreparedImage] = []
        for prepared in _map_in_order(images, self._prepare, workers, 2 * self.batch_size):
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
        fitted, placement = fit_image(self.model.spec.input, image)
        height, width = image.shape[:2]
        return _PreparedImage(key, (width, height), torch.from_numpy(fitted), placement)

    @torch.no_grad()
    def _predict_batch(self, batch: Sequence[_PreparedImage]) -> Iterator[Prediction]:
        tensors = [prepared.tensor for prepared in batch if prepared.tensor is not None]
        results: dict[str, Iterator[Predictions]] = {}
        if tensors:
            was_training = self.model.training
            self.model.eval()
            images = normalize(self.model.spec.input, torch.stack(tensors), self.device)
            with autocast(self.device, self.precision):
                outputs = self.model(images)
            results = {target: iter(self.model.head(target).predict(out)) for target, out in outputs.items()}
            self.model.train(was_training)
        for prepared in batch:
            if prepared.error is not None:
                yield Prediction(prepared.key, error=prepared.error)
            else:
                yield self._decode(prepared, {target: next(found) for target, found in results.items()})

    def _decode(self, prepared: _PreparedImage, found: Mapping[str, Predictions]) -> Prediction:
        assert prepared.transform is not None
        objects, probabilities = {}, {}
        for target, raw in found.items():
            if raw.probabilities is not None:
                probabilities[target] = tuple(raw.probabilities.tolist())
            else:
                objects[target] = self._objects(target, raw, prepared.transform, prepared.size_wh)
        return Prediction(prepared.key, prepared.size_wh, objects, probabilities)

    def _objects(
        self, target: str, raw: Predictions, placement: LetterboxTransform, size_wh: tuple[int, int]
    ) -> Objects:
        assert raw.boxes_xyxy is not None
        assert raw.scores is not None
        assert raw.classes is not None
        boxes = placement.boxes_to_image(raw.boxes_xyxy.double().numpy())
        boxes = np.clip(boxes, 0, np.array([*size_wh, *size_wh]))
        names = self.class_names[target]
        rows = zip(boxes.tolist(), raw.scores.tolist(), raw.classes.tolist(), strict=True)
        kept = [(box, score, names[index]) for box, score, index in rows if score >= self.min_score]
        return tuple(
            Object(str(number), name, Box(*box), score=score)
            for number, (box, score, name) in enumerate(kept)
            if box[2] > box[0] and box[3] > box[1]
        )


def _map_in_order(
    images: Iterable[tuple[str, ReadImage]],
    prepare: Callable[[str, ReadImage], _PreparedImage],
    workers: int,
    ahead: int,
) -> Iterator[_PreparedImage]:
    """Results in order, computed by threads, at most ``ahead`` of them waiting."""
    with ThreadPoolExecutor(workers, thread_name_prefix="saccade-decode") as pool:
        waiting: deque[Future[_PreparedImage]] = deque()
        try:
            for key, read in images:
                waiting.append(pool.submit(prepare, key, read))
                if len(waiting) >= ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
