"""Six classes of ships, each drawn from above in its own shape and colours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from saccade.demo.synthetic.pen import Color, Pen, hull, rectangle

Draw = Callable[[Pen, np.random.Generator, float, float, bool], None]
"""Draws with a pen a ship of a length and a beam in pixels, under way or not."""

_CONTAINERS: tuple[Color, ...] = (
    (176, 58, 46),
    (46, 94, 140),
    (62, 122, 86),
    (206, 122, 44),
    (150, 152, 154),
    (214, 210, 200),
    (116, 52, 52),
    (38, 62, 98),
    (190, 158, 66),
)
_WHITE: Color = (238, 240, 240)
_GLASS: Color = (48, 58, 70)


@dataclass(frozen=True, slots=True)
class ShipClass:
    """A class of ships: the range of its lengths in pixels, its beam as a part of the length, and its speed.

    ``speed`` scales the wake; ``height`` in pixels throws the shadow.
    """

    name: str
    lengths: tuple[float, float]
    beam: float
    speed: float
    height: float
    draw: Draw


def _shifted(rng: np.random.Generator, color: Color, by: int = 12) -> Color:
    red, green, blue = (int(np.clip(part + rng.integers(-by, by + 1), 0, 255)) for part in color)
    return red, green, blue


def _pick(rng: np.random.Generator, colors: tuple[Color, ...]) -> Color:
    return _shifted(rng, colors[int(rng.integers(len(colors)))])


def _lit(color: Color, by: float) -> Color:
    red, green, blue = (int(np.clip(part * by, 0, 255)) for part in color)
    return red, green, blue


def _house(pen: Pen, x1: float, x2: float, half: float, color: Color, height: float) -> None:
    """A deckhouse in two tiers, with a dark row of windows at its fore end."""
    pen.block(rectangle(x1, x2, half), _lit(color, 0.88), height)
    inset = (x2 - x1) * 0.16
    pen.paint(rectangle(x1 + inset, x2 - inset * 0.5, half * 0.78), color)
    pen.paint(rectangle(x2 - inset * 1.3, x2 - inset * 0.5, half * 0.78), _GLASS)


def draw_cargo_ship(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """A container ship: bays of coloured boxes, the bridge near the stern."""
    del under_way
    side = _pick(rng, ((42, 54, 78), (112, 40, 38), (36, 70, 66), (50, 50, 54)))
    pen.area(hull(length, beam, bow=0.2, stern=0.86, fullness=1.9), side)
    pen.paint(hull(length * 0.975, beam * 0.86, bow=0.2, stern=0.86, fullness=1.9), (120, 112, 104))
    pen.paint(hull(length * 0.955, beam * 0.76, bow=0.2, stern=0.86, fullness=1.9), (142, 132, 122))
    bays = int(length // 11)
    first, last = -length * 0.26, length * 0.36
    step = (last - first) / bays
    columns = max(4, round(beam * 0.9 / 2.4))
    half = beam * 0.43
    for bay in range(bays):
        x1, x2 = first + bay * step + 0.5, first + (bay + 1) * step - 0.5
        if rng.random() < 0.1:
            pen.paint(rectangle(x1, x2, half * 0.9), (98, 94, 92))
            continue
        tiers = 0.6 + 1.8 * rng.random()
        pen.shade(rectangle(x1, x2, half), tiers)
        main = _pick(rng, _CONTAINERS)
        for column in range(columns):
            y = -half + (column + 0.5) * 2 * half / columns
            color = main if rng.random() < 0.35 else _pick(rng, _CONTAINERS)
            color = _lit(color, 0.86 + 0.3 * rng.random())
            pen.paint(rectangle(x1, x2, half / columns - 0.12, y), color)
            pen.line([(x1, y - half / columns), (x2, y - half / columns)], _lit(color, 0.55), 0.2)
    _house(pen, -length * 0.37, -length * 0.285, beam * 0.47, _WHITE, 4.0)
    pen.block(rectangle(-length * 0.42, -length * 0.385, beam * 0.16), _pick(rng, ((190, 70, 40), (40, 70, 120))), 3.0)
    pen.disc(length * 0.43, 0, beam * 0.07, (90, 84, 80))
    pen.line([(length * 0.4, -beam * 0.16), (length * 0.4, beam * 0.16)], (196, 190, 180), 0.5)


def draw_tanker(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """An oil tanker: one wide red-brown deck with pale pipes along the middle."""
    del under_way
    deck = _pick(rng, ((148, 62, 46), (136, 54, 44), (158, 76, 52)))
    pen.area(hull(length, beam, bow=0.15, stern=0.78, fullness=2.5), _shifted(rng, (34, 32, 36)))
    pen.paint(hull(length * 0.975, beam * 0.88, bow=0.15, stern=0.78, fullness=2.5), _lit(deck, 0.8))
    pen.paint(hull(length * 0.96, beam * 0.8, bow=0.15, stern=0.78, fullness=2.5), deck)
    for part in np.linspace(-0.2, 0.38, 8):
        pen.line([(length * part, -beam * 0.38), (length * part, beam * 0.38)], _lit(deck, 0.82), 0.35)
        for y in (-beam * 0.25, beam * 0.25):
            pen.disc(length * part + 3.5, y, 0.75, _lit(deck, 0.6))
            pen.disc(length * part + 3.6, y - 0.1, 0.5, _lit(deck, 1.35))
    pen.shade(rectangle(-length * 0.26, length * 0.4, beam * 0.1), 0.8)
    for y in np.linspace(-beam * 0.1, beam * 0.1, 5):
        pen.line([(-length * 0.26, y), (length * 0.38, y)], (206, 196, 180), 0.45)
    pen.line([(-length * 0.26, beam * 0.17), (length * 0.42, beam * 0.17)], (226, 220, 206), 0.6)
    for x in (length * 0.055, length * 0.075, length * 0.095):
        pen.line([(x, -beam * 0.43), (x, beam * 0.43)], (214, 204, 190), 0.55)
    pen.line([(length * 0.12, -beam * 0.05), (length * 0.12, -beam * 0.38)], (232, 226, 110), 0.7)
    pen.disc(length * 0.29, 0, beam * 0.15, (222, 214, 200))
    pen.disc(length * 0.29, 0, beam * 0.12, _lit(deck, 1.05))
    _house(pen, -length * 0.385, -length * 0.29, beam * 0.45, _WHITE, 4.0)
    pen.block(rectangle(-length * 0.45, -length * 0.4, beam * 0.17), (44, 44, 50), 3.0)
    pen.paint(rectangle(-length * 0.435, -length * 0.415, beam * 0.17), _pick(rng, ((220, 180, 60), (200, 60, 50))))


def draw_ferry(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """A car ferry: broad and white, with a coloured band, a funnel and cars on the open after deck."""
    del under_way
    band = _pick(rng, ((30, 92, 168), (24, 110, 150), (196, 60, 48)))
    pen.area(hull(length, beam, bow=0.26, stern=0.92, fullness=2.2), band)
    pen.paint(hull(length * 0.97, beam * 0.88, bow=0.26, stern=0.92, fullness=2.2), _WHITE)
    pen.paint(rectangle(-length * 0.47, -length * 0.2, beam * 0.36), (92, 98, 100))
    for x in np.arange(-length * 0.44, -length * 0.23, 4.0):
        for y in (-beam * 0.24, -beam * 0.08, beam * 0.08, beam * 0.24):
            if rng.random() < 0.75:
                pen.paint(rectangle(x, x + 2.7, 0.75, y), _pick(rng, ((230, 230, 230), (170, 40, 40), (40, 60, 90))))
    pen.block(hull(length * 0.62, beam * 0.74, bow=0.3, stern=1, fullness=2.2)[:], (222, 226, 228), 2.5)
    pen.paint(rectangle(-length * 0.19, length * 0.17, beam * 0.3), (246, 247, 246))
    pen.paint(rectangle(length * 0.19, length * 0.225, beam * 0.3), _GLASS)
    for x in np.arange(-length * 0.15, length * 0.14, 5.0):
        for y in (-beam * 0.34, beam * 0.34):
            pen.paint(rectangle(x, x + 2.6, 0.6, y), (236, 126, 40))
    pen.block(rectangle(-length * 0.11, -length * 0.02, beam * 0.13), band, 3.0)
    pen.paint(rectangle(-length * 0.085, -length * 0.045, beam * 0.08), (40, 42, 46))
    pen.line([(length * 0.1, -beam * 0.2), (length * 0.1, beam * 0.2)], (186, 192, 196), 0.5)


def draw_fishing_boat(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """A trawler: a bright hull, a wooden deck, the wheelhouse forward and nets aft."""
    del under_way
    side = _pick(rng, ((28, 104, 176), (24, 128, 148), (32, 120, 92), (38, 84, 152)))
    pen.area(hull(length, beam, bow=0.46, stern=0.76, fullness=1.8), side)
    pen.paint(hull(length * 0.9, beam * 0.72, bow=0.46, stern=0.8, fullness=1.8), _shifted(rng, (186, 148, 102)))
    pen.paint(rectangle(-length * 0.4, -length * 0.2, beam * 0.26), _pick(rng, ((60, 132, 96), (212, 110, 44))))
    pen.line([(-length * 0.3, -beam * 0.34), (-length * 0.3, beam * 0.34)], (60, 58, 56), 0.7)
    pen.block(rectangle(-length * 0.15, length * 0.0, beam * 0.16), (112, 84, 60), 0.5)
    _house(pen, length * 0.06, length * 0.26, beam * 0.29, _WHITE, 2.0)
    pen.line([(-length * 0.42, 0), (length * 0.1, 0)], (224, 220, 210), 0.4)


def draw_tug(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """A harbour tug: short and broad, a black fender all round an orange deck."""
    del under_way
    deck = _pick(rng, ((224, 104, 36), (214, 84, 40), (232, 132, 34)))
    pen.area(hull(length, beam, bow=0.42, stern=0.82, fullness=2.6), (28, 28, 30))
    pen.paint(hull(length * 0.86, beam * 0.76, bow=0.42, stern=0.82, fullness=2.6), deck)
    pen.disc(-length * 0.26, 0, beam * 0.13, (70, 66, 62))
    pen.line([(-length * 0.44, 0), (-length * 0.2, 0)], (50, 48, 46), 0.5)
    _house(pen, -length * 0.1, length * 0.2, beam * 0.26, _WHITE, 2.5)
    for y in (-beam * 0.22, beam * 0.22):
        pen.block(rectangle(-length * 0.16, -length * 0.08, beam * 0.08, y), (40, 40, 44), 1.5)
    pen.disc(length * 0.34, 0, beam * 0.08, (60, 56, 54))


def draw_sailboat(pen: Pen, rng: np.random.Generator, length: float, beam: float, under_way: bool) -> None:
    """A sailing yacht: a slender white hull with a teak cockpit; sails set only under way."""
    pen.area(hull(length, beam, bow=0.62, stern=0.66, fullness=1.7), _shifted(rng, (232, 234, 234), 8))
    pen.paint(hull(length * 0.9, beam * 0.7, bow=0.62, stern=0.7, fullness=1.7), (250, 250, 248))
    pen.paint(rectangle(-length * 0.42, -length * 0.12, beam * 0.2), _shifted(rng, (172, 130, 88)))
    pen.paint(rectangle(-length * 0.06, length * 0.12, beam * 0.17), (120, 134, 146))
    mast = length * 0.14
    if not under_way:
        cover = _pick(rng, ((30, 70, 140), (36, 58, 90), (150, 44, 44)))
        pen.line([(mast, 0), (-length * 0.3, 0)], cover, 0.9)
        return
    lee = 1.0 if rng.random() < 0.5 else -1.0
    boom = -length * 0.38, lee * beam * 0.62
    belly = -length * 0.12, lee * beam * 0.62
    pen.shade([(mast, 0), boom, belly], 2.5, 0.35)
    pen.area([(mast, 0), boom, (belly[0], belly[1] * 1.1), (mast * 0.4, lee * beam * 0.42)], (252, 250, 242))
    pen.area([(length * 0.47, 0), (mast * 0.7, lee * beam * 0.52), (mast * 0.9, 0)], (240, 240, 234))
    pen.line([(mast, 0), boom], (206, 204, 196), 0.35)


FLEET: tuple[ShipClass, ...] = (
    ShipClass("cargo ship", (96, 132), 0.165, 1.0, 5.0, draw_cargo_ship),
    ShipClass("tanker", (112, 150), 0.18, 0.8, 4.0, draw_tanker),
    ShipClass("ferry", (56, 76), 0.27, 1.3, 4.5, draw_ferry),
    ShipClass("fishing boat", (28, 36), 0.31, 0.9, 2.0, draw_fishing_boat),
    ShipClass("tug", (24, 30), 0.4, 1.0, 2.5, draw_tug),
    ShipClass("sailboat", (20, 28), 0.3, 0.45, 2.0, draw_sailboat),
)
CLASS_NAMES: tuple[str, ...] = tuple(ship.name for ship in FLEET)
