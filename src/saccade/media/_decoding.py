"""Pixels of an opened image in RGB of 8 bits: the fast way where it gives the same, else Pillow's."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from saccade.core.errors import MediaError
from saccade.media._color import needs_conversion, to_srgb
from saccade.media._orientation import turn
from saccade.media._pillow import Opened, named, without_warnings

Pixels = npt.NDArray[np.uint8]
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
# How a complete file ends. OpenCV fills what is missing with grey and says nothing; Pillow raises.
_ENDS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}


def bits_of(found: Opened) -> int:
    """Bits of one channel as stored; Pillow silently cuts colours of 16 bits down to the upper 8."""
    if found.format == "png":
        return 16 if ";16" in str(found.image.tile[0].args) else 8
    if isinstance(found.image, TiffImageFile):
        return int(max(found.image.tag_v2.get(258, (1,))))
    return 8


def decode_plain(content: bytes, found: Opened, max_size: int | None) -> Pixels | None:
    """The fast way, by OpenCV, for what it decodes to the same pixels as Pillow; None where it does not."""
    image = found.image
    plain = image.mode in ("L", "RGB") or (found.format == "png" and image.mode in ("1", "P"))
    complete = found.format not in _ENDS or _ENDS[found.format] in content[-64:]
    if found.format == "bmp":
        plain = content[28:30] == b"\x18\0"
    if found.format not in ("jpeg", "png", "bmp") or not plain or not complete or "transparency" in image.info:
        return None
    if needs_conversion(image):
        return None
    reduced = _reduction(found, max_size) if found.format == "jpeg" else 1
    flags = _REDUCED[reduced] if reduced > 1 else cv2.IMREAD_COLOR
    decoded = imdecode(content, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    width, height = found.stored_wh
    if decoded is None or decoded.shape != (-(-height // reduced), -(-width // reduced), 3):
        return None
    return turn(as_pixels(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)), found.orientation)


def _reduction(found: Opened, max_size: int | None) -> int:
    """The largest scale 1/n at which libjpeg can decode and still have at least ``max_size`` pixels."""
    longest = max(found.stored_wh)
    return next((n for n in (8, 4, 2) if max_size is not None and longest >= max_size * n), 1)


def decode_deep(content: bytes, found: Opened) -> Pixels | None:
    """Colours of more than 8 bits; None for those that are left to :func:`from_pillow`."""
    if found.format == "tiff" and found.image.mode not in ("RGB", "RGBA", "RGBX"):
        return None
    decoded = imdecode(content, cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        found.image.load()  # for Pillow's reason, which OpenCV does not give
        raise ValueError("no pixels of 16 bits came out")
    scaled = _scale(decoded, 65_535)
    if scaled.ndim == 2:
        pixels = cv2.cvtColor(scaled, cv2.COLOR_GRAY2RGB)
    elif scaled.shape[2] == 3:
        pixels = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB)
    else:
        with_alpha = Image.fromarray(as_pixels(cv2.cvtColor(scaled, cv2.COLOR_BGRA2RGBA)))
        pixels = _over_white(with_alpha)
    # OpenCV's TIFF reader turns the pixels by itself.
    return as_pixels(pixels) if found.format == "tiff" else turn(as_pixels(pixels), found.orientation)


def imdecode(content: bytes, flags: int) -> npt.NDArray[np.integer[Any]] | None:
    try:
        return cast("npt.NDArray[np.integer[Any]] | None", cv2.imdecode(np.frombuffer(content, np.uint8), flags))
    except cv2.error:
        return None


def from_pillow(found: Opened) -> Pixels:
    image = found.image
    image.load()
    # Pillow's TIFF reader turns the pixels by itself.
    orientation = 1 if found.format == "tiff" else found.orientation
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = _scale(values.astype(np.uint16), 2 ** max(9, bits_of(found)) - 1)
        return turn(as_pixels(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)), orientation)
    clear = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    shown = to_srgb(image)
    pixels = _over_white(shown) if clear else np.asarray(shown.convert("RGB"))
    return turn(as_pixels(pixels), orientation)


def _over_white(image: Image.Image) -> npt.NDArray[np.uint8]:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))


def _scale(values: npt.NDArray[np.integer[Any]], largest: int) -> Pixels:
    """Values from 0 to ``largest`` to 0 to 255, rounded."""
    return as_pixels(cv2.convertScaleAbs(values, alpha=255 / largest))


def refuse_open_range(data: bytes | Path, found: Opened) -> None:
    if found.image.mode in ("I", "F"):
        raise MediaError(
            f"{named(data)} has pixels of mode '{found.image.mode}' (32-bit or signed), whose range is not known.",
            hint="Scale it to 8 or 16 bits first, with the range that it means.",
        )


def quiet_for(found: Opened) -> AbstractContextManager[None]:
    """Pillow's TIFF reader alone reads metadata, and complains, while it decodes."""
    return without_warnings() if found.format == "tiff" else nullcontext()


def as_pixels(array: npt.ArrayLike) -> Pixels:
    return np.ascontiguousarray(array, dtype=np.uint8)
