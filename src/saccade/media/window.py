"""Windows of values: the range that is mapped to black and white when values of more than 8 bits are shown.

Cameras and scanners often store 10 or 12 bits in 16-bit files, which are nearly black over the full range. If the
values of an image span less than an eighth of it, the image is windowed by its percentiles; a window may also be
stated. Nothing is stored for each pixel: a window is applied whenever an image is decoded.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError

PERCENTILES = (0.1, 99.9)
"""The percentiles of an image's values that are black and white if its range is low."""
_LOW_SHARE = 1 / 8
_STATED = re.compile(r"\[([^:\[\]]+):([^:\[\]]+)\]$")


class ValueWindow(NamedTuple):
    """The values that are shown black and white."""

    low: float
    high: float

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Map the values of the window to 0 to 255, rounded; those outside to the nearer end."""
        if values.dtype == np.uint16:
            # A table of all values is faster than arithmetic on every pixel.
            return np.take(self._scale(np.arange(65_536, dtype=np.float64)), values)
        return self._scale(values.astype(np.float64))

    def _scale(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
        span = self.high - self.low
        if not span > 0:
            # A single value: what exceeds it is white.
            return np.where(values > self.low, 255, 0).astype(np.uint8)
        # Clipped first: a narrow span must not overflow.
        return np.rint((np.clip(values, self.low, self.high) - self.low) / span * 255).astype(np.uint8)


def low_range_window(values: npt.NDArray[Any], max_value: int) -> ValueWindow | None:
    """Return the window of an image whose values span little of their range; None if the full range is shown.

    An image of a single value has no window, so that it keeps its brightness.

    Args:
        values: unsigned integers of up to 16 bits, without opacity.
        max_value: the highest value of their type.
    """
    if not values.size:
        return None
    counts = np.bincount(values.ravel(), minlength=1)
    return window_of_counts(counts, max_value)


def window_of_counts(counts: npt.NDArray[Any], max_value: int) -> ValueWindow | None:
    """Return the window of an image by the number of pixels of each value; see :func:`low_range_window`."""
    cumulative = np.cumsum(counts)
    low, high = (int(np.searchsorted(cumulative, share / 100 * cumulative[-1])) for share in PERCENTILES)
    if high <= low or high - low >= max_value * _LOW_SHARE:
        return None
    return ValueWindow(low, high)


def parse_window(text: str) -> ValueWindow | None:
    """Parse a stated window, ``LOW,HIGH``; None for ``percentiles`` and for no text.

    Raises:
        InvalidValueError: if it is neither, or not a range of finite numbers.
    """
    if text in ("", "percentiles"):
        return None
    parts = [_to_number(part) for part in text.split(",")]
    if len(parts) != 2 or not all(map(math.isfinite, parts)) or not parts[0] < parts[1]:
        raise InvalidValueError(
            f"The window '{text}' is no range of values.", hint="Use window=LOW,HIGH, such as 0,4095, or percentiles."
        )
    return ValueWindow(parts[0], parts[1])


def _to_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def has_wide_values(mode: str) -> bool:
    """Whether the mode of an image reference is one of more than 8 bits: ``I;16``, ``float32``, ``uint16x12``."""
    return mode[:1] in ("I", "F") or mode.startswith(("int", "uint16", "uint32", "float"))


def with_window(mode: str, window: ValueWindow) -> str:
    """Return the mode of an image reference with a stated window: ``I;16[0:4095]``."""
    return f"{mode}[{window.low!r}:{window.high!r}]"


def window_of_mode(mode: str) -> ValueWindow | None:
    """Return the window that is stated in the mode of an image reference, or None."""
    match = _STATED.search(mode)
    if match is None:
        return None
    window = ValueWindow(_to_number(match[1]), _to_number(match[2]))
    return window if window.low < window.high else None
