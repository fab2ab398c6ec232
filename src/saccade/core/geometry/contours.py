"""Contour tracing: masks to polygons whose rings follow pixel borders."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import BoolArray
from saccade.core.geometry.rle import IntArray, mask_window
from saccade.core.objects import Mask, Polygon, Ring


def mask_to_polygon(mask: Mask) -> Polygon:
    """Trace a mask to a polygon along pixel borders; its area is the number of pixels.

    Each 8-connected component becomes a part, and each 4-connected background region inside it a hole, so that
    rasterising the polygon gives exactly the same mask. Outer rings run clockwise on screen, holes counter-clockwise;
    a ring may touch itself at a corner.

    Raises:
        InvalidValueError: the mask is empty.
    """
    left, top, right, bottom = (int(side) for side in mask.bounds_xyxy())
    if right <= left:
        raise InvalidValueError("An empty mask cannot become a polygon.", hint="Drop the object instead.")
    pixels = mask_window(mask, (left, top, right, bottom))
    _, components = cv2.connectedComponents(pixels.astype(np.uint8), connectivity=8)
    parts: dict[int, list[Ring]] = {}
    holes: list[tuple[int, Ring]] = []
    for ring in _trace(pixels):
        component = int(components[ring.pixel_yx])
        points = tuple((float(x + left), float(y + top)) for x, y in ring.points)
        if ring.is_hole:
            holes.append((component, points))
        else:
            parts[component] = [points]
    for component, points in holes:
        parts[component].append(points)
    return Polygon(tuple(map(tuple, parts.values())))


class _Traced(NamedTuple):
    points: list[tuple[int, int]]
    pixel_yx: tuple[int, int]  # a foreground pixel adjacent to the ring
    is_hole: bool


class _Segments(NamedTuple):
    """Straight border segments along one axis: line, start and end, with the foreground on the right-hand side."""

    line: IntArray
    start: IntArray
    end: IntArray


def _trace(pixels: BoolArray) -> list[_Traced]:
    """Follow the borders; horizontal and vertical segments alternate, so that every point is a corner."""
    horizontals = _segments(pixels)
    # Transposing swaps left and right, so the vertical segments of the transposed image must be reversed.
    transposed = _segments(pixels.T)
    verticals = _Segments(transposed.line, transposed.end, transposed.start)
    to_vertical, to_horizontal = _links(horizontals, verticals, pixels.shape)
    signed_areas = (horizontals.line * (horizontals.start - horizontals.end)).tolist()
    xs = horizontals.start.tolist()
    next_xs = horizontals.end.tolist()
    ys = horizontals.line.tolist()
    visited = [False] * len(ys)
    rings = []
    for first in range(len(ys)):
        points: list[tuple[int, int]] = []
        area = 0
        index = first
        while not visited[index]:
            visited[index] = True
            points += [(xs[index], ys[index]), (next_xs[index], ys[index])]
            area += signed_areas[index]
            index = to_horizontal[to_vertical[index]]
        if points:
            x = xs[first]
            next_x = next_xs[first]
            y = ys[first]
            pixel = (y, x) if next_x > x else (y - 1, next_x)
            rings.append(_Traced(points, pixel, area < 0))
    return rings


def _segments(pixels: BoolArray) -> _Segments:
    """Return the horizontal border segments: rightwards above the foreground, leftwards below it."""
    height, width = pixels.shape
    rows = np.zeros((height + 2, width), dtype=np.int8)
    rows[1:-1] = pixels
    steps = np.zeros((height + 1, width + 2), dtype=np.int8)
    steps[:, 1:-1] = np.diff(rows, axis=0)
    down, up = (_runs(steps == sign) for sign in (1, -1))
    return _Segments(
        np.concatenate([down[0], up[0]]), np.concatenate([down[1], up[2]]), np.concatenate([down[2], up[1]])
    )


def _runs(flags: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return row, start and end of each run of true elements; the outer columns of ``flags`` must be false."""
    changes = np.diff(flags.astype(np.int8), axis=1)
    row, start = np.nonzero(changes == 1)
    return row, start, np.nonzero(changes == -1)[1]


def _links(horizontals: _Segments, verticals: _Segments, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Return for each horizontal segment the vertical one that follows it, and vice versa.

    Where two pixels touch only at a corner, two segments start at the same point: turning left keeps the pixels in
    one component.
    """
    stride = shape[1] + 1
    rightwards = horizontals.end > horizontals.start
    downwards = verticals.end > verticals.start
    horizontal_start, horizontal_end = (horizontals.line * stride + x for x in (horizontals.start, horizontals.end))
    vertical_start, vertical_end = (y * stride + verticals.line for y in (verticals.start, verticals.end))
    # A left turn leads from right to up, from left to down, from down to right and from up to left.
    to_vertical = _follow(horizontal_end, ~rightwards, vertical_start, downwards)
    to_horizontal = _follow(vertical_end, downwards, horizontal_start, rightwards)
    return to_vertical, to_horizontal


def _follow(ends: IntArray, preferred: BoolArray, starts: IntArray, directions: BoolArray) -> list[int]:
    """Return for each segment the one that starts at its end, in the preferred direction if there are two."""
    keys = starts * 2 + directions
    order = np.argsort(keys)
    keys = keys[order]
    target = ends * 2 + preferred
    position = np.minimum(np.searchsorted(keys, target), len(keys) - 1)
    alternative = np.minimum(np.searchsorted(keys, target ^ 1), len(keys) - 1)
    index: list[int] = order[np.where(keys[position] == target, position, alternative)].tolist()
    return index
