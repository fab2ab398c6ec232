"""Ships in the water: where they can lie or sail, their pictures and outlines, wakes and shadows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.objects import Box, Polygon, RotatedBox
from saccade.demo.synthetic.fleet import FLEET, ShipClass
from saccade.demo.synthetic.looks import Light
from saccade.demo.synthetic.noise import Field, f32, mix
from saccade.demo.synthetic.pen import SCALE, Pen
from saccade.demo.synthetic.sea import FOAM
from saccade.demo.synthetic.waterfront import Berth

BY_NAME = {ship.name: ship for ship in FLEET}
# How many of each class sail or lie at anchor in a picture of 640 x 640: the least and the most.
_AFLOAT = {
    "cargo ship": (0, 2),
    "tanker": (0, 2),
    "ferry": (0, 2),
    "fishing boat": (1, 3),
    "tug": (1, 3),
    "sailboat": (1, 4),
}
_BORDER = 3.0
_GAP = 6.0


@dataclass(frozen=True, slots=True)
class Ship:
    """A ship to be drawn: its class, middle, heading (degrees clockwise from up) and size, in pixels."""

    kind: ShipClass
    x: float
    y: float
    heading: float
    length: float
    beam: float
    under_way: bool

    def corners(self, gap: float = 0.0) -> npt.NDArray[np.float64]:
        """The corners of the rectangle it takes, ``gap`` larger on each side."""
        box = RotatedBox(self.x, self.y, self.beam + 2 * gap, self.length + 2 * gap, self.heading)
        return np.array(box.corners())


@dataclass(frozen=True, slots=True)
class Silhouette:
    """What a ship covers of the image: ``alpha`` (uint8, 255 is whole) with its top-left corner at (x, y)."""

    x: int
    y: int
    alpha: npt.NDArray[np.uint8]


class Traffic:
    """Finds room for ships: no two touch, none runs aground, none leaves the image.

    Args:
        cover: the part of each pixel that is land or quay.
    """

    def __init__(self, rng: np.random.Generator, cover: Field, offshore: Field, berths: Sequence[Berth]) -> None:
        self._rng = rng
        self._land = (cover > 0.4).astype(np.uint8)
        self._offshore = offshore
        self._taken = np.zeros_like(self._land)
        self._berths = berths
        self.ships: list[Ship] = []

    def fill(self) -> list[Ship]:
        """Ships at berths first, then those afloat, large ones before small ones."""
        for index in self._rng.permutation(len(self._berths)):
            self._moor(self._berths[int(index)])
        height, width = self._land.shape
        share = min(4.0, width * height / 640**2)
        for name, (least, most) in _AFLOAT.items():
            for _ in range(round(int(self._rng.integers(least, most + 1)) * share)):
                self._float(BY_NAME[name])
        return self.ships

    def _moor(self, berth: Berth) -> None:
        large = berth.length > 60
        if self._rng.random() > (0.62 if large else 0.3):
            return
        names = ("cargo ship", "tanker", "ferry", "fishing boat", "tug") if large else ("sailboat",)
        kind = BY_NAME[names[int(self._rng.choice(len(names), p=_weights(names)))]]
        length = float(self._rng.uniform(*kind.lengths))
        if length > berth.length:
            return
        beam = length * kind.beam
        off = beam / 2 + 2.2 if large else 2.0 + length / 2
        x, y = berth.edge[0] + off * berth.away[0], berth.edge[1] + off * berth.away[1]
        heading = (berth.heading + (180 if large and self._rng.random() < 0.5 else 0)) % 360
        self._add(Ship(kind, x, y, heading, length, beam, False), gap=1.0, from_land=0.0)

    def _float(self, kind: ShipClass) -> None:
        height, width = self._land.shape
        length = float(self._rng.uniform(*kind.lengths))
        under_way = bool(self._rng.random() < (0.6 if length > 80 else 0.85))
        for _ in range(30):
            x, y = float(self._rng.uniform(0, width)), float(self._rng.uniform(0, height))
            if self._offshore[int(y), int(x)] < 6 + length * 0.2:
                continue
            ship = Ship(kind, x, y, float(self._rng.uniform(0, 360)), length, length * kind.beam, under_way)
            if self._came_by_water(ship) and self._add(ship, gap=_GAP, from_land=5.0):
                return

    def _came_by_water(self, ship: Ship) -> bool:
        """Whether there is no land astern of a ship under way, where its wake is."""
        turn = math.radians(ship.heading)
        for lengths in (0.6, 1.0, 1.5, 2.0) if ship.under_way else ():
            x = int(ship.x - lengths * ship.length * math.sin(turn))
            y = int(ship.y + lengths * ship.length * math.cos(turn))
            inside = 0 <= y < self._land.shape[0] and 0 <= x < self._land.shape[1]
            if inside and self._offshore[y, x] < 0.15 * ship.length:
                return False
        return True

    def _add(self, ship: Ship, *, gap: float, from_land: float) -> bool:
        height, width = self._land.shape
        reach = ship.corners(_BORDER)
        if (reach < 0).any() or (reach > (width, height)).any():
            return False
        for occupied, room in ((self._land, from_land), (self._taken, gap)):
            footprint = np.zeros_like(self._land)
            cv2.fillPoly(footprint, [np.round(ship.corners(room)).astype(np.int32)], 1)
            if (footprint & occupied).any():
                return False
        cv2.fillPoly(self._taken, [np.round(ship.corners(gap)).astype(np.int32)], 1)
        self.ships.append(ship)
        return True


def _weights(names: Sequence[str]) -> list[float]:
    likely = {"cargo ship": 4, "tanker": 3, "ferry": 2, "fishing boat": 2, "tug": 1.5, "sailboat": 1}
    total = sum(likely[name] for name in names)
    return [likely[name] / total for name in names]


@dataclass(frozen=True, slots=True)
class Drawn:
    """A ship's picture, premultiplied RGB from 0 to 1, and its exact outline in three geometries."""

    rgb: Field
    silhouette: Silhouette
    box: Box
    rotated_box: RotatedBox
    polygon: Polygon


def draw_ship(rng: np.random.Generator, ship: Ship, light: Light) -> Drawn:
    """Draw a ship ``SCALE`` times as large and scale it down; its outlines are those of the large drawing."""
    cell_x, cell_y = math.floor(ship.x), math.floor(ship.y)
    radius = math.hypot(ship.length / 2 + 1, ship.beam)
    pen = Pen(radius, ship.heading, (ship.x - cell_x, ship.y - cell_y), light.towards)
    ship.kind.draw(pen, rng, ship.length, ship.beam, ship.under_way)
    side = 2 * pen.reach
    x, y = cell_x - pen.reach, cell_y - pen.reach
    inside = cv2.bitwise_and(pen.rgb, pen.rgb, mask=pen.cover)
    rgb = cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA) * np.float32(1 / 255)
    alpha = np.asarray(cv2.resize(pen.cover, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    box, rotated_box, polygon = _outlines(pen.cover, ship, (x, y))
    return Drawn(f32(rgb), Silhouette(x, y, alpha), box, rotated_box, polygon)


def _outlines(cover: npt.NDArray[np.uint8], ship: Ship, origin: tuple[int, int]) -> tuple[Box, RotatedBox, Polygon]:
    contours, _ = cv2.findContours(cover, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    contour = max(contours, key=len)
    x, y, width, height = cv2.boundingRect(cover)
    box = Box(
        origin[0] + x / SCALE, origin[1] + y / SCALE, origin[0] + (x + width) / SCALE, origin[1] + (y + height) / SCALE
    )
    outline = cv2.approxPolyDP(contour, 1.0, True).reshape(-1, 2)
    polygon = Polygon.simple((np.asarray(outline, np.float64) + 0.5) / SCALE + origin)
    points = (contour.reshape(-1, 2).astype(np.float64) + 0.5) / SCALE + origin
    turn = math.radians(ship.heading)
    forward, starboard = np.array([math.sin(turn), -math.cos(turn)]), np.array([math.cos(turn), math.sin(turn)])
    ahead, aside = points @ forward, points @ starboard
    middle = forward * (ahead.max() + ahead.min()) / 2 + starboard * (aside.max() + aside.min()) / 2
    # Contours run through the middles of the small pixels.
    size = float(np.ptp(aside)) + 1 / SCALE, float(np.ptp(ahead)) + 1 / SCALE
    return box, RotatedBox(float(middle[0]), float(middle[1]), *size, ship.heading), polygon


def paste(image: Field, drawn: Drawn) -> None:
    """Lay a ship's picture on an image in place."""
    mark = drawn.silhouette
    rows, columns, part = _overlap(image, mark.x, mark.y, mark.alpha.shape)
    alpha = mark.alpha[part] * np.float32(1 / 255)
    image[rows, columns] = image[rows, columns] * (1 - alpha[..., None]) + drawn.rgb[part]


def add_shadow(image: Field, ship: Ship, mark: Silhouette, light: Light) -> None:
    """Darken the water in the lee of the light, and a thin line around the hull."""
    pad = 14
    alpha = f32(np.pad(mark.alpha, pad) * np.float32(1 / 255))
    side = alpha.shape[1], alpha.shape[0]
    reach = ship.kind.height * (0.4 + 0.9 * light.low)
    shadow: Field = alpha
    for part in (0.35, 0.7, 1.0):
        move = np.array(
            [[1, 0, -light.towards[0] * reach * part], [0, 1, -light.towards[1] * reach * part]], np.float32
        )
        shadow = f32(np.maximum(shadow, cv2.warpAffine(alpha, move, side)))
    shadow = f32(cv2.GaussianBlur(shadow, (0, 0), 1.0) * np.float32(0.55))
    rows, columns, inner = _overlap(image, mark.x - pad, mark.y - pad, shadow.shape)
    image[rows, columns] *= (1 - shadow[inner])[..., None]


def add_wake(image: Field, ship: Ship, foam: Field) -> None:
    """The foam that a ship under way leaves: along its bow, in a trail astern, and in two arms (after Kelvin)."""
    reach = ship.length * (1.3 + 1.9 * ship.kind.speed)
    height, width = image.shape[:2]
    turn = math.radians(ship.heading)
    forward = math.sin(turn), -math.cos(turn)
    far = ship.x - forward[0] * reach, ship.y - forward[1] * reach
    pad = ship.length * 0.75
    x1, x2 = sorted((ship.x, far[0]))
    y1, y2 = sorted((ship.y, far[1]))
    columns = slice(max(0, int(x1 - pad)), min(width, int(x2 + pad)))
    rows = slice(max(0, int(y1 - pad)), min(height, int(y2 + pad)))
    grid_y, grid_x = np.mgrid[rows, columns]
    xs, ys = f32(grid_x + (0.5 - ship.x)), f32(grid_y + (0.5 - ship.y))
    ahead = xs * np.float32(forward[0]) + ys * np.float32(forward[1])
    aside = np.abs(xs * np.float32(-forward[1]) + ys * np.float32(forward[0]))
    texture = np.clip(0.6 + 0.5 * foam[rows, columns], 0, 1.4)
    part = image[rows, columns]
    white, ripple = _wake_fields(ahead, aside, ship)
    part *= (1 + 0.16 * ripple)[..., None]
    image[rows, columns] = mix(part, FOAM, np.clip(white * texture, 0, 0.92))


def _wake_fields(ahead: Field, aside: Field, ship: Ship) -> tuple[Field, Field]:
    """How much foam there is, and the height of the ripples between the arms, each about 0 to 1."""
    half, length, speed = ship.beam / 2, ship.length, ship.kind.speed
    astern = -ahead - length / 2
    behind = np.clip(astern / 3 + 1, 0, 1)
    width = half * 0.75 + 0.045 * np.maximum(astern, 0)
    core = np.exp(-((aside / width) ** 2)) * np.exp(-np.maximum(astern, 0) / (0.85 * length * speed)) * behind
    old = (
        0.3 * np.exp(-((aside / (width * 1.5)) ** 2)) * np.exp(-np.maximum(astern, 0) / (2.2 * length * speed)) * behind
    )
    from_bow = np.maximum(length * 0.42 - ahead, 0)
    begun = (ahead < length * 0.42).astype(np.float32)
    spread = half * 0.9 + 0.2 * from_bow
    thick = 0.8 + 0.022 * from_bow
    arms = np.exp(-(((aside - spread) / thick) ** 2)) * np.exp(-from_bow / (1.15 * length * speed + 8)) * begun
    bow = np.exp(-(((aside - half) / 1.3) ** 2)) * np.exp(-from_bow / (0.5 * length)) * begun
    wave = 5.0 + 4.0 * speed
    inside = (aside < spread).astype(np.float32) * begun * np.exp(-from_bow / (1.4 * length * speed))
    ripple = np.cos((from_bow + 0.15 * aside**2 / (from_bow + 8)) * (2 * math.pi / wave)) * inside
    strength = min(1.0, 0.35 + 0.6 * speed)
    white = strength * (0.85 * core + old + 0.55 * arms + 0.5 * bow)
    return f32(white), f32(ripple)


def _overlap(image: Field, x: int, y: int, shape: tuple[int, ...]) -> tuple[slice, slice, tuple[slice, slice]]:
    """Rows and columns of the image under a patch at (x, y), and the part of the patch that lies there."""
    rows = slice(max(0, y), min(image.shape[0], y + shape[0]))
    columns = slice(max(0, x), min(image.shape[1], x + shape[1]))
    return rows, columns, (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
