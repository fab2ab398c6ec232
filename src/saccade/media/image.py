"""Images: what a file holds without decoding it, its pixels as an array, and back to a file.

Pixels are uint8 arrays of shape (height, width, 3) in RGB, or (height, width) in grey, with the EXIF orientation
applied. Images of more pixels than may be held are checked and scaled down a few rows at a time.
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
    bits_of,
    decode_deep,
    decode_plain,
    from_pillow,
    imdecode,
    quiet_for,
    refuse_open_range,
)
from saccade.media._jpeg import tables_of_whole
from saccade.media._orientation import shrink, turn_values
from saccade.media._pillow import (
    IMAGE_FORMATS,
    LIMITS,
    Limits,
    Opened,
    check_pixels,
    frames_of,
    opened,
    orientation_of,
    read_bytes,
    stored_size_wh,
    without_warnings,
)
from saccade.media._raw_values import (
    check_giant,
    check_page,
    giant_pixels,
    is_beyond_screens,
    mode_of,
    page_of,
    page_pixels,
    page_values,
    tiff_pages,
)
from saccade.media._tiff import Page

__all__ = [
    "IMAGE_FORMATS",
    "LIMITS",
    "Limits",
    "Pixels",
    "Probe",
    "decode",
    "encode",
    "probe",
    "read_values",
    "shrink",
    "thumbnail",
    "verify",
]

Pixels = npt.NDArray[np.uint8]
_MOST_KNOWN = 512
_KNOWN_JPEGS: dict[tuple[bytes, Limits], Probe] = {}
"""What JPEGs with the same tables have in common; all but pixels and metadata."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a header says: size in pixels after EXIF orientation, Pillow's format name in lower case and mode.

    Attributes:
        mode: of a TIFF of values that are no colours, such as ``float32`` or ``uint16x12`` for twelve channels, those.
        orientation: EXIF's, 1 to 8.
        frames: how many pictures the file has (GIF, TIFF, WebP, APNG); the smaller copies of a pyramid do not count.
        channels: of a TIFF; those beyond the third are not shown where there are more than four.
        has_open_range: nothing says which values are black and white.
    """

    width: int
    height: int
    format: str
    mode: str
    orientation: int = 1
    frames: int = 1
    channels: int = 3
    has_open_range: bool = False

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.width, self.height


def probe(data: bytes | Path, *, frame: int = 0, limits: Limits = LIMITS) -> Probe:
    """Read the header of an image; no pixel is decoded.

    Raises:
        MediaError: not an image that can be read, broken, or larger than ``limits``. NotFoundError: no such file or
            frame.
    """
    pages = tiff_pages(data)
    if pages and is_beyond_screens(page := page_of(data, pages, frame)):
        return _probe_of_page(data, page, len(pages), limits)
    with opened(data, limits, giant=True) as found:
        return _probe_of(found, pages, frame)


def _probe_of(found: Opened, pages: Sequence[Page], frame: int) -> Probe:
    with without_warnings():
        if pages:
            found = _at_frame(found, pages[frame].number)
            return _probe_with(found, len(pages), pages[frame].channels)
        return _probe_with(_at_frame(found, frame), frames_of(found.image))


def _probe_with(found: Opened, frames: int, channels: int = 3) -> Probe:
    width, height = found.size_wh
    return Probe(width, height, found.format, found.image.mode, found.orientation, frames, channels)


def _probe_of_page(data: bytes | Path, page: Page, frames: int, limits: Limits) -> Probe:
    width, height = page.size_wh
    check_pixels(data, page.size_wh, limits.max_giant_pixels)
    if page.orientation >= 5:
        width, height = height, width
    return Probe(width, height, "tiff", mode_of(page), page.orientation, frames, page.channels, page.has_open_range)


def verify(data: bytes | Path, *, frame: int = 0, limits: Limits = LIMITS) -> Probe:
    """Check that all pixels of a frame decode, and return what :func:`probe` does.

    A JPEG whose markers show that it is whole needs no decoding, since a decoder would find nothing wrong with it
    either, and its header is read once for all that have the same size and tables; any other is decoded at an eighth of
    its size. MediaError as for :func:`probe`, and where pixels are missing or damaged beyond what the format's own
    checks let pass.
    """
    content = data if isinstance(data, bytes) and not frame else b""
    tables = tables_of_whole(content) if content.startswith(b"\xff\xd8") else None
    if tables and len(content) <= limits.max_bytes and (known := _KNOWN_JPEGS.get((tables, limits))):
        return known
    pages = tiff_pages(data)
    if pages and is_beyond_screens(page := page_of(data, pages, frame)):
        found = _probe_of_page(data, page, len(pages), limits)
        check_page(data, page)
        return found
    with opened(data, limits, giant=True) as source:
        found = _probe_of(source, pages, frame)
        if found.width * found.height > limits.max_pixels:
            check_giant(data, found.format, found.size_wh, frame)
            return found
        if found.format == "jpeg" and tables is not None:
            if tables and len(_KNOWN_JPEGS) < _MOST_KNOWN:
                _KNOWN_JPEGS[tables, limits] = found
            return found
        if found.format != "png" or frame:
            _load_all(data, source)
            return found
        source.image.verify()  # the checksums, which the decoder does not look at; the image is of no use after it
    with opened(data, limits) as source:
        _load_all(data, source)
    return found


def _at_frame(found: Opened, frame: int) -> Opened:
    """The same file at another frame."""
    if frame:
        try:
            found.image.seek(frame)
        except EOFError:
            raise NotFoundError(f"There is no frame {frame} in the image.") from None
        return replace(found, stored_wh=stored_size_wh(found.image), orientation=orientation_of(found.image))
    return found


def _load_all(data: bytes | Path, source: Opened) -> None:
    refuse_open_range(data, source)
    source.image.draft(None, (1, 1))
    with quiet_for(source):
        source.image.load()


def decode(
    data: bytes | Path,
    *,
    mode: Literal["RGB", "L"] = "RGB",
    max_size: int | None = None,
    frame: int = 0,
    limits: Limits = LIMITS,
) -> Pixels:
    """Decode an image, or one frame of a file that has several.

    - Transparency is composited over white.
    - Pixels of 16 bits are scaled by 1/257 (of 9 to 15 bits by 255 over their largest value), so that their whole
      range is kept. Those of 32 bits, with a sign or in floating point have no fixed range: the lowest value of the
      image becomes 0 and the highest 255, but for floats that all lie between 0 and 1, which mean these.
      :func:`read_values` gives the values themselves.
    - Of more than four channels the first three are shown.
    - CMYK becomes RGB by the plain formula, Adobe's inverted kind included.
    - Colours of an embedded profile of RGB (ICC) become sRGB, as a browser shows them; not those of 16 bits.

    Args:
        mode: "RGB" for (height, width, 3), "L" for (height, width) with the weights of ITU-R BT.601.
        max_size: the longest side in pixels; a larger image is scaled down to it by area. Never scales up. With it an
            image may have more pixels than can be held.
        frame: of a GIF, TIFF, WebP or APNG, from 0.

    Raises:
        MediaError: as for :func:`probe`, and where pixels are missing or damaged. NotFoundError: no such file or frame.
    """
    if mode not in ("RGB", "L"):
        raise InvalidValueError(f"Pixels can be decoded as 'RGB' or 'L', not as {mode!r}.")
    if max_size is not None and max_size < 1:
        raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
    pixels = _decoded(data, max_size, frame, limits)
    return as_pixels(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) if mode == "L" else pixels


def _decoded(data: bytes | Path, max_size: int | None, frame: int, limits: Limits) -> Pixels:
    pages = tiff_pages(data)
    if pages:
        page = page_of(data, pages, frame)
        if frame or is_beyond_screens(page):
            check_pixels(data, page.size_wh, limits.max_pixels)
            return page_pixels(data, page, max_size)
    elif frame:
        return _decode_frame(data, max_size, frame, limits)
    with opened(data, limits, giant=max_size is not None) as found:
        width, height = found.stored_wh
        if max_size is not None and width * height > limits.max_pixels:
            return giant_pixels(data, found.format, found.orientation, max_size)
        content = read_bytes(data, limits)
        pixels = decode_deep(content, found) if bits_of(found) > 8 else decode_plain(content, found, max_size)
        if pixels is None:
            refuse_open_range(data, found)
            with quiet_for(found):
                pixels = from_pillow(found)
    return shrink(pixels, max_size)


def _decode_frame(data: bytes | Path, max_size: int | None, frame: int, limits: Limits) -> Pixels:
    with opened(data, limits) as found, quiet_for(found):
        there = _at_frame(found, frame)
        check_pixels(data, there.stored_wh, limits.max_pixels)
        return shrink(from_pillow(there), max_size)


def read_values(data: bytes | Path, *, frame: int = 0, limits: Limits = LIMITS) -> npt.NDArray[Any]:
    """The values of an image as they are stored, in their own type, (height, width, channels), turned upright.

    A palette gives its colours. MediaError and NotFoundError as for :func:`decode`.
    """
    if pages := tiff_pages(data):
        page = page_of(data, pages, frame)
        check_pixels(data, page.size_wh, limits.max_pixels)
        return page_values(data, page)
    with opened(data, limits) as found, quiet_for(found):
        there = _at_frame(found, frame)
        if there.format == "png" and bits_of(there) > 8:
            return _deep_values(read_bytes(data, limits), there)
        there.image.load()
        image = (
            there.image.convert("RGBA" if "transparency" in there.image.info else "RGB")
            if there.image.mode in ("P", "PA", "1")
            else there.image
        )
        values = np.asarray(image)
        return turn_values(values if values.ndim == 3 else values[..., None], there.orientation)


def _deep_values(content: bytes, found: Opened) -> npt.NDArray[Any]:
    values = imdecode(content, cv2.IMREAD_UNCHANGED)
    if values is None:
        raise MediaError("The image is damaged or truncated.", hint="Copy the file again from its source.")
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(values.shape[2] if values.ndim == 3 else 1, [0])
    return turn_values((values if values.ndim == 3 else values[..., None])[..., order], found.orientation)


def encode(pixels: Pixels, format: Literal["jpeg", "png"] = "jpeg", quality: int = 90) -> bytes:
    """Encode uint8 pixels, (height, width, 3) in RGB or (height, width) in grey; ``quality`` 1 to 100 is for JPEG."""
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


def thumbnail(data: bytes | Path, size: int, *, quality: int = 85, limits: Limits = LIMITS) -> bytes:
    """A JPEG of the image whose longest side is at most ``size`` pixels; errors as for :func:`decode`."""
    if size < 1:
        raise InvalidValueError(f"A thumbnail needs a size of at least 1 pixel, not {size}.")
    return encode(decode(data, max_size=size, limits=limits), "jpeg", quality)
