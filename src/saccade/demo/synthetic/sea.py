"""The sea from above: depth, waves, sun glint, whitecaps and surf; and the clouds over an image."""

from __future__ import annotations

import cv2
import numpy as np

from saccade.demo.synthetic.appearance import Light, Palette
from saccade.demo.synthetic.noise import Field, blend, f32, fractal, lambert, smoothstep, streaks

FOAM = (0.9, 0.94, 0.95)
_WHITECAP_WIND = 0.6
_CLOUD_SHADOW_OFFSET = 58


def render_sea(rng: np.random.Generator, offshore: Field, palette: Palette, light: Light) -> Field:
    """Render the water of an image, as if there were no land; ``offshore`` is the distance from the shore."""
    height, width = offshore.shape
    size_wh = width, height
    rgb = _water_color(rng, offshore, palette)
    wind = float(rng.uniform(0.25, 1.0))
    angle = float(rng.uniform(0, 180))
    gusts = fractal(rng, size_wh, 210, 5, 0.5)
    roughness = np.clip(0.62 + 0.3 * gusts, 0.15, 1.3) * np.float32(0.55 + 0.6 * wind)
    waves = 1.5 * streaks(rng, size_wh, (46, 11), angle) + 0.7 * streaks(rng, size_wh, (22, 5.5), angle + 14)
    waves += 0.3 * fractal(rng, size_wh, 5, 2, 0.7)
    facing = lambert(waves, light.direction) * roughness
    rgb += (0.075 * facing)[..., None] * f32([0.75, 0.95, 1.0]) + (0.012 * gusts)[..., None]
    rgb += _sun_glint(rng, facing, light)[..., None] * f32(light.tint)
    if wind > _WHITECAP_WIND:
        crests = smoothstep(1.9, 2.9, streaks(rng, size_wh, (9, 3.2), angle)) * smoothstep(0.6, 2.2, waves * roughness)
        rgb = blend(rgb, FOAM, crests * np.float32(0.75) * smoothstep(8, 40, offshore))
    # Surf: two broken lines of foam where waves reach the shore.
    ragged = fractal(rng, size_wh, 26, 4, 0.6)
    first = smoothstep(-0.6, 0.8, ragged) * (1 - smoothstep(1.2, 3.0, offshore + 0.9 * ragged))
    second = smoothstep(0.5, 1.2, ragged) * np.exp(-(((offshore - 7) / np.float32(1.1)) ** 2))
    return blend(rgb, FOAM, 0.62 * first + 0.22 * second)


def _water_color(rng: np.random.Generator, offshore: Field, palette: Palette) -> Field:
    drift = fractal(rng, (offshore.shape[1], offshore.shape[0]), 170, 6, 0.55)
    depth = smoothstep(20, 190, offshore + 24 * drift)
    rgb = blend(np.broadcast_to(palette.mid_water, (*offshore.shape, 3)), palette.deep_water, depth)
    shallow = np.exp(-np.maximum(offshore + 5 * drift, 0) / np.float32(15))
    rgb = blend(rgb, palette.shallow_water, shallow * np.float32(0.85))
    plumes = smoothstep(0.3, 1.7, drift) * np.exp(-offshore / np.float32(60))
    return blend(rgb, palette.silt, plumes * np.float32(0.7))


def _sun_glint(rng: np.random.Generator, facing: Field, light: Light) -> Field:
    """Return the brightness of a broad sheen across part of the image, with sparks on the waves."""
    height, width = facing.shape
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    position = f32((xs / width - 0.5) * light.direction[0] + (ys / height - 0.5) * light.direction[1])
    centre = np.float32(rng.uniform(-0.2, 0.9))
    sheen = np.exp(-(((position - centre) / np.float32(0.42)) ** 2)) * np.float32(0.3 + 0.7 * light.lowness)
    return f32(sheen * (0.05 + 0.05 * np.clip(facing - np.float32(0.9), 0, 2.5) ** 2))


def generate_clouds(rng: np.random.Generator, size_wh: tuple[int, int]) -> Field:
    """Return the opacity of clouds for each pixel, 0 to 1. Most images have none."""
    if rng.random() < 0.62:
        return np.zeros((size_wh[1], size_wh[0]), np.float32)
    puffs = fractal(rng, size_wh, max(size_wh) / 2.4, 8, 0.56)
    return smoothstep(float(rng.uniform(1.0, 1.5)), 2.9, puffs) * np.float32(0.92)


def add_clouds(rgb: Field, clouds: Field, light: Light) -> Field:
    """Draw clouds over an image, with their shadows on the side away from the sun."""
    if not clouds.any():
        return rgb
    size_wh = clouds.shape[1], clouds.shape[0]
    shift = np.column_stack([np.eye(2), -_CLOUD_SHADOW_OFFSET * light.direction])
    soft = cv2.GaussianBlur(clouds, (0, 0), 5)
    shadow = cv2.warpAffine(soft, shift, size_wh, borderMode=cv2.BORDER_REPLICATE)
    brightness = np.clip(0.93 - 2.2 * lambert(soft, light.direction), 0.72, 1.0)
    return blend(f32(rgb * (1 - 0.42 * shadow)[..., None]), brightness[..., None] * f32([0.98, 0.99, 1.0]), clouds)
