"""Terrain: the coastline, and what the land looks like from above before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from saccade.demo.synthetic.appearance import Light, Palette
from saccade.demo.synthetic.noise import Field, blend, f32, fractal, lambert, smoothstep

_MIN_ISLAND_PIXELS = 160


@dataclass(frozen=True, slots=True)
class Terrain:
    """The share of land in each pixel, its colors, and the distance of land and of water from the shore in pixels."""

    cover: Field
    inland: Field
    offshore: Field
    rgb: Field


def generate_terrain(rng: np.random.Generator, size_wh: tuple[int, int], palette: Palette, light: Light) -> Terrain:
    """Generate a coast with its land."""
    cover = _coast(rng, size_wh)
    land = (cover > 0.5).astype(np.uint8)
    inland = f32(cv2.distanceTransform(land, cv2.DIST_L2, 5))
    offshore = f32(cv2.distanceTransform(1 - land, cv2.DIST_L2, 5))
    dryness = smoothstep(-0.8, 1.4, fractal(rng, size_wh, 130, 6, 0.55))
    rgb = blend(np.broadcast_to(palette.grass, (*cover.shape, 3)), palette.dry_grass, dryness)
    rgb = _add_fields(rng, rgb, palette, inland)
    rgb *= (1 + 0.045 * fractal(rng, size_wh, 12, 3, 0.7))[..., None]
    rgb = _add_forest(rng, rgb, palette, light)
    hills = lambert(fractal(rng, size_wh, 150, 5, 0.45), light.direction)
    rgb *= np.clip(1 - hills * (2.2 + 3 * light.lowness), 0.7, 1.25)[..., None]
    return Terrain(cover, inland, offshore, _add_shore(rng, rgb, palette, inland))


def _coast(rng: np.random.Generator, size_wh: tuple[int, int]) -> Field:
    """Return the share of land in each pixel: a slope across the image, broken up by noise, sometimes with a bay."""
    width, height = size_wh
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    u, v = (xs - width / 2) / max(size_wh), (ys - height / 2) / max(size_wh)
    angle = rng.uniform(0, 2 * np.pi)
    slope = 4.2 * (np.cos(angle) * u + np.sin(angle) * v)
    if rng.random() < 0.4:
        slope = slope * 0.75 + 9.0 * (np.cos(angle) * v - np.sin(angle) * u) ** 2
    elevation = slope + 0.62 * fractal(rng, size_wh, max(size_wh) / 2.6, 8, 0.47)
    elevation = f32(elevation - np.quantile(elevation[::4, ::4], 1 - rng.uniform(0.24, 0.36)))
    # Lakes, and islands that are so small that they look like noise, are removed.
    for sign, min_pixels in ((1.0, _MIN_ISLAND_PIXELS), (-1.0, elevation.size // 12)):
        mask = (sign * elevation > 0).astype(np.uint8)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
        is_small = stats[:, cv2.CC_STAT_AREA] < min_pixels
        is_small[0] = False
        elevation = np.where(is_small[labels], np.float32(-sign * 0.02), elevation)
    elevation = f32(cv2.GaussianBlur(elevation, (0, 0), 0.8))
    # Elevation divided by steepness is the distance from the shore in pixels: the edge is one pixel wide.
    dx = cv2.Sobel(elevation, cv2.CV_32F, 1, 0, scale=0.125)
    dy = cv2.Sobel(elevation, cv2.CV_32F, 0, 1, scale=0.125)
    return f32(np.clip(0.5 + elevation / (np.hypot(dx, dy) + 0.004), 0, 1))


def _add_fields(rng: np.random.Generator, rgb: Field, palette: Palette, inland: Field) -> Field:
    """Add parcels in rows, with furrows and hedges, away from the shore."""
    height, width = inland.shape
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    bend = fractal(rng, (width, height), 240, 3) * 6
    angle = rng.uniform(0, np.pi)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    row_height, parcel_width = np.float32(rng.uniform(32, 52)), np.float32(rng.uniform(44, 80))
    v = (cos * ys - sin * xs + bend) / row_height
    row = np.floor(v).astype(np.int32)
    u = (cos * xs + sin * ys + bend) / parcel_width + rng.random(256, np.float32)[row & 255]
    column = np.floor(u).astype(np.int32)
    # A hash of the parcel, which chooses its color and the direction of its furrows.
    parcel = (row * 79 + column * 47) & 255
    colors = palette.fields[rng.integers(0, len(palette.fields), 256)] * f32(rng.uniform(0.88, 1.1, (256, 1)))
    furrows = np.sin(np.where(parcel & 1, u * parcel_width, v * row_height) * np.float32(2 * np.pi / 3.4))
    fields = colors[parcel] * (1 + np.float32(0.035) * furrows)[..., None]
    u_edge = (0.5 - np.abs(u - column - 0.5)) * parcel_width
    v_edge = (0.5 - np.abs(v - row - 0.5)) * row_height
    hedges = 1 - smoothstep(0.3, 1.8, np.minimum(u_edge, v_edge))
    fields = blend(f32(fields), palette.forest, hedges * np.float32(0.75))
    farmed = smoothstep(-0.1, 0.05, fractal(rng, (width, height), 260, 4, 0.4)) * smoothstep(26, 34, inland)
    return blend(rgb, fields, farmed)


def _add_forest(rng: np.random.Generator, rgb: Field, palette: Palette, light: Light) -> Field:
    """Add woods of single tree crowns, which cast a shadow on the ground beside them."""
    size_wh = rgb.shape[1], rgb.shape[0]
    crowns = fractal(rng, size_wh, 5, 2, 0.6)
    weight = smoothstep(0.55, 0.75, fractal(rng, size_wh, 95, 5, 0.55) + 0.18 * crowns)
    shift = np.column_stack([np.eye(2), -3 * light.direction])
    shadow = cv2.warpAffine(weight, shift, size_wh, borderMode=cv2.BORDER_REPLICATE)
    brightness = np.clip(1 - 0.75 * lambert(crowns, light.direction), 0.5, 1.6)
    return blend(f32(rgb * (1 - 0.4 * shadow)[..., None]), palette.forest * brightness[..., None], weight)


def _add_shore(rng: np.random.Generator, rgb: Field, palette: Palette, inland: Field) -> Field:
    """Add beaches and rocky shores of varying width, with a wet edge."""
    size_wh = rgb.shape[1], rgb.shape[0]
    shape = fractal(rng, size_wh, 110, 4)
    sand = palette.sand * (1 + 0.035 * fractal(rng, size_wh, 6, 2, 0.8))[..., None]
    rock = palette.rock * (1 + 0.2 * fractal(rng, size_wh, 6, 3, 0.8))[..., None]
    shore = blend(f32(sand), rock, 1 - smoothstep(-0.75, -0.35, shape))
    rgb = blend(rgb, shore, 1 - smoothstep(0.75, 1.15, inland / np.clip(6.5 + 4.5 * shape, 1.2, 16)))
    return f32(rgb * (0.72 + 0.28 * smoothstep(0.8, 2.6, inland))[..., None])
