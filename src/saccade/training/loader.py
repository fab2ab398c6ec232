"""Data loading: a reader to batches of tensors, in an order that depends only on the seed and the step."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
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
from saccade.runtime.threads import map_ahead
from saccade.training.augment import Augmentation
from saccade.training.recipe import DataSpec
from saccade.training.sample import Sample

logger = logging.getLogger(__name__)
# Separate the random streams of augmentation and order, which share the recipe's seed.
AUGMENT_STREAM = 1
ORDER_STREAM = 2
# Bytes of decoded images to cache; further images are decoded in each epoch.
MAX_CACHE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch.

    Attributes:
        images: (B, H, W, 3) uint8, RGB.
        targets: By target column, one mapping of tensors for each image.
    """

    images: Tensor
    targets: Mapping[str, Sequence[Mapping[str, Tensor]]]

    def micro_batches(self, count: int) -> Iterator[Batch]:
        """Split the batch into ``count`` batches of nearly equal size, or into fewer if it has fewer images."""
        size = -(-len(self.images) // count)
        for start in range(0, len(self.images), size):
            rows = slice(start, start + size)
            yield Batch(self.images[rows], {name: targets[rows] for name, targets in self.targets.items()})


def split_keys(reader: Reader, data: DataSpec, split: str) -> list[str]:
    """Return the keys of the items in a split.

    Args:
        reader: The dataset.
        data: Names the column of splits.
        split: The split, such as "train".

    Raises:
        RecipeError: The dataset has no such column or no items in the split.
    """
    if data.split not in reader.schema:
        raise RecipeError(
            f"'{data.dataset}' has no column '{data.split}' that assigns items to splits.",
            hint="Import with --split, such as --split train=0.8,val=0.2.",
        )
    keys_by_split: dict[str, list[str]] = {}
    for item in reader.items([data.split]):
        keys_by_split.setdefault(str(item[data.split]), []).append(item.key)
    if split not in keys_by_split:
        raise RecipeError(f"'{data.dataset}' has no items in the split '{split}'.", hint=suggest(split, keys_by_split))
    return keys_by_split[split]


class TrainingDataset:
    """The samples of one split, decoded on first use, downscaled to the input size and cached up to a limit.

    Unlabelled items are left out. An image that cannot be decoded is logged once and replaced by the next sample.

    Args:
        reader: The dataset.
        keys: Items of the split.
        data: Names the columns.
        target: Column to learn.
        class_names: Classes of the target, in the order of the head's outputs.
        spec: Input of the model.
        augmentations: Applied in order.
        seed: Seed of augmentation and order.

    Raises:
        RecipeError: No item of the split is labelled.
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
        self.reader = reader
        self.spec = spec
        self.image_column = data.image
        self.target = target
        self.kind = reader.schema[target].kind
        self.class_index = {name: index for index, name in enumerate(class_names)}
        items = reader.items([data.image, target], keys)
        self.items = [item for item in items if item[target] is not None and item[data.image] is not None]
        if not self.items:
            raise RecipeError(f"None of the {len(keys)} items to train on has a label in '{target}'.")
        self.augmentations = augmentations
        self.seed = seed
        self._cache: dict[int, Sample] = {}
        self._cached_bytes = 0
        self._unreadable: set[int] = set()

    def __len__(self) -> int:
        return len(self.items)

    def load(self, index: int) -> Sample:
        """Return a sample before augmentation; if its image cannot be decoded, the next one that can.

        Raises:
            MediaError: No image of the split can be decoded.
        """
        for offset in range(len(self.items)):
            candidate = (index + offset) % len(self.items)
            if candidate in self._unreadable:
                continue
            try:
                return self._cache.get(candidate) or self._cache_sample(candidate, self._decode(self.items[candidate]))
            except SaccadeError as error:
                self._unreadable.add(candidate)
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
        transform = fit_transform_for(self.spec, (width, height))
        small = downscale(image, max(transform.scale_x, transform.scale_y))
        to_original = np.diag([width / small.shape[1], height / small.shape[0], 1.0])
        boxes, classes, label = self._labels(item)
        return Sample(
            image=small,
            matrix=transform.matrix() @ to_original,
            size_wh=self.spec.size,
            boxes_xyxy=_transform_boxes(boxes, transform.matrix()),
            classes=classes,
            label=label,
        )

    def _labels(self, item: Item) -> tuple[FloatArray, Any, int]:
        """Return boxes (N, 4), class indices (N,) and the label index; -1 as label for objects."""
        value = item[self.target]
        if self.kind is Kind.LABEL:
            return np.zeros((0, 4)), np.zeros(0, dtype=np.int64), self.class_index[value]
        objects = [obj for obj in value if not obj.is_crowd and obj.class_name in self.class_index]
        boxes = np.array([obj.geometry.bounds_xyxy() for obj in objects], dtype=np.float64).reshape(-1, 4)
        classes = np.array([self.class_index[obj.class_name] for obj in objects], dtype=np.int64)
        return boxes, classes, -1

    def sample(self, epoch: int, position: int, index: int) -> Sample:
        """Return an augmented sample; the same arguments always return the same sample.

        Args:
            epoch: The epoch.
            position: Position in the order of the epoch.
            index: Index of the sample.
        """
        rng = np.random.default_rng([self.seed, AUGMENT_STREAM, epoch, position])
        sample = self.load(index)
        for augmentation in self.augmentations:
            sample = augmentation(sample, rng, self._random_sample)
        return sample.render()

    def _random_sample(self, rng: np.random.Generator) -> Sample:
        return self.load(int(rng.integers(len(self.items))))


def _transform_boxes(boxes: FloatArray, matrix: FloatArray) -> FloatArray:
    """Apply the scale and the translation of a 2x3 matrix to boxes (N, 4)."""
    return boxes * matrix[[0, 1, 0, 1], [0, 1, 0, 1]] + matrix[[0, 1, 0, 1], 2]


class BatchLoader:
    """Loads batches ahead with threads, from any step.

    Each epoch is a new seeded permutation of all samples; its last batch is filled up from its beginning.
    """

    def __init__(self, dataset: TrainingDataset, batch_size: int, workers: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.workers = workers
        self.steps_per_epoch = -(-len(dataset) // batch_size)

    def indices(self, step: int) -> list[tuple[int, int, int]]:
        """Return (epoch, position in the epoch, index of the sample) for each sample of a step."""
        epoch, step_of_epoch = divmod(step, self.steps_per_epoch)
        order = np.random.default_rng([self.dataset.seed, ORDER_STREAM, epoch]).permutation(len(self.dataset))
        positions = range(step_of_epoch * self.batch_size, (step_of_epoch + 1) * self.batch_size)
        return [(epoch, position, int(order[position % len(order)])) for position in positions]

    def batch(self, step: int) -> Batch:
        """Return the batch of one step."""
        samples = [self.dataset.sample(epoch, position, index) for epoch, position, index in self.indices(step)]
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))
        return Batch(images, {self.dataset.target: [_to_targets(sample) for sample in samples]})

    def iter_from_step(self, step: int, end: int) -> Iterator[Batch]:
        """Iterate over the batches of the steps from ``step`` to ``end`` (exclusive), in order."""
        # While the model uses one batch, two for each thread are being prepared.
        ahead = 2 * self.workers + 1
        return map_ahead(self.batch, range(step, end), threads=self.workers, ahead=ahead, name="saccade-loader")


def _to_targets(sample: Sample) -> dict[str, Tensor]:
    return {
        "boxes_xyxy": torch.from_numpy(sample.boxes_xyxy).float(),
        "classes": torch.from_numpy(sample.classes),
        "class": torch.tensor(sample.label),
    }
