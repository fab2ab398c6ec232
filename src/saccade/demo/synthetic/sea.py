"""The sea from above: depth and tint, swell and chop, glint of the sun, whitecaps, surf, and clouds over it all."""

from __future__ import annotations

import cv2
import numpy as np

from saccade.demo.synthetic.looks import Land, Light
from saccade.demo.synthetic.noise import Field, f32, fractal, mix, slopes, smoothstep, streaks

FOAM = (0.9, 0.94, 0.95)


def make_sea(rng: np.random.Generator, offshore: Field, land: Land, light: Light) -> Field:
    """The water of one picture, RGB from 0 to 1, as if there were no land.

    Args:
        offshore: pixels from the shore, which tell how deep and how murky the water is.
    """
    size_wh = offshore.shape[1], offshore.shape[0]
    rgb = _body(rng, offshore, land)
    wind, angle = float(rng.uniform(0.25, 1.0)), float(rng.uniform(0, 180))
    patches = fractal(rng, size_wh, 210, 5, 0.5)
    ruffled = np.clip(0.62 + 0.3 * patches, 0.15, 1.3) * np.float32(0.55 + 0.6 * wind)
    waves = 1.5 * streaks(rng, size_wh, (46, 11), angle) + 0.7 * streaks(rng, size_wh, (22, 5.5), angle + 14)
    waves += 0.3 * fractal(rng, size_wh, 5, 2, 0.7)
    dx, dy = slopes(f32(waves))
    facing = (dx * light.towards[0] + dy * light.towards[1]) * ruffled
    rgb += (0.075 * facing)[..., None] * np.array([0.75, 0.95, 1.0], np.float32)
    rgb += (0.012 * patches)[..., None]
    rgb += _glint(rng, facing, light)[..., None] * f32(light.tint)
    if wind > 0.6:
        crests = smoothstep(1.9, 2.9, streaks(rng, size_wh, (9, 3.2), angle)) * smoothstep(0.6, 2.2, waves * ruffled)
        rgb = mix(rgb, FOAM, crests * np.float32(0.75) * smoothstep(8, 40, offshore))
    return _with_surf(rng, rgb, offshore)


def _body(rng: np.random.Generator, offshore: Field, land: Land) -> Field:
    """Colour by depth, with pale shallows and clouds of silt along the shore."""
    size_wh = offshore.shape[1], offshore.shape[0]
    drift = fractal(rng, size_wh, 170, 6, 0.55)
    depth = offshore + 24 * drift
    rgb = mix(np.broadcast_to(f32(land.middle), (*offshore.shape, 3)), land.deep, smoothstep(20, 190, depth))
    rgb = mix(rgb, land.shallow, np.exp(-np.maximum(offshore + 5 * drift, 0) / np.float32(15)) * np.float32(0.85))
    plumes = smoothstep(0.3, 1.7, drift) * np.exp(-offshore / np.float32(60))
    return mix(rgb, land.silt, plumes * np.float32(0.7))


def _glint(rng: np.random.Generator, facing: Field, light: Light) -> Field:
    """A broad sheen across part of the picture, and sparks on the waves in it."""
    height, width = facing.shape
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    across = (xs / width - 0.5) * light.towards[0] + (ys / height - 0.5) * light.towards[1]
    centre = float(rng.uniform(-0.2, 0.9))
    sheen = np.exp(-(((across - np.float32(centre)) / np.float32(0.42)) ** 2)) * np.float32(0.3 + 0.7 * light.low)
    sparks = np.clip(facing - np.float32(0.9), 0, 2.5) ** 2
    return f32(sheen * (0.05 + 0.05 * sparks))


def _with_surf(rng: np.random.Generator, rgb: Field, offshore: Field) -> Field:
    """Broken white lines where the waves reach the shore."""
    size_wh = offshore.shape[1], offshore.shape[0]
    ragged = fractal(rng, size_wh, 26, 4, 0.6)
    reach = offshore + 0.9 * ragged
    first = smoothstep(-0.6, 0.8, ragged) * (1 - smoothstep(1.2, 3.0, reach))
    second = smoothstep(0.5, 1.2, ragged) * np.exp(-(((offshore - 7) / np.float32(1.1)) ** 2))
    return mix(rgb, FOAM, f32(0.62 * first + 0.22 * second))


def make_clouds(rng: np.random.Generator, size_wh: tuple[int, int]) -> Field:
    """How much clouds hide of each pixel, 0 to 1; many pictures have none."""
    if rng.random() < 0.62:
        return np.zeros((size_wh[1], size_wh[0]), np.float32)
    puffs = fractal(rng, size_wh, max(size_wh) / 2.4, 8, 0.56)
    return smoothstep(float(rng.uniform(1.0, 1.5)), 2.9, puffs) * np.float32(0.92)


def with_clouds(rgb: Field, clouds: Field, light: Light) -> Field:
    """Clouds laid over a picture, with their shadows on what lies away from the sun."""
    if not clouds.any():
        return rgb
    height, width = clouds.shape
    away = np.array([[1, 0, -light.towards[0] * 58], [0, 1, -light.towards[1] * 58]], np.float32)
    soft = f32(cv2.GaussianBlur(clouds, (0, 0), 5))
    shadow = f32(cv2.warpAffine(soft, away, (width, height), borderMode=cv2.BORDER_REPLICATE))
    rgb = rgb * (1 - 0.42 * shadow)[..., None]
    thick = f32(cv2.GaussianBlur(clouds, (0, 0), 4))
    dx, dy = slopes(thick)
    white = np.clip(0.93 - 2.2 * (dx * light.towards[0] + dy * light.towards[1]), 0.72, 1.0)
    return mix(rgb, f32(white[..., None] * f32([0.98, 0.99, 1.0])), clouds)
