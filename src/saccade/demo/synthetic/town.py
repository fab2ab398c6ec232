"""Streets, houses and cars behind the waterfront."""

from __future__ import annotations

import numpy as np

from saccade.demo.synthetic.building import XY, Frame, Site, gable_roof, scaled
from saccade.demo.synthetic.ground import Ground
from saccade.demo.synthetic.looks import Land, Tone
from saccade.demo.synthetic.noise import fractal

_ASPHALT: Tone = (0.42, 0.41, 0.4)
_CARS: tuple[Tone, ...] = ((0.9, 0.9, 0.9), (0.12, 0.12, 0.14), (0.6, 0.12, 0.1), (0.2, 0.3, 0.5), (0.7, 0.7, 0.72))


def build_town(rng: np.random.Generator, site: Site, ground: Ground, frame: Frame, land: Land) -> None:
    """Blocks of houses in a grid behind the quay, thinning out, with a road out of town."""
    density = fractal(rng, site.size_wh, 120, 3)
    blocks = [(i, j) for j in range(5) for i in range(-6, 7)]
    for i, j in blocks:
        a, b = i * 40.0, -80.0 - j * 34.0
        corners = frame.rectangle(a, a + 33, b - 27, b)
        if not _buildable(site, ground, corners):
            continue
        wealth = _at(density, corners.mean(axis=0)) + 0.8 - 0.28 * j - 0.13 * abs(i)
        if wealth < 0:
            continue
        _streets(rng, site, frame, a, b)
        _houses(rng, site, frame, a, b, land, wealth)
    _country_road(rng, site, frame)


def _at(field: np.ndarray[tuple[int, ...], np.dtype[np.float32]], point: XY) -> float:
    x, y = int(point[0]), int(point[1])
    inside = 0 <= x < field.shape[1] and 0 <= y < field.shape[0]
    return float(field[y, x]) if inside else -9.0


def _buildable(site: Site, ground: Ground, corners: XY) -> bool:
    return all(site.is_land(corners)) and all(_at(ground.inland, corner) > 14 for corner in corners)


def _streets(rng: np.random.Generator, site: Site, frame: Frame, a: float, b: float) -> None:
    """A street around the block, with cars."""
    ring = frame.rectangle(a - 3.5, a + 36.5, b - 30.5, b + 3.5)
    site.line(np.concatenate([ring, ring[:1]]), _ASPHALT, 4)
    site.pave(frame.rectangle(a - 1, a + 34, b - 28, b + 1), (0.5, 0.5, 0.42), ground=False)
    for _ in range(int(rng.integers(1, 5))):
        at = float(rng.uniform(a, a + 33))
        _car(rng, site, frame.rectangle(at, at + 2.6, b + 3.0, b + 4.3))


def _car(rng: np.random.Generator, site: Site, corners: XY) -> None:
    site.raise_up(corners, _CARS[int(rng.integers(len(_CARS)))], 0.8)


def _houses(rng: np.random.Generator, site: Site, frame: Frame, a: float, b: float, land: Land, wealth: float) -> None:
    if rng.random() < 0.22:
        roof = scaled((0.68, 0.68, 0.69), float(rng.uniform(0.8, 1.2)))
        site.raise_up(frame.rectangle(a + 3, a + 30, b - 22, b - 4), roof, 4)
        for x in np.arange(a + 6, a + 28, 5):
            site.raised.append((frame.rectangle(x, x + 2, b - 19, b - 7), scaled(roof, 0.9)))
        return
    for x in np.arange(a + 1, a + 28, 11.0):
        for y in (b - 26, b - 12):
            if rng.random() > 0.45 + 0.4 * wealth:
                _tree(rng, site, frame.at(x + 4, y + 5), land)
                continue
            width, depth = rng.uniform(6, 9.5), rng.uniform(7, 10.5)
            color = scaled(land.roofs[int(rng.integers(len(land.roofs)))], float(rng.uniform(0.85, 1.15)))
            gable_roof(site, frame.rectangle(x, x + width, y, y + depth), color, float(rng.uniform(2, 3.5)))


def _tree(rng: np.random.Generator, site: Site, centre: XY, land: Land) -> None:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    crown = np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform(1.6, 3.2)
    site.raise_up(centre + crown, scaled(land.forest, float(rng.uniform(0.9, 1.3))), 2)
    lit = centre + crown * 0.55 + np.asarray(site.light.towards) * 0.8
    site.raised.append((lit, scaled(land.forest, 1.5)))


def _country_road(rng: np.random.Generator, site: Site, frame: Frame) -> None:
    """A road that winds inland from the quay, as far as there is land."""
    t = np.arange(0, 600, 12.0)
    sway = np.cumsum(rng.normal(0, 3.0, t.size)) + t * rng.uniform(-0.25, 0.25)
    points = frame.origin - (40 + t)[:, None] * frame.out + sway[:, None] * frame.along
    land = site.is_land(points)
    end = land.index(False) if False in land else len(land)
    if end < 4:
        return
    smooth = np.stack([np.convolve(points[:end, k], np.ones(3) / 3, "valid") for k in (0, 1)], axis=1)
    site.line(smooth, (0.62, 0.6, 0.54), 6)
    site.line(smooth, _ASPHALT, 4)
    for index in rng.integers(0, len(smooth) - 1, 6):
        here, there = smooth[index], smooth[index + 1]
        ahead = (there - here) / max(1e-6, float(np.linalg.norm(there - here)))
        lane = Frame(here, ahead, np.array([-ahead[1], ahead[0]]))
        _car(rng, site, lane.rectangle(0, 2.8, 0.4, 1.7))
