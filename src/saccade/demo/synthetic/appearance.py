"""Colors of a coast, and the light of a time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from saccade.demo.synthetic.noise import Field, f32


@dataclass(frozen=True, slots=True)
class Palette:
    """Colors of a coast as RGB from 0 to 1; ``fields`` and ``roofs`` have several, shape (count, 3)."""

    grass: Field
    dry_grass: Field
    forest: Field
    sand: Field
    rock: Field
    fields: Field
    roofs: Field
    deep_water: Field
    mid_water: Field
    shallow_water: Field
    silt: Field


@dataclass(frozen=True, slots=True)
class Light:
    """The sun.

    Attributes:
        direction: The unit vector towards the sun in the image, (x, y).
        lowness: 0 for a high sun, 1 for one near the horizon, which casts long shadows.
        tint: The color of the light.
    """

    direction: npt.NDArray[np.float64]
    lowness: float
    tint: tuple[float, float, float]


# One column for a temperate, a warm and a northern coast.
_PALETTES = """
grass         627444                              888458                              5c6648
dry_grass     8c885c                              baa47a                              7e785c
forest        2e422a                              425032                              24362c
sand          ccbc96                              e2cea4                              a8a08e
rock          767068                              968670                              686866
fields        708446,a89c60,867052,546e3c,baac74  ac9666,c4ac7c,747848,967a5a,5c683e  68744a,8c845c,766854,566442
roofs         a25c46,8e5442,7e7c7a,bebab2,5c626c  bc6e4e,d6cec0,e8e4da,ac5e42,96928c  963e34,6a6c6e,4e545c,c4c2bc,ac8e54
deep_water    12344a                              0c3a62                              16323e
mid_water     1a465a                              125476                              20424c
shallow_water 427878                              4ca4a4                              446a68
silt          7a8064                              96a888                              6c7462
"""
_PALETTE_COUNT = 3


def _palette(index: int) -> Palette:
    rows = (line.split() for line in _PALETTES.strip().splitlines())
    colors = {name: [list(bytes.fromhex(color)) for color in cells[index].split(",")] for name, *cells in rows}
    return Palette(**{name: np.squeeze(f32(values) / np.float32(255)) for name, values in colors.items()})


def choose_appearance(rng: np.random.Generator) -> tuple[Palette, Light]:
    """Choose the palette and the light of a scene."""
    palette = _palette(int(rng.integers(_PALETTE_COUNT)))
    angle = rng.uniform(0, 2 * np.pi)
    lowness = float(rng.uniform(0.1, 0.9))
    warmth = max(0.0, lowness - 0.35) * 0.22  # a low sun is yellow
    tint = (1.0 + warmth * 0.5, 1.0 - warmth * 0.15, 1.0 - warmth * 0.75)
    return palette, Light(np.array([np.cos(angle), np.sin(angle)]), lowness, tint)
