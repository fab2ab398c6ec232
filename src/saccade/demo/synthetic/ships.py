"""Ships in the water: their placement, their images with exact outlines, wakes and shadows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.objects import Box, Polygon, RotatedBox
from saccade.demo.synthetic.appearance import Light
from saccade.demo.synthetic.drawing import Pixels, Points
from saccade.demo.synthetic.noise import Field, blend, f32, sample
from saccade.demo.synthetic.sea import FOAM
from saccade.demo.synthetic.ship_classes import SAILBOAT, SCALE, SHIP_CLASSES, ShipCanvas, ShipClass
from saccade.demo.synthetic.structures import Berth

GeometryType = Literal["box", "rotated_box", "polygon"]
_BORDER = 3.0
_MIN_LARGE_BERTH = 60
_PLACEMENT_ATTEMPTS = 30
_SHADOW_PADDING = 14


@dataclass(frozen=True, slots=True)
class Ship:
    """A ship: its class, middle, heading (degrees clockwise from up) and length in pixels."""

    kind: ShipClass
    x: float
    y: float
    heading: float
    length: float
    under_way: bool

    @property
    def beam(self) -> float:
        return self.length * self.kind.beam

    @property
    def forward(self) -> npt.NDArray[np.float64]:
        angle = math.radians(self.heading)
        return np.array([math.sin(angle), -math.cos(angle)])

    def corners(self, gap: float) -> Points:
        """Return the corners of its rectangle, enlarged by ``gap`` on each side."""
        box = RotatedBox(self.x, self.y, self.beam + 2 * gap, self.length + 2 * gap, self.heading)
        return np.array(box.corners())


@dataclass(frozen=True, slots=True)
class Silhouette:
    """The pixels that a ship covers, with the top-left corner at (x, y).

    Attributes:
        alpha: 255 for full cover.
        rgb: The colors, premultiplied by the cover, from 0 to 1.
    """

    x: int
    y: int
    alpha: Pixels
    rgb: Field


class ShipPlacer:
    """Places ships so that none touches another, runs aground or leaves the image.

    ``cover`` is the share of land in each pixel, and ``offshore`` the distance from the shore.
    """

    def __init__(self, rng: np.random.Generator, cover: Field, offshore: Field, berths: Sequence[Berth]) -> None:
        self._rng = rng
        self._land = (cover > 0.4).astype(np.uint8)
        self._offshore = offshore
        self._occupied = np.zeros_like(self._land)
        self._berths = berths
        self._ships: list[Ship] = []

    def place(self) -> list[Ship]:
        """Place ships at berths, and then ships afloat, large ones first."""
        for index in self._rng.permutation(len(self._berths)):
            self._moor(self._berths[int(index)])
        area = min(4.0, self._land.size / 640**2)
        for kind in SHIP_CLASSES:
            low, high = kind.counts
            for _ in range(round(int(self._rng.integers(low, high + 1)) * area)):
                self._float(kind)
        return self._ships

    def _moor(self, berth: Berth) -> None:
        is_large = berth.length > _MIN_LARGE_BERTH
        if self._rng.random() > (0.62 if is_large else 0.3):
            return
        kind = SAILBOAT
        if is_large:
            weights = np.array([kind.mooring_weight for kind in SHIP_CLASSES])
            kind = SHIP_CLASSES[int(self._rng.choice(len(SHIP_CLASSES), p=weights / weights.sum()))]
        length = float(self._rng.uniform(*kind.lengths))
        if length > berth.length:
            return
        # Large ships moor alongside a quay; boats lie with the bow towards the jetty.
        distance = length * kind.beam / 2 + 2.2 if is_large else 2.0 + length / 2
        x, y = berth.edge + distance * berth.away
        heading = (berth.heading + (180 if is_large and self._rng.random() < 0.5 else 0)) % 360
        self._add(Ship(kind, float(x), float(y), heading, length, False), gap=1.0, land_gap=0.0)

    def _float(self, kind: ShipClass) -> None:
        height, width = self._land.shape
        length = float(self._rng.uniform(*kind.lengths))
        under_way = bool(self._rng.random() < (0.6 if length > 80 else 0.85))
        for _ in range(_PLACEMENT_ATTEMPTS):
            x, y, heading = (float(value) for value in self._rng.uniform(0, (width, height, 360)))
            ship = Ship(kind, x, y, heading, length, under_way)
            # A ship under way has come over water: there is no land in its wake.
            distances = length * np.linspace(0.6, 2.0, 4 if under_way else 0)
            wake = np.array([x, y]) - distances[:, None] * ship.forward
            is_free = all(sample(self._offshore, point) >= 0.15 * length for point in wake)
            is_offshore = self._offshore[int(y), int(x)] >= 6 + length * 0.2
            if is_free and is_offshore and self._add(ship, gap=6.0, land_gap=5.0):
                return

    def _add(self, ship: Ship, *, gap: float, land_gap: float) -> bool:
        bounds = ship.corners(_BORDER)
        if (bounds < 0).any() or (bounds > self._land.shape[::-1]).any():
            return False
        for mask, distance in ((self._land, land_gap), (self._occupied, gap)):
            footprint = np.zeros_like(self._land)
            cv2.fillPoly(footprint, [np.round(ship.corners(distance)).astype(np.int32)], 1)
            if (footprint & mask).any():
                return False
        self._occupied |= footprint
        self._ships.append(ship)
        return True


def render_ship(
    rng: np.random.Generator, ship: Ship, light: Light, geometry: GeometryType
) -> tuple[Silhouette, Box | RotatedBox | Polygon]:
    """Render a ship enlarged and scale it down. Its geometry is that of the enlarged image."""
    cell = math.floor(ship.x), math.floor(ship.y)
    canvas = ShipCanvas((ship.length, ship.beam), ship.heading, (ship.x - cell[0], ship.y - cell[1]), light.direction)
    ship.kind.draw(canvas, rng, ship.under_way)
    size = 2 * canvas.reach, 2 * canvas.reach
    masked = cv2.bitwise_and(canvas.rgb, canvas.rgb, mask=canvas.cover)
    rgb = f32(cv2.resize(masked, size, interpolation=cv2.INTER_AREA) * np.float32(1 / 255))
    alpha = np.asarray(cv2.resize(canvas.cover, size, interpolation=cv2.INTER_AREA), np.uint8)
    silhouette = Silhouette(cell[0] - canvas.reach, cell[1] - canvas.reach, alpha, rgb)
    return silhouette, _outline(canvas.cover, ship, (silhouette.x, silhouette.y), geometry)


def _outline(cover: Pixels, ship: Ship, origin: tuple[int, int], geometry: GeometryType) -> Box | RotatedBox | Polygon:
    if geometry == "box":
        x, y, width, height = cv2.boundingRect(cover)
        corners = np.array([[x, y], [x + width, y + height]]) / SCALE + origin
        return Box(*map(float, corners.ravel()))
    contour = max(cv2.findContours(cover, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=len)
    if geometry == "polygon":
        contour = cv2.approxPolyDP(contour, 1.0, True)
    # Contours run through the centres of the enlarged pixels.
    points = (contour.reshape(-1, 2).astype(np.float64) + 0.5) / SCALE + origin
    if geometry == "polygon":
        return Polygon.simple(points)
    starboard = np.array([-ship.forward[1], ship.forward[0]])
    ahead, aside = points @ ship.forward, points @ starboard
    middle = ship.forward * (ahead.max() + ahead.min()) / 2 + starboard * (aside.max() + aside.min()) / 2
    size = float(np.ptp(aside)) + 1 / SCALE, float(np.ptp(ahead)) + 1 / SCALE
    return RotatedBox(float(middle[0]), float(middle[1]), *size, ship.heading)


def paste(image: Field, silhouette: Silhouette) -> None:
    """Draw a rendered ship on an image in place."""
    target, source = _overlap(image, silhouette.x, silhouette.y, silhouette.alpha.shape)
    alpha = silhouette.alpha[source] * np.float32(1 / 255)
    image[target] = image[target] * (1 - alpha[..., None]) + silhouette.rgb[source]


def add_shadow(image: Field, ship: Ship, silhouette: Silhouette, light: Light) -> None:
    """Darken the water on the side away from the sun, and along the hull, in place."""
    alpha = f32(np.pad(silhouette.alpha, _SHADOW_PADDING) * np.float32(0.55 / 255))
    offset = -light.direction * ship.kind.height * (0.4 + 0.9 * light.lowness)
    shifts = [np.column_stack([np.eye(2), share * offset]) for share in (0.35, 0.7, 1.0)]
    shadow = np.max([alpha, *(cv2.warpAffine(alpha, shift, alpha.shape[::-1]) for shift in shifts)], axis=0)
    x, y = silhouette.x - _SHADOW_PADDING, silhouette.y - _SHADOW_PADDING
    target, source = _overlap(image, x, y, shadow.shape)
    image[target] *= (1 - cv2.GaussianBlur(shadow, (0, 0), 1.0)[source])[..., None]


def add_wake(image: Field, ship: Ship, foam: Field) -> None:
    """Draw the wake of a ship in place: a trail, and the arms of a Kelvin wake, broken up by foam noise."""
    middle = np.array([ship.x, ship.y])
    end = middle - ship.forward * ship.length * (1.3 + 1.9 * ship.kind.speed)
    padding = ship.length * 0.75
    left, top = np.maximum(np.minimum(middle, end) - padding, 0).astype(int)
    right, bottom = np.minimum(np.maximum(middle, end) + padding, image.shape[1::-1]).astype(int)
    window = slice(top, bottom), slice(left, right)
    grid_y, grid_x = np.mgrid[window]
    xs, ys = f32(grid_x + 0.5 - ship.x), f32(grid_y + 0.5 - ship.y)
    forward = f32(ship.forward)
    white, ripple = _wake_fields(xs * forward[0] + ys * forward[1], np.abs(ys * forward[0] - xs * forward[1]), ship)
    water = image[window] * (1 + 0.16 * ripple)[..., None]
    texture = np.clip(0.6 + 0.5 * foam[window], 0, 1.4)
    image[window] = blend(water, FOAM, np.clip(white * texture, 0, 0.92))


def _wake_fields(ahead: Field, aside: Field, ship: Ship) -> tuple[Field, Field]:
    """Return the amount of foam and the ripples between the arms, at distances ahead of and aside the middle."""
    half, reach = ship.beam / 2, ship.length * ship.kind.speed
    astern = -ahead - ship.length / 2
    trail_width = half * 0.75 + 0.045 * np.maximum(astern, 0)
    fresh = np.exp(-((aside / trail_width) ** 2) - np.maximum(astern, 0) / (0.85 * reach))
    old = np.exp(-((aside / (trail_width * 1.5)) ** 2) - np.maximum(astern, 0) / (2.2 * reach))
    trail = (0.85 * fresh + 0.3 * old) * np.clip(astern / 3 + 1, 0, 1)
    from_bow = np.maximum(ship.length * 0.42 - ahead, 0)
    spread = half * 0.9 + 0.2 * from_bow
    arms = np.exp(-(((aside - spread) / (0.8 + 0.022 * from_bow)) ** 2) - from_bow / (1.15 * reach + 8))
    bow_wave = np.exp(-(((aside - half) / 1.3) ** 2) - from_bow / (0.5 * ship.length))
    phase = (from_bow + 0.15 * aside**2 / (from_bow + 8)) * (2 * math.pi / (5.0 + 4.0 * ship.kind.speed))
    ripple = np.cos(phase) * np.exp(-from_bow / (1.4 * reach)) * ((from_bow > 0) & (aside < spread))
    strength = min(1.0, 0.35 + 0.6 * ship.kind.speed)
    return f32(strength * (trail + (0.55 * arms + 0.5 * bow_wave) * (from_bow > 0))), f32(ripple)


def _overlap(image: Field, x: int, y: int, shape: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the slices of an image under a patch at (x, y), and of the part of the patch inside the image."""
    rows = slice(max(0, y), min(image.shape[0], y + shape[0]))
    columns = slice(max(0, x), min(image.shape[1], x + shape[1]))
    return (rows, columns), (slice(rows.start - y, rows.stop - y), slice(columns.start - x, columns.stop - x))
