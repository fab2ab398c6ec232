"""Decode an opened image to 8-bit RGB, with OpenCV if it gives the same pixels as Pillow, else with Pillow."""

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
from saccade.media._orientation import apply_orientation
from saccade.media._pillow import OpenedImage, image_name, suppress_warnings
from saccade.media.window import ValueWindow, low_range_window

Pixels = npt.NDArray[np.uint8]
_REDUCED_FLAGS = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
# The end of a complete file. OpenCV fills missing pixels of a truncated file with grey; Pillow raises an error.
_END_MARKERS = {"jpeg": b"\xff\xd9", "png": b"IEND\xaeB`\x82"}


def bit_depth(opened: OpenedImage) -> int:
    """Return the stored bits per channel. Pillow silently truncates 16-bit colors to their upper 8 bits."""
    if opened.format == "png":
        return 16 if ";16" in str(opened.image.tile[0].args) else 8
    if isinstance(opened.image, TiffImageFile):
        return int(max(opened.image.tag_v2.get(258, (1,))))
    return 8


def decode_fast(content: bytes, opened: OpenedImage, max_size: int | None) -> Pixels | None:
    """Decode with OpenCV, or return None if it would not give the same pixels as Pillow.

    Args:
        content: the bytes of the file.
        opened: the opened image.
        max_size: a JPEG may be decoded at a fraction of its size that keeps its longest side at or above this.
    """
    image = opened.image
    is_plain = image.mode in ("L", "RGB") or (opened.format == "png" and image.mode in ("1", "P"))
    is_complete = opened.format not in _END_MARKERS or _END_MARKERS[opened.format] in content[-64:]
    if opened.format == "bmp":
        is_plain = content[28:30] == b"\x18\0"  # 24 bits a pixel
    if opened.format not in ("jpeg", "png", "bmp") or not is_plain or not is_complete or "transparency" in image.info:
        return None
    if needs_conversion(image):
        return None
    denominator = _jpeg_scale_denominator(opened, max_size) if opened.format == "jpeg" else 1
    flags = _REDUCED_FLAGS[denominator] if denominator > 1 else cv2.IMREAD_COLOR
    decoded = imdecode(content, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    width, height = opened.stored_wh
    if decoded is None or decoded.shape != (-(-height // denominator), -(-width // denominator), 3):
        return None
    return apply_orientation(as_pixels(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)), opened.orientation)


def _jpeg_scale_denominator(opened: OpenedImage, max_size: int | None) -> int:
    """Return the largest n for which libjpeg can decode at 1/n with a longest side of at least ``max_size``."""
    longest_side = max(opened.stored_wh)
    return next((n for n in (8, 4, 2) if max_size is not None and longest_side >= max_size * n), 1)


def decode_16bit(content: bytes, opened: OpenedImage, window: ValueWindow | None = None) -> Pixels | None:
    """Decode colours of more than 8 bits to 8 bits, or return None for modes that are left to :func:`decode_pillow`.

    Args:
        content: the bytes of the file.
        opened: the opened image.
        window: the values that are black and white; None for the full range, or percentiles if the range is low.
    """
    if opened.format == "tiff" and opened.image.mode not in ("RGB", "RGBA", "RGBX"):
        return None
    decoded = imdecode(content, cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16:
        opened.image.load()  # raises Pillow's error, which has a reason; OpenCV gives none
        raise ValueError("OpenCV decoded no 16-bit pixels")
    scaled = _scale_to_uint8(decoded, 65_535, window)
    if scaled.ndim == 2:
        pixels = cv2.cvtColor(scaled, cv2.COLOR_GRAY2RGB)
    elif scaled.shape[2] == 3:
        pixels = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB)
    else:
        rgba = Image.fromarray(as_pixels(cv2.cvtColor(scaled, cv2.COLOR_BGRA2RGBA)))
        pixels = _composite_on_white(rgba)
    # OpenCV's TIFF reader has applied the orientation already.
    return as_pixels(pixels) if opened.format == "tiff" else apply_orientation(as_pixels(pixels), opened.orientation)


def imdecode(content: bytes, flags: int) -> npt.NDArray[np.integer[Any]] | None:
    try:
        return cast("npt.NDArray[np.integer[Any]] | None", cv2.imdecode(np.frombuffer(content, np.uint8), flags))
    except cv2.error:
        return None


def decode_pillow(opened: OpenedImage, window: ValueWindow | None = None) -> Pixels:
    image = opened.image
    image.load()
    # Pillow's TIFF reader has applied the orientation already.
    orientation = 1 if opened.format == "tiff" else opened.orientation
    if image.mode.startswith("I;16"):
        values = np.asarray(image)
        grey = _scale_to_uint8(values.astype(np.uint16), 2 ** max(9, bit_depth(opened)) - 1, window)
        return apply_orientation(as_pixels(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)), orientation)
    has_alpha = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    srgb = to_srgb(image)
    pixels = _composite_on_white(srgb) if has_alpha else np.asarray(srgb.convert("RGB"))
    return apply_orientation(as_pixels(pixels), orientation)


def _composite_on_white(image: Image.Image) -> npt.NDArray[np.uint8]:
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))


def _scale_to_uint8(values: npt.NDArray[np.integer[Any]], max_value: int, window: ValueWindow | None) -> Pixels:
    """Scale values from the window, or else 0..``max_value``, to 0..255, rounded; opacity has no window."""
    has_alpha = values.ndim == 3 and values.shape[2] == 4
    window = window or low_range_window(values[..., :3] if has_alpha else values, max_value)
    if window is not None:
        scaled = window.apply(values)
        if has_alpha:
            scaled[..., 3] = cv2.convertScaleAbs(values[..., 3], alpha=255 / max_value)
        return as_pixels(scaled)
    return as_pixels(cv2.convertScaleAbs(values, alpha=255 / max_value))


def check_known_range(data: bytes | Path, opened: OpenedImage) -> None:
    if opened.image.mode in ("I", "F"):
        raise MediaError(
            f"{image_name(data)} has pixels of mode '{opened.image.mode}' (32-bit or signed), whose range is unknown.",
            hint="Scale its values to 8 or 16 bits first.",
        )


def suppress_tiff_warnings(opened: OpenedImage) -> AbstractContextManager[None]:
    """Suppress the warnings of Pillow's TIFF reader, the only one that reads metadata while it decodes."""
    return suppress_warnings() if opened.format == "tiff" else nullcontext()


def as_pixels(array: npt.ArrayLike) -> Pixels:
    return np.ascontiguousarray(array, dtype=np.uint8)
