"""Mask operations on run lengths: intersection over union, union, difference and cropping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import FloatArray, overlap_ratio
from saccade.core.geometry.rle import IntArray, mask_from_changes, mask_from_runs, mask_runs
from saccade.core.objects import Mask


def mask_iou(mask: Mask, other: Mask) -> float:
    """Return the intersection over union of two masks of equal size; 0 if both are empty."""
    return float(masks_iou([mask], [other])[0, 0])


def masks_iou(masks: Sequence[Mask], others: Sequence[Mask], crowd: npt.ArrayLike | None = None) -> FloatArray:
    """Return the intersection over union (N, M) of two lists of masks of equal size.

    Args:
        masks: N masks.
        others: M masks.
        crowd: flags (M,) as in ``boxes_iou``.

    Raises:
        InvalidValueError: the masks have different sizes.
    """
    _common_size([*masks, *others])
    areas, other_areas = (np.array([mask.area() for mask in group], dtype=np.float64) for group in (masks, others))
    intersections = np.zeros((len(masks), len(others)))
    runs = [mask_runs(mask) for mask in masks]
    counters = [_PixelCounter(mask) for mask in others]
    for row, (starts, ends) in enumerate(runs):
        for column, counter in enumerate(counters):
            if len(starts) and counter.overlaps(int(starts[0]), int(ends[-1])):
                intersections[row, column] = np.sum(counter.count_before(ends) - counter.count_before(starts))
    return overlap_ratio(intersections, areas, other_areas, crowd)


def union_masks(masks: Sequence[Mask]) -> Mask:
    """Return the union of one or more masks of equal size."""
    return _weighted_sum_positive(masks, [1] * len(masks))


def subtract_masks(mask: Mask, others: Sequence[Mask]) -> Mask:
    """Return the pixels of a mask that are in none of the others, all of equal size."""
    return _weighted_sum_positive([mask, *others], [1, *[-len(others) - 1] * len(others)])


def resize_frame(mask: Mask, size_wh: tuple[int, int]) -> Mask:
    """Crop a mask, or pad it with background, at the right and bottom; pixels keep their position."""
    width, height = size_wh
    if (mask.width, mask.height) == (width, height):
        return mask
    starts, ends = split_by_column(*mask_runs(mask), mask.height)
    columns, tops = np.divmod(starts, max(mask.height, 1))
    bottoms = np.minimum(tops + ends - starts, height)
    inside = (columns < width) & (tops < bottoms)
    columns = columns[inside]
    tops = tops[inside]
    bottoms = bottoms[inside]
    return mask_from_runs(columns * height + tops, columns * height + bottoms, size_wh)


def split_by_column(starts: IntArray, ends: IntArray, height: int) -> tuple[IntArray, IntArray]:
    """Split runs at the borders between columns of ``height`` pixels."""
    if not len(starts):
        return starts, ends
    borders = np.arange(starts[0] // height + 1, (ends[-1] - 1) // height + 1) * height
    inside = borders[(np.searchsorted(starts, borders, side="left") > np.searchsorted(ends, borders, side="right"))]
    return np.sort(np.concatenate([starts, inside])), np.sort(np.concatenate([ends, inside]))


class _PixelCounter:
    """Counts the pixels of a mask before a position: a function that rises by 1 within runs and is flat in between."""

    def __init__(self, mask: Mask) -> None:
        self._changes: IntArray = np.cumsum(np.array([0, *mask.counts], dtype=np.int64))
        lengths = np.array([0, *mask.counts], dtype=np.int64)
        lengths[1::2] = 0
        self._cumulative: IntArray = np.cumsum(lengths)
        starts, ends = mask_runs(mask)
        self._extent = (int(starts[0]), int(ends[-1])) if len(starts) else (0, 0)

    def overlaps(self, start: int, end: int) -> bool:
        return start < self._extent[1] and self._extent[0] < end

    def count_before(self, positions: IntArray) -> IntArray:
        segments = np.searchsorted(self._changes, positions, side="right") - 1
        within = np.where(segments % 2 == 1, positions - self._changes[segments], 0)
        return self._cumulative[segments] + within


def _weighted_sum_positive(masks: Sequence[Mask], weights: Sequence[int]) -> Mask:
    """Return the pixels at which the sum of the weights of the masks that cover them is positive."""
    if not masks:
        raise InvalidValueError("A union needs at least one mask.")
    size_wh = _common_size(masks)
    positions = []
    steps = []
    for mask, weight in zip(masks, weights, strict=True):
        starts, ends = mask_runs(mask)
        positions += [starts, ends]
        steps += [np.full(len(starts), weight), np.full(len(ends), -weight)]
    changes, index = np.unique(np.concatenate(positions), return_inverse=True)
    level = np.cumsum(np.bincount(index, np.concatenate(steps), minlength=len(changes)))
    covered = level > 0
    return mask_from_changes(changes[covered != np.concatenate([[False], covered[:-1]])], size_wh)


def _common_size(masks: Sequence[Mask]) -> tuple[int, int]:
    sizes = {(mask.width, mask.height) for mask in masks}
    if len(sizes) > 1:
        raise InvalidValueError(
            f"Masks must have one size, not {sorted(sizes)}.", hint="Bring them to the same size with resize_frame."
        )
    return sizes.pop() if sizes else (0, 0)
