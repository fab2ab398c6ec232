"""TIFFs that hold what no screen shows as it is: many channels, wide or signed values, floats, and pages after the
first; and images that are too large to be held as a whole."""

from __future__ import annotations

import math
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import MediaError, NotFoundError
from saccade.media import _vips
from saccade.media._orientation import shrink, turn, turn_values
from saccade.media._pillow import named
from saccade.media._tiff import Page, is_level_of, pages_of

Pixels = npt.NDArray[np.uint8]
_PLAIN_CHANNELS = 4
_MOST_BITS = 32
_LARGEST_BLOCK = 1 << 28


def tiff_pages(data: bytes | Path) -> list[Page]:
    """The pages of a TIFF less the reduced copies of the first; none where it is no TIFF, or one that is damaged."""
    pages = pages_of(data)
    return [page for page in pages if not is_level_of(page, pages[0])]


def page_of(data: bytes | Path, pages: list[Page], frame: int) -> Page:
    """A page by its number among those that count; NotFoundError where there is none."""
    if not 0 <= frame < len(pages):
        raise NotFoundError(f"There is no frame {frame}: {named(data).lower()} has frames 0 to {len(pages) - 1}.")
    return pages[frame]


def is_beyond_screens(page: Page) -> bool:
    """Whether a page's values are not simply colours that Pillow and OpenCV read."""
    known = page.channels <= _PLAIN_CHANNELS and (page.bits <= 8 or page.channels != 2)
    return page.has_open_range or not known


def mode_of(page: Page) -> str:
    """The type and number of values of a pixel in words: ``float32``, ``uint16x12``."""
    return page.dtype if page.channels == 1 else f"{page.dtype}x{page.channels}"


def _opened(data: bytes | Path, page: Page, *, in_order: bool = False) -> Any:
    if page.bits > _MOST_BITS:
        raise MediaError(
            f"{named(data)} has values of {page.bits} bits; at most {_MOST_BITS} can be read.",
            hint="Store it with values of 32 bits.",
        )
    return _vips.load(data, "tiff", in_order=in_order, page=page.number)


def check_page(data: bytes | Path, page: Page) -> None:
    """Decode all of a page without keeping it; MediaError where it is damaged."""
    check_blocks(data, page)
    with _vips.as_media_error(named(data)):
        _vips.decode_all(_opened(data, page, in_order=True))


def check_blocks(data: bytes | Path, page: Page) -> None:
    """MediaError for a page whose tiles or strips are so large that one of them is more than may be held."""
    if page.block_bytes > _LARGEST_BLOCK:
        raise MediaError(
            f"{named(data)} is stored in pieces of {page.block_wh[0]:,} x {page.block_wh[1]:,} pixels, which are too "
            "large to be read one by one.",
            hint="Store it in tiles: vips tiffsave IN OUT --tile.",
        )


def page_pixels(data: bytes | Path, page: Page, max_size: int | None) -> Pixels:
    """A page in RGB of 8 bits, turned upright and scaled down."""
    with _vips.as_media_error(named(data)):
        shown = _opened(data, page)
        shown = _vips.to_eight_bits(shown, _vips.range_of(shown) if page.has_open_range else None)
        pixels = np.asarray(shown.numpy(), np.uint8)
    return shrink(turn(pixels, page.orientation), max_size)


def page_values(data: bytes | Path, page: Page) -> npt.NDArray[Any]:
    """The values of a page as they are stored, (height, width, channels), turned upright."""
    with _vips.as_media_error(named(data)):
        values = _vips.values_of(_opened(data, page))
    return turn_values(values, page.orientation)


def check_giant(data: bytes | Path, format: str, size_wh: tuple[int, int], frame: int = 0) -> None:
    """Decode all of an image that is too large to be held, a few rows at a time; MediaError where that cannot be."""
    if format == "tiff":
        pages = tiff_pages(data)
        if not pages:
            raise MediaError(f"{named(data)} is damaged.", hint="Copy the file again from its source.")
        check_page(data, page_of(data, pages, frame))
        return
    if _needs_all_at_once(data, format, size_wh):
        kind = "progressive JPEG" if format == "jpeg" else "interlaced PNG"
        raise MediaError(
            f"{named(data)} is too large for a {kind}, which is only decoded as a whole.",
            hint="Store it as a TIFF in tiles: vips tiffsave IN OUT --tile.",
        )
    with _vips.as_media_error(f"{named(data)} of {size_wh[0]:,} x {size_wh[1]:,} pixels"):
        _vips.decode_all(_vips.load(data, format, in_order=True))


def _needs_all_at_once(data: bytes | Path, format: str, size_wh: tuple[int, int]) -> bool:
    if format == "png":
        with data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data)) as stream:
            return stream.read(29)[28:29] != b"\0"
    with _vips.as_media_error(f"{named(data)} of {size_wh[0]:,} x {size_wh[1]:,} pixels"):
        image = _vips.load(data, format, in_order=True)
        fields = image.get_fields()
        return "jpeg-multiscan" in fields and bool(image.get("jpeg-multiscan"))


def giant_pixels(data: bytes | Path, format: str, orientation: int, max_size: int) -> Pixels:
    """A giant image scaled down to a longest side, read once from top to bottom."""
    with _vips.as_media_error(named(data)):
        image = _vips.load(data, format, in_order=True)
        scale = max_size / max(image.width, image.height)
        if format == "jpeg":
            reduced = next((n for n in (8, 4, 2) if scale * n <= 1), 1)
            image = _vips.load(data, format, in_order=True, shrink=reduced)
        small = _shrunk(_vips.to_eight_bits(image), max_size)
        return turn(np.asarray(small.numpy(), np.uint8), orientation)


def _shrunk(image: Any, max_size: int) -> Any:
    """By area to a longest side."""
    longest = max(image.width, image.height)
    if longest <= max_size:
        return image
    whole = max(1, math.floor(longest / max_size))
    image = image.shrink(whole, whole) if whole > 1 else image
    scale = max_size / max(image.width, image.height)
    return image.resize(scale, kernel="linear") if scale < 1 else image
