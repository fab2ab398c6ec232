"""Masks to polygons: rings that follow the borders of pixels."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from saccade.core.errors import InvalidValueError
from saccade.core.geometry.boxes import BoolArray
from saccade.core.geometry.rle import IntArray, mask_window
from saccade.core.objects import Mask, Polygon, Ring


def mask_to_polygon(mask: Mask) -> Polygon:
    """The polygon whose rings run along the borders of the mask's pixels: its area is the number of pixels.

    One part for each group of pixels that touch by a side or a corner, with a hole for each group of
    background pixels inside it that touch by a side (so that the polygon gives the same mask again, exactly). Outer
    rings run clockwise on the screen, holes the other way; a ring may touch itself at a corner. A mask without pixels
    raises InvalidValueError.
    """
    left, top, right, bottom = (int(side) for side in mask.bounds_xyxy())
    if right <= left:
        raise InvalidValueError("A mask without pixels cannot become a polygon.", hint="Drop the object instead.")
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
    pixel_yx: tuple[int, int]  # a pixel of the object that the ring borders on
    is_hole: bool


class _Segments(NamedTuple):
    """Straight pieces of border along one axis: line and start and end on it, with the object on the right hand."""

    line: IntArray
    start: IntArray
    end: IntArray


def _trace(pixels: BoolArray) -> list[_Traced]:
    """Follow the border from segment to segment; levels and uprights alternate, so that every point is a corner."""
    levels = _segments(pixels)
    # In the transposed image left and right hand are exchanged, so uprights are found in it and turned round.
    mirrored = _segments(pixels.T)
    uprights = _Segments(mirrored.line, mirrored.end, mirrored.start)
    to_upright, to_level = _links(levels, uprights, pixels.shape)
    signed = (levels.line * (levels.start - levels.end)).tolist()
    xs, next_xs, ys = levels.start.tolist(), levels.end.tolist(), levels.line.tolist()
    seen = [False] * len(ys)
    rings = []
    for first in range(len(ys)):
        points: list[tuple[int, int]] = []
        area, level = 0, first
        while not seen[level]:
            seen[level] = True
            points += [(xs[level], ys[level]), (next_xs[level], ys[level])]
            area += signed[level]
            level = to_level[to_upright[level]]
        if points:
            x, next_x, y = xs[first], next_xs[first], ys[first]
            pixel = (y, x) if next_x > x else (y - 1, next_x)
            rings.append(_Traced(points, pixel, area < 0))
    return rings


def _segments(pixels: BoolArray) -> _Segments:
    """The horizontal pieces of border: rightwards where the object lies below, leftwards where it lies above."""
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
    """Row, start and end of each run of true elements in a row; the outer columns of ``flags`` are false."""
    changes = np.diff(flags.astype(np.int8), axis=1)
    row, start = np.nonzero(changes == 1)
    return row, start, np.nonzero(changes == -1)[1]


def _links(levels: _Segments, uprights: _Segments, shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """For each level the upright that follows it, and for each upright the level.

    Where two pixels touch at a corner two pieces go on from one point: turning to the left keeps the pixels together.
    """
    stride = shape[1] + 1
    rightwards, downwards = levels.end > levels.start, uprights.end > uprights.start
    level_start, level_end = (levels.line * stride + x for x in (levels.start, levels.end))
    upright_start, upright_end = (y * stride + uprights.line for y in (uprights.start, uprights.end))
    # To the left of rightwards is upwards, of leftwards downwards, of downwards rightwards, of upwards leftwards.
    to_upright = _follow(level_end, ~rightwards, upright_start, downwards)
    to_level = _follow(upright_end, downwards, level_start, rightwards)
    return to_upright, to_level


def _follow(ends: IntArray, wanted: BoolArray, starts: IntArray, directions: BoolArray) -> list[int]:
    """The index of the piece that starts where each piece ends, of the wanted direction where there is a choice."""
    keys = starts * 2 + directions
    order = np.argsort(keys)
    keys = keys[order]
    target = ends * 2 + wanted
    found = np.minimum(np.searchsorted(keys, target), len(keys) - 1)
    other = np.searchsorted(keys, target ^ 1)
    index: list[int] = order[np.where(keys[found] == target, found, np.minimum(other, len(keys) - 1))].tolist()
    return index
