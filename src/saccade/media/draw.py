"""Objects drawn over images, and images put side by side, for reports, previews and a quick look."""

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
    printable,
    resize_within,
    text_strip,
    title_strip,
)
from saccade.media._shapes import Brush, paint
from saccade.media.colors import RGB, class_color, palette, rgb_of

__all__ = ["class_color", "crop_around", "draw_objects", "grid", "palette", "side_by_side", "with_caption"]

Pixels = npt.NDArray[np.uint8]
_PAPER: RGB = (255, 255, 255)
_INK: RGB = (40, 44, 52)
_LINES = 4


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
    """Draw objects over an image; the image itself is left as it is.

    Args:
        image: uint8 RGB of shape (height, width, 3).
        objects: of any geometry; small ones are drawn over large ones, what lies off the image is left out.
        colors: "#rrggbb" by class; else the colour in ``classes``; else :func:`class_color`.
        classes: skeletons and colours by class name.
        labels: a chip with the class name, and with the score where ``scores`` and there is one.
        tracks: objects of a track have a colour of their own, the same on every frame, and its name on the chip.
        legend: a panel with the classes and how many objects each has.
        thickness: of lines in pixels; by default it follows the size of the image.

    Returns:
        A new image of the same shape.
    """
    _check(image)
    size_wh = image.shape[1], image.shape[0]
    drawn = image.copy()
    width = thickness if thickness is not None else max(1, round(float(np.sqrt(size_wh[0] * size_wh[1])) / 360))
    by_size = sorted(objects, key=_extent, reverse=True)
    rgb = {name: _color(name, colors or {}, classes or {}) for name in dict.fromkeys(o.class_name for o in objects)}
    of_track = {one.track: rgb_of(class_color(f"track {one.track}")) for one in objects if tracks and one.track}
    for one in by_size:
        info = (classes or {}).get(one.class_name)
        color = of_track.get(one.track or "", rgb[one.class_name])
        paint(Brush(drawn, color, width), one.geometry, info.skeleton if info else ())
    font_size = font_size_for(size_wh)
    if labels:
        seen = [one for one in reversed(by_size) if _touches(one.geometry.bounds_xyxy(), size_wh)]
        chips = [
            Label(
                _text(one, scores, tracks),
                of_track.get(one.track or "", rgb[one.class_name]),
                one.geometry.bounds_xyxy(),
            )
            for one in seen
        ]
        draw_labels(drawn, chips, font_size, gap=(width + 1) // 2)
    if legend and objects:
        counts = Counter(one.class_name for one in objects)
        entries = [(f"{printable(name)}  {counts[name]}", rgb[name]) for name in sorted(counts)]
        draw_legend(drawn, entries, [one.geometry.bounds_xyxy() for one in objects], font_size)
    return drawn


def side_by_side(images: Sequence[Pixels], titles: Sequence[str] = (), *, gap: int = 8) -> Pixels:
    """Images in one row, all as high as the highest, with a title over each."""
    return grid(images, titles, columns=max(1, len(images)), gap=gap)


def grid(
    images: Sequence[Pixels],
    titles: Sequence[str] = (),
    *,
    columns: int = 4,
    cell_wh: tuple[int, int] | None = None,
    gap: int = 8,
) -> Pixels:
    """Images in rows of ``columns``, each scaled to the height of a row, with a title over each.

    Args:
        cell_wh: a fixed size within which each image is fitted; by default rows are as high as their highest image.
    """
    if not images or columns < 1 or (titles and len(titles) != len(images)):
        raise InvalidValueError(
            f"A grid needs images, a title for each or none, and a column or more, "
            f"not {len(images)} images, {len(titles)} titles and {columns} columns."
        )
    for image in images:
        _check(image)
    names = list(titles) or [""] * len(images)
    starts = range(0, len(images), columns)
    rows = [_row(images[at : at + columns], names[at : at + columns], cell_wh, gap) for at in starts]
    width = max(row.shape[1] for row in rows)
    filled = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return _join(filled, gap, axis=0)


def with_caption(image: Pixels, lines: Sequence[str]) -> Pixels:
    """An image with lines of text beneath it; a line that is too long goes on in the next."""
    _check(image)
    size = font_size_for((image.shape[1], image.shape[0]))
    strips = [
        text_strip(part, image.shape[1], size, _INK, _PAPER) for line in lines for part in _wrapped(line, image, size)
    ]
    return np.concatenate([image, *strips]) if strips else image


def _wrapped(line: str, image: Pixels, font_size: int) -> list[str]:
    """A line in parts that are about as wide as the image."""
    letters = max(8, int(image.shape[1] / (0.55 * font_size)) - 2)
    return textwrap.wrap(line, letters, max_lines=_LINES, placeholder=" ...") or [""]


def crop_around(image: Pixels, bounds_xyxy: BoundsXYXY, margin: float = 0.25, *, min_size: int = 32) -> Pixels:
    """The part of an image around some bounds, at least one pixel large, as a copy.

    Args:
        margin: added on each side, as a fraction of the longer side of the bounds.
        min_size: the least side of the crop in pixels, where the image has as many.
    """
    _check(image)
    x1, y1, x2, y2 = bounds_xyxy
    extra = margin * max(x2 - x1, y2 - y1)
    columns = _span(x1 - extra, x2 + extra, image.shape[1], min_size)
    rows = _span(y1 - extra, y2 + extra, image.shape[0], min_size)
    return image[rows, columns].copy()


def _span(low: float, high: float, length: int, at_least: int) -> slice:
    """Whole pixels from low to high, widened to ``at_least`` and moved into 0 to ``length``."""
    lack = max(0.0, at_least - (high - low)) / 2
    start, stop = np.floor(low - lack), np.ceil(high + lack)
    start = min(max(start, 0), length - 1) if start < length else max(0, length - at_least)
    stop = min(max(stop, min(at_least, length), start + 1), length)
    return slice(int(start), int(stop))


def _check(image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise InvalidValueError(
            f"An image to draw on must be uint8 of shape (height, width, 3), not {image.dtype} of {image.shape}."
        )


def _color(name: str, colors: Mapping[str, str], classes: Mapping[str, ClassInfo]) -> RGB:
    info = classes.get(name)
    return rgb_of(colors.get(name) or (info.color if info else None) or class_color(name))


def _extent(one: Object) -> float:
    x1, y1, x2, y2 = one.geometry.bounds_xyxy()
    return (x2 - x1) * (y2 - y1)


def _text(one: Object, scores: bool, tracks: bool) -> str:
    name = printable(f"{one.class_name} #{one.track}" if tracks and one.track else one.class_name)
    return f"{name} {one.score:.2f}" if scores and one.score is not None else name


def _touches(bounds: BoundsXYXY, size_wh: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = bounds
    return x2 >= 0 and y2 >= 0 and x1 <= size_wh[0] and y1 <= size_wh[1]


def _row(images: Sequence[Pixels], titles: Sequence[str], cell_wh: tuple[int, int] | None, gap: int) -> Pixels:
    height = cell_wh[1] if cell_wh else max(image.shape[0] for image in images)
    fitted = [resize_within(image, cell_wh or (1 << 30, height)) for image in images]
    cells = [_cell(image, cell_wh or (image.shape[1], height)) for image in fitted]
    if any(titles):
        size = font_size_for((height, height)) + 2
        cells = [
            np.concatenate([title_strip(title, cell.shape[1], size, _INK, _PAPER), cell])
            for title, cell in zip(titles, cells, strict=True)
        ]
    return _join(cells, gap, axis=1)


def _cell(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """The image in the middle of a cell."""
    cell = np.full((size_wh[1], size_wh[0], 3), _PAPER, np.uint8)
    y, x = (size_wh[1] - image.shape[0]) // 2, (size_wh[0] - image.shape[1]) // 2
    cell[y : y + image.shape[0], x : x + image.shape[1]] = image
    return cell


def _join(parts: Sequence[Pixels], gap: int, axis: int) -> Pixels:
    shape = list(parts[0].shape)
    shape[axis] = gap
    between = np.full(shape, 255, np.uint8)
    pieces = [piece for part in parts for piece in (between, part)][1:]
    return np.concatenate(pieces, axis=axis)
