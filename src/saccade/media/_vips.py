"""libvips behind our own limits and errors: for images too large to be held, and for values that are no colours.

A loader is named, never guessed by libvips, which would also try formats that nobody asked for.
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

LOADERS = {"tiff": "tiffload", "png": "pngload", "jpeg": "jpegload"}
_CACHE = 1 << 26
_TYPES = {
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
    """The module, set up: nothing is remembered of files, which may change."""
    import logging

    import pyvips

    pyvips.cache_set_max(0)
    pyvips.cache_set_max_mem(_CACHE)
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    return pyvips


@contextmanager
def as_media_error(what: str) -> Iterator[None]:
    """Whatever libvips raises in the block as a MediaError."""
    try:
        yield
    except vips().Error as error:
        reason = str(error.detail).strip().split("\n")[0].rstrip(".") or "its pixels cannot be decoded"
        raise MediaError(
            f"{what} is damaged or truncated: {reason}.", hint="Copy the file again from its source."
        ) from error


def load(data: bytes | Path, format: str, *, in_order: bool = False, **options: Any) -> Any:
    """An image of libvips; no pixel is decoded yet.

    Args:
        in_order: pixels will be asked for from top to bottom, once.
        options: of the loader, such as ``page``.
    """
    access = "sequential" if in_order else "random"
    loader = LOADERS[format]
    if isinstance(data, Path):
        return getattr(vips().Image, loader)(str(data), access=access, fail_on="error", **options)
    return getattr(vips().Image, f"{loader}_buffer")(data, access=access, fail_on="error", **options)


def decode_all(image: Any) -> None:
    """Decode every pixel, a few rows at a time, and keep none."""
    image.cast("uchar").avg()


def values_of(image: Any) -> npt.NDArray[Any]:
    """The values as they are stored, (height, width, channels)."""
    values = np.frombuffer(image.write_to_memory(), _TYPES[image.format])
    return values.reshape(image.height, image.width, image.bands)


def to_eight_bits(image: Any, value_range: tuple[float, float] | None = None) -> Any:
    """Red, green and blue of 8 bits each.

    One or two channels are grey (with transparency), five and more show the first three. Transparency is over white.

    Args:
        value_range: what becomes 0 and what becomes 255, for values without a fixed range.
    """
    if image.interpretation in ("cmyk", "lab", "labq", "xyz", "lch", "hsv", "yxy"):
        image = image.colourspace("srgb")
    wide = image.bands > 4
    alpha = image[image.bands - 1] if image.bands in (2, 4) and not wide else None
    colors = image[0] if image.bands < 3 else image[0:3]
    if value_range is not None:
        low, high = value_range
        scale = 255 / (high - low) if high > low else 0.0
        return _three(((colors.cast("double") - low) * scale).rint().cast("uchar"))
    largest = 65_535 if image.format == "ushort" else 255
    if largest != 255:
        colors = (colors * (255 / largest)).rint()
    if alpha is not None:
        share = alpha.cast("float") / largest
        colors = (colors * share + 255 * (1 - share)).rint()
    return _three(colors.cast("uchar"))


def _three(image: Any) -> Any:
    rgb = image.bandjoin([image, image]) if image.bands == 1 else image
    return rgb.copy(interpretation="srgb")


def range_of(image: Any) -> tuple[float, float]:
    """The lowest and the highest finite value of the channels that are shown; 0 and 1 where all lie between them."""
    shown = image[0] if image.bands in (1, 2) else image[0:3]
    if shown.format in ("float", "double"):
        beyond = (shown.abs() < np.finfo(np.float32).max).ifthenelse(shown, shown * 0)
        shown = (beyond == beyond).ifthenelse(beyond, 0)  # noqa: PLR0124 (what is not equal to itself is no number)
    low, high = float(shown.min()), float(shown.max())
    return (0.0, 1.0) if image.format in ("float", "double") and low >= 0 and high <= 1 else (low, high)
