"""A picture of a harbour as a satellite sees it, with the ships that are in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Box, Object, Polygon, RotatedBox
from saccade.demo.synthetic.looks import Light
from saccade.demo.synthetic.noise import Field, f32, fractal, mix
from saccade.demo.synthetic.place import MARGIN, Place, make_place
from saccade.demo.synthetic.sea import make_clouds, make_sea, with_clouds
from saccade.demo.synthetic.ships import Drawn, Ship, Silhouette, Traffic, add_shadow, add_wake, draw_ship, paste
from saccade.demo.synthetic.waterfront import Berth

Outline = Literal["box", "rotated_box", "polygon"]
MIN_SIDE, MAX_SIDE = 320, 4096


THREADS = min(8, os.cpu_count() or 1)
"""How many scenes are made at a time."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture and what is true of it.

    ``image`` is uint8 RGB (height, width, 3); ``land`` is where land and quays are, bool (height, width);
    ``silhouettes`` is what each of the objects covers, in their order.
    """

    image: npt.NDArray[np.uint8]
    objects: tuple[Object, ...]
    land: npt.NDArray[np.bool_]
    silhouettes: tuple[Silhouette, ...]


def make_scene(seed: int, size_wh: tuple[int, int] = (640, 640), *, view: int = 0, geometry: Outline = "box") -> Scene:
    """Make a picture of a harbour, at about two metres a pixel. The same arguments give the same bytes.

    Args:
        seed: of the scene: its coast, town, colours and time of day.
        size_wh: width and height, 320 to 4096 pixels. The scale stays the same.
        view: the number of the picture: another time with other ships, waves and clouds, cut out a little elsewhere.
        geometry: the geometry of the objects. Each also has the attribute ``heading``, degrees clockwise from up, and
            a rotated box has its top at the bow.
    """
    _check(seed, size_wh, view, geometry)
    place = _place(seed, size_wh)
    rng = np.random.default_rng([seed, 2, view])
    left, top = (int(value) for value in rng.integers(0, 2 * MARGIN + 1, 2))
    window = slice(top, top + size_wh[1]), slice(left, left + size_wh[0])
    cover, offshore = place.cover[window], place.offshore[window]
    ships = Traffic(rng, cover, offshore, _moved(place.berths, left, top)).fill()
    drawn = [draw_ship(rng, ship, place.light) for ship in ships]
    sea = make_sea(rng, offshore, place.land, place.light)
    _add_traffic(rng, sea, ships, drawn, place.light)
    sea *= (1 - 0.45 * place.shadow[window])[..., None]
    image = mix(sea, place.rgb[window], cover)
    for one in drawn:
        paste(image, one)
    clouds = _thin_over_ships(make_clouds(rng, size_wh), drawn)
    pixels = _expose(rng, with_clouds(image, clouds, place.light), place.light)
    objects = tuple(
        _object(index, ship, one, geometry) for index, (ship, one) in enumerate(zip(ships, drawn, strict=True))
    )
    return Scene(pixels, objects, cover > 0.5, tuple(one.silhouette for one in drawn))


def _check(seed: int, size_wh: tuple[int, int], view: int, geometry: str) -> None:
    if seed < 0 or view < 0:
        raise InvalidValueError(f"A seed and a view must not be negative, not {seed} and {view}.")
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in size_wh):
        raise InvalidValueError(f"A harbour is {MIN_SIDE} to {MAX_SIDE} pixels wide and high, not {size_wh}.")
    if geometry not in get_args(Outline):
        raise InvalidValueError(f"The geometry must be one of {', '.join(get_args(Outline))}, not {geometry!r}.")


@lru_cache(maxsize=THREADS)
def _place(seed: int, size_wh: tuple[int, int]) -> Place:
    """The place of the scene drawn last is kept, as its pictures are usually made in a row."""
    return make_place(seed, size_wh)


def _moved(berths: tuple[Berth, ...], left: int, top: int) -> list[Berth]:
    return [
        Berth((one.edge[0] - left, one.edge[1] - top), one.away, one.heading, one.length, one.beam) for one in berths
    ]


def _add_traffic(rng: np.random.Generator, sea: Field, ships: list[Ship], drawn: list[Drawn], light: Light) -> None:
    """Wakes first, so that a ship's shadow falls on the wake of another."""
    foam = fractal(rng, (sea.shape[1], sea.shape[0]), 7, 3, 0.75)
    for ship in ships:
        if ship.under_way:
            add_wake(sea, ship, foam)
    for ship, one in zip(ships, drawn, strict=True):
        add_shadow(sea, ship, one.silhouette, light)


def _thin_over_ships(clouds: Field, drawn: list[Drawn], at_most: float = 0.35) -> Field:
    """Clouds thin enough that every labelled ship can be seen through them."""
    worst = 0.0
    for one in drawn:
        x1, y1, x2, y2 = (int(value) for value in one.box.bounds_xyxy())
        worst = max(worst, float(clouds[y1 : y2 + 1, x1 : x2 + 1].mean()))
    return clouds * np.float32(at_most / worst) if worst > at_most else clouds


def _expose(rng: np.random.Generator, image: Field, light: Light) -> npt.NDArray[np.uint8]:
    """What the camera makes of it: the colour of the light, haze, a little blur, and noise."""
    haze = f32([0.66, 0.72, 0.78])
    seen = (image * f32(light.tint)) * np.float32(0.95) + haze * np.float32(0.05)
    seen = f32(cv2.GaussianBlur(seen, (0, 0), 0.45))
    seen = np.clip(seen, 0, 1)
    seen = seen + np.float32(0.32) * (seen - np.float32(0.36)) * (1 - np.abs(2 * seen - 1))
    height, width = image.shape[:2]
    grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(0.007)
    return np.asarray(np.clip(seen + grain, 0, 1) * 255 + 0.5, np.float32).astype(np.uint8)


def _object(index: int, ship: Ship, drawn: Drawn, geometry: Outline) -> Object:
    outlines: dict[str, Box | RotatedBox | Polygon] = {
        "box": drawn.box,
        "rotated_box": drawn.rotated_box,
        "polygon": drawn.polygon,
    }
    return Object(f"{index + 1}", ship.kind.name, outlines[geometry], attributes={"heading": round(ship.heading, 2)})
