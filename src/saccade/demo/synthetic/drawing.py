"""Drawing of polygons with sub-pixel accuracy, in coordinates relative to a quay or a ship."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from saccade.demo.synthetic.appearance import Light
from saccade.demo.synthetic.noise import Field, f32
from saccade.demo.synthetic.terrain import Terrain

Points = npt.NDArray[np.float64]
"""Points in pixels, shape (count, 2)."""
Pixels = npt.NDArray[np.uint8]
Color = npt.ArrayLike
"""Red, green and blue from 0 to 1."""

_SHIFT = 4


def fill(image: Pixels, points: Points, value: Color, *, antialias: bool = True) -> None:
    """Fill a polygon with a color, or with a value from 0 to 1 if the image is a mask."""
    line_type = cv2.LINE_AA if antialias else cv2.LINE_8
    cv2.fillPoly(image, [_fixed_point(points)], _to_bytes(value), line_type, _SHIFT)


def draw_line(image: Pixels, points: Points, value: Color, width: int) -> None:
    """Draw a line through points, ``width`` pixels wide."""
    cv2.polylines(image, [_fixed_point(points)], False, _to_bytes(value), width, cv2.LINE_AA, _SHIFT)


def shadow_outline(points: Points, offset: npt.NDArray[np.float64]) -> Points:
    """Return the outline of a polygon together with the shadow of its top, which lies ``offset`` away."""
    return np.asarray(cv2.convexHull(np.concatenate([points, points + offset]).astype(np.float32))[:, 0], np.float64)


def regular_polygon(corners: int) -> Points:
    """Return a polygon with the radius 1 around the origin."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def pick(rng: np.random.Generator, options: Any) -> Any:
    """Choose one of some options."""
    return options[int(rng.integers(len(options)))]


def _fixed_point(points: Points) -> npt.NDArray[np.int32]:
    return np.round((points - 0.5) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def _to_bytes(value: Color) -> list[float]:
    return [float(min(255, round(255 * float(channel)))) for channel in np.atleast_1d(np.asarray(value))]


@dataclass(frozen=True, slots=True)
class Frame:
    """A local coordinate system: ``origin + a * along + b * across``, in pixels of the image."""

    origin: npt.NDArray[np.float64]
    along: npt.NDArray[np.float64]
    across: npt.NDArray[np.float64]

    def at(self, a: float, b: float) -> npt.NDArray[np.float64]:
        return np.asarray(self.origin + a * self.along + b * self.across)

    def rectangle(self, a1: float, a2: float, b1: float, b2: float) -> Points:
        return np.stack([self.at(a1, b1), self.at(a2, b1), self.at(a2, b2), self.at(a1, b2)])

    def heading(self, a: float, b: float) -> float:
        """Return the direction (a, b) in degrees clockwise from up."""
        x, y = a * self.along + b * self.across
        return float(np.degrees(np.arctan2(x, -y)) % 360)


class GroundCanvas:
    """The land while it is built on.

    Structures are collected and drawn at the end by :meth:`finish`, above all shadows.

    Attributes:
        rgb: The colors.
        cover: Where land is, 255 for land.
        light: The sun.
    """

    def __init__(self, terrain: Terrain, light: Light) -> None:
        self.rgb: Pixels = (np.clip(terrain.rgb, 0, 1) * 255).astype(np.uint8)
        self.cover: Pixels = (terrain.cover * 255).astype(np.uint8)
        self.light = light
        self._shadow = np.zeros_like(self.cover)
        self._water_shadow = np.zeros_like(self.cover)
        self._structures: list[tuple[Points, Color]] = []

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.cover.shape[1], self.cover.shape[0]

    def pave(self, points: Points, color: Color, quay_height: float = 0.0) -> None:
        """Draw a flat area that becomes land. A quay casts a shadow on the water."""
        self.paint(points, color)
        fill(self.cover, points, 1)
        if quay_height:
            fill(self._water_shadow, shadow_outline(points, self._shadow_offset(quay_height)), 1)

    def paint(self, points: Points, color: Color) -> None:
        """Draw a flat area on the land."""
        fill(self.rgb, points, color)

    def line(self, points: Points, color: Color, width: int) -> None:
        draw_line(self.rgb, points, color, width)

    def build(self, points: Points, color: Color, height: float = 0.0) -> None:
        """Add a structure, with a shadow if it has a height in pixels."""
        if height:
            fill(self._shadow, shadow_outline(points, self._shadow_offset(height)), 1)
        self._structures.append((points, color))

    def build_gable_roof(self, points: Points, color: Color, height: float) -> None:
        """Add a roof of two halves along its longer side; the half that faces the sun is brighter."""
        if np.linalg.norm(points[1] - points[0]) < np.linalg.norm(points[2] - points[1]):
            points = np.roll(points, 1, axis=0)
        ridge = np.stack([points[0] + points[3], points[1] + points[2]]) / 2
        self.build(points, color, height)
        for half in (np.stack([*points[:2], *ridge[::-1]]), np.stack([*ridge, *points[2:]])):
            outward = half.mean(axis=0) - points.mean(axis=0)
            facing = float(outward @ self.light.direction) / max(1e-6, float(np.linalg.norm(outward)))
            self.build(half, np.asarray(color) * (1 + 0.16 * facing))

    def is_land(self, points: Points) -> list[bool]:
        """Return for each point whether it is on land within the image."""
        width, height = self.size_wh
        return [0 <= x < width and 0 <= y < height and bool(self.cover[int(y), int(x)] > 127) for x, y in points]

    def finish(self) -> tuple[Field, Field, Field]:
        """Draw shadows and structures.

        Returns:
            The colors, the share of land in each pixel, and the shadows on water, all from 0 to 1.
        """
        self.rgb[:] = (self.rgb * (1 - self._shadow * np.float32(0.48 / 255))[..., None]).astype(np.uint8)
        for points, color in self._structures:
            fill(self.rgb, points, color)
        shadow = cv2.GaussianBlur(np.maximum(self._shadow, self._water_shadow), (0, 0), 0.8)
        scale = np.float32(1 / 255)
        return f32(self.rgb * scale), f32(self.cover * scale), f32(shadow * scale)

    def _shadow_offset(self, height: float) -> Points:
        return -self.light.direction * height * (0.5 + self.light.lowness)
