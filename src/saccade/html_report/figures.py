"""Pictures for a gallery: a crop of the image as JPEG, with objects drawn over it as SVG."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from saccade.core.errors import SaccadeError
from saccade.core.geometry import ellipse_to_polygon, mask_to_polygon
from saccade.core.objects import (
    BoundsXYXY,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.reader import Reader

Pixels = NDArray[np.uint8]
Role = Literal["truth", "predicted", "added", "removed", "changed", "changed was", "same"]
"""What a shape stands for; the style sheet gives each its colour and line."""

ASPECT = 4 / 3
LEAST_SIDE = 96.0
CONTEXT = 2.2
PICTURE_SIDE = 520
"""Longest side of an embedded JPEG in pixels: sharp on a card of 250 CSS pixels on a dense screen."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An object to draw; ``faint`` for one that is only context."""

    thing: Object
    role: Role
    faint: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """What to draw of one item: the shapes, and the part of the image to show (all where None)."""

    key: str
    shapes: Sequence[Shape]
    focus_xyxy: BoundsXYXY | None = None


def window_xyxy(focus_xyxy: BoundsXYXY | None, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels to show: the focus with room around it, 4:3 where the image allows, moved to lie inside it."""
    width, height = size_wh
    if focus_xyxy is None:
        return 0, 0, width, height
    x1, y1, x2, y2 = focus_xyxy
    high = max((y2 - y1) * CONTEXT, (x2 - x1) * CONTEXT / ASPECT, LEAST_SIDE / ASPECT)
    wide = min(max(round(high * ASPECT), 1), width)
    tall = min(max(round(high), 1), height)
    left = min(max(round((x1 + x2 - wide) / 2), 0), width - wide)
    top = min(max(round((y1 + y2 - tall) / 2), 0), height - tall)
    return left, top, left + wide, top + tall


def _rings_path(rings: Iterable[Iterable[Iterable[float]]]) -> str:
    return "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in ring) + "Z" for ring in rings)


def _polygon_path(polygon: Polygon) -> str:
    return _rings_path(ring for part in polygon.parts for ring in part)


def _outline(geometry: Geometry) -> str:
    """Path data of a geometry, empty where it is only points."""
    match geometry:
        case Polygon():
            return _polygon_path(geometry)
        case Mask():
            return _polygon_path(mask_to_polygon(geometry)) if geometry.area() else ""
        case Ellipse():
            return _polygon_path(ellipse_to_polygon(geometry))
        case Polyline() | Points():
            line = geometry.points if isinstance(geometry, Polyline) else ()
            return "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in line) if line else ""
        case RotatedBox():
            return _rings_path([geometry.corners()])
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return _rings_path([((x1, y1), (x2, y1), (x2, y2), (x1, y2))])


def _dots(geometry: Geometry) -> list[tuple[float, float]]:
    if isinstance(geometry, Keypoints):
        return [point for point, seen in zip(geometry.points, geometry.visibility, strict=True) if seen]
    return list(geometry.points) if isinstance(geometry, Points) else []


def _drawn(shape: Shape, dot_radius: float) -> Markup:
    outline = _outline(shape.thing.geometry)
    style = f"shape {shape.role}{' faint' if shape.faint else ''}"
    parts = []
    if outline:
        wash = " wash" if isinstance(shape.thing.geometry, Mask | Polygon) and not shape.faint else ""
        if not shape.faint:
            parts.append(Markup('<path class="under" d="{}"/>').format(outline))
        parts.append(Markup('<path class="{}" fill-rule="evenodd" d="{}"/>').format(style + wash, outline))
    parts += [
        Markup('<circle class="{} dot" cx="{:.2f}" cy="{:.2f}" r="{:.2f}"/>').format(style, x, y, dot_radius)
        for x, y in _dots(shape.thing.geometry)
    ]
    return Markup("").join(parts)


def _touches(bounds: BoundsXYXY, window: tuple[int, int, int, int]) -> bool:
    return bounds[0] < window[2] and bounds[2] > window[0] and bounds[1] < window[3] and bounds[3] > window[1]


def draw(pixels: Pixels, picture: Picture, *, words: str) -> Markup:
    """The picture as one SVG element; faint shapes lie under the others. ``words`` describe it to a screen reader."""
    from saccade.media.image import encode

    height, width = pixels.shape[:2]
    window = window_xyxy(picture.focus_xyxy, (width, height))
    left, top, right, bottom = window
    crop = pixels[top:bottom, left:right]
    scale = min(1.0, PICTURE_SIDE / max(crop.shape[:2]))
    if scale < 1:
        size_wh = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        crop = cv2.resize(crop, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    data = base64.b64encode(encode(np.ascontiguousarray(crop), "jpeg", 80)).decode()
    head = Markup(
        '<svg viewBox="{0} {1} {2} {3}" role="img" aria-label="{4}">'
        '<image x="{0}" y="{1}" width="{2}" height="{3}" preserveAspectRatio="none" href="data:image/jpeg;base64,{5}"/>'
    ).format(left, top, right - left, bottom - top, words, data)
    shapes = [shape for shape in picture.shapes if _touches(shape.thing.geometry.bounds_xyxy(), window)]
    ordered = sorted(shapes, key=lambda shape: not shape.faint)
    radius = max(right - left, bottom - top) / 130
    return head + Markup("").join(_drawn(shape, radius) for shape in ordered) + Markup("</svg>")


def placeholder(reason: str) -> Markup:
    """What stands in for an image that cannot be shown."""
    shown = reason if len(reason) <= 44 else reason[:43] + "…"
    return Markup(
        '<svg viewBox="0 0 320 240" role="img" aria-label="{0}">'
        '<text class="missing" x="160" y="124" text-anchor="middle">{1}<title>{0}</title></text></svg>'
    ).format(reason, shown)


def draw_all(
    reader: Reader, image_column: str, pictures: Sequence[Picture], describe: Callable[[Picture], str]
) -> Mapping[int, Markup]:
    """Every picture by its position; each image is read once, and one that cannot be read gives a placeholder."""
    wanted: dict[str, list[int]] = {}
    for position, picture in enumerate(pictures):
        wanted.setdefault(picture.key, []).append(position)
    drawn: dict[int, Markup] = {}
    for key, pixels in _images(reader, image_column, wanted):
        for position in wanted[key]:
            picture = pictures[position]
            drawn[position] = (
                placeholder(pixels) if isinstance(pixels, str) else draw(pixels, picture, words=describe(picture))
            )
    return drawn


def _images(reader: Reader, image_column: str, keys: Mapping[str, Any]) -> Iterator[tuple[str, Pixels | str]]:
    """Keys with their pixels, or with the reason why there are none."""
    from saccade.media.loader import read_image

    if not keys:
        return
    for item in reader.items([image_column], keys):
        ref = item[image_column]
        if ref is None:
            yield item.key, "This item has no image."
            continue
        try:
            yield item.key, np.asarray(read_image(reader, ref), dtype=np.uint8)
        except (SaccadeError, OSError) as error:
            yield item.key, f"The image cannot be shown: {error}"
