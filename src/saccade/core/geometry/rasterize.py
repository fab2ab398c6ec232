"""Rasterisation of rings to masks: a pixel is inside if its centre is, by the even-odd rule."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from saccade.core.geometry.boxes import as_rows
from saccade.core.geometry.masks import subtract_masks, union_masks
from saccade.core.geometry.rle import mask_from_changes
from saccade.core.objects import Mask, Polygon


def polygon_to_mask(polygon: Polygon, size_wh: tuple[int, int]) -> Mask:
    """Rasterise a polygon: the pixels whose centre lies inside, clipped to the image.

    Each part is its outer ring minus its holes; the parts are united. A centre exactly on an edge belongs to the
    polygon to the right of or below the edge, so that polygons that share an edge share no pixel.
    """
    parts = []
    for outer, *holes in polygon.parts:
        mask = ring_to_mask(outer, size_wh)
        parts.append(subtract_masks(mask, [ring_to_mask(hole, size_wh) for hole in holes]) if holes else mask)
    return union_masks(parts) if len(parts) > 1 else parts[0]


def ring_to_mask(ring_xy: npt.ArrayLike, size_wh: tuple[int, int]) -> Mask:
    """Rasterise a ring (N, 2) by the even-odd rule, clipped to the image.

    Scans the columns of pixel centres: each edge that crosses a column flips all pixels below the crossing. A column
    is crossed an even number of times, so flips below the image cancel out at the top of the next column.
    """
    width, height = size_wh
    points = as_rows("ring_to_mask", ring_xy, 2)
    following = np.roll(points, -1, axis=0)
    # Always from left to right: two rings that share an edge in opposite directions must round alike.
    backward = (points[:, 0] > following[:, 0])[:, None]
    left = np.where(backward, following, points)
    right = np.where(backward, points, following)
    first, last = (np.clip(np.ceil(ends[:, 0] - 0.5), 0, width).astype(np.int64) for ends in (left, right))
    spans = last - first
    edge = np.repeat(np.arange(len(points)), spans)
    column = np.arange(len(edge)) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
    (x1, y1), (x2, y2) = left[edge].T, right[edge].T
    crossing = y1 + (column + 0.5 - x1) / (x2 - x1) * (y2 - y1)
    row = np.clip(np.ceil(crossing - 0.5), 0, height).astype(np.int64)
    positions, times = np.unique(column * height + row, return_counts=True)
    flips = positions[times % 2 == 1]
    # Flips at the very end of the image would only add an empty run.
    return mask_from_changes(flips[flips < width * height], size_wh)
