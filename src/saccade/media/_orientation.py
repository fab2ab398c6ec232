"""Pixels turned upright, and scaled down."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation."""
    return np.ascontiguousarray(turn_values(pixels, orientation), dtype=np.uint8)


def turn_values(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Apply an EXIF orientation to values of any type, (height, width, channels)."""
    if orientation >= 5:
        values = values.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def shrink(pixels: Pixels, max_size: int | None) -> Pixels:
    """Scale down by area to a longest side; never up."""
    if max_size is None or max(pixels.shape[:2]) <= max_size:
        return pixels
    height, width = pixels.shape[:2]
    scale = max_size / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
