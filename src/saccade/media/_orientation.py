"""Apply EXIF orientations and downscale."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]


_Scalar = TypeVar("_Scalar", bound=np.generic)


def apply_orientation(values: npt.NDArray[_Scalar], orientation: int) -> npt.NDArray[_Scalar]:
    """Apply an EXIF orientation, 1 to 8, to an array (height, width, channels)."""
    if orientation >= 5:
        values = values.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    return np.ascontiguousarray(values)


def downscale(pixels: Pixels, max_size: int | None) -> Pixels:
    """Downscale by area so that the longest side is at most ``max_size``. Never upscales; None keeps the size."""
    if max_size is None or max(pixels.shape[:2]) <= max_size:
        return pixels
    height, width = pixels.shape[:2]
    scale = max_size / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.ascontiguousarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)
