"""The natural part of a place: where land and sea are, and what the land looks like from above."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from saccade.demo.synthetic.looks import Land, Light
from saccade.demo.synthetic.noise import Field, f32, fractal, mix, slopes, smoothstep

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ground:
    """Land and sea before anybody has built there.

    ``cover`` is the part of each pixel that is land, 0 to 1; ``inland`` and ``offshore`` are pixels from the shore.
    """

    cover: Field
    inland: Field
    offshore: Field
    rgb: Field


def make_ground(rng: np.random.Generator, size_wh: tuple[int, int], land: Land, light: Light) -> Ground:
    """A fractal coast and its land."""
    height = _relief(rng, size_wh)
    cover = _cover(height)
    dry = (cover > 0.5).astype(np.uint8)
    inland = f32(cv2.distanceTransform(dry, cv2.DIST_L2, 5))
    offshore = f32(cv2.distanceTransform(1 - dry, cv2.DIST_L2, 5))
    rgb = _surface(rng, size_wh, land, light, inland)
    return Ground(cover, inland, offshore, rgb)


def _relief(rng: np.random.Generator, size_wh: tuple[int, int]) -> Field:
    """Heights, 0 at the water's edge: a slope across the picture, broken up by noise; sometimes a bay."""
    width, height = size_wh
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    u, v = (xs - width / 2) / max(size_wh), (ys - height / 2) / max(size_wh)
    angle = rng.uniform(0, 2 * np.pi)
    along, across = np.cos(angle) * u + np.sin(angle) * v, np.cos(angle) * v - np.sin(angle) * u
    slope = 4.2 * along
    if rng.random() < 0.4:
        slope = slope * 0.75 + 9.0 * across**2
    field = slope + 0.62 * fractal(rng, size_wh, max(size_wh) / 2.6, 8, 0.47)
    level = np.quantile(field[::4, ::4], 1 - rng.uniform(0.24, 0.36))
    return _without_specks(f32(field - level))


def _without_specks(height: Field) -> Field:
    """The relief without lakes, and without islets of a few pixels, which look like noise."""
    for sign, least in ((1.0, 160), (-1.0, height.size // 12)):
        parts, marks, stats, _ = cv2.connectedComponentsWithStats((sign * height > 0).astype(np.uint8), connectivity=4)
        small = np.zeros(parts, np.bool_)
        small[1:] = stats[1:, cv2.CC_STAT_AREA] < least
        height = np.where(small[marks], np.float32(-sign * 0.02), height)
    return f32(cv2.GaussianBlur(height, (0, 0), 0.8))


def _cover(height: Field) -> Field:
    dx, dy = slopes(height)
    steep = np.sqrt(dx * dx + dy * dy) + np.float32(0.004)
    return f32(np.clip(0.5 + height / steep, 0, 1))


def _surface(rng: np.random.Generator, size_wh: tuple[int, int], land: Land, light: Light, inland: Field) -> Field:
    patches = fractal(rng, size_wh, 130, 6, 0.55)
    rgb = mix(np.broadcast_to(f32(land.grass), (*inland.shape, 3)), land.dry, smoothstep(-0.8, 1.4, patches))
    rgb = _with_fields(rng, rgb, land, inland)
    grain = fractal(rng, size_wh, 12, 3, 0.7)
    rgb *= (1 + 0.045 * grain)[..., None]
    rgb = _with_forest(rng, rgb, land, light)
    hills = fractal(rng, size_wh, 150, 5, 0.45)
    dx, dy = slopes(hills)
    shade = (dx * light.towards[0] + dy * light.towards[1]) * (2.2 + 3 * light.low)
    rgb *= np.clip(1 - shade, 0.7, 1.25)[..., None]
    return _with_shore(rng, rgb, land, inland)


def _with_fields(rng: np.random.Generator, rgb: Field, land: Land, inland: Field) -> Field:
    """Parcels in rows along a common direction, with furrows and hedges, well away from the shore."""
    height, width = inland.shape
    size_wh = width, height
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    bend = fractal(rng, size_wh, 240, 3) * 6
    turn = rng.uniform(0, np.pi)
    p = np.cos(turn) * xs + np.sin(turn) * ys + bend
    q = np.cos(turn) * ys - np.sin(turn) * xs + bend
    deep, wide = rng.uniform(32, 52), rng.uniform(44, 80)
    q = q / np.float32(deep)
    row = np.floor(q)
    p = p / np.float32(wide) + np.take(rng.random(256, np.float32), row.astype(np.int32) & 255)
    column = np.floor(p)
    kind = (row.astype(np.int32) * 79 + column.astype(np.int32) * 47) & 255
    colors = f32(land.fields)[rng.integers(0, len(land.fields), 256)]
    colors = colors * rng.uniform(0.88, 1.1, (256, 1)).astype(np.float32)
    fields = cv2.merge([np.take(colors[:, channel], kind) for channel in range(3)])
    furrows = np.sin(np.where(kind & 1, p * np.float32(wide), q * np.float32(deep)) * np.float32(2 * np.pi / 3.4))
    fields *= cv2.merge([1 + np.float32(0.035) * furrows] * 3)
    p, q = p - column, q - row
    edge = np.minimum(np.minimum(p, 1 - p) * np.float32(wide), np.minimum(q, 1 - q) * np.float32(deep))
    fields = mix(fields, land.forest, (1 - smoothstep(0.3, 1.8, edge)) * np.float32(0.75))
    where = smoothstep(-0.1, 0.05, fractal(rng, size_wh, 260, 4, 0.4)) * smoothstep(26, 34, inland)
    return mix(rgb, fields, where)


def _with_forest(rng: np.random.Generator, rgb: Field, land: Land, light: Light) -> Field:
    """Woods of single crowns, each with a lit and a dark side, that cast a shadow on the ground beside them."""
    size_wh = rgb.shape[1], rgb.shape[0]
    crowns = fractal(rng, size_wh, 5, 2, 0.6)
    woods = fractal(rng, size_wh, 95, 5, 0.55) + 0.18 * crowns
    weight = smoothstep(0.55, 0.75, woods)
    shift = f32([[1, 0, -light.towards[0] * 3], [0, 1, -light.towards[1] * 3]])
    shadow = f32(cv2.warpAffine(weight, shift, size_wh, borderMode=cv2.BORDER_REPLICATE))
    rgb = rgb * (1 - 0.4 * shadow)[..., None]
    dx, dy = slopes(crowns)
    lit = np.clip(1 - 0.75 * (dx * light.towards[0] + dy * light.towards[1]), 0.5, 1.6)
    return mix(rgb, f32(land.forest) * lit[..., None], weight)


def _with_shore(rng: np.random.Generator, rgb: Field, land: Land, inland: Field) -> Field:
    """Beaches with a wet edge, and rocks where the shore is steep."""
    size_wh = rgb.shape[1], rgb.shape[0]
    shape = fractal(rng, size_wh, 110, 4)
    width = np.clip(6.5 + 4.5 * shape, 1.2, 16)
    sand = f32(land.sand) * (1 + 0.035 * fractal(rng, size_wh, 6, 2, 0.8))[..., None]
    stone = f32(land.rock) * (1 + 0.2 * fractal(rng, size_wh, 6, 3, 0.8))[..., None]
    strand = mix(sand, stone, 1 - smoothstep(-0.75, -0.35, shape))
    rgb = mix(rgb, strand, 1 - smoothstep(0.75, 1.15, f32(inland / width)))
    wet = 1 - smoothstep(0.8, 2.6, inland)
    return f32(rgb * (1 - 0.28 * wet)[..., None])
