"""From a reader to batches of tensors, in an order that depends on the seed and the step alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saccade.core.errors import MediaError, RecipeError, SaccadeError, suggest
from saccade.core.reader import Item, Reader
from saccade.core.schema import ImageRef, Kind
from saccade.media.loader import read_image
from saccade.models.preprocess import FloatArray, ImageArray, downscale, fit_transform_for
from saccade.models.spec import InputSpec
from saccade.training.augment import Augmentation
from saccade.training.recipe import DataSpec
from saccade.training.sample import Sample

logger = logging.getLogger(__name__)
AUGMENT_STREAM, ORDER_STREAM = 1, 2
MAX_CACHE_BYTES = 4 << 30
"""How much of decoded images is kept; the rest is decoded each time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Images (B, H, W, 3) of 0..255 uint8, and for each target column one mapping of tensors an image."""

    images: Tensor
    targets: Mapping[str, Sequence[Mapping[str, Tensor]]]

    def micro_batches(self, count: int) -> Iterator[Batch]:
        """The batch in ``count`` parts of nearly equal size, or in single images where there are fewer."""
        size = -(-len(self.images) // count)
        for start in range(0, len(self.images), size):
            cut = slice(start, start + size)
            yield Batch(self.images[cut], {name: truth[cut] for name, truth in self.targets.items()})


def split_keys(reader: Reader, data: DataSpec, split: str) -> list[str]:
    """The keys of a split; RecipeError where there is no such column or split."""
    if data.split not in reader.schema:
        raise RecipeError(
            f"'{data.dataset}' has no column '{data.split}' that says which items to train on.",
            hint="Import with --split, such as --split train=0.8,val=0.2.",
        )
    splits: dict[str, list[str]] = {}
    for item in reader.items([data.split]):
        splits.setdefault(str(item[data.split]), []).append(item.key)
    if split not in splits:
        raise RecipeError(f"'{data.dataset}' has no items in the split '{split}'.", hint=suggest(split, splits))
    return splits[split]


class TrainingDataset:
    """The samples of one split, decoded when first needed, reduced to the size of the input and kept up to a limit.

    Items whose target is not labelled are left out; an image that cannot be decoded is reported once and another
    one is taken in its place.
    """

    def __init__(
        self,
        reader: Reader,
        keys: Sequence[str],
        data: DataSpec,
        target: str,
        class_names: Sequence[str],
        spec: InputSpec,
        augmentations: Sequence[Augmentation],
        seed: int,
    ) -> None:
        self.reader, self.spec, self.image_column, self.target = reader, spec, data.image, target
        self.kind = reader.schema[target].kind
        self.class_index = {name: index for index, name in enumerate(class_names)}
        found = reader.items([data.image, target], keys)
        self.items = [item for item in found if item[target] is not None and item[data.image] is not None]
        if not self.items:
            raise RecipeError(f"None of the {len(keys)} items to train on has a label in '{target}'.")
        self.augmentations, self.seed = augmentations, seed
        self._cache: dict[int, Sample] = {}
        self._cached_bytes = 0
        self._bad: set[int] = set()

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> Sample:
        """The sample before augmentation."""
        for offset in range(len(self.items)):
            candidate = (index + offset) % len(self.items)
            if candidate in self._bad:
                continue
            try:
                return self._cache.get(candidate) or self._cache_sample(candidate, self._decode(self.items[candidate]))
            except SaccadeError as error:
                self._bad.add(candidate)
                logger.warning("%s is left out of training: %s", self.items[candidate].key, error)
        raise MediaError("No image of the training split can be decoded.", hint="Run `saccade doctor`.")

    def _cache_sample(self, index: int, sample: Sample) -> Sample:
        if self._cached_bytes < MAX_CACHE_BYTES:
            self._cache[index] = sample
            self._cached_bytes += sample.image.nbytes
        return sample

    def _decode(self, item: Item) -> Sample:
        ref: ImageRef = item[self.image_column]
        image: ImageArray = read_image(self.reader, ref)
        height, width = image.shape[:2]
        placement = fit_transform_for(self.spec, (width, height))
        small = downscale(image, max(placement.scale_x, placement.scale_y))
        back = np.diag([width / small.shape[1], height / small.shape[0], 1.0])
        boxes, classes, label = self._labels(item)
        return Sample(
            image=small,
            matrix=placement.matrix() @ back,
            size_wh=self.spec.size,
            boxes_xyxy=_transform_boxes(boxes, placement.matrix()),
            classes=classes,
            label=label,
        )

    def _labels(self, item: Item) -> tuple[FloatArray, Any, int]:
        value = item[self.target]
        if self.kind is Kind.LABEL:
            return np.zeros((0, 4)), np.zeros(0, dtype=np.int64), self.class_index[value]
        objects = [object_ for object_ in value if not object_.is_crowd and object_.class_name in self.class_index]
        boxes = np.array([object_.geometry.bounds_xyxy() for object_ in objects], dtype=np.float64).reshape(-1, 4)
        classes = np.array([self.class_index[object_.class_name] for object_ in objects], dtype=np.int64)
        return boxes, classes, -1

    def sample(self, epoch: int, position: int, index: int) -> Sample:
        """The augmented sample for one place in one epoch; the same arguments always give the same sample."""
        random = np.random.default_rng([self.seed, AUGMENT_STREAM, epoch, position])
        sample = self.load(index)
        for augmentation in self.augmentations:
            sample = augmentation(sample, random, self._random_sample)
        return sample.render()

    def _random_sample(self, random: np.random.Generator) -> Sample:
        return self.load(int(random.integers(len(self.items))))


def _transform_boxes(boxes: FloatArray, matrix: FloatArray) -> FloatArray:
    return boxes * matrix[[0, 1, 0, 1], [0, 1, 0, 1]] + matrix[[0, 1, 0, 1], 2]


class BatchLoader:
    """Endless batches from a step on, loaded ahead by threads.

    Every epoch is a fresh seeded order of all samples; the last batch of an epoch is filled from its beginning.
    """

    def __init__(self, dataset: TrainingDataset, batch_size: int, workers: int) -> None:
        self.dataset, self.batch_size, self.workers = dataset, batch_size, workers
        self.steps_per_epoch = -(-len(dataset) // batch_size)

    def indices(self, step: int) -> list[tuple[int, int, int]]:
        """(epoch, position in it, index of the sample) for each sample of a step."""
        epoch, within = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.dataset.seed, ORDER_STREAM, epoch]).permutation(len(self.dataset))
        positions = range(within * self.batch_size, (within + 1) * self.batch_size)
        return [(epoch, position, int(order[position % len(order)])) for position in positions]

    def batch(self, step: int) -> Batch:
        """The batch of one step."""
        dataset = self.dataset
        samples = [dataset.sample(*place_) for place_ in self.indices(step)]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        return Batch(images, {dataset.target: [_to_targets(sample) for sample in samples]})

    def iter_from_step(self, step: int, end: int) -> Iterator[Batch]:
        """The batches of the steps from ``step`` to before ``end``, in order."""
        with ThreadPoolExecutor(self.workers, thread_name_prefix="saccade-loader") as pool:
            ahead = 2 * self.workers
            waiting: deque[Future[Batch]] = deque()
            waiting.extend(pool.submit(self.batch, first) for first in range(step, min(step + ahead, end)))
            try:
                for following in range(step + ahead, end + ahead):
                    batch = waiting.popleft().result()
                    if following < end:
                        waiting.append(pool.submit(self.batch, following))
                    yield batch
            finally:
                pool.shutdown(wait=True, cancel_futures=True)


def _to_targets(sample: Sample) -> dict[str, Tensor]:
    return {
        "boxes_xyxy": torch.from_numpy(sample.boxes_xyxy).float(),
        "classes": torch.from_numpy(sample.classes),
        "class": torch.tensor(sample.label),
    }
