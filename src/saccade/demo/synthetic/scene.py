"""Satellite images of synthetic harbours, with the ships in them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, get_args

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.objects import Object
from saccade.demo.synthetic.appearance import Light, Palette, choose_appearance
from saccade.demo.synthetic.drawing import GroundCanvas, Pixels
from saccade.demo.synthetic.noise import Field, blend, f32, fractal
from saccade.demo.synthetic.sea import add_clouds, generate_clouds, render_sea
from saccade.demo.synthetic.ships import GeometryType, ShipPlacer, Silhouette, add_shadow, add_wake, paste, render_ship
from saccade.demo.synthetic.structures import Berth, PortBuilder, find_quay_site, scatter_reefs
from saccade.demo.synthetic.terrain import generate_terrain

THREADS = min(8, os.cpu_count() or 1)
"""The number of scenes that are generated at once."""
_MIN_SIDE = 320
_MAX_SIDE = 4096
_MARGIN = 24
"""A site extends beyond an image by this many pixels on each side: each image shows a slightly different part."""
_MAX_SHIP_CLOUDS = 0.35
_HAZE = (0.66, 0.72, 0.78)


@dataclass(frozen=True, slots=True)
class Scene:
    """An image with its ground truth.

    Attributes:
        image: uint8 RGB, shape (height, width, 3).
        objects: The ships.
        land: Where land and quays are, shape (height, width).
        silhouettes: The pixels that each of the objects covers.
    """

    image: Pixels
    objects: tuple[Object, ...]
    land: npt.NDArray[np.bool_]
    silhouettes: tuple[Silhouette, ...]


class _Site(NamedTuple):
    """What the images of a scene share: land and its shadow on the sea, the distance from the shore, and berths."""

    rgb: Field
    cover: Field
    shadow: Field
    offshore: Field
    berths: list[Berth]
    palette: Palette
    light: Light


def generate_scene(
    seed: int, size_wh: tuple[int, int] = (640, 640), *, view: int = 0, geometry: GeometryType = "box"
) -> Scene:
    """Generate an image of a harbour at about two metres a pixel. The same arguments give the same bytes.

    Args:
        seed: Determines the coast, the town, the colors and the time of day.
        size_wh: Width and height, 320 to 4096 pixels. The scale stays the same.
        view: The number of the image of this scene: another time with other ships, waves and clouds, slightly shifted.
        geometry: The geometry of the objects. Each object also has the attribute ``heading``, in degrees clockwise
            from up, and the top of a rotated box is at the bow.

    Raises:
        InvalidValueError: An argument is out of range.
    """
    if seed < 0 or view < 0:
        raise InvalidValueError(f"A seed and a view must not be negative, not {seed} and {view}.")
    if not all(_MIN_SIDE <= side <= _MAX_SIDE for side in size_wh):
        raise InvalidValueError(f"A harbour is {_MIN_SIDE} to {_MAX_SIDE} pixels wide and high, not {size_wh}.")
    if geometry not in get_args(GeometryType):
        raise InvalidValueError(f"The geometry must be one of {', '.join(get_args(GeometryType))}, not {geometry!r}.")
    site = _generate_site(seed, size_wh)
    rng = np.random.default_rng([seed, 2, view])
    left, top = (int(value) for value in rng.integers(0, 2 * _MARGIN + 1, 2))
    window = slice(top, top + size_wh[1]), slice(left, left + size_wh[0])
    cover, offshore = site.cover[window], site.offshore[window]
    berths = [berth._replace(edge=berth.edge - (left, top)) for berth in site.berths]
    ships = ShipPlacer(rng, cover, offshore, berths).place()
    rendered = [render_ship(rng, ship, site.light, geometry) for ship in ships]
    silhouettes = tuple(silhouette for silhouette, _ in rendered)
    sea = render_sea(rng, offshore, site.palette, site.light)
    foam = fractal(rng, size_wh, 7, 3, 0.75)
    # All wakes first, so that a ship's shadow falls on the wake of another.
    for ship in ships:
        if ship.under_way:
            add_wake(sea, ship, foam)
    for ship, silhouette in zip(ships, silhouettes, strict=True):
        add_shadow(sea, ship, silhouette, site.light)
    sea *= (1 - 0.45 * site.shadow[window])[..., None]
    image = blend(sea, site.rgb[window], cover)
    for silhouette in silhouettes:
        paste(image, silhouette)
    objects = tuple(
        Object(str(number), ship.kind.name, outline, attributes={"heading": round(ship.heading, 2)})
        for number, (ship, (_, outline)) in enumerate(zip(ships, rendered, strict=True), 1)
    )
    clouds = generate_clouds(rng, size_wh)
    # Every labelled ship must be visible through the clouds.
    bounds = [[int(value) for value in obj.geometry.bounds_xyxy()] for obj in objects]
    opacity = max((float(clouds[y1 : y2 + 1, x1 : x2 + 1].mean()) for x1, y1, x2, y2 in bounds), default=0.0)
    clouds *= np.float32(min(1.0, _MAX_SHIP_CLOUDS / max(opacity, 1e-6)))
    exposed = _expose(rng, add_clouds(image, clouds, site.light), site.light)
    return Scene(exposed, objects, cover > 0.5, silhouettes)


@lru_cache(maxsize=THREADS)  # the images of a scene are usually generated one after the other
def _generate_site(seed: int, size_wh: tuple[int, int]) -> _Site:
    rng = np.random.default_rng([seed, 1])
    palette, light = choose_appearance(rng)
    terrain = generate_terrain(rng, (size_wh[0] + 2 * _MARGIN, size_wh[1] + 2 * _MARGIN), palette, light)
    canvas = GroundCanvas(terrain, light)
    berths: list[Berth] = []
    frame = find_quay_site(rng, terrain, margin=2.5 * _MARGIN)
    if frame is not None:
        builder = PortBuilder(rng, canvas, terrain, frame, palette)
        builder.build_town()
        berths = builder.build_piers() + builder.build_quay()
    scatter_reefs(rng, canvas, terrain, berths)
    offshore = f32(cv2.distanceTransform((canvas.cover < 128).astype(np.uint8), cv2.DIST_L2, 5))
    return _Site(*canvas.finish(), offshore, berths, palette, light)


def _expose(rng: np.random.Generator, image: Field, light: Light) -> Pixels:
    """Simulate the camera: the color of the light, haze, blur, contrast and noise."""
    image = image * f32(light.tint) * np.float32(0.95) + f32(_HAZE) * np.float32(0.05)
    image = np.clip(cv2.GaussianBlur(image, (0, 0), 0.45), 0, 1)
    image = image + np.float32(0.32) * (image - np.float32(0.36)) * (1 - np.abs(2 * image - 1))
    image += rng.standard_normal((*image.shape[:2], 1), np.float32) * np.float32(0.007)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
