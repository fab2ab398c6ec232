"""Pixels turned upright, and scaled down."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Apply an EXIF orientation."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels, dtype=np.uint8)


def shrink(pixels: Pixels, max_size: int | None) -> Pixels:
    """Scale down by area to a longest side; never up."""
    if max_size is None or max(pixels.shape[:2]) <= max_size:
        return pixels
    height, width = pixels.shape[:2]
    scale = max_size / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
