"""Flat things drawn on the ground: quays, roads and roofs, with the shadows that they throw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

from saccade.demo.synthetic.ground import Ground
from saccade.demo.synthetic.looks import Light, Tone
from saccade.demo.synthetic.noise import Field, f32

XY = npt.NDArray[np.float64]
"""Points in pixels of the place, shape (count, 2)."""
_SHIFT = 4


@dataclass(slots=True)
class Frame:
    """A point and two directions: ``along`` the quay and ``out`` to sea, so that things can be placed beside it."""

    origin: XY
    along: XY
    out: XY

    def at(self, a: float, b: float) -> XY:
        """The point ``a`` pixels along and ``b`` pixels out."""
        return np.asarray(self.origin + a * self.along + b * self.out)

    def rectangle(self, a1: float, a2: float, b1: float, b2: float) -> XY:
        return np.stack([self.at(a1, b1), self.at(a2, b1), self.at(a2, b2), self.at(a1, b2)])

    def heading(self, a: float, b: float) -> float:
        """The heading in degrees clockwise from up of the direction (a along, b out)."""
        x, y = a * self.along + b * self.out
        return float(np.degrees(np.arctan2(x, -y)) % 360)


@dataclass(slots=True)
class Site:
    """The place while it is built upon.

    ``rgb`` (uint8) and ``cover`` (uint8) are drawn on in place; ``shadow`` (uint8) is what buildings throw, and
    ``sea_shadow`` what quays throw on the water. Raised things wait in ``raised`` until all shadows are known.
    """

    rgb: npt.NDArray[np.uint8]
    cover: npt.NDArray[np.uint8]
    shadow: npt.NDArray[np.uint8]
    sea_shadow: npt.NDArray[np.uint8]
    light: Light
    raised: list[tuple[XY, Tone]] = field(default_factory=list)

    @classmethod
    def on(cls, ground: Ground, light: Light) -> Site:
        rgb = (np.clip(ground.rgb, 0, 1) * 255).astype(np.uint8)
        cover = (ground.cover * 255).astype(np.uint8)
        return cls(rgb, cover, np.zeros_like(cover), np.zeros_like(cover), light)

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.cover.shape[1], self.cover.shape[0]

    def pave(self, points: XY, color: Tone, *, ground: bool = True) -> None:
        """Fill a flat polygon; with ``ground`` it becomes land."""
        fixed = [_fixed(points)]
        cv2.fillPoly(self.rgb, fixed, _bytes(color), cv2.LINE_AA, _SHIFT)
        if ground:
            cv2.fillPoly(self.cover, fixed, 255, cv2.LINE_AA, _SHIFT)

    def line(self, points: XY, color: Tone, width: int) -> None:
        cv2.polylines(self.rgb, [_fixed(points)], False, _bytes(color), width, cv2.LINE_AA, _SHIFT)

    def cast(self, points: XY, height: float, *, on_sea: bool = False) -> None:
        """Note the shadow of something ``height`` pixels high, on everything or only on the water."""
        away = -np.asarray(self.light.towards) * height * (0.5 + self.light.low)
        both = np.concatenate([_fixed(points), _fixed(points + away)])
        cv2.fillPoly(self.sea_shadow if on_sea else self.shadow, [cv2.convexHull(both)], 255, cv2.LINE_AA, _SHIFT)

    def raise_up(self, points: XY, color: Tone, height: float) -> None:
        """A block or roof, with its shadow."""
        self.cast(points, height)
        self.raised.append((points, color))

    def finish(self) -> None:
        """Lay the shadows, then draw what stands above them."""
        self.rgb[:] = (self.rgb * (1 - self.shadow * np.float32(0.48 / 255))[..., None]).astype(np.uint8)
        for points, color in self.raised:
            cv2.fillPoly(self.rgb, [_fixed(points)], _bytes(color), cv2.LINE_AA, _SHIFT)

    def is_land(self, points: Iterable[XY]) -> list[bool]:
        """Whether each point lies on land; points off the place do not."""
        width, height = self.size_wh
        cells = [(int(x), int(y)) for x, y in points]
        return [0 <= x < width and 0 <= y < height and bool(self.cover[y, x] > 127) for x, y in cells]


def gable_roof(site: Site, points: XY, color: Tone, height: float) -> None:
    """A roof of two halves along its longer side, the one towards the sun brighter."""
    if np.linalg.norm(points[1] - points[0]) < np.linalg.norm(points[2] - points[1]):
        points = np.roll(points, 1, axis=0)
    middle_1, middle_2 = (points[0] + points[3]) / 2, (points[1] + points[2]) / 2
    site.cast(points, height)
    towards = np.asarray(site.light.towards)
    for half in (np.stack([points[0], points[1], middle_2, middle_1]), np.stack([middle_1, middle_2, *points[2:]])):
        outward = half.mean(axis=0) - points.mean(axis=0)
        facing = float(outward @ towards) / max(1e-6, float(np.linalg.norm(outward)))
        site.raised.append((half, scaled(color, 1 + 0.16 * facing)))


def scaled(color: Tone, by: float) -> Tone:
    red, green, blue = (min(1.0, part * by) for part in color)
    return red, green, blue


def _fixed(points: XY) -> npt.NDArray[np.int32]:
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def _bytes(color: Tone) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in color)
    return red, green, blue


def as_field(pixels: npt.NDArray[np.uint8]) -> Field:
    """Bytes as numbers from 0 to 1."""
    return f32(pixels * np.float32(1 / 255))
