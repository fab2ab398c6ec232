"""Draw objects over images and compose images into grids, for reports and previews."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.objects import BoundsXYXY, Object
from saccade.core.schema import ClassInfo
from saccade.media._labels import (
    Label,
    draw_labels,
    draw_legend,
    font_size_for,
    printable_label,
    resize_within,
    text_strip,
    title_strip,
)
from saccade.media._shapes import Brush, paint_geometry
from saccade.media.colors import RGB, class_color, hex_to_rgb, palette

__all__ = ["add_caption", "class_color", "crop_around", "draw_objects", "grid", "palette", "side_by_side"]

Pixels = npt.NDArray[np.uint8]
_BACKGROUND: RGB = (255, 255, 255)
_TEXT_COLOR: RGB = (40, 44, 52)
_MAX_CAPTION_LINES = 4


def draw_objects(
    image: Pixels,
    objects: Sequence[Object],
    colors: Mapping[str, str] | None = None,
    *,
    classes: Mapping[str, ClassInfo] | None = None,
    labels: bool = True,
    scores: bool = True,
    tracks: bool = False,
    legend: bool = False,
    thickness: int | None = None,
) -> Pixels:
    """Draw objects over a copy of an image.

    Args:
        image: uint8 RGB of shape (height, width, 3).
        objects: objects of any geometry; small ones are drawn over large ones, and all are clipped to the image.
        colors: "#rrggbb" by class name; defaults to the colour in ``classes``, then to :func:`class_color`.
        classes: skeletons and colours by class name.
        labels: draw a chip with the class name on each object.
        scores: add the score to the chip.
        tracks: give each track its own colour, the same on every frame, and add its name to the chip.
        legend: draw a panel with the classes and their numbers of objects.
        thickness: line width in pixels; by default it depends on the size of the image.

    Returns:
        A new image of the same shape.

    Raises:
        InvalidValueError: the image has another type or shape, or a colour is invalid.
    """
    _check_image(image)
    size_wh = image.shape[1], image.shape[0]
    drawn = image.copy()
    width = thickness if thickness is not None else max(1, round(float(np.sqrt(size_wh[0] * size_wh[1])) / 360))
    by_size = sorted(objects, key=_bounds_area, reverse=True)
    rgb = {name: _class_rgb(name, colors or {}, classes or {}) for name in dict.fromkeys(o.class_name for o in objects)}
    track_rgb = {obj.track: hex_to_rgb(class_color(f"track {obj.track}")) for obj in objects if tracks and obj.track}
    for obj in by_size:
        info = (classes or {}).get(obj.class_name)
        color = track_rgb.get(obj.track or "", rgb[obj.class_name])
        paint_geometry(Brush(drawn, color, width), obj.geometry, info.skeleton if info else ())
    font_size = font_size_for(size_wh)
    if labels:
        chips = [
            Label(
                _label_text(obj, scores, tracks),
                track_rgb.get(obj.track or "", rgb[obj.class_name]),
                obj.geometry.bounds_xyxy(),
            )
            for obj in reversed(by_size)
            if _intersects_image(obj.geometry.bounds_xyxy(), size_wh)
        ]
        draw_labels(drawn, chips, font_size, gap=(width + 1) // 2)
    if legend and objects:
        counts = Counter(obj.class_name for obj in objects)
        entries = [(f"{printable_label(name)}  {counts[name]}", rgb[name]) for name in sorted(counts)]
        draw_legend(drawn, entries, [obj.geometry.bounds_xyxy() for obj in objects], font_size)
    return drawn


def side_by_side(images: Sequence[Pixels], titles: Sequence[str] = (), *, gap: int = 8) -> Pixels:
    """Compose images into one row, scaled to the height of the highest, with a title over each."""
    return grid(images, titles, columns=max(1, len(images)), gap=gap)


def grid(
    images: Sequence[Pixels],
    titles: Sequence[str] = (),
    *,
    columns: int = 4,
    cell_wh: tuple[int, int] | None = None,
    gap: int = 8,
) -> Pixels:
    """Compose images into a grid, each scaled to the height of its row, with a title over each.

    Args:
        images: uint8 RGB images.
        titles: one title an image, or none.
        columns: number of images in a row.
        cell_wh: fixed size of a cell; by default a row is as high as its highest image.
        gap: pixels between cells.

    Raises:
        InvalidValueError: there is no image, or the number of titles or columns is invalid.
    """
    if not images or columns < 1 or (titles and len(titles) != len(images)):
        raise InvalidValueError(
            f"A grid needs at least one image, one title an image or none, and at least one column, "
            f"not {len(images)} images, {len(titles)} titles and {columns} columns."
        )
    for image in images:
        _check_image(image)
    names = list(titles) or [""] * len(images)
    starts = range(0, len(images), columns)
    rows = [
        _build_row(images[start : start + columns], names[start : start + columns], cell_wh, gap) for start in starts
    ]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return _join_with_gap(padded, gap, axis=0)


def add_caption(image: Pixels, lines: Sequence[str]) -> Pixels:
    """Append lines of text below an image; long lines are wrapped."""
    _check_image(image)
    size = font_size_for((image.shape[1], image.shape[0]))
    strips = [
        text_strip(part, image.shape[1], size, _TEXT_COLOR, _BACKGROUND)
        for line in lines
        for part in _wrap_line(line, image, size)
    ]
    return np.concatenate([image, *strips]) if strips else image


def _wrap_line(line: str, image: Pixels, font_size: int) -> list[str]:
    """Wrap a line to about the width of the image."""
    # A letter is about 0.55 of the font size wide.
    letters = max(8, int(image.shape[1] / (0.55 * font_size)) - 2)
    return textwrap.wrap(line, letters, max_lines=_MAX_CAPTION_LINES, placeholder=" ...") or [""]


def crop_around(image: Pixels, bounds_xyxy: BoundsXYXY, margin: float = 0.25, *, min_size: int = 32) -> Pixels:
    """Copy the region of an image around some bounds; it has at least one pixel.

    Args:
        image: uint8 RGB of shape (height, width, 3).
        bounds_xyxy: bounds in pixels.
        margin: margin on each side, as a fraction of the longer side of the bounds.
        min_size: minimum side of the crop in pixels, as far as the image is that large.
    """
    _check_image(image)
    x1, y1, x2, y2 = bounds_xyxy
    extra = margin * max(x2 - x1, y2 - y1)
    columns = _crop_slice(x1 - extra, x2 + extra, image.shape[1], min_size)
    rows = _crop_slice(y1 - extra, y2 + extra, image.shape[0], min_size)
    return image[rows, columns].copy()


def _crop_slice(low: float, high: float, length: int, min_size: int) -> slice:
    """Round a range outward to pixels, widen it to ``min_size`` and move it into 0 to ``length``."""
    widening = max(0.0, min_size - (high - low)) / 2
    start = np.floor(low - widening)
    stop = np.ceil(high + widening)
    start = min(max(start, 0), length - 1) if start < length else max(0, length - min_size)
    stop = min(max(stop, min(min_size, length), start + 1), length)
    return slice(int(start), int(stop))


def _check_image(image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InvalidValueError(
            f"An image to draw on must be uint8 of shape (height, width, 3), not {image.dtype} of shape {image.shape}."
        )


def _class_rgb(name: str, colors: Mapping[str, str], classes: Mapping[str, ClassInfo]) -> RGB:
    info = classes.get(name)
    return hex_to_rgb(colors.get(name) or (info.color if info else None) or class_color(name))


def _bounds_area(obj: Object) -> float:
    x1, y1, x2, y2 = obj.geometry.bounds_xyxy()
    return (x2 - x1) * (y2 - y1)


def _label_text(obj: Object, scores: bool, tracks: bool) -> str:
    name = printable_label(f"{obj.class_name} #{obj.track}" if tracks and obj.track else obj.class_name)
    return f"{name} {obj.score:.2f}" if scores and obj.score is not None else name


def _intersects_image(bounds: BoundsXYXY, size_wh: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = bounds
    return x2 >= 0 and y2 >= 0 and x1 <= size_wh[0] and y1 <= size_wh[1]


def _build_row(images: Sequence[Pixels], titles: Sequence[str], cell_wh: tuple[int, int] | None, gap: int) -> Pixels:
    height = cell_wh[1] if cell_wh else max(image.shape[0] for image in images)
    fitted = [resize_within(image, cell_wh or (1 << 30, height)) for image in images]
    cells = [_center_in_cell(image, cell_wh or (image.shape[1], height)) for image in fitted]
    if any(titles):
        size = font_size_for((height, height)) + 2
        cells = [
            np.concatenate([title_strip(title, cell.shape[1], size, _TEXT_COLOR, _BACKGROUND), cell])
            for title, cell in zip(titles, cells, strict=True)
        ]
    return _join_with_gap(cells, gap, axis=1)


def _center_in_cell(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Center an image in a cell."""
    cell = np.full((size_wh[1], size_wh[0], 3), _BACKGROUND, np.uint8)
    y, x = (size_wh[1] - image.shape[0]) // 2, (size_wh[0] - image.shape[1]) // 2
    cell[y : y + image.shape[0], x : x + image.shape[1]] = image
    return cell


def _join_with_gap(images: Sequence[Pixels], gap: int, axis: int) -> Pixels:
    gap_shape = list(images[0].shape)
    gap_shape[axis] = gap
    spacer = np.full(gap_shape, 255, np.uint8)
    pieces = [piece for image in images for piece in (spacer, image)][1:]
    return np.concatenate(pieces, axis=axis)
