"""What people have built on a coast: a port with quays, piers and jetties, the town behind it; and reefs in the sea."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from saccade.demo.synthetic.appearance import Palette
from saccade.demo.synthetic.drawing import Color, Frame, GroundCanvas, Points, pick, regular_polygon
from saccade.demo.synthetic.noise import fractal, sample
from saccade.demo.synthetic.terrain import Terrain

_CONCRETE = np.array([0.66, 0.645, 0.61])
_WOOD = np.array([0.56, 0.47, 0.36])
_ASPHALT: Color = (0.42, 0.41, 0.4)
_CONTAINERS = (
    (0.68, 0.24, 0.19),
    (0.2, 0.38, 0.56),
    (0.27, 0.48, 0.35),
    (0.8, 0.5, 0.2),
    (0.62, 0.62, 0.62),
    (0.8, 0.78, 0.74),
)
_CRANES = ((0.16, 0.34, 0.6), (0.72, 0.2, 0.16), (0.85, 0.62, 0.15))
_CARS = ((0.9, 0.9, 0.9), (0.12, 0.12, 0.14), (0.6, 0.12, 0.1), (0.2, 0.3, 0.5), (0.7, 0.7, 0.72))
_COAST_WINDOW = 90
_QUAY_EDGE = 13.0


class Berth(NamedTuple):
    """A place to moor: the quay's edge, the direction from it to the ship, the ship's heading and maximum length."""

    edge: Points
    away: Points
    heading: float
    length: float


def find_quay_site(rng: np.random.Generator, terrain: Terrain, margin: float) -> Frame | None:
    """Find the straightest stretch of coast with deep water, at least ``margin`` pixels from the border.

    Returns a frame along the coast, whose ``across`` points out to sea, or None if there is no coast.
    """
    size_wh = np.array(terrain.cover.shape[::-1])
    land = (terrain.cover > 0.5).astype(np.uint8)
    best, best_score = None, -np.inf
    for coast in cv2.findContours(land, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]:
        line = coast.reshape(-1, 2).astype(np.float64)
        for start in range(0, len(line) - 2 * _COAST_WINDOW, 8):
            section = line[start : start + 2 * _COAST_WINDOW]
            ends = section[[0, _COAST_WINDOW, -1]]
            if (ends < margin).any() or (ends > size_wh - margin).any():
                continue
            length = max(1e-6, float(np.linalg.norm(section[-1] - section[0])))
            along = (section[-1] - section[0]) / length
            out, middle = np.array([-along[1], along[0]]), section.mean(axis=0)
            if sample(terrain.offshore, middle + 25 * out) < sample(terrain.offshore, middle - 25 * out):
                out = -out
            frame = Frame(middle, along, out)
            depth = min(150.0, *(sample(terrain.offshore, frame.at(a, 130)) for a in (-70, 0, 70)))
            curvature = float(((section - middle) @ out).std())
            score = length - 6 * curvature + 0.5 * depth + 12 * rng.random()
            if score > best_score:
                best, best_score = frame, score
    return best


class PortBuilder:
    """Builds a port and its town in the frame of the quay: ``a`` is along the coast, ``b`` out to sea."""

    def __init__(
        self, rng: np.random.Generator, canvas: GroundCanvas, terrain: Terrain, frame: Frame, palette: Palette
    ) -> None:
        self._rng = rng
        self._canvas = canvas
        self._terrain = terrain
        self._frame = frame
        self._palette = palette

    def _build(self, a1: float, a2: float, b1: float, b2: float, color: Color, height: float = 0.0) -> None:
        self._canvas.build(self._frame.rectangle(a1, a2, b1, b2), color, height)

    def _pave(self, a1: float, a2: float, b1: float, b2: float, color: Color, quay_height: float = 0.0) -> None:
        self._canvas.pave(self._frame.rectangle(a1, a2, b1, b2), color, quay_height)

    def _paint(self, a1: float, a2: float, b1: float, b2: float, color: Color) -> None:
        self._canvas.paint(self._frame.rectangle(a1, a2, b1, b2), color)

    def _line(self, a1: float, b1: float, a2: float, b2: float, color: Color, width: int) -> None:
        self._canvas.line(np.stack([self._frame.at(a1, b1), self._frame.at(a2, b2)]), color, width)

    def build_town(self) -> None:
        """Build blocks of houses in a grid behind the quay, which thin out with distance, and a road out of town."""
        density = fractal(self._rng, self._canvas.size_wh, 120, 3)
        for row in range(5):
            for column in range(-6, 7):
                a, b = column * 40.0, -80.0 - row * 34.0
                corners = self._frame.rectangle(a, a + 33, b - 27, b)
                is_inland = all(sample(self._terrain.inland, corner) > 14 for corner in corners)
                local_density = sample(density, corners.mean(axis=0)) + 0.8 - 0.28 * row - 0.13 * abs(column)
                if is_inland and all(self._canvas.is_land(corners)) and local_density > 0:
                    self._build_block(a, b, local_density)
        distance = np.arange(40, 640, 12.0)
        sway = np.cumsum(np.convolve(self._rng.normal(0, 3.0, distance.size), np.ones(3) / 3, "same"))
        road = self._frame.origin - distance[:, None] * self._frame.across + sway[:, None] * self._frame.along
        is_land = self._canvas.is_land(road)
        end = is_land.index(False) if False in is_land else len(road)
        self._canvas.line(road[:end], (0.62, 0.6, 0.54), 6)
        self._canvas.line(road[:end], _ASPHALT, 4)

    def _build_block(self, a: float, b: float, density: float) -> None:
        """Build a street with parked cars, and inside it a hall or houses and trees."""
        rng = self._rng
        street = self._frame.rectangle(a - 3.5, a + 36.5, b - 30.5, b + 3.5)
        self._canvas.line(np.concatenate([street, street[:1]]), _ASPHALT, 4)
        self._paint(a - 1, a + 34, b - 28, b + 1, (0.5, 0.5, 0.42))
        for x in rng.uniform(a, a + 33, int(rng.integers(1, 5))):
            self._build(x, x + 2.6, b + 3.0, b + 4.3, pick(rng, _CARS), 0.8)
        if rng.random() < 0.22:
            roof = np.array([0.68, 0.68, 0.69]) * rng.uniform(0.8, 1.2)
            self._build(a + 3, a + 30, b - 22, b - 4, roof, 4)
            for x in np.arange(a + 6, a + 28, 5):
                self._build(x, x + 2, b - 19, b - 7, roof * 0.9)
            return
        for x in np.arange(a + 1, a + 28, 11.0):
            for y in (b - 26, b - 12):
                if rng.random() > 0.45 + 0.4 * density:
                    self._plant_tree(self._frame.at(x + 4, y + 5))
                    continue
                corners = self._frame.rectangle(x, x + rng.uniform(6, 9.5), y, y + rng.uniform(7, 10.5))
                color = pick(rng, self._palette.roofs) * rng.uniform(0.85, 1.15)
                self._canvas.build_gable_roof(corners, color, float(rng.uniform(2, 3.5)))

    def _plant_tree(self, centre: Points) -> None:
        crown = regular_polygon(12) * self._rng.uniform(1.6, 3.2)
        self._canvas.build(centre + crown, self._palette.forest * self._rng.uniform(0.9, 1.3), 2)
        lit = centre + crown * 0.55 + self._canvas.light.direction * 0.8
        self._canvas.build(lit, self._palette.forest * 1.5)

    def build_quay(self) -> list[Berth]:
        """Build a quay with a container yard, a tank farm and cranes, and return its berths."""
        rng = self._rng
        half, depth = float(rng.uniform(95, 135)), float(rng.uniform(44, 62))
        self._pave(-half, half, -74, 0, _CONCRETE * 0.7)
        self._pave(-half, half, -depth, _QUAY_EDGE, _CONCRETE, 3)
        self._paint(-half, half, _QUAY_EDGE - 1.6, _QUAY_EDGE, _CONCRETE * 0.72)
        for a in np.arange(-half + 14, half, 14):
            self._line(a, -depth, a, _QUAY_EDGE - 2, _CONCRETE * 0.93, 1)
        split = float(rng.uniform(-0.2, 0.35)) * half
        for row in np.arange(-depth + 6, _QUAY_EDGE - 20, 10.0):
            for start in np.arange(-half + 8, split - 12, 6.6):
                if rng.random() < 0.8:
                    self._stack_containers(start, row)
        radius = min(9.0, (_QUAY_EDGE - 22 + depth) / 4.4)
        for a in np.arange(split + 8 + radius, half - 8 - radius, radius * 2.5):
            for b in np.arange(-depth + 8 + radius, _QUAY_EDGE - 13.9 - radius, radius * 2.4):
                if rng.random() < 0.85:
                    self._build_tank(self._frame.at(a, b), radius * rng.uniform(0.75, 1.0))
        for a in np.arange(-half + 28, split, 44):
            self._build_crane(a)
        heading = self._frame.heading(1, 0)
        edges = [self._frame.at(a, _QUAY_EDGE) for a in (-half * 0.5, half * 0.5)]
        return [Berth(edge, self._frame.across, heading, half * 0.98) for edge in edges]

    def _stack_containers(self, a: float, b: float) -> None:
        main_color = pick(self._rng, _CONTAINERS)
        for lane in (b, b + 2.5):
            color = main_color if self._rng.random() < 0.5 else pick(self._rng, _CONTAINERS)
            self._build(a, a + 5.8, lane, lane + 2.3, np.array(color) * self._rng.uniform(0.85, 1.1), 1.5)

    def _build_tank(self, centre: Points, radius: float) -> None:
        white = np.array([1, 1, 0.98]) * self._rng.uniform(0.8, 0.92)
        circle = regular_polygon(40) * radius
        self._canvas.build(centre + circle, white * 0.87, 5)
        self._canvas.build(centre + circle * 0.86, white)
        self._canvas.build(centre + circle * 0.16, white * 0.7)

    def _build_crane(self, a: float) -> None:
        """Build a gantry crane whose boom reaches over the water."""
        color, edge = np.array(pick(self._rng, _CRANES)), _QUAY_EDGE
        for leg in (a - 3.0, a + 3.0):
            self._build(leg - 0.6, leg + 0.6, edge - 13, edge - 2, color, 5)
        self._build(a - 1.0, a + 1.0, edge - 18, edge + 8, color * 1.1, 9)
        self._build(a - 2.2, a + 2.2, edge - 12, edge - 8, (0.88, 0.88, 0.86), 9)

    def build_piers(self) -> list[Berth]:
        """Build a pier on one side of the quay and a marina on the other, if there is water, and return the berths."""
        berths: list[Berth] = []
        side = -1.0 if self._rng.random() < 0.5 else 1.0
        shore = self._find_shore(side * 165, water=120, depth=55)
        if shore is not None:
            berths += self._build_pier(side * 165, shore)
        for a in (165.0, 205.0, 245.0):
            shore = self._find_shore(-side * a, water=55, depth=22)
            if shore is not None:
                berths += self._build_jetty(-side * a, shore)
        shore = self._find_shore(-side * 292)
        if shore is not None and self._rng.random() < 0.6:
            self._build_breakwater(-side, shore)
        return berths

    def _find_shore(self, a: float, water: float = 0.0, depth: float = 0.0) -> float | None:
        """Return where the water begins, or None if it is not nearby, or too shallow ``water`` pixels further out."""
        steps = np.arange(-60, 60, 2.0)
        land = self._canvas.is_land(np.stack([self._frame.at(a, b) for b in steps]))
        shore = next((b for b, here, beyond in zip(steps, land, land[1:], strict=False) if here and not beyond), None)
        if shore is None or (depth and sample(self._terrain.offshore, self._frame.at(a, shore + water)) <= depth):
            return None
        return float(shore)

    def _build_pier(self, a: float, shore: float) -> list[Berth]:
        length, half = float(self._rng.uniform(120, 150)), float(self._rng.uniform(5.5, 8))
        end = shore + length
        self._pave(a - half, a + half, shore - 12, end, _CONCRETE, 3)
        for kerb in (a - half, a + half - 1.2):
            self._paint(kerb, kerb + 1.2, shore, end, _CONCRETE * 0.75)
        self._line(a, shore - 10, a, end - 6, _CONCRETE * 0.86, 2)
        for b in np.arange(shore + 20, end - 12, 30):
            if self._rng.random() < 0.6:
                self._build(a - 3, a + 3, b, b + 12, (0.6, 0.62, 0.63), 3)
        heading = self._frame.heading(0, 1)
        edges = [(side, self._frame.at(a + side * half, shore + length * 0.55)) for side in (-1.0, 1.0)]
        return [Berth(edge, side * self._frame.along, heading, length * 0.92) for side, edge in edges]

    def _build_jetty(self, a: float, shore: float) -> list[Berth]:
        """Build a wooden jetty with fingers, and a berth for a small boat between each two."""
        end = shore + float(self._rng.uniform(62, 84))
        self._pave(a - 1.5, a + 1.5, shore - 10, end, _WOOD, 1.5)
        berths = []
        for b in np.arange(shore + 16, end - 4, 13.0):
            for side in (-1.0, 1.0):
                self._pave(a + side * 1.5, a + side * 12, b - 0.5, b + 0.5, _WOOD * 1.08)
                edge = self._frame.at(a + side * 2.5, b + 6.5)
                berths.append(Berth(edge, side * self._frame.along, self._frame.heading(-side, 0), 28))
        return berths

    def _build_breakwater(self, side: float, shore: float) -> None:
        """Build an arm of rocks that shelters the marina."""
        t = np.linspace(0, 1, 90)
        a = side * (292 + 26 * np.sin(t * np.pi / 2) - t**2 * self._rng.uniform(60, 110))
        b = shore - 8 + t * self._rng.uniform(150, 210)
        line = self._frame.origin + a[:, None] * self._frame.along + b[:, None] * self._frame.across
        self._canvas.line(line, (0.38, 0.36, 0.34), 6)
        _pile_rocks(self._rng, self._canvas, np.repeat(line, 7, axis=0), 2.4, (0.8, 2.1))


def scatter_reefs(rng: np.random.Generator, canvas: GroundCanvas, terrain: Terrain, berths: list[Berth]) -> None:
    """Add a few heaps of rock of the size of boats, as distractors, away from berths."""
    edges = np.array([berth.edge for berth in berths]).reshape(-1, 2)
    for _ in range(int(rng.integers(3, 8))):
        centre = rng.uniform(20, np.array(canvas.size_wh) - 20)
        is_near_berth = bool((np.linalg.norm(edges - centre, axis=1) < 70).any())
        if not is_near_berth and 12 < sample(terrain.offshore, centre) < 150:
            spread = float(rng.uniform(2, 7))
            _pile_rocks(rng, canvas, np.repeat(centre[None], int(6 + 4 * spread), axis=0), spread, (1.0, 3.2))


def _pile_rocks(
    rng: np.random.Generator, canvas: GroundCanvas, places: Points, spread: float, radii: tuple[float, float]
) -> None:
    for place in places:
        centre, radius = place + rng.normal(0, spread, 2), rng.uniform(*radii)
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        shape = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius * rng.uniform(0.7, 1.2, (7, 1))
        color = np.array([1, 0.97, 0.93]) * rng.uniform(0.3, 0.52)
        canvas.pave(centre + shape, color * 0.72)
        canvas.paint(centre + canvas.light.direction * radius * 0.3 + shape * 0.6, color * 1.15)
