"""Probe, verify, decode and encode images.

Pixels are uint8 arrays of shape (height, width, 3) in RGB, or (height, width) in grey, with the EXIF orientation
applied. Images beyond ``ImageLimits.max_pixels`` are verified and downscaled while they are streamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, MediaError, NotFoundError
from saccade.media._decoding import (
    as_pixels,
    bit_depth,
    check_known_range,
    decode_16bit,
    decode_fast,
    decode_pillow,
    imdecode,
    suppress_tiff_warnings,
)
from saccade.media._jpeg import complete_jpeg_tables
from saccade.media._orientation import apply_orientation, downscale
from saccade.media._pillow import (
    IMAGE_FORMATS,
    IMAGE_LIMITS,
    ImageLimits,
    OpenedImage,
    check_pixels,
    count_frames,
    exif_orientation,
    open_image,
    read_bytes,
    stored_size_wh,
    suppress_warnings,
)
from saccade.media._raw_values import (
    decode_downscaled,
    decode_page,
    get_page,
    page_mode,
    read_page_values,
    requires_libvips,
    tiff_pages,
    verify_page,
    verify_streamed,
)
from saccade.media._tiff import TiffPage
from saccade.media.window import ValueWindow, low_range_window

__all__ = [
    "IMAGE_FORMATS",
    "IMAGE_LIMITS",
    "ImageLimits",
    "ImageProbe",
    "Pixels",
    "decode",
    "downscale",
    "encode",
    "probe",
    "read_values",
    "thumbnail",
    "verify",
]

Pixels = npt.NDArray[np.uint8]
_MAX_CACHED_PROBES = 512
_JPEG_PROBE_CACHE: dict[tuple[bytes, ImageLimits], ImageProbe] = {}
"""Probe results by JPEG header segments: JPEGs with equal segments differ only in pixels and metadata."""


@dataclass(frozen=True, slots=True)
class ImageProbe:
    """Properties of an image, read from its header.

    Attributes:
        width: pixels, after the EXIF orientation is applied.
        height: pixels, after the EXIF orientation is applied.
        format: Pillow's format name in lower case.
        mode: Pillow's mode; for a TIFF whose samples are not colours, its sample type and number of channels, such as
            ``float32`` or ``uint16x12``.
        orientation: EXIF orientation, 1 to 8.
        frames: number of images in the file (GIF, TIFF, WebP, APNG), without pyramid levels.
        channels: channels of a TIFF, 3 for other formats. If there are more than four, only the first three are shown.
        has_unknown_range: the values of black and white are unknown.
        window: the values that are shown black and white, if 16-bit values span little of their range; set by
            :func:`verify`.
    """

    width: int
    height: int
    format: str
    mode: str
    orientation: int = 1
    frames: int = 1
    channels: int = 3
    has_unknown_range: bool = False
    window: ValueWindow | None = None

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.width, self.height


def probe(data: bytes | Path, *, frame: int = 0, limits: ImageLimits = IMAGE_LIMITS) -> ImageProbe:
    """Read the header of an image without decoding pixels.

    Args:
        data: the path or the content of the file.
        frame: 0-based frame of a GIF, TIFF, WebP or APNG.
        limits: limits of the image.

    Raises:
        MediaError: the image is unsupported, broken or exceeds ``limits``.
        NotFoundError: there is no such file or frame.
    """
    pages = tiff_pages(data)
    if pages and requires_libvips(page := get_page(data, pages, frame)):
        return _probe_page(data, page, len(pages), limits)
    with open_image(data, limits, streamed=True) as opened:
        return _probe_image(opened, pages, frame)


def _probe_image(opened: OpenedImage, pages: Sequence[TiffPage], frame: int) -> ImageProbe:
    with suppress_warnings():
        if pages:
            page = _seek_frame(opened, pages[frame].index)
            return _to_probe(page, len(pages), pages[frame].channels)
        return _to_probe(_seek_frame(opened, frame), count_frames(opened.image))


def _to_probe(opened: OpenedImage, frames: int, channels: int = 3) -> ImageProbe:
    width, height = opened.size_wh
    return ImageProbe(width, height, opened.format, opened.image.mode, opened.orientation, frames, channels)


def _probe_page(data: bytes | Path, page: TiffPage, frames: int, limits: ImageLimits) -> ImageProbe:
    width, height = page.size_wh
    check_pixels(data, page.size_wh, limits.max_streamed_pixels)
    if page.orientation >= 5:
        width, height = height, width
    return ImageProbe(
        width, height, "tiff", page_mode(page), page.orientation, frames, page.channels, page.has_unknown_range
    )


def verify(data: bytes | Path, *, frame: int = 0, limits: ImageLimits = IMAGE_LIMITS) -> ImageProbe:
    """Check that all pixels of a frame can be decoded, and return the same as :func:`probe`.

    A JPEG that is complete by its markers is not decoded, since a decoder would accept it; its header is parsed once
    for all JPEGs with the same size and tables. Other JPEGs are decoded at an eighth of their size.

    Args:
        data: the path or the content of the file.
        frame: 0-based frame of a GIF, TIFF, WebP or APNG.
        limits: limits of the image.

    Raises:
        MediaError: as for :func:`probe`, and if pixels are missing or damaged beyond what the format's decoder accepts.
        NotFoundError: there is no such file or frame.
    """
    content = data if isinstance(data, bytes) and not frame else b""
    tables = complete_jpeg_tables(content) if content.startswith(b"\xff\xd8") else None
    if tables and len(content) <= limits.max_bytes and (cached := _JPEG_PROBE_CACHE.get((tables, limits))):
        return cached
    pages = tiff_pages(data)
    if pages and requires_libvips(page := get_page(data, pages, frame)):
        result = _probe_page(data, page, len(pages), limits)
        verify_page(data, page)
        return _with_window(result, data, frame, limits)
    with open_image(data, limits, streamed=True) as opened:
        result = _probe_image(opened, pages, frame)
        if result.width * result.height > limits.max_pixels:
            verify_streamed(data, result.format, result.size_wh, frame)
            return result
        if result.format == "jpeg" and tables is not None:
            if tables and len(_JPEG_PROBE_CACHE) < _MAX_CACHED_PROBES:
                _JPEG_PROBE_CACHE[tables, limits] = result
            return result
        if result.format != "png" or frame:
            is_deep = bit_depth(opened) > 8
            _decode_all(data, opened)
            return _with_window(result, data, frame, limits) if is_deep else result
        # Checks the checksums, which the decoder ignores. Pillow cannot decode the image afterwards: reopen it.
        opened.image.verify()
    with open_image(data, limits) as opened:
        is_deep = bit_depth(opened) > 8
        _decode_all(data, opened)
    return _with_window(result, data, frame, limits) if is_deep else result


def _with_window(result: ImageProbe, data: bytes | Path, frame: int, limits: ImageLimits) -> ImageProbe:
    """Return the probe with the window of 16-bit values that span little of their range."""
    if result.has_unknown_range or result.width * result.height > limits.max_pixels:
        return result
    values = read_values(data, frame=frame, limits=limits)
    if values.dtype != np.uint16:
        return result
    pages = tiff_pages(data)
    bits = pages[frame].bits_per_sample if pages else 16
    has_alpha = values.shape[2] in (2, 4)
    window = low_range_window(values[..., :-1] if has_alpha else values[..., :3], 2**bits - 1)
    return result if window is None else replace(result, window=window)


def _seek_frame(opened: OpenedImage, frame: int) -> OpenedImage:
    if frame:
        try:
            opened.image.seek(frame)
        except EOFError:
            raise NotFoundError(f"There is no frame {frame} in the image.") from None
        return replace(opened, stored_wh=stored_size_wh(opened.image), orientation=exif_orientation(opened.image))
    return opened


def _decode_all(data: bytes | Path, opened: OpenedImage) -> None:
    check_known_range(data, opened)
    opened.image.draft(None, (1, 1))  # a JPEG is decoded at an eighth of its size
    with suppress_tiff_warnings(opened):
        opened.image.load()


def decode(
    data: bytes | Path,
    *,
    mode: Literal["RGB", "L"] = "RGB",
    max_size: int | None = None,
    frame: int = 0,
    limits: ImageLimits = IMAGE_LIMITS,
    window: ValueWindow | None = None,
) -> Pixels:
    """Decode an image, or one frame of a file with several frames.

    - Transparency is composited over white.
    - 16-bit values are scaled by 1/257, values of 9 to 15 bits by 255 over their maximum, so the full range is kept;
      if they span less than an eighth of it, their percentiles 0.1 and 99.9 become black and white. A stated
      ``window`` replaces both.
      32-bit, signed and floating-point values have no fixed range: the lowest value of the image maps to 0 and the
      highest to 255, except for floats that all lie in 0 to 1, whose range is 0 to 1. :func:`read_values` returns the
      stored values.
    - If there are more than four channels, the first three are used.
    - CMYK, including Adobe's inverted variant, is converted to RGB without a profile.
    - Colours with an embedded RGB profile (ICC) are converted to sRGB, as in a browser, except 16-bit ones.

    Args:
        data: the path or the content of the file.
        mode: "RGB" for (height, width, 3), "L" for (height, width) with the weights of ITU-R BT.601.
        max_size: maximum of the longest side in pixels; a larger image is downscaled by area. If set, an image may
            have up to ``limits.max_streamed_pixels`` pixels.
        frame: 0-based frame of a GIF, TIFF, WebP or APNG.
        limits: limits of the image.
        window: the values that become black and white, for values of more than 8 bits or without a fixed range.

    Raises:
        InvalidValueError: ``mode`` or ``max_size`` is invalid.
        MediaError: as for :func:`probe`, and if pixels are missing or damaged.
        NotFoundError: there is no such file or frame.
    """
    if mode not in ("RGB", "L"):
        raise InvalidValueError(f"Pixels can be decoded as 'RGB' or 'L', not as {mode!r}.")
    if max_size is not None and max_size < 1:
        raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
    pixels = _decode_rgb(data, max_size, frame, limits, window)
    return as_pixels(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) if mode == "L" else pixels


def _decode_rgb(
    data: bytes | Path, max_size: int | None, frame: int, limits: ImageLimits, window: ValueWindow | None
) -> Pixels:
    pages = tiff_pages(data)
    if pages:
        page = get_page(data, pages, frame)
        if frame or requires_libvips(page):
            check_pixels(data, page.size_wh, limits.max_pixels)
            return decode_page(data, page, max_size, window)
    elif frame:
        return _decode_frame(data, max_size, frame, limits, window)
    with open_image(data, limits, streamed=max_size is not None) as opened:
        width, height = opened.stored_wh
        if max_size is not None and width * height > limits.max_pixels:
            return decode_downscaled(data, opened.format, opened.orientation, max_size, window)
        content = read_bytes(data, limits)
        is_deep = bit_depth(opened) > 8
        pixels = decode_16bit(content, opened, window) if is_deep else decode_fast(content, opened, max_size)
        if pixels is None:
            check_known_range(data, opened)
            with suppress_tiff_warnings(opened):
                pixels = decode_pillow(opened, window)
    return downscale(pixels, max_size)


def _decode_frame(
    data: bytes | Path, max_size: int | None, frame: int, limits: ImageLimits, window: ValueWindow | None
) -> Pixels:
    with open_image(data, limits) as source, suppress_tiff_warnings(source):
        opened = _seek_frame(source, frame)
        check_pixels(data, opened.stored_wh, limits.max_pixels)
        return downscale(decode_pillow(opened, window), max_size)


def read_values(data: bytes | Path, *, frame: int = 0, limits: ImageLimits = IMAGE_LIMITS) -> npt.NDArray[Any]:
    """Read the stored values of an image in their own type, (height, width, channels), with the orientation applied.

    Palette indices are replaced by their colours.

    Args:
        data: the path or the content of the file.
        frame: 0-based frame of a GIF, TIFF, WebP or APNG.
        limits: limits of the image.

    Raises:
        MediaError: as for :func:`decode`.
        NotFoundError: there is no such file or frame.
    """
    if pages := tiff_pages(data):
        page = get_page(data, pages, frame)
        check_pixels(data, page.size_wh, limits.max_pixels)
        return read_page_values(data, page)
    with open_image(data, limits) as source, suppress_tiff_warnings(source):
        opened = _seek_frame(source, frame)
        if opened.format == "png" and bit_depth(opened) > 8:
            return _read_png16(read_bytes(data, limits), opened.orientation)
        opened.image.load()
        image = (
            opened.image.convert("RGBA" if "transparency" in opened.image.info else "RGB")
            if opened.image.mode in ("P", "PA", "1")
            else opened.image
        )
        values = np.asarray(image)
        return apply_orientation(values if values.ndim == 3 else values[..., None], opened.orientation)


def _read_png16(content: bytes, orientation: int) -> npt.NDArray[Any]:
    values = imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise MediaError("The image is damaged or truncated.", hint="Copy the file again from its source.")
    if values.ndim == 2:
        values = values[..., None]
    # OpenCV decodes to BGR or BGRA.
    channel_order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2], [0])
    return apply_orientation(values[..., channel_order], orientation)


def encode(pixels: Pixels, format: Literal["jpeg", "png"] = "jpeg", quality: int = 90) -> bytes:
    """Encode uint8 pixels.

    Args:
        pixels: (height, width, 3) in RGB or (height, width) in grey.
        format: "jpeg" or "png".
        quality: JPEG quality, 1 to 100.

    Raises:
        InvalidValueError: the array, the format or the quality is invalid.
        MediaError: the image has no pixels or is too large for the format.
    """
    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InvalidValueError(
            f"Pixels to encode must be uint8 of shape (height, width, 3) or (height, width), "
            f"not {pixels.dtype} of {pixels.shape}."
        )
    if format not in ("jpeg", "png") or not 1 <= quality <= 100:
        raise InvalidValueError(f"Images are encoded as 'jpeg' or 'png', quality 1 to 100, not {format!r}, {quality}.")
    if not pixels.size or (format == "jpeg" and max(pixels.shape) > 65_500):
        raise MediaError(f"An image of {pixels.shape[1]} x {pixels.shape[0]} cannot be written as {format.upper()}.")
    stored = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if pixels.ndim == 3 else pixels
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if format == "jpeg" else []
    return bytes(cv2.imencode(f".{format}", stored, parameters)[1].tobytes())


def thumbnail(data: bytes | Path, size: int, *, quality: int = 85, limits: ImageLimits = IMAGE_LIMITS) -> bytes:
    """Encode a downscaled image as JPEG.

    Args:
        data: the path or the content of the file.
        size: maximum of the longest side in pixels.
        quality: JPEG quality, 1 to 100.
        limits: limits of the image.

    Raises:
        InvalidValueError: ``size`` is below 1.
        MediaError: as for :func:`decode`.
        NotFoundError: there is no such file.
    """
    if size < 1:
        raise InvalidValueError(f"A thumbnail needs a size of at least 1 pixel, not {size}.")
    return encode(decode(data, max_size=size, limits=limits), "jpeg", quality)
