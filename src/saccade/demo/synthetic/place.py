"""A place: everything that the pictures of one scene share."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from saccade.demo.synthetic.building import Site, as_field
from saccade.demo.synthetic.ground import make_ground
from saccade.demo.synthetic.looks import Land, Light, choose_looks
from saccade.demo.synthetic.noise import Field, f32
from saccade.demo.synthetic.town import build_town
from saccade.demo.synthetic.waterfront import (
    Berth,
    build_piers,
    build_quay,
    find_front,
    scatter_reefs,
)

MARGIN = 24
"""A place is larger than a picture of it by so many pixels on each side; each picture is cut out a little elsewhere."""


@dataclass(frozen=True, slots=True)
class Place:
    """Land and buildings as colours and cover, 0 to 1; the shadows that they throw; and where ships can lie."""

    rgb: Field
    cover: Field
    shadow: Field
    offshore: Field
    berths: tuple[Berth, ...]
    land: Land
    light: Light


def make_place(seed: int, size_wh: tuple[int, int]) -> Place:
    """The place of a scene, for pictures of ``size_wh``."""
    rng = np.random.default_rng([seed, 1])
    land, light = choose_looks(rng)
    whole_wh = size_wh[0] + 2 * MARGIN, size_wh[1] + 2 * MARGIN
    ground = make_ground(rng, whole_wh, land, light)
    site = Site.on(ground, light)
    berths: list[Berth] = []
    frame = find_front(rng, ground, margin=2.5 * MARGIN)
    if frame is not None:
        build_town(rng, site, ground, frame, land)
        berths = build_piers(rng, site, ground, frame)
        berths += build_quay(rng, site, frame)
    scatter_reefs(rng, site, ground, berths)
    site.finish()
    cover = as_field(site.cover)
    offshore = f32(cv2.distanceTransform((site.cover < 128).astype(np.uint8), cv2.DIST_L2, 5))
    shadow = f32(cv2.GaussianBlur(as_field(np.maximum(site.shadow, site.sea_shadow)), (0, 0), 0.8))
    return Place(as_field(site.rgb), cover, shadow, offshore, tuple(berths), land, light)
