"""Rings to masks: a pixel belongs to a ring when its centre lies inside, by the even-odd rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.core.geometry.boxes import as_rows
from saccade.core.geometry.masks import subtract_masks, union_masks
from saccade.core.geometry.rle import mask_from_changes
from saccade.core.objects import Mask, Polygon


def polygon_to_mask(polygon: Polygon, size_wh: tuple[int, int]) -> Mask:
    """The mask of the pixels whose centre lies inside the polygon, cut to the image.

    Each part is its outer ring less its holes; parts are united. A centre that lies exactly on an edge belongs to
    the thing to its right or below, so that polygons which share an edge share no pixel.
    """
    parts = []
    for outer, *holes in polygon.parts:
        mask = ring_to_mask(outer, size_wh)
        parts.append(subtract_masks(mask, [ring_to_mask(hole, size_wh) for hole in holes]) if holes else mask)
    return union_masks(parts) if len(parts) > 1 else parts[0]


def ring_to_mask(ring_xy: npt.ArrayLike, size_wh: tuple[int, int]) -> Mask:
    """The mask of the pixels whose centre lies inside a ring (N, 2), by the even-odd rule, cut to the image.

    Walks the columns of pixel centres: each edge that crosses a column flips all pixels below the crossing. A column
    is crossed an even number of times, so flips that fall below the image cancel out at the top of the next column.
    """
    width, height = size_wh
    points = as_rows("ring_to_mask", ring_xy, 2)
    following = np.roll(points, -1, axis=0)
    # From left to right always: rounding must not differ between two rings that run along one edge both ways.
    backward = (points[:, 0] > following[:, 0])[:, None]
    left, right = np.where(backward, following, points), np.where(backward, points, following)
    first, last = (np.clip(np.ceil(ends[:, 0] - 0.5), 0, width).astype(np.int64) for ends in (left, right))
    spans = last - first
    edge = np.repeat(np.arange(len(points)), spans)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
    (x1, y1), (x2, y2) = left[edge].T, right[edge].T
    crossing = y1 + (column + 0.5 - x1) / (x2 - x1) * (y2 - y1)
    row = np.clip(np.ceil(crossing - 0.5), 0, height).astype(np.int64)
    positions, times = np.unique(column * height + row, return_counts=True)
    flips = positions[times % 2 == 1]
    # An even number of flips at the very end of the image leaves none behind, an odd one a run of no length.
    return mask_from_changes(flips[flips < width * height], size_wh)
