"""Render the figures of a gallery: a crop of an image as JPEG with an SVG overlay of objects."""

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
"""Meaning of a shape; the style sheet defines the colour and line of each role."""

CROP_ASPECT = 4 / 3
MIN_CROP_SIDE = 96.0
CONTEXT_SCALE = 2.2
MAX_JPEG_SIDE = 520
"""Longest side of an embedded JPEG in pixels: sharp on a card of 250 CSS pixels on a high-density screen."""


@dataclass(frozen=True, slots=True)
class OverlayShape:
    """An object to draw; ``faint`` marks one that is only context."""

    obj: Object
    role: Role
    faint: bool = False


@dataclass(frozen=True, slots=True)
class FigureSpec:
    """A figure to render: the item's key, the shapes, and the region of interest (the full image if None)."""

    key: str
    shapes: Sequence[OverlayShape]
    focus_xyxy: BoundsXYXY | None = None


def crop_window(focus_xyxy: BoundsXYXY | None, size_wh: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the crop around a focus region, (x1, y1, x2, y2): with a margin, 4:3 if possible, inside the image."""
    width, height = size_wh
    if focus_xyxy is None:
        return 0, 0, width, height
    x1, y1, x2, y2 = focus_xyxy
    ideal_height = max((y2 - y1) * CONTEXT_SCALE, (x2 - x1) * CONTEXT_SCALE / CROP_ASPECT, MIN_CROP_SIDE / CROP_ASPECT)
    crop_width = min(max(round(ideal_height * CROP_ASPECT), 1), width)
    crop_height = min(max(round(ideal_height), 1), height)
    left = min(max(round((x1 + x2 - crop_width) / 2), 0), width - crop_width)
    top = min(max(round((y1 + y2 - crop_height) / 2), 0), height - crop_height)
    return left, top, left + crop_width, top + crop_height


def _rings_path(rings: Iterable[Iterable[Iterable[float]]]) -> str:
    return "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in ring) + "Z" for ring in rings)


def _polygon_path(polygon: Polygon) -> str:
    return _rings_path(ring for part in polygon.parts for ring in part)


def _outline(geometry: Geometry) -> str:
    """Return the SVG path data of a geometry, empty for points."""
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


def _point_markers(geometry: Geometry) -> list[tuple[float, float]]:
    if isinstance(geometry, Keypoints):
        return [point for point, visible in zip(geometry.points, geometry.visibility, strict=True) if visible]
    return list(geometry.points) if isinstance(geometry, Points) else []


def render_shape(shape: OverlayShape, dot_radius: float) -> Markup:
    """Render an object as SVG elements, without its image."""
    outline = _outline(shape.obj.geometry)
    style = f"shape {shape.role}{' faint' if shape.faint else ''}"
    parts = []
    if outline:
        wash = " wash" if isinstance(shape.obj.geometry, Mask | Polygon) and not shape.faint else ""
        if not shape.faint:
            parts.append(Markup('<path class="under" d="{}"/>').format(outline))
        parts.append(Markup('<path class="{}" fill-rule="evenodd" d="{}"/>').format(style + wash, outline))
    parts += [
        Markup('<circle class="{} dot" cx="{:.2f}" cy="{:.2f}" r="{:.2f}"/>').format(style, x, y, dot_radius)
        for x, y in _point_markers(shape.obj.geometry)
    ]
    return Markup("").join(parts)


def _intersects(bounds: BoundsXYXY, window: tuple[int, int, int, int]) -> bool:
    return bounds[0] < window[2] and bounds[2] > window[0] and bounds[1] < window[3] and bounds[3] > window[1]


def render_figure(pixels: Pixels, figure: FigureSpec, *, description: str) -> Markup:
    """Render a figure as one SVG element; faint shapes lie below the others.

    Args:
        pixels: the full image, (height, width, 3) in RGB.
        figure: the shapes and the region of interest.
        description: text for screen readers.
    """
    from saccade.media.image import encode

    height, width = pixels.shape[:2]
    window = crop_window(figure.focus_xyxy, (width, height))
    left, top, right, bottom = window
    crop = pixels[top:bottom, left:right]
    scale = min(1.0, MAX_JPEG_SIDE / max(crop.shape[:2]))
    if scale < 1:
        size_wh = max(1, round(crop.shape[1] * scale)), max(1, round(crop.shape[0] * scale))
        crop = cv2.resize(crop, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    data = base64.b64encode(encode(np.ascontiguousarray(crop), "jpeg", 80)).decode()
    head = Markup(
        '<svg viewBox="{0} {1} {2} {3}" role="img" aria-label="{4}">'
        '<image x="{0}" y="{1}" width="{2}" height="{3}" preserveAspectRatio="none" href="data:image/jpeg;base64,{5}"/>'
    ).format(left, top, right - left, bottom - top, description, data)
    shapes = [shape for shape in figure.shapes if _intersects(shape.obj.geometry.bounds_xyxy(), window)]
    ordered = sorted(shapes, key=lambda shape: not shape.faint)
    radius = max(right - left, bottom - top) / 130
    return head + Markup("").join(render_shape(shape, radius) for shape in ordered) + Markup("</svg>")


def placeholder(reason: str) -> Markup:
    """Render a placeholder for an image that cannot be shown."""
    short_reason = reason if len(reason) <= 44 else reason[:43] + "…"
    return Markup(
        '<svg viewBox="0 0 320 240" role="img" aria-label="{0}">'
        '<text class="missing" x="160" y="124" text-anchor="middle">{1}<title>{0}</title></text></svg>'
    ).format(reason, short_reason)


def render_figures(
    reader: Reader, image_column: str, figures: Sequence[FigureSpec], describe: Callable[[FigureSpec], str]
) -> Mapping[int, Markup]:
    """Render figures, reading each image once; an image that cannot be read gives a placeholder.

    Args:
        reader: reader of the items.
        image_column: name of the image column.
        figures: the figures to render.
        describe: returns the text for screen readers.

    Returns:
        The SVG element of each figure by its index in ``figures``.
    """
    indices_by_key: dict[str, list[int]] = {}
    for index, figure in enumerate(figures):
        indices_by_key.setdefault(figure.key, []).append(index)
    rendered: dict[int, Markup] = {}
    for key, pixels in _load_images(reader, image_column, indices_by_key):
        for index in indices_by_key[key]:
            figure = figures[index]
            rendered[index] = (
                placeholder(pixels)
                if isinstance(pixels, str)
                else render_figure(pixels, figure, description=describe(figure))
            )
    return rendered


def _load_images(reader: Reader, image_column: str, keys: Mapping[str, Any]) -> Iterator[tuple[str, Pixels | str]]:
    """Yield each key with its pixels, or with the reason why they are not available."""
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
