"""The classes of ships, each with its shape and colors as seen from above."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from saccade.demo.synthetic.drawing import (
    Color,
    Frame,
    Pixels,
    Points,
    draw_line,
    fill,
    pick,
    regular_polygon,
    shadow_outline,
)
from saccade.demo.synthetic.noise import Field, f32

SCALE = 4


class ShipCanvas:
    """A square image of one ship, ``SCALE`` times enlarged.

    Positions are (x, y) in lengths forward and in beams to starboard of the middle; heights are in pixels.

    Args:
        size: Length and beam in pixels of the final image.
        heading: Degrees clockwise from up.
        middle: The position of the middle in its pixel, 0 to 1 for x and y.
        sun: The unit vector towards the sun in the image.

    Attributes:
        cover: The outline, 255 inside.
        reach: The distance from the middle to the border of the image, in pixels of the final image.
    """

    def __init__(
        self, size: tuple[float, float], heading: float, middle: tuple[float, float], sun: npt.NDArray[np.float64]
    ) -> None:
        self.length, self.beam = size
        self.reach = math.ceil(math.hypot(self.length / 2 + 1, self.beam)) + 2
        side = 2 * self.reach * SCALE
        self.rgb: Pixels = np.zeros((side, side, 3), np.uint8)
        self.cover: Pixels = np.zeros((side, side), np.uint8)
        angle = math.radians(heading)
        forward = np.array([math.sin(angle), -math.cos(angle)]) * self.length
        starboard = np.array([math.cos(angle), math.sin(angle)]) * self.beam
        self._frame = Frame(np.asarray(middle) + self.reach, forward, starboard)
        self._sun = sun
        self._hull = np.zeros((0, 2))

    def _pixels(self, points: npt.ArrayLike) -> Points:
        local = np.asarray(points, np.float64)
        return (self._frame.origin + local @ np.stack([self._frame.along, self._frame.across])) * SCALE

    def hull(self, color: Color, *, bow: float, stern: float, fullness: float) -> None:
        """Draw the hull.

        Args:
            bow: The share of the length over which the bow narrows.
            stern: The width of the transom in beams.
            fullness: 1 for a straight wedge of a bow, 2 and more for a round one.
        """
        t = np.linspace(0, 1, 25)
        narrowing = np.clip((t - 1 + bow) / bow, 0, 1) ** fullness
        half = np.maximum(0.5 * (1 - narrowing) * (1 - (1 - stern) * np.clip(1 - t / 0.12, 0, 1) ** 2), 0.02)
        side = np.stack([t - 0.5, half], axis=1)
        self._hull = np.concatenate([side, side[::-1] * (1, -1)])
        self.outline(self._hull, color)

    def deck(self, color: Color, length: float, beam: float) -> None:
        """Draw a deck in the shape of the hull, scaled by ``length`` and ``beam``."""
        self.polygon(self._hull * (length, beam), color)

    def outline(self, points: npt.ArrayLike, color: Color) -> None:
        """Draw a polygon that is part of the ship's outline."""
        fill(self.rgb, self._pixels(points), color, antialias=False)
        fill(self.cover, self._pixels(points), 1, antialias=False)

    def polygon(self, points: npt.ArrayLike, color: Color, height: float = 0.0, strength: float = 0.45) -> None:
        """Draw a polygon on the ship, and its shadow if it has a height."""
        if height:
            self.shade(points, height, strength)
        fill(self.rgb, self._pixels(points), color)

    def shade(self, points: npt.ArrayLike, height: float, strength: float = 0.45) -> None:
        """Darken the shadow of a polygon."""
        shadow = np.zeros_like(self.cover)
        fill(shadow, shadow_outline(self._pixels(points), -self._sun * height * SCALE), 1)
        x, y, w, h = cv2.boundingRect(shadow)
        part = self.rgb[y : y + h, x : x + w]
        part[:] = (part * (1 - shadow[y : y + h, x : x + w, None] * (strength / 255))).astype(np.uint8)

    def box(self, x1: float, x2: float, half: float, color: Color, *, y: float = 0.0, height: float = 0.0) -> None:
        """Draw a rectangle from x1 to x2, and ``half`` to each side of y."""
        self.polygon([(x1, y - half), (x2, y - half), (x2, y + half), (x1, y + half)], color, height)

    def house(self, x1: float, x2: float, half: float, height: float) -> None:
        """Draw a white deckhouse with windows at its fore end."""
        inset = (x2 - x1) * 0.16
        self.box(x1, x2, half, (0.82, 0.83, 0.83), height=height)
        self.box(x1 + inset, x2 - inset * 0.5, half * 0.78, (0.93, 0.94, 0.94))
        self.box(x2 - inset * 1.3, x2 - inset * 0.5, half * 0.78, (0.19, 0.23, 0.27))

    def line(self, start: Sequence[float], end: Sequence[float], color: Color, width: float) -> None:
        draw_line(self.rgb, self._pixels([start, end]), color, max(1, round(width * SCALE)))

    def disc(self, x: float, radius: float, color: Color) -> None:
        """Draw a disc on the middle line; its radius is in beams."""
        ring = regular_polygon(24) * radius * (self.beam / self.length, 1)
        self.polygon(ring + np.array([x, 0]), color)


def _colors(text: str) -> Field:
    return f32([list(bytes.fromhex(color)) for color in text.split()]) / np.float32(255)


_CONTAINERS = _colors("b03a2e 2e5e8c 3e7a56 ce7a2c 96989a d6d2c8 743434 263e62 be9e42")
_CARGO_HULLS = _colors("2a364e 702826 244642 323236")
_TANKER_DECKS = _colors("943e2e 88362c 9e4c34")
_FERRY_BANDS = _colors("1e5ca8 186e96 c43c30")
_CARS = _colors("e6e6e6 aa2828 283c5a")
_TRAWLER_HULLS = _colors("1c68b0 188094 20785c 265498")
_NETS = _colors("3c8460 d46e2c")
_TUG_DECKS = _colors("e06824 d65428 e88422")
_SAIL_COVERS = _colors("1e468c 243a5a 962c2c")


def _vary(rng: np.random.Generator, colors: Field) -> Field:
    """Choose a color and change it a little."""
    return f32(np.clip(pick(rng, colors) + rng.uniform(-0.05, 0.05, 3), 0, 1))


def _draw_cargo_ship(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Container ship: bays of colored containers, the bridge near the stern."""
    canvas.hull(_vary(rng, _CARGO_HULLS), bow=0.2, stern=0.86, fullness=1.9)
    canvas.deck((0.47, 0.44, 0.41), 0.975, 0.86)
    canvas.deck((0.56, 0.52, 0.48), 0.955, 0.76)
    columns = max(4, round(canvas.beam * 0.9 / 2.4))
    cell = 0.86 / columns
    gap = 0.5 / canvas.length
    for x1, x2 in pairwise(np.linspace(-0.26, 0.36, int(canvas.length // 11) + 1)):
        is_empty = rng.random() < 0.1
        height = 0.0 if is_empty else 0.6 + 1.8 * rng.random()
        canvas.box(x1 + gap, x2 - gap, 0.43, (0.3, 0.29, 0.28), height=height)
        main_color = _vary(rng, _CONTAINERS)
        for y in () if is_empty else np.arange(columns) * cell - 0.43 + cell / 2:
            color = main_color if rng.random() < 0.35 else _vary(rng, _CONTAINERS)
            canvas.box(x1 + gap, x2 - gap, 0.44 * cell, color * rng.uniform(0.86, 1.16), y=y)
    canvas.house(-0.37, -0.285, 0.47, 4)
    canvas.box(-0.42, -0.385, 0.16, pick(rng, _colors("be4628 284678")), height=3)
    canvas.line((0.4, -0.16), (0.4, 0.16), (0.77, 0.75, 0.7), 0.5)


def _draw_tanker(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Oil tanker: a wide red-brown deck with pale pipes along the middle."""
    deck = _vary(rng, _TANKER_DECKS)
    canvas.hull((0.13, 0.13, 0.14), bow=0.15, stern=0.78, fullness=2.5)
    canvas.deck(deck * 0.8, 0.975, 0.88)
    canvas.deck(deck, 0.96, 0.8)
    for x in np.linspace(-0.2, 0.38, 8):
        canvas.line((x, -0.38), (x, 0.38), deck * 0.82, 0.35)
    for y in np.linspace(-0.1, 0.1, 5):
        canvas.line((-0.26, y), (0.38, y), (0.81, 0.77, 0.71), 0.45)
    for x in (0.055, 0.075, 0.095):
        canvas.line((x, -0.43), (x, 0.43), (0.84, 0.8, 0.75), 0.55)
    canvas.line((0.12, -0.05), (0.12, -0.38), (0.91, 0.89, 0.43), 0.7)
    canvas.disc(0.29, 0.15, (0.87, 0.84, 0.78))
    canvas.disc(0.29, 0.12, deck * 1.05)
    canvas.house(-0.385, -0.29, 0.45, 4)
    canvas.box(-0.45, -0.4, 0.17, (0.17, 0.17, 0.2), height=3)
    canvas.box(-0.435, -0.415, 0.17, pick(rng, _colors("dcb43c c83c32")))


def _draw_ferry(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Car ferry: broad and white, with a colored band, lifeboats, and cars on the open after deck."""
    band = _vary(rng, _FERRY_BANDS)
    canvas.hull(band, bow=0.26, stern=0.92, fullness=2.2)
    canvas.deck((0.93, 0.94, 0.94), 0.97, 0.88)
    canvas.box(-0.47, -0.2, 0.36, (0.36, 0.38, 0.39))
    for x in np.arange(-0.44, -0.23, 4.0 / canvas.length):
        for y in (-0.24, -0.08, 0.08, 0.24):
            if rng.random() < 0.75:
                canvas.box(x, x + 2.7 / canvas.length, 0.75 / canvas.beam, pick(rng, _CARS), y=y)
    canvas.box(-0.19, 0.31, 0.37, (0.87, 0.89, 0.89), height=2.5)
    canvas.box(-0.19, 0.17, 0.3, (0.96, 0.97, 0.96))
    canvas.box(0.19, 0.225, 0.3, (0.19, 0.23, 0.27))
    for x in np.arange(-0.15, 0.14, 5.0 / canvas.length):
        for y in (-0.34, 0.34):
            canvas.box(x, x + 2.6 / canvas.length, 0.6 / canvas.beam, (0.93, 0.49, 0.16), y=y)
    canvas.box(-0.11, -0.02, 0.13, band, height=3)


def _draw_fishing_boat(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Trawler: a bright hull, a wooden deck, the wheelhouse forward and nets aft."""
    canvas.hull(_vary(rng, _TRAWLER_HULLS), bow=0.46, stern=0.76, fullness=1.8)
    canvas.deck(_vary(rng, _colors("ba9466")), 0.9, 0.72)
    canvas.box(-0.4, -0.2, 0.26, _vary(rng, _NETS))
    canvas.line((-0.3, -0.34), (-0.3, 0.34), (0.24, 0.23, 0.22), 0.7)
    canvas.box(-0.15, 0.0, 0.16, (0.44, 0.33, 0.24), height=0.5)
    canvas.house(0.06, 0.26, 0.29, 2)
    canvas.line((-0.42, 0), (0.1, 0), (0.88, 0.86, 0.82), 0.4)


def _draw_tug(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Harbor tug: short and broad, a black fender around an orange deck."""
    canvas.hull((0.11, 0.11, 0.12), bow=0.42, stern=0.82, fullness=2.6)
    canvas.deck(_vary(rng, _TUG_DECKS), 0.86, 0.76)
    canvas.disc(-0.26, 0.13, (0.27, 0.26, 0.24))
    canvas.house(-0.1, 0.2, 0.26, 2.5)
    for y in (-0.22, 0.22):
        canvas.box(-0.16, -0.08, 0.08, (0.16, 0.16, 0.17), y=y, height=1.5)


def _draw_sailboat(canvas: ShipCanvas, rng: np.random.Generator, under_way: bool) -> None:
    """Sailing yacht: a slender white hull with a teak cockpit; the sails are set only under way."""
    canvas.hull(_vary(rng, _colors("e8eaea")), bow=0.62, stern=0.66, fullness=1.7)
    canvas.deck((0.98, 0.98, 0.97), 0.9, 0.7)
    canvas.box(-0.42, -0.12, 0.2, _vary(rng, _colors("ac8258")))
    canvas.box(-0.06, 0.12, 0.17, (0.47, 0.53, 0.57))
    mast = 0.14
    if not under_way:
        canvas.line((mast, 0), (-0.3, 0), pick(rng, _SAIL_COVERS), 0.9)
        return
    lee = 1.0 if rng.random() < 0.5 else -1.0
    boom = (-0.38, lee * 0.62)
    canvas.shade([(mast, 0), boom, (-0.12, lee * 0.62)], 2.5, 0.35)
    canvas.outline([(mast, 0), boom, (-0.12, lee * 0.68), (mast * 0.4, lee * 0.42)], (0.99, 0.98, 0.95))
    canvas.outline([(0.47, 0), (mast * 0.7, lee * 0.52), (mast * 0.9, 0)], (0.94, 0.94, 0.92))
    canvas.line((mast, 0), boom, (0.81, 0.8, 0.77), 0.35)


@dataclass(frozen=True, slots=True)
class ShipClass:
    """A class of ships.

    Attributes:
        lengths: The range of lengths in pixels.
        beam: The beam as a share of the length.
        speed: Scales the wake.
        height: The height in pixels, which determines the shadow on the water.
        draw: Draws a ship that is under way or not.
        counts: The range of the number of ships afloat in an image of 640 x 640 pixels.
        mooring_weight: The relative frequency at berths for large ships.
    """

    name: str
    lengths: tuple[float, float]
    beam: float
    speed: float
    height: float
    draw: Callable[[ShipCanvas, np.random.Generator, bool], None]
    counts: tuple[int, int]
    mooring_weight: float


SHIP_CLASSES: tuple[ShipClass, ...] = (
    ShipClass("cargo ship", (96, 132), 0.165, 1.0, 5.0, _draw_cargo_ship, (0, 2), 4),
    ShipClass("tanker", (112, 150), 0.18, 0.8, 4.0, _draw_tanker, (0, 2), 3),
    ShipClass("ferry", (56, 76), 0.27, 1.3, 4.5, _draw_ferry, (0, 2), 2),
    ShipClass("fishing boat", (28, 36), 0.31, 0.9, 2.0, _draw_fishing_boat, (1, 3), 2),
    ShipClass("tug", (24, 30), 0.4, 1.0, 2.5, _draw_tug, (1, 3), 1.5),
    ShipClass("sailboat", (20, 28), 0.3, 0.45, 2.0, _draw_sailboat, (1, 4), 0),
)
SAILBOAT = SHIP_CLASSES[-1]
CLASS_NAMES: tuple[str, ...] = tuple(ship_class.name for ship_class in SHIP_CLASSES)
