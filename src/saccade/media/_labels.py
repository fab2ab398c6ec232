"""Text on images: label chips that stay inside and out of each other's way, titles, and a legend."""

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
from saccade.media.colors import RGB, text_on

Pixels = npt.NDArray[np.uint8]
_LONGEST = 48


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def font_size_for(size_wh: tuple[int, int]) -> int:
    """Text height in pixels that reads well on an image of this size."""
    return int(np.clip(round(0.02 * float(np.sqrt(size_wh[0] * size_wh[1]))), 10, 48))


def printable(text: str) -> str:
    """The text on one line and not too long, without control characters and without most accents.

    Pillow's own font has few letters beyond ASCII; those of other scripts are drawn as empty boxes.
    """
    words = _drawable(text)
    return words if len(words) <= _LONGEST else words[: _LONGEST - 3] + "..."


def _drawable(text: str) -> str:
    kept = "".join(" " if unicodedata.category(letter)[0] in "CZ" else _plain(letter) for letter in text)
    return " ".join(kept.split())


def _plain(letter: str) -> str:
    """The ASCII letter beneath an accent, or the letter itself."""
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if base.isascii() else letter


@lru_cache(maxsize=1024)
def text_cover(text: str, size: int) -> Pixels:
    """How much each pixel is covered by a line of text, 0 to 255, in a strip that fits it."""
    font = _font(size)
    probe = ImageDraw.Draw(Image.new("L", (1, 1)))
    left, _, right, _ = probe.textbbox((0, 0), text, font=font)
    top, bottom = probe.textbbox((0, 0), "Ágj", font=font)[1::2]
    strip = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))))
    ImageDraw.Draw(strip).text((-left, -top), text, fill=255, font=font)
    return np.array(strip)


@lru_cache(maxsize=256)
def rounded_cover(width: int, height: int, radius: int) -> Pixels:
    """How much each pixel is covered by a rectangle with round corners, 0 to 255."""
    scale = 4
    large = Image.new("L", (width * scale, height * scale))
    ImageDraw.Draw(large).rounded_rectangle((0, 0, width * scale - 1, height * scale - 1), radius * scale, fill=255)
    return np.array(large.resize((width, height), Image.Resampling.BOX))


@dataclass(frozen=True, slots=True)
class Label:
    """A text that belongs to what lies within ``bounds``."""

    text: str
    color: RGB
    bounds: BoundsXYXY


def draw_labels(image: Pixels, labels: Sequence[Label], font_size: int, gap: int) -> None:
    """Draw a chip for each label in place, each where it hides least of the other chips and objects."""
    height, width = image.shape[:2]
    objects = np.array([label.bounds for label in labels], np.float64).reshape(-1, 4)
    taken = np.zeros((0, 4))
    for index, label in enumerate(labels):
        cover = _fitting_text(label.text, font_size, width)
        padding = max(2, font_size // 4)
        size_wh = cover.shape[1] + 2 * padding, cover.shape[0] + 2 * (padding // 2)
        others = np.delete(objects, index, axis=0)
        x, y = _place(label.bounds, size_wh, (width, height), taken=taken, others=others, gap=gap)
        taken = np.vstack([taken, (x, y, x + size_wh[0], y + size_wh[1])])
        _chip(image, (x, y), size_wh, cover, label.color)


def _fitting_text(text: str, font_size: int, width: int) -> Pixels:
    cover = text_cover(text, font_size)
    while cover.shape[1] + font_size > width and len(text) > 4:
        text = text[: max(1, len(text) * 3 // 4 - 3)] + "..."
        cover = text_cover(text, font_size)
    return cover


def _place(
    bounds: BoundsXYXY,
    size_wh: tuple[int, int],
    image_wh: tuple[int, int],
    *,
    taken: npt.NDArray[np.float64],
    others: npt.NDArray[np.float64],
    gap: int,
) -> tuple[int, int]:
    """The top-left corner of a chip: the first of the usual places that covers least."""
    x1, y1, x2, y2 = bounds
    w, h = size_wh
    wanted = [
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
    places = np.array([(x, y, x + w, y + h) for x, y in wanted])
    room = np.maximum(np.array([image_wh[0] - w, image_wh[1] - h]), 0)
    moved = np.clip(places[:, :2], 0, room)
    shifted = np.abs(moved - places[:, :2]).sum(axis=1)
    places = np.hstack([moved, moved + np.array([w, h])])
    own = _overlap(places, np.array([bounds], np.float64))
    cost = (
        6 * _overlap(places, taken) + _overlap(places, others) + own + 0.3 * h * shifted + np.arange(9) * 0.01 * w * h
    )
    x, y = moved[int(np.argmin(cost))]
    return int(x), int(y)


def _overlap(places: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The area in which each place is covered by the others."""
    if not len(others):
        return np.zeros(len(places))
    low = np.maximum(places[:, None, :2], others[None, :, :2])
    high = np.minimum(places[:, None, 2:], others[None, :, 2:])
    overlap: npt.NDArray[np.float64] = np.prod(np.clip(high - low, 0, None), axis=2).sum(axis=1)
    return overlap


def _chip(image: Pixels, xy: tuple[int, int], size_wh: tuple[int, int], text: Pixels, color: RGB) -> None:
    (x, y), (w, h) = xy, size_wh
    _lay(image, (x, y), rounded_cover(w, h, max(2, h // 5)), color, 0.92)
    _lay(image, (x + (w - text.shape[1]) // 2, y + (h - text.shape[0]) // 2), text, text_on(color), 1.0)


def _lay(image: Pixels, xy: tuple[int, int], cover: Pixels, color: RGB, opacity: float) -> None:
    """Blend a colour through a cover whose top-left corner is at (x, y); what sticks out is cut off."""
    x, y = xy
    part = image[max(y, 0) : y + cover.shape[0], max(x, 0) : x + cover.shape[1]]
    inside = cover[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    blend(part, inside, color, opacity)


def draw_legend(
    image: Pixels, entries: Sequence[tuple[str, RGB]], objects: Sequence[BoundsXYXY], font_size: int
) -> None:
    """Draw a panel with a swatch and text per entry, in the corner that covers least of the objects."""
    covers = [text_cover(text, font_size) for text, _ in entries]
    pad, row = font_size // 2 + 2, max(cover.shape[0] for cover in covers) + font_size // 3
    size_wh = max(cover.shape[1] for cover in covers) + font_size + 3 * pad, row * len(entries) + 2 * pad
    height, width = image.shape[:2]
    spare = max(0, width - size_wh[0] - pad), max(0, height - size_wh[1] - pad)
    corners = np.array([(spare[0], pad), (pad, pad), (spare[0], spare[1]), (pad, spare[1])], np.float64)
    covered = _overlap(np.hstack([corners, corners + size_wh]), np.array(objects, np.float64).reshape(-1, 4))
    x, y = (int(value) for value in corners[int(np.argmin(covered))])
    _lay(image, (x, y), rounded_cover(*size_wh, pad // 2 + 1), (24, 26, 30), 0.78)
    for index, ((_, color), cover) in enumerate(zip(entries, covers, strict=True)):
        top = y + pad + index * row
        _lay(image, (x + pad, top + (row - font_size) // 2), rounded_cover(font_size, font_size, 2), color, 1.0)
        _lay(image, (x + 2 * pad + font_size, top + (row - cover.shape[0]) // 2), cover, (245, 245, 245), 1.0)


def title_strip(text: str, width: int, font_size: int, ink: RGB, paper: RGB) -> Pixels:
    """A line of text centred on a strip of ``width`` pixels."""
    cover = _fitting_text(printable(text), font_size, width)
    strip = np.full((cover.shape[0] + font_size, width, 3), paper, np.uint8)
    _lay(strip, ((width - cover.shape[1]) // 2, font_size // 2), cover, ink, 1.0)
    return strip


def text_strip(text: str, width: int, font_size: int, ink: RGB, paper: RGB) -> Pixels:
    """A line of text at the left of a strip of ``width`` pixels."""
    cover = _fitting_text(_drawable(text), font_size, width)
    strip = np.full((cover.shape[0] + font_size // 2, width, 3), paper, np.uint8)
    _lay(strip, (font_size // 2, font_size // 4), cover, ink, 1.0)
    return strip


def resize_within(image: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Scale an image to fit into a size, keeping its proportions."""
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    new_wh = max(1, round(width * scale)), max(1, round(height * scale))
    if new_wh == (width, height):
        return image
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, new_wh, interpolation=how), np.uint8)
