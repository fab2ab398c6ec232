"""Random fields for terrain, sea and clouds."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""One value per pixel, shape (height, width), or an RGB color from 0 to 1, shape (height, width, 3)."""


def f32(values: npt.ArrayLike) -> Field:
    return np.asarray(values, np.float32)


def fractal(rng: np.random.Generator, size_wh: tuple[int, int], cell: float, octaves: int, gain: float = 0.5) -> Field:
    """Return fractal noise with mean 0 and standard deviation 1.

    Args:
        cell: The width in pixels of the largest features.
        octaves: The number of layers; each has features of half the width of the previous one.
        gain: The amplitude of a layer relative to the previous one.
    """
    width, height = size_wh
    rows = math.ceil(height / cell) + 3
    columns = math.ceil(width / cell) + 3
    field = rng.standard_normal((rows, columns), np.float32)
    for octave in range(1, octaves):
        if cell < 2:
            break
        rows *= 2
        columns *= 2
        cell /= 2
        field = f32(cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC))
        field += np.float32(gain**octave) * rng.standard_normal((rows, columns), np.float32)
    field = f32(cv2.resize(field, (math.ceil(columns * cell), math.ceil(rows * cell)), interpolation=cv2.INTER_CUBIC))
    # The border is cropped: cubic interpolation is not accurate there.
    top, left = (field.shape[0] - height) // 2, (field.shape[1] - width) // 2
    return normalize(field)[top : top + height, left : left + width]


def streaks(rng: np.random.Generator, size_wh: tuple[int, int], cell_wh: tuple[float, float], angle: float) -> Field:
    """Return noise of features of ``cell_wh`` pixels, rotated by ``angle`` degrees, with mean 0 and deviation 1."""
    side = math.ceil(math.hypot(*size_wh)) + 2
    rows, columns = math.ceil(side / cell_wh[1]) + 3, math.ceil(side / cell_wh[0]) + 3
    field = cv2.resize(rng.standard_normal((rows, columns), np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    rotation = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1), np.float64)
    rotation[:, 2] += (np.asarray(size_wh) - side) / 2  # crop the centre
    return normalize(cv2.warpAffine(field, rotation, size_wh))


def normalize(field: npt.ArrayLike) -> Field:
    """Scale a field to mean 0 and standard deviation 1."""
    mean, deviation = cv2.meanStdDev(f32(field))
    return f32((f32(field) - np.float32(mean[0, 0])) / np.float32(max(1e-6, float(deviation[0, 0]))))


def smoothstep(low: float, high: float, field: npt.ArrayLike) -> Field:
    """Map values smoothly to 0 below ``low`` and 1 above ``high``."""
    t = np.clip((f32(field) - np.float32(low)) / np.float32(high - low), 0, 1)
    return f32(t * t * (3 - 2 * t))


def blend(bottom: Field, top: npt.ArrayLike, weight: npt.ArrayLike) -> Field:
    """Blend colors; ``weight`` is that of ``top`` for each pixel, 0 to 1."""
    top = np.ascontiguousarray(np.broadcast_to(f32(top), bottom.shape))
    weight = np.ascontiguousarray(weight, np.float32)
    return f32(cv2.blendLinear(top, np.ascontiguousarray(bottom, np.float32), weight, 1 - weight))


def lambert(field: npt.ArrayLike, sun: npt.NDArray[np.float64]) -> Field:
    """Return the slope of a height field along the direction of the sun; surfaces that fall towards it are lit."""
    dx = cv2.Sobel(f32(field), cv2.CV_32F, 1, 0, scale=0.125)
    dy = cv2.Sobel(f32(field), cv2.CV_32F, 0, 1, scale=0.125)
    return f32(dx * np.float32(sun[0]) + dy * np.float32(sun[1]))


def sample(field: Field, point: npt.NDArray[np.float64]) -> float:
    """Return the value of a field at a point (x, y); outside, that of the nearest pixel."""
    x = int(np.clip(point[0], 0, field.shape[1] - 1))
    y = int(np.clip(point[1], 0, field.shape[0] - 1))
    return float(field[y, x])
