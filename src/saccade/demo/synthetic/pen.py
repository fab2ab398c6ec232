"""Drawing in the coordinates of a ship: forward and starboard of its middle, whatever its heading."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Color = tuple[int, int, int]
Local = tuple[float, float]
"""Pixels forward of the middle, and pixels to starboard."""

SCALE = 4
_SHIFT = 4


class Pen:
    """A square patch, drawn ``SCALE`` times as large, with the colours and the cover of one ship.

    Args:
        radius: how far from the middle the ship may reach, in pixels of the final image.
        heading: degrees clockwise from up.
        middle: where in its pixel of the final image the middle lies, 0 to 1 for x and y.
        light: the direction towards the sun on the image, a unit vector (x, y).
    """

    def __init__(self, radius: float, heading: float, middle: tuple[float, float], light: tuple[float, float]) -> None:
        self.reach = math.ceil(radius) + 2
        side = 2 * self.reach * SCALE
        self.rgb = np.zeros((side, side, 3), np.uint8)
        self.cover = np.zeros((side, side), np.uint8)
        turn = math.radians(heading)
        self._forward = math.sin(turn), -math.cos(turn)
        self._starboard = math.cos(turn), math.sin(turn)
        self._middle = self.reach + middle[0], self.reach + middle[1]
        # The sun as the ship sees it.
        self.sun: Local = (
            light[0] * self._forward[0] + light[1] * self._forward[1],
            light[0] * self._starboard[0] + light[1] * self._starboard[1],
        )

    def _fixed(self, points: Iterable[Local]) -> npt.NDArray[np.int32]:
        local = np.asarray(list(points), np.float64)
        turn = np.array([self._forward, self._starboard])
        pixels = (local @ turn + self._middle) * SCALE - 0.5
        return np.asarray(np.round(pixels * (1 << _SHIFT)).reshape(-1, 1, 2), np.int32)

    def area(self, points: Iterable[Local], color: Color) -> None:
        """Fill a polygon; it becomes part of the ship's outline."""
        fixed = self._fixed(points)
        cv2.fillPoly(self.rgb, [fixed], color, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.cover, [fixed], 255, cv2.LINE_8, _SHIFT)

    def paint(self, points: Iterable[Local], color: Color) -> None:
        """Fill a polygon that lies on the ship."""
        cv2.fillPoly(self.rgb, [self._fixed(points)], color, cv2.LINE_AA, _SHIFT)

    def shade(self, points: Iterable[Local], height: float, strength: float = 0.45) -> None:
        """Darken what lies in the shadow of a polygon that stands ``height`` pixels high."""
        away = (-self.sun[0] * height, -self.sun[1] * height)
        corners = list(points)
        moved = [(x + away[0], y + away[1]) for x, y in corners]
        shadow = np.zeros_like(self.cover)
        hull = cv2.convexHull(np.concatenate([self._fixed(corners), self._fixed(moved)]))
        cv2.fillPoly(shadow, [hull], 255, cv2.LINE_AA, _SHIFT)
        x, y, w, h = cv2.boundingRect(shadow)
        part = self.rgb[y : y + h, x : x + w]
        weight = (shadow[y : y + h, x : x + w].astype(np.float32) * (strength / 255))[..., None]
        part[:] = (part * (1 - weight)).astype(np.uint8)

    def block(self, points: Iterable[Local], color: Color, height: float = 0.0) -> None:
        """A structure on deck: its shadow, then its roof."""
        corners = list(points)
        if height:
            self.shade(corners, height)
        self.paint(corners, color)

    def line(self, points: Iterable[Local], color: Color, width: float) -> None:
        cv2.polylines(self.rgb, [self._fixed(points)], False, color, max(1, round(width * SCALE)), cv2.LINE_AA, _SHIFT)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        centre = [int(value) for value in self._fixed([(x, y)]).ravel()]
        cv2.circle(self.rgb, centre, round(radius * SCALE * (1 << _SHIFT)), color, -1, cv2.LINE_AA, _SHIFT)


def rectangle(x1: float, x2: float, half: float, y: float = 0.0) -> list[Local]:
    """A rectangle from x1 to x2 along the ship, ``half`` to each side of y."""
    return [(x1, y - half), (x2, y - half), (x2, y + half), (x1, y + half)]


def hull(length: float, beam: float, *, bow: float, stern: float = 0.8, fullness: float = 1.6) -> list[Local]:
    """The outline of a hull.

    Args:
        bow: the part of the length over which the bow narrows.
        stern: the width of the transom as a part of the beam.
        fullness: 1 for a straight wedge of a bow, 2 and more for a round one.
    """
    side = []
    for t in np.linspace(0, 1, 25):
        x = -length / 2 + length * float(t)
        ahead = max(0.0, (float(t) - (1 - bow)) / bow)
        aft = max(0.0, 1 - float(t) / 0.12)
        half = beam / 2 * (1 - ahead**fullness) * (1 - (1 - stern) * aft**2)
        side.append((x, max(half, 0.02 * beam)))
    return [*side, *((x, -half) for x, half in reversed(side))]
