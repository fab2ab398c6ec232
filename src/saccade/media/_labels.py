"""Draw text on images: label chips that avoid each other and the image border, titles and a legend."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from saccade.core.objects import BoundsXYXY
from saccade.media._shapes import blend
from saccade.media.colors import RGB, contrasting_text_color

Pixels = npt.NDArray[np.uint8]
_MAX_LABEL_LENGTH = 48


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def font_size_for(size_wh: tuple[int, int]) -> int:
    """Return a legible text height in pixels for an image size."""
    return int(np.clip(round(0.02 * float(np.sqrt(size_wh[0] * size_wh[1]))), 10, 48))


def printable_label(text: str) -> str:
    """Shorten a text to one line, without control characters and accents.

    Pillow's built-in font has few letters beyond ASCII; letters of other scripts are drawn as empty boxes.
    """
    line = _to_one_line(text)
    return line if len(line) <= _MAX_LABEL_LENGTH else line[: _MAX_LABEL_LENGTH - 3] + "..."


def _to_one_line(text: str) -> str:
    line = "".join(" " if unicodedata.category(letter)[0] in "CZ" else _strip_accent(letter) for letter in text)
    return " ".join(line.split())


def _strip_accent(letter: str) -> str:
    """Return the ASCII base letter of an accented letter, or the letter itself if there is none."""
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if base.isascii() else letter


@lru_cache(maxsize=1024)
def text_coverage(text: str, size: int) -> Pixels:
    """Render a line of text as a coverage mask, 0 to 255, of the size of the text."""
    font = _font(size)
    canvas = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, _, right, _ = canvas.textbbox((0, 0), text, font=font)
    # Letters with an ascender and a descender, so that all lines have the same height.
    top, bottom = canvas.textbbox((0, 0), "Ágj", font=font)[1::2]
    strip = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(strip).text((-left, -top), text, fill=255, font=font)
    return np.array(strip)


@lru_cache(maxsize=256)
def rounded_rect_coverage(width: int, height: int, radius: int) -> Pixels:
    """Render a rounded rectangle as a coverage mask, 0 to 255."""
    scale = 4  # supersampling, for smooth corners
    large = Image.new("L", (width * scale, height * scale))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, width * scale - 1, height * scale - 1), radius * scale, fill=255)
    return np.array(large.resize((width, height), Image.Resampling.BOX))


@dataclass(frozen=True, slots=True)
class Label:
    """The label of an object with the bounds ``bounds_xyxy``."""

    text: str
    color: RGB
    bounds_xyxy: BoundsXYXY


def draw_labels(image: Pixels, labels: Sequence[Label], font_size: int, gap: int) -> None:
    """Draw a chip for each label into the image, at the position that hides least of the other chips and objects.

    Args:
        image: uint8 RGB, changed in place.
        labels: the labels, placed in this order.
        font_size: height of the text in pixels.
        gap: distance between a chip and its object in pixels.
    """
    height, width = image.shape[:2]
    objects = np.array([label.bounds_xyxy for label in labels], np.float64).reshape(-1, 4)
    chips = np.zeros((0, 4))
    for index, label in enumerate(labels):
        coverage = _fit_text(label.text, font_size, width)
        padding = max(2, font_size // 4)
        size_wh = coverage.shape[1] + 2 * padding, coverage.shape[0] + 2 * (padding // 2)
        other_objects = np.delete(objects, index, axis=0)
        x, y = _choose_position(
            label.bounds_xyxy, size_wh, (width, height), chips=chips, other_objects=other_objects, gap=gap
        )
        chips = np.vstack([chips, (x, y, x + size_wh[0], y + size_wh[1])])
        _draw_chip(image, (x, y), size_wh, coverage, label.color)


def _fit_text(text: str, font_size: int, width: int) -> Pixels:
    coverage = text_coverage(text, font_size)
    while coverage.shape[1] + font_size > width and len(text) > 4:
        text = text[: max(1, len(text) * 3 // 4 - 3)] + "..."
        coverage = text_coverage(text, font_size)
    return coverage


def _choose_position(
    bounds: BoundsXYXY,
    size_wh: tuple[int, int],
    image_wh: tuple[int, int],
    *,
    chips: npt.NDArray[np.float64],
    other_objects: npt.NDArray[np.float64],
    gap: int,
) -> tuple[int, int]:
    """Return the top-left corner of a chip: the candidate around the object with the lowest cost."""
    x1, y1, x2, y2 = bounds
    w, h = size_wh
    corners = [
        (x1 - gap, y1 - h - gap),
        (x1 - gap, y2 + gap),
        (x2 - w + gap, y1 - h - gap),
        (x2 - w + gap, y2 + gap),
        (x2 + gap, y1),
        (x1 - w - gap, y1),
        (x1 + gap, y1 + gap),
        ((x1 + x2 - w) / 2, y1 - 2 * h - 2 * gap),
        ((x1 + x2 - w) / 2, y2 + h + 2 * gap),
    ]
    preferred = np.array(corners, np.float64)
    max_corner = np.maximum(np.array([image_wh[0] - w, image_wh[1] - h]), 0)
    clipped = np.clip(preferred, 0, max_corner)
    shift = np.abs(clipped - preferred).sum(axis=1)
    candidates = np.hstack([clipped, clipped + np.array([w, h])])
    # Overlap with other chips costs most; the last term prefers the first candidates.
    cost = (
        6 * _overlap_area(candidates, chips)
        + _overlap_area(candidates, other_objects)
        + _overlap_area(candidates, np.array([bounds], np.float64))
        + 0.3 * h * shift
        + np.arange(len(candidates)) * 0.01 * w * h
    )
    x, y = clipped[int(np.argmin(cost))]
    return int(x), int(y)


def _overlap_area(boxes: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return for each box the summed area of its intersections with the other boxes."""
    if not len(others):
        return np.zeros(len(boxes))
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap: npt.NDArray[np.float64] = np.prod(np.clip(high - low, 0, None), axis=2).sum(axis=1)
    return overlap


def _draw_chip(image: Pixels, xy: tuple[int, int], size_wh: tuple[int, int], text: Pixels, color: RGB) -> None:
    (x, y), (w, h) = xy, size_wh
    _blend_at(image, (x, y), rounded_rect_coverage(w, h, max(2, h // 5)), color, 0.92)
    _blend_at(
        image, (x + (w - text.shape[1]) // 2, y + (h - text.shape[0]) // 2), text, contrasting_text_color(color), 1.0
    )


def _blend_at(image: Pixels, xy: tuple[int, int], coverage: Pixels, color: RGB, opacity: float) -> None:
    """Blend a colour into the image through a mask at (x, y), clipped to the image."""
    x, y = xy
    region = image[max(y, 0) : y + coverage.shape[0], max(x, 0) : x + coverage.shape[1]]
    clipped = coverage[max(-y, 0) :, max(-x, 0) :][: region.shape[0], : region.shape[1]]
    blend(region, clipped, color, opacity)


def draw_legend(
    image: Pixels, entries: Sequence[tuple[str, RGB]], objects: Sequence[BoundsXYXY], font_size: int
) -> None:
    """Draw a legend into the image, in the corner where it covers least of the objects.

    Args:
        image: uint8 RGB, changed in place.
        entries: text and colour of each row.
        objects: bounds of the objects.
        font_size: height of the text in pixels.
    """
    texts = [text_coverage(text, font_size) for text, _ in entries]
    padding = font_size // 2 + 2
    row_height = max(text.shape[0] for text in texts) + font_size // 3
    size_wh = max(text.shape[1] for text in texts) + font_size + 3 * padding, row_height * len(entries) + 2 * padding
    height, width = image.shape[:2]
    right = max(0, width - size_wh[0] - padding)
    bottom = max(0, height - size_wh[1] - padding)
    corners = np.array([(right, padding), (padding, padding), (right, bottom), (padding, bottom)], np.float64)
    covered = _overlap_area(np.hstack([corners, corners + size_wh]), np.array(objects, np.float64).reshape(-1, 4))
    x, y = (int(value) for value in corners[int(np.argmin(covered))])
    _blend_at(image, (x, y), rounded_rect_coverage(*size_wh, padding // 2 + 1), (24, 26, 30), 0.78)
    for index, ((_, color), text_mask) in enumerate(zip(entries, texts, strict=True)):
        top = y + padding + index * row_height
        _blend_at(
            image,
            (x + padding, top + (row_height - font_size) // 2),
            rounded_rect_coverage(font_size, font_size, 2),
            color,
            1.0,
        )
        _blend_at(
            image,
            (x + 2 * padding + font_size, top + (row_height - text_mask.shape[0]) // 2),
            text_mask,
            (245, 245, 245),
            1.0,
        )


def title_strip(text: str, width: int, font_size: int, ink: RGB, paper: RGB) -> Pixels:
    """Render a line of text, centred on a strip of ``width`` pixels."""
    coverage = _fit_text(printable_label(text), font_size, width)
    strip = np.full((coverage.shape[0] + font_size, width, 3), paper, np.uint8)
    _blend_at(strip, ((width - coverage.shape[1]) // 2, font_size // 2), coverage, ink, 1.0)
    return strip


def text_strip(text: str, width: int, font_size: int, ink: RGB, paper: RGB) -> Pixels:
    """Render a line of text, left-aligned on a strip of ``width`` pixels."""
    coverage = _fit_text(_to_one_line(text), font_size, width)
    strip = np.full((coverage.shape[0] + font_size // 2, width, 3), paper, np.uint8)
    _blend_at(strip, (font_size // 2, font_size // 4), coverage, ink, 1.0)
    return strip


def resize_within(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Resize an image to fit into a size, keeping its aspect ratio."""
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    new_wh = max(1, round(width * scale)), max(1, round(height * scale))
    if new_wh == (width, height):
        return image
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, new_wh, interpolation=interpolation), np.uint8)
