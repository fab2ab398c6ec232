"""Run-length encoding of masks in column-major order, starting with background, and COCO's compressed text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import BoolArray
from saccade.core.objects import Mask

IntArray = npt.NDArray[np.int64]
_MAX_DIGITS = 12  # 60 bits: more would overflow int64


def mask_from_array(array: npt.ArrayLike) -> Mask:
    """Encode an array (H, W) whose non-zero elements are the object's pixels.

    Raises:
        InvalidValueError: the array is not two-dimensional.
    """
    pixels = np.asarray(array).astype(np.bool_)
    if pixels.ndim != 2:
        raise InvalidValueError(f"A mask needs an array of shape (H, W), not {pixels.shape}.")
    height, width = pixels.shape
    flat = pixels.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    first = [0] if flat.size and flat[0] else []
    return mask_from_changes(np.concatenate([np.array(first, dtype=np.int64), changes]), (width, height))


def masks_from_labels(*labels: npt.NDArray[Any]) -> Iterator[tuple[tuple[int, ...], Mask]]:
    """Yield each combination of values that pixels have, in ascending order, with the mask of these pixels.

    All masks are found in one pass over the pixels, so that the time does not grow with the number of values.

    Args:
        labels: arrays (H, W) of whole numbers, such as classes and instances.

    Raises:
        InvalidValueError: the arrays are not two-dimensional, or of different shapes.
    """
    if len({array.shape for array in labels}) != 1 or labels[0].ndim != 2:
        shapes = ", ".join(str(array.shape) for array in labels)
        raise InvalidValueError(f"Labels of pixels need arrays of one shape (H, W), not {shapes}.")
    height, width = labels[0].shape
    if not height * width:
        return
    columns = [np.ascontiguousarray(array.T).reshape(-1) for array in labels]
    is_first = np.ones(height * width, np.bool_)
    np.not_equal(columns[0][1:], columns[0][:-1], out=is_first[1:])
    for column in columns[1:]:
        is_first[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(is_first)
    ends = np.append(starts[1:], height * width)
    values = np.stack([column[starts] for column in columns])
    # Runs in the order of their values; a stable sort keeps those of one combination ascending.
    order = np.lexsort(values[::-1])
    values = values[:, order]
    is_new = np.ones(len(starts), np.bool_)
    is_new[1:] = (values[:, 1:] != values[:, :-1]).any(axis=0)
    firsts = np.flatnonzero(is_new)
    for first, last in zip(firsts.tolist(), [*firsts[1:].tolist(), len(starts)], strict=True):
        runs = order[first:last]
        combination = tuple(values[:, first].tolist())
        yield combination, mask_from_runs(starts[runs], ends[runs], (width, height))


def distinct_values(labels: npt.NDArray[Any]) -> list[int]:
    """Return the values of an array of whole numbers in ascending order, faster than sorting all of them."""
    flat = labels.reshape(-1)
    is_first = np.ones(flat.size, np.bool_)
    np.not_equal(flat[1:], flat[:-1], out=is_first[1:])
    values: list[int] = np.unique(flat[is_first]).tolist()
    return values


def mask_from_changes(changes: IntArray, size_wh: tuple[int, int]) -> Mask:
    """Create a mask from the ascending column-major positions at which its value changes, starting with background."""
    width, height = size_wh
    if len(changes) and changes[-1] == width * height:
        changes = changes[:-1]
    return Mask(width, height, tuple(np.diff(changes, prepend=0, append=width * height).tolist()))


def mask_to_array(mask: Mask) -> BoolArray:
    """Decode a mask to a boolean array (H, W)."""
    return mask_window(mask, (0, 0, mask.width, mask.height))


def mask_window(mask: Mask, window_xyxy: tuple[int, int, int, int]) -> BoolArray:
    """Decode a window of a mask to a boolean array (H, W); only the window's columns are decoded."""
    left, top, right, bottom = window_xyxy
    size = (right - left) * mask.height
    ends = np.clip(np.cumsum(np.array(mask.counts, dtype=np.int64)) - left * mask.height, 0, size)
    counts = np.diff(ends, prepend=0)
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(right - left, mask.height).T[top:bottom]


def mask_runs(mask: Mask) -> tuple[IntArray, IntArray]:
    """Return start and end (exclusive) of each foreground run as column-major positions."""
    ends = np.cumsum(np.array(mask.counts, dtype=np.int64))
    return ends[: 2 * (len(ends) // 2) : 2], ends[1::2]


def mask_from_runs(starts: IntArray, ends: IntArray, size_wh: tuple[int, int]) -> Mask:
    """Create a mask from ascending, non-overlapping runs; adjacent runs are joined."""
    return mask_from_changes(np.stack([starts, ends], axis=1).ravel(), size_wh)


def counts_to_coco_string(counts: tuple[int, ...]) -> str:
    """Compress run lengths to COCO's text, byte-identical to pycocotools.

    From the fourth count on, the difference to the count two before is written. Each number is split into groups of
    five bits, lowest first; bit 6 marks that more groups follow, bit 5 of the last group is the sign; adding 48 makes
    it ASCII.
    """
    remaining = np.array(counts, dtype=np.int64)
    remaining[3:] -= np.array(counts[1:-2], dtype=np.int64)
    digits = []
    used = []
    more = np.ones(len(remaining), dtype=np.bool_)
    while more.any():
        digit = remaining & 0x1F
        remaining = remaining >> 5
        used.append(more)
        more = more & (remaining != np.where(digit & 0x10, -1, 0))
        digits.append((digit | np.where(more, 0x20, 0)) + 48)
    if not digits:
        return ""
    text: npt.NDArray[np.uint8] = np.stack(digits, axis=1)[np.stack(used, axis=1)].astype(np.uint8)
    return text.tobytes().decode("ascii")


def coco_string_to_counts(text: str | bytes) -> tuple[int, ...]:
    """Decompress COCO's text to run lengths.

    Raises:
        InvalidValueError: the text is malformed.
    """
    raw = text if isinstance(text, bytes) else text.encode()
    if not raw:
        return ()
    digits = np.frombuffer(raw, dtype=np.uint8).astype(np.int64) - 48
    last = (digits & 0x20) == 0
    if digits.min() < 0 or digits.max() > 0x3F or not last[-1]:
        raise InvalidValueError(f"Not a compressed COCO mask: {raw[:40]!r}.", hint="It may be truncated or damaged.")
    firsts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    digit_index = np.arange(len(digits)) - np.repeat(firsts, np.diff(firsts, append=len(digits)))
    if digit_index.max() >= _MAX_DIGITS:
        raise InvalidValueError(f"A count in the compressed mask {raw[:40]!r} is too large.")
    numbers = np.add.reduceat((digits & 0x1F) << (5 * digit_index), firsts)
    numbers -= np.where(digits[last] & 0x10, 1 << (5 * (digit_index[last] + 1)), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return tuple(numbers.tolist())
