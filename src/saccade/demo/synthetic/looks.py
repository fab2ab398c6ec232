"""The colours of a place and the light of a time of day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Tone = tuple[float, float, float]
"""Red, green and blue from 0 to 1."""


def _tone(red: int, green: int, blue: int) -> Tone:
    return red / 255, green / 255, blue / 255


@dataclass(frozen=True, slots=True)
class Land:
    """The colours of a stretch of coast: ground, growth, fields, shore and water."""

    grass: Tone
    dry: Tone
    forest: Tone
    sand: Tone
    rock: Tone
    fields: tuple[Tone, ...]
    roofs: tuple[Tone, ...]
    deep: Tone
    middle: Tone
    shallow: Tone
    silt: Tone


_TEMPERATE = Land(
    grass=_tone(98, 116, 68),
    dry=_tone(140, 136, 92),
    forest=_tone(46, 66, 42),
    sand=_tone(204, 188, 150),
    rock=_tone(118, 112, 104),
    fields=(_tone(112, 132, 70), _tone(168, 156, 96), _tone(134, 112, 82), _tone(84, 110, 60), _tone(186, 172, 116)),
    roofs=(_tone(162, 92, 70), _tone(142, 84, 66), _tone(126, 124, 122), _tone(190, 186, 178), _tone(92, 98, 108)),
    deep=_tone(18, 52, 74),
    middle=_tone(26, 70, 90),
    shallow=_tone(66, 120, 120),
    silt=_tone(122, 128, 100),
)
_WARM = Land(
    grass=_tone(136, 132, 88),
    dry=_tone(186, 164, 122),
    forest=_tone(66, 80, 50),
    sand=_tone(226, 206, 164),
    rock=_tone(150, 134, 112),
    fields=(_tone(172, 150, 102), _tone(196, 172, 124), _tone(116, 120, 72), _tone(150, 122, 90), _tone(92, 104, 62)),
    roofs=(_tone(188, 110, 78), _tone(214, 206, 192), _tone(232, 228, 218), _tone(172, 94, 66), _tone(150, 146, 140)),
    deep=_tone(12, 58, 98),
    middle=_tone(18, 84, 118),
    shallow=_tone(76, 164, 164),
    silt=_tone(150, 168, 136),
)
_NORTHERN = Land(
    grass=_tone(92, 102, 72),
    dry=_tone(126, 120, 92),
    forest=_tone(36, 54, 44),
    sand=_tone(168, 160, 142),
    rock=_tone(104, 104, 102),
    fields=(_tone(104, 116, 74), _tone(140, 132, 92), _tone(118, 104, 84), _tone(86, 100, 66)),
    roofs=(_tone(150, 62, 52), _tone(106, 108, 110), _tone(78, 84, 92), _tone(196, 194, 188), _tone(172, 142, 84)),
    deep=_tone(22, 50, 62),
    middle=_tone(32, 66, 76),
    shallow=_tone(68, 106, 104),
    silt=_tone(108, 116, 98),
)
_PLACES = (_TEMPERATE, _WARM, _NORTHERN)


@dataclass(frozen=True, slots=True)
class Light:
    """Where the sun stands, as a unit vector towards it on the image; how low it is, 0 to 1; and its colour."""

    towards: tuple[float, float]
    low: float
    tint: Tone


def choose_looks(rng: np.random.Generator) -> tuple[Land, Light]:
    """The land and light of a scene, with a little of its own in each colour of the water."""
    land = _PLACES[int(rng.integers(len(_PLACES)))]
    angle = rng.uniform(0, 2 * np.pi)
    low = float(rng.uniform(0.1, 0.9))
    warm = max(0.0, low - 0.35) * 0.22
    tint = (1.0 + warm * 0.5, 1.0 - warm * 0.15, 1.0 - warm * 0.75)
    return land, Light((float(np.cos(angle)), float(np.sin(angle))), low, tint)
