"""Smooth random fields, the stuff that land, sea and clouds are made of."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""One number per pixel, shape (height, width); or three, shape (height, width, 3), for colours from 0 to 1."""


def f32(values: npt.ArrayLike) -> Field:
    """The values as 32-bit floats; copied only where they are not."""
    return np.asarray(values, np.float32)


def fractal(rng: np.random.Generator, size_wh: tuple[int, int], cell: float, octaves: int, gain: float = 0.5) -> Field:
    """Noise of mean 0 and deviation 1: ``octaves`` layers, each half as wide and ``gain`` as strong as the last.

    Args:
        cell: the width in pixels of the largest forms.
    """
    width, height = size_wh
    rows, columns = math.ceil(height / cell) + 3, math.ceil(width / cell) + 3
    field = rng.standard_normal((rows, columns), np.float32)
    for octave in range(1, octaves):
        if cell < 2:
            break
        rows, columns, cell = 2 * rows, 2 * columns, cell / 2
        field = f32(cv2.resize(field, (columns, rows), interpolation=cv2.INTER_CUBIC))
        field += np.float32(gain**octave) * rng.standard_normal((rows, columns), np.float32)
    whole = cv2.resize(field, (math.ceil(columns * cell), math.ceil(rows * cell)), interpolation=cv2.INTER_CUBIC)
    y, x = ((side - part) // 2 for side, part in zip(whole.shape, (height, width), strict=True))
    return normal(f32(whole)[y : y + height, x : x + width])


def streaks(rng: np.random.Generator, size_wh: tuple[int, int], cell_wh: tuple[float, float], angle: float) -> Field:
    """Noise of mean 0 and deviation 1 whose forms are ``cell_wh`` large and lie at ``angle`` degrees, clockwise."""
    width, height = size_wh
    side = math.ceil(math.hypot(width, height)) + 2
    rows, columns = math.ceil(side / cell_wh[1]) + 3, math.ceil(side / cell_wh[0]) + 3
    coarse = rng.standard_normal((rows, columns), np.float32)
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    # From pixels of the output to cells of the coarse noise.
    x, y = cos * width + sin * height, cos * height - sin * width
    turn = np.array(
        [
            [cos / cell_wh[0], sin / cell_wh[0], columns / 2 - x / 2 / cell_wh[0]],
            [-sin / cell_wh[1], cos / cell_wh[1], rows / 2 - y / 2 / cell_wh[1]],
        ]
    )
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return normal(cv2.warpAffine(coarse, turn, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT))


def normal(field: npt.ArrayLike) -> Field:
    """The field with mean 0 and deviation 1."""
    values = f32(field)
    mean, deviation = cv2.meanStdDev(values)
    return f32((values - np.float32(mean[0, 0])) / np.float32(max(1e-6, float(deviation[0, 0]))))


def smoothstep(low: float, high: float, field: npt.ArrayLike) -> Field:
    """0 below ``low``, 1 above ``high``, and a smooth rise between."""
    t = np.clip((f32(field) - np.float32(low)) / np.float32(high - low), 0, 1)
    return f32(t * t * (3 - 2 * t))


def mix(under: Field, over: npt.ArrayLike, weight: npt.ArrayLike) -> Field:
    """Colours ``over`` laid on ``under`` by a weight from 0 to 1 for each pixel."""
    top = np.ascontiguousarray(np.broadcast_to(f32(over), under.shape))
    strength = np.ascontiguousarray(weight, np.float32)
    return f32(cv2.blendLinear(top, np.ascontiguousarray(under, np.float32), strength, 1 - strength))


def slopes(field: npt.ArrayLike) -> tuple[Field, Field]:
    """How fast a field rises to the right and downward."""
    values = f32(field)
    return f32(cv2.Sobel(values, cv2.CV_32F, 1, 0, scale=0.125)), f32(cv2.Sobel(values, cv2.CV_32F, 0, 1, scale=0.125))
