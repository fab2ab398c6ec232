"""Read images with libvips: TIFF pages with many channels or with wide, signed or float samples, and images too large
to decode into memory."""

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
from saccade.media._orientation import apply_orientation, downscale
from saccade.media._pillow import image_name
from saccade.media._tiff import TiffPage, is_pyramid_level, read_pages

Pixels = npt.NDArray[np.uint8]
_MAX_COLOR_CHANNELS = 4
_MAX_BITS = 32
_BYTE_BITS = 8
_MAX_BLOCK_BYTES = 1 << 28


def tiff_pages(data: bytes | Path) -> list[TiffPage]:
    """Return the pages of a TIFF without its pyramid levels, or an empty list if it is not a TIFF or damaged."""
    pages = read_pages(data)
    return [page for page in pages if not is_pyramid_level(page, pages[0])]


def get_page(data: bytes | Path, pages: list[TiffPage], frame: int) -> TiffPage:
    """Return a page by its frame number.

    Args:
        data: the path or the content of the file.
        pages: the result of :func:`tiff_pages`.
        frame: 0-based index in ``pages``.

    Raises:
        NotFoundError: there is no such frame.
    """
    if not 0 <= frame < len(pages):
        raise NotFoundError(f"There is no frame {frame}: {image_name(data).lower()} has frames 0 to {len(pages) - 1}.")
    return pages[frame]


def requires_libvips(page: TiffPage) -> bool:
    """Whether Pillow and OpenCV cannot read the samples of a page as colors."""
    is_color = page.channels <= _MAX_COLOR_CHANNELS and (page.bits_per_sample <= 8 or page.channels != 2)
    return page.has_unknown_range or not is_color


def page_mode(page: TiffPage) -> str:
    """Return the sample type and the number of channels as text: ``float32``, ``uint16x12``."""
    return page.dtype if page.channels == 1 else f"{page.dtype}x{page.channels}"


def _load_page(data: bytes | Path, page: TiffPage, *, sequential: bool = False) -> Any:
    if page.bits_per_sample > _MAX_BITS:
        raise MediaError(
            f"{image_name(data)} has values of {page.bits_per_sample} bits; at most {_MAX_BITS} can be read.",
            hint="Convert it to 32-bit values first.",
        )
    return _vips.load(data, "tiff", sequential=sequential, page=page.index)


def verify_page(data: bytes | Path, page: TiffPage) -> None:
    """Decode a page and discard the pixels. Raises MediaError if the page is damaged."""
    check_block_size(data, page)
    with _vips.as_media_error(image_name(data)):
        _vips.decode_all(_load_page(data, page, sequential=True))


def check_block_size(data: bytes | Path, page: TiffPage) -> None:
    """Raise MediaError if a single tile or strip of a page exceeds the memory limit."""
    if page.block_bytes > _MAX_BLOCK_BYTES:
        raise MediaError(
            f"{image_name(data)} is stored in blocks of {page.block_wh[0]:,} x {page.block_wh[1]:,} pixels, which are "
            "too large to be decoded.",
            hint="Convert it to a tiled TIFF: vips tiffsave IN OUT --tile.",
        )


def decode_page(
    data: bytes | Path, page: TiffPage, max_size: int | None, window: tuple[float, float] | None = None
) -> Pixels:
    """Decode a page to 8-bit RGB, apply its orientation and downscale it to ``max_size``.

    Args:
        data: the path or the content of the file.
        page: the page.
        max_size: maximum of the longest side in pixels.
        window: the values that are black and white, unless they have 8 bits.
    """
    with _vips.as_media_error(image_name(data)):
        image = _load_page(data, page)
        value_range = window if page.bits_per_sample > _BYTE_BITS or page.has_unknown_range else None
        if value_range is None:
            find_range = _vips.find_value_range if page.has_unknown_range else _vips.low_range_window
            value_range = find_range(image)
        rgb = _vips.to_rgb8(image, value_range)
        pixels = np.asarray(rgb.numpy(), np.uint8)
    return downscale(apply_orientation(pixels, page.orientation), max_size)


def read_page_values(data: bytes | Path, page: TiffPage) -> npt.NDArray[Any]:
    """Return the stored values of a page, (height, width, channels), with the orientation applied."""
    with _vips.as_media_error(image_name(data)):
        values = _vips.to_array(_load_page(data, page))
    return apply_orientation(values, page.orientation)


def verify_streamed(data: bytes | Path, format: str, size_wh: tuple[int, int], frame: int = 0) -> None:
    """Decode an image that is too large for memory, a few rows at a time, and discard the pixels.

    Args:
        data: the path or the content of the file.
        format: a streamable format.
        size_wh: width and height in pixels.
        frame: the page of a TIFF.

    Raises:
        MediaError: the image is damaged or can only be decoded as a whole.
    """
    if format == "tiff":
        pages = tiff_pages(data)
        if not pages:
            raise MediaError(f"{image_name(data)} is damaged.", hint="Copy the file again from its source.")
        verify_page(data, get_page(data, pages, frame))
        return
    if _requires_full_decode(data, format, size_wh):
        kind = "progressive JPEG" if format == "jpeg" else "interlaced PNG"
        raise MediaError(
            f"{image_name(data)} is too large for a {kind}, which can only be decoded as a whole.",
            hint="Convert it to a tiled TIFF: vips tiffsave IN OUT --tile.",
        )
    with _vips.as_media_error(f"{image_name(data)} of {size_wh[0]:,} x {size_wh[1]:,} pixels"):
        _vips.decode_all(_vips.load(data, format, sequential=True))


def _requires_full_decode(data: bytes | Path, format: str, size_wh: tuple[int, int]) -> bool:
    if format == "png":
        with data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data)) as stream:
            return stream.read(29)[28:29] != b"\0"
    with _vips.as_media_error(f"{image_name(data)} of {size_wh[0]:,} x {size_wh[1]:,} pixels"):
        image = _vips.load(data, format, sequential=True)
        fields = image.get_fields()
        return "jpeg-multiscan" in fields and bool(image.get("jpeg-multiscan"))


def decode_downscaled(
    data: bytes | Path, format: str, orientation: int, max_size: int, window: tuple[float, float] | None = None
) -> Pixels:
    """Decode an image of any size, downscaled to a longest side of ``max_size``, in one pass from top to bottom."""
    with _vips.as_media_error(image_name(data)):
        image = _vips.load(data, format, sequential=True)
        scale = max_size / max(image.width, image.height)
        if format == "jpeg":
            # libjpeg decodes at 1/2, 1/4 or 1/8 of the size much faster than at full size.
            denominator = next((n for n in (8, 4, 2) if scale * n <= 1), 1)
            image = _vips.load(data, format, sequential=True, shrink=denominator)
        if image.format == "ushort":
            # The values of a stream are read twice: first to find the window.
            window = window or _vips.low_range_window(image)
            image = _vips.load(data, format, sequential=True)
        else:
            window = None
        small = _downscale(_vips.to_rgb8(image, window), max_size)
        return apply_orientation(np.asarray(small.numpy(), np.uint8), orientation)


def _downscale(image: Any, max_size: int) -> Any:
    """Downscale by area: first by an integer factor, then to the exact size."""
    longest_side = max(image.width, image.height)
    if longest_side <= max_size:
        return image
    factor = max(1, math.floor(longest_side / max_size))
    image = image.shrink(factor, factor) if factor > 1 else image
    scale = max_size / max(image.width, image.height)
    return image.resize(scale, kernel="linear") if scale < 1 else image
