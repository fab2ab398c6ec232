"""Wrapper of libvips, for images that do not fit in memory and for samples that are not 8-bit colours.

The loader is always named explicitly: libvips would otherwise detect the format and try loaders that are not allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import MediaError
from saccade.media.window import window_of_counts

LOADERS = {"tiff": "tiffload", "png": "pngload", "jpeg": "jpegload"}
"""Loaders of the formats that can be read in regions or downscaled without decoding the full image into memory."""
_CACHE_BYTES = 1 << 26
_DTYPES = {
    "uchar": "uint8",
    "char": "int8",
    "ushort": "uint16",
    "short": "int16",
    "uint": "uint32",
    "int": "int32",
    "float": "float32",
    "double": "float64",
}


@cache
def vips() -> Any:
    """Return the pyvips module with its operation cache disabled, because files may change between reads."""
    import logging

    import pyvips

    pyvips.cache_set_max(0)
    pyvips.cache_set_max_mem(_CACHE_BYTES)
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    return pyvips


@contextmanager
def as_media_error(subject: str) -> Iterator[None]:
    """Convert errors of libvips in the block to MediaError; ``subject`` begins the message."""
    try:
        yield
    except vips().Error as error:
        reason = str(error.detail).strip().split("\n")[0].rstrip(".") or "its pixels cannot be decoded"
        raise MediaError(
            f"{subject} is damaged or truncated: {reason}.", hint="Copy the file again from its source."
        ) from error


def load(data: bytes | Path, format: str, *, sequential: bool = False, **options: Any) -> Any:
    """Open a libvips image without decoding pixels.

    Args:
        data: the path or the content of the file.
        format: a key of ``LOADERS``.
        sequential: the pixels will be read once, from top to bottom.
        options: options of the loader, such as ``page``.
    """
    access = "sequential" if sequential else "random"
    loader = LOADERS[format]
    if isinstance(data, Path):
        return getattr(vips().Image, loader)(str(data), access=access, fail_on="error", **options)
    return getattr(vips().Image, f"{loader}_buffer")(data, access=access, fail_on="error", **options)


def decode_all(image: Any) -> None:
    """Decode every pixel, a few rows at a time, and discard them."""
    image.cast("uchar").avg()  # any reduction makes libvips stream the whole image


def to_array(image: Any) -> npt.NDArray[Any]:
    """Return the stored values as an array (height, width, channels)."""
    values = np.frombuffer(image.write_to_memory(), _DTYPES[image.format])
    return values.reshape(image.height, image.width, image.bands)


def to_rgb8(image: Any, value_range: tuple[float, float] | None = None) -> Any:
    """Convert an image to 8-bit RGB.

    One channel is grey, two are grey and alpha; of five or more channels the first three are used. Transparency is
    composited over white.

    Args:
        image: a libvips image.
        value_range: the values that map to 0 and 255, for samples without a fixed range.
    """
    if image.interpretation in ("cmyk", "lab", "labq", "xyz", "lch", "hsv", "yxy"):
        image = image.colourspace("srgb")
    alpha = image[image.bands - 1] if image.bands in (2, 4) else None
    colors = image[0] if image.bands < 3 else image[0:3]
    if value_range is not None:
        low, high = value_range
        scale = 255 / (high - low) if high > low else 0.0
        colors = ((colors.cast("double") - low) * scale).rint().cast("uchar")
        if alpha is None or image.format != "ushort":
            return _to_three_bands(colors)
    max_value = 65_535 if image.format == "ushort" else 255
    if max_value != 255 and value_range is None:
        colors = (colors * (255 / max_value)).rint()
    if alpha is not None:
        opacity = alpha.cast("float") / max_value
        colors = (colors * opacity + 255 * (1 - opacity)).rint()
    return _to_three_bands(colors.cast("uchar"))


def low_range_window(image: Any) -> tuple[float, float] | None:
    """Return the window of 16-bit values that span little of their range; see :mod:`saccade.media.window`."""
    if image.format != "ushort":
        return None
    colors = image[0] if image.bands < 3 else image[0:3]
    histogram = colors.hist_find()
    # Its width is the highest value plus one.
    counts = np.frombuffer(histogram.write_to_memory(), np.uint32).reshape(-1, histogram.bands)
    return window_of_counts(counts.sum(axis=1, dtype=np.int64), 65_535)


def _to_three_bands(image: Any) -> Any:
    rgb = image.bandjoin([image, image]) if image.bands == 1 else image
    return rgb.copy(interpretation="srgb")


def find_value_range(image: Any) -> tuple[float, float]:
    """Return the lowest and the highest finite value of the color channels, or (0, 1) if floats all lie in 0 to 1."""
    colors = image[0] if image.bands in (1, 2) else image[0:3]
    if colors.format in ("float", "double"):
        finite = (colors.abs() < np.finfo(np.float32).max).ifthenelse(colors, colors * 0)
        colors = (finite == finite).ifthenelse(finite, 0)  # noqa: PLR0124 (NaN is not equal to itself)
    low, high = float(colors.min()), float(colors.max())
    return (0.0, 1.0) if image.format in ("float", "double") and low >= 0 and high <= 1 else (low, high)
