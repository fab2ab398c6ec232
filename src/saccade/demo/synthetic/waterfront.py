"""What people have built at the water: quays, container yards, tank farms, piers, jetties and breakwaters."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from saccade.demo.synthetic.building import XY, Frame, Site, scaled
from saccade.demo.synthetic.ground import Ground
from saccade.demo.synthetic.looks import Tone

CONCRETE: Tone = (0.66, 0.645, 0.61)
WOOD: Tone = (0.56, 0.47, 0.36)
_STACKS: tuple[Tone, ...] = (
    (0.68, 0.24, 0.19),
    (0.2, 0.38, 0.56),
    (0.27, 0.48, 0.35),
    (0.8, 0.5, 0.2),
    (0.62, 0.62, 0.62),
    (0.8, 0.78, 0.74),
)


@dataclass(frozen=True, slots=True)
class Berth:
    """A place to lie: the middle of the water beside it, the heading, and how long and broad a ship fits.

    ``edge`` is the middle of the quay's side, and ``away`` the direction from it to the ship.
    """

    edge: tuple[float, float]
    away: tuple[float, float]
    heading: float
    length: float
    beam: float


def find_front(rng: np.random.Generator, ground: Ground, margin: float) -> Frame | None:
    """The straightest stretch of coast with deep water before it, and land behind."""
    height, width = ground.cover.shape
    contours, _ = cv2.findContours((ground.cover > 0.5).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    reach, best, score = 90, None, -1e9
    for contour in contours:
        line = contour.reshape(-1, 2).astype(np.float64)
        for middle in range(reach, len(line) - reach, 8):
            part = line[middle - reach : middle + reach]
            if not _well_inside(part[[0, reach, -1]], (width, height), margin):
                continue
            frame = _frame(ground, part)
            offsets = (part - frame.origin) @ frame.out
            chord = float(np.linalg.norm(part[-1] - part[0]))
            here = chord - 6 * float(offsets.std()) + 0.5 * _room(ground, frame) + 12 * rng.random()
            if here > score:
                best, score = frame, here
    return best


def _well_inside(points: XY, size_wh: tuple[int, int], margin: float) -> bool:
    return bool(((points > margin) & (points < np.asarray(size_wh) - margin)).all())


def _frame(ground: Ground, part: XY) -> Frame:
    along = part[-1] - part[0]
    along = along / max(1e-6, float(np.linalg.norm(along)))
    out = np.array([-along[1], along[0]])
    middle = part.mean(axis=0)
    if _at(ground.offshore, middle + 25 * out) < _at(ground.offshore, middle - 25 * out):
        out = -out
    return Frame(middle, along, out)


def _room(ground: Ground, frame: Frame) -> float:
    return min(150.0, float(min(_at(ground.offshore, frame.at(a, 130)) for a in (-70, 0, 70))))


def _at(field: np.ndarray[tuple[int, ...], np.dtype[np.float32]], point: XY) -> float:
    x = int(np.clip(point[0], 0, field.shape[1] - 1))
    y = int(np.clip(point[1], 0, field.shape[0] - 1))
    return float(field[y, x])


def build_quay(rng: np.random.Generator, site: Site, frame: Frame) -> list[Berth]:
    """A paved quay with a straight edge, a container yard or a tank farm on it, and cranes; and its berths."""
    half = float(rng.uniform(95, 135))
    depth = float(rng.uniform(44, 62))
    edge = 13.0
    site.pave(frame.rectangle(-half, half, -74, 0), scaled(CONCRETE, 0.7))
    site.pave(frame.rectangle(-half, half, -depth, edge), CONCRETE)
    site.pave(frame.rectangle(-half, half, edge - 1.6, edge), scaled(CONCRETE, 0.72), ground=False)
    for a in np.arange(-half + 14, half, 14):
        site.line(np.stack([frame.at(a, -depth), frame.at(a, edge - 2)]), scaled(CONCRETE, 0.93), 1)
    site.cast(frame.rectangle(-half, half, edge - 1, edge), 3, on_sea=True)
    split = float(rng.uniform(-0.2, 0.35)) * half
    _container_yard(rng, site, frame, (-half + 8, split - 6), (-depth + 6, edge - 14))
    _tank_farm(rng, site, frame, (split + 8, half - 8), (-depth + 8, edge - 14))
    for a in np.arange(-half + 28, split, 44):
        _crane(rng, site, frame, float(a), edge)
    heading = frame.heading(1, 0)
    starts = (-half * 0.5, half * 0.5)
    return [_berth(frame.at(a, edge), frame.out, heading, half * 0.98, 30) for a in starts]


def _berth(edge: XY, away: XY, heading: float, length: float, beam: float) -> Berth:
    return Berth((float(edge[0]), float(edge[1])), (float(away[0]), float(away[1])), heading, length, beam)


def _container_yard(
    rng: np.random.Generator, site: Site, frame: Frame, a: tuple[float, float], b: tuple[float, float]
) -> None:
    for row in np.arange(b[0], b[1] - 6, 10.0):
        for start in np.arange(a[0], a[1] - 6, 6.6):
            if rng.random() < 0.2:
                continue
            tone = _STACKS[int(rng.integers(len(_STACKS)))]
            for lane in (0.0, 2.5):
                color = tone if rng.random() < 0.5 else _STACKS[int(rng.integers(len(_STACKS)))]
                box = frame.rectangle(start, start + 5.8, row + lane, row + lane + 2.3)
                site.raise_up(box, scaled(color, float(rng.uniform(0.85, 1.1))), 1.5)


def _tank_farm(
    rng: np.random.Generator, site: Site, frame: Frame, a: tuple[float, float], b: tuple[float, float]
) -> None:
    """White storage tanks; sheds where there is no room for them."""
    radius = min(9.0, (b[1] - b[0]) / 4.4)
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    for x in np.arange(a[0] + radius, a[1] - radius, radius * 2.5):
        for y in np.arange(b[0] + radius, b[1] - radius + 0.1, radius * 2.4):
            if rng.random() < 0.15:
                continue
            centre, shade = frame.at(float(x), float(y)), float(rng.uniform(0.8, 0.92))
            size = radius * float(rng.uniform(0.75, 1.0))
            site.raise_up(centre + size * circle, (shade * 0.86, shade * 0.87, shade * 0.88), 5)
            site.raised.append((centre + size * 0.86 * circle, (shade, shade, shade * 0.98)))
            site.raised.append((centre + size * 0.16 * circle, (shade * 0.7, shade * 0.7, shade * 0.72)))


def _crane(rng: np.random.Generator, site: Site, frame: Frame, a: float, edge: float) -> None:
    """A gantry crane, its boom reaching over the water."""
    color = ((0.16, 0.34, 0.6), (0.72, 0.2, 0.16), (0.85, 0.62, 0.15))[int(rng.integers(3))]
    for side in (-3.0, 3.0):
        site.raise_up(frame.rectangle(a + side - 0.6, a + side + 0.6, edge - 13, edge - 2), color, 5)
    site.raise_up(frame.rectangle(a - 1.0, a + 1.0, edge - 18, edge + 8), scaled(color, 1.1), 9)
    site.raise_up(frame.rectangle(a - 2.2, a + 2.2, edge - 12, edge - 8), (0.88, 0.88, 0.86), 9)


def build_piers(rng: np.random.Generator, site: Site, ground: Ground, frame: Frame) -> list[Berth]:
    """A broad pier for large ships, and a marina of jetties, perhaps behind a breakwater, where there is water."""
    berths: list[Berth] = []
    sides = [-1.0, 1.0] if rng.random() < 0.5 else [1.0, -1.0]
    start = _shore(site, frame, sides[0] * 165)
    if start is not None and _at(ground.offshore, frame.at(sides[0] * 165, start + 120)) > 55:
        berths += _pier(rng, site, frame, sides[0] * 165, start)
    for index in range(3):
        a = sides[1] * (165 + 40 * index)
        start = _shore(site, frame, a)
        if start is not None and _at(ground.offshore, frame.at(a, start + 55)) > 22:
            berths += _jetty(rng, site, frame, a, start)
    if rng.random() < 0.6:
        build_breakwater(rng, site, frame, sides[1])
    return berths


def _shore(site: Site, frame: Frame, a: float) -> float | None:
    """How far out the water begins at ``a`` pixels along the front; None where it is not nearby."""
    steps = np.arange(-60, 60, 2.0)
    land = site.is_land([frame.at(a, float(b)) for b in steps])
    for b, here, beyond in zip(steps, land, land[1:], strict=False):
        if here and not beyond:
            return float(b)
    return None


def _pier(rng: np.random.Generator, site: Site, frame: Frame, a: float, start: float) -> list[Berth]:
    length, half = float(rng.uniform(120, 150)), float(rng.uniform(5.5, 8))
    end = start + length
    site.pave(frame.rectangle(a - half, a + half, start - 12, end), CONCRETE)
    site.pave(frame.rectangle(a - half, a - half + 1.2, start, end), scaled(CONCRETE, 0.75), ground=False)
    site.pave(frame.rectangle(a + half - 1.2, a + half, start, end), scaled(CONCRETE, 0.75), ground=False)
    site.cast(frame.rectangle(a - half, a + half, start, end), 3, on_sea=True)
    site.line(np.stack([frame.at(a, start - 10), frame.at(a, end - 6)]), scaled(CONCRETE, 0.86), 2)
    for b in np.arange(start + 20, end - 12, 30):
        if rng.random() < 0.6:
            site.raise_up(frame.rectangle(a - 3, a + 3, b, b + 12), (0.6, 0.62, 0.63), 3)
    middle, out = start + length * 0.55, frame.heading(0, 1)
    return [
        _berth(frame.at(a + side * half, middle), side * frame.along, out, length * 0.92, 30) for side in (-1.0, 1.0)
    ]


def _jetty(rng: np.random.Generator, site: Site, frame: Frame, a: float, start: float) -> list[Berth]:
    """A wooden jetty with fingers, and a place for a small boat between any two."""
    length = float(rng.uniform(62, 84))
    site.pave(frame.rectangle(a - 1.5, a + 1.5, start - 10, start + length), WOOD)
    site.cast(frame.rectangle(a - 1.5, a + 1.5, start, start + length), 1.5, on_sea=True)
    berths = []
    for b in np.arange(start + 16, start + length - 4, 13.0):
        for side in (-1.0, 1.0):
            reach = sorted((a + side * 1.5, a + side * 12))
            site.pave(frame.rectangle(reach[0], reach[1], b - 0.5, b + 0.5), scaled(WOOD, 1.08))
            edge = frame.at(a + side * 2.5, b + 6.5)
            berths.append(_berth(edge, side * frame.along, frame.heading(-side, 0), 28, 9))
    return berths


def build_breakwater(rng: np.random.Generator, site: Site, frame: Frame, side: float) -> None:
    """An arm of heaped rocks that shelters the marina from the sea."""
    start = _shore(site, frame, side * 292)
    if start is None:
        return
    t = np.linspace(0, 1, 90)
    bend = float(rng.uniform(60, 110))
    a = side * (292 + 26 * np.sin(t * np.pi / 2) - t**2 * bend)
    b = start - 8 + t * float(rng.uniform(150, 210))
    line = frame.origin + a[:, None] * frame.along + b[:, None] * frame.out
    cv2.polylines(site.cover, [np.round(line).astype(np.int32)], False, 255, 5, cv2.LINE_AA)
    cv2.polylines(site.rgb, [np.round(line).astype(np.int32)], False, (96, 92, 86), 6, cv2.LINE_AA)
    pile_rocks(rng, site, np.repeat(line, 7, axis=0), 2.4, (0.8, 2.1))


def scatter_reefs(rng: np.random.Generator, site: Site, ground: Ground, berths: list[Berth]) -> None:
    """A few heaps of rock in the water, the size of boats, which are not boats; none near a berth."""
    edges = np.array([berth.edge for berth in berths]).reshape(-1, 2)
    width, height = site.size_wh
    for _ in range(int(rng.integers(3, 8))):
        centre = np.array([rng.uniform(20, width - 20), rng.uniform(20, height - 20)])
        crowded = len(edges) > 0 and float(np.linalg.norm(edges - centre, axis=1).min()) < 70
        if crowded or not 12 < _at(ground.offshore, centre) < 150:
            continue
        spread = float(rng.uniform(2, 7))
        count = int(6 + 4 * spread)
        pile_rocks(rng, site, np.repeat(centre[None], count, axis=0), spread, (1.0, 3.2))


def pile_rocks(rng: np.random.Generator, site: Site, places: XY, spread: float, radii: tuple[float, float]) -> None:
    """Rocks near some places, each with a lit and a dark side."""
    towards = np.asarray(site.light.towards)
    for place in places:
        centre, radius = place + rng.normal(0, spread, 2), float(rng.uniform(*radii))
        turn = np.sort(rng.uniform(0, 2 * np.pi, 7))
        shape = np.stack([np.cos(turn), np.sin(turn)], axis=1) * radius * rng.uniform(0.7, 1.2, (7, 1))
        shade = float(rng.uniform(0.3, 0.52))
        site.pave(centre + shape, (shade * 0.72, shade * 0.7, shade * 0.68))
        site.pave(
            centre + towards * radius * 0.3 + shape * 0.6, (shade * 1.15, shade * 1.1, shade * 1.04), ground=False
        )
