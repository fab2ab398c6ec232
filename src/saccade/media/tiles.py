"""Cut images into tiles; large images are streamed from top to bottom and never decoded as a whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from saccade.core.schema import ImageRef
from saccade.media import _vips
from saccade.media.image import IMAGE_LIMITS, encode, read_values
from saccade.media.loader import MediaSource, read_image
from saccade.media.window import window_of_mode

LOSSLESS_8BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Pillow modes that are converted to 8-bit RGB without loss of precision."""
_RAW_FORMAT = "tiff"


def tile_offsets(length: int, size: int, overlap: int) -> list[int]:
    """Return the offsets of tiles along one side; neighbours overlap by ``overlap``, and the last ends at the edge.

    A side that is not longer than a tile has one tile, at 0.

    >>> tile_starts(100, 40, 10)
    [0, 30, 60]
    >>> tile_starts(100, 40, 0)
    [0, 40, 60]
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size, size - overlap))
    return [*starts, length - size]


@dataclass(frozen=True, slots=True)
class Tile:
    """An encoded tile.

    Attributes:
        x: left edge in pixels of the image.
        y: top edge in pixels of the image.
        data: content of the image file.
    """

    x: int
    y: int
    width: int
    height: int
    data: bytes


def cut_tiles(
    files: MediaSource, ref: ImageRef, size: int, overlap: int, *, format: str = "auto", quality: int = 95
) -> Iterator[Tile]:
    """Cut an image into encoded tiles, row by row.

    Args:
        files: source of the image file.
        ref: the image.
        size: side of a tile in pixels.
        overlap: pixels that neighbouring tiles share at least.
        format: ``jpeg``, ``png``, ``tiff`` (all channels in their own type) or ``auto``: JPEG for a JPEG, PNG for other
            8-bit images, TIFF for all others.
        quality: JPEG quality, 1 to 100.

    Raises:
        MediaError: the image cannot be decoded.
    """
    xs, ys = tile_offsets(ref.width, size, overlap), tile_offsets(ref.height, size, overlap)
    width, height = min(size, ref.width), min(size, ref.height)
    chosen = _choose_format(ref) if format == "auto" else format
    rows = _iter_strips(files, ref, ys, height, exact=chosen == _RAW_FORMAT)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for y, strip in zip(ys, rows, strict=True):
            parts = [strip[:, x : x + width] for x in xs]
            encoded = pool.map(lambda part: _encode_tile(part, chosen, quality), parts)
            for x, data in zip(xs, encoded, strict=True):
                yield Tile(x, y, width, height, data)


def _choose_format(ref: ImageRef) -> str:
    if ref.mode not in LOSSLESS_8BIT_MODES:
        return _RAW_FORMAT
    return "jpeg" if ref.format in ("jpeg", "mpo") else "png"


def _encode_tile(part: npt.NDArray[Any], format: str, quality: int) -> bytes:
    if format == _RAW_FORMAT:
        values = np.ascontiguousarray(part if part.ndim == 3 else part[..., None])
        image = _vips.vips().Image.new_from_array(values)
        content: bytes = image.tiffsave_buffer(compression="deflate", predictor="horizontal")
        return content
    return encode(np.ascontiguousarray(part), "jpeg" if format == "jpeg" else "png", quality)


def _iter_strips(
    files: MediaSource, ref: ImageRef, ys: Sequence[int], height: int, *, exact: bool
) -> Iterator[npt.NDArray[Any]]:
    """Yield the strip of ``height`` rows that begins at each of ``ys``."""
    fits_in_memory = ref.width * ref.height <= IMAGE_LIMITS.max_pixels
    if fits_in_memory or ref.format not in _vips.LOADERS or ref.orientation != 1:
        pixels = read_values(files.read_media(ref), frame=ref.frame or 0) if exact else read_image(files, ref)
        yield from (pixels[y : y + height] for y in ys)
        return
    with local_path(files, ref) as path:
        yield from _stream_strips(path, ref, ys, height, exact=exact)


def _stream_strips(
    path: Path, ref: ImageRef, ys: Sequence[int], height: int, *, exact: bool
) -> Iterator[npt.NDArray[Any]]:
    """Yield strips in one sequential pass; rows that two strips share are buffered between them."""
    options = {"page": ref.frame or 0} if ref.format == "tiff" else {}
    with _vips.as_media_error(ref.name):
        image = _vips.load(path, ref.format, sequential=True, **options)
        if not exact:
            # The values of a stream are read twice: first to find the window of 16-bit values.
            window = None
            if image.format == "ushort":
                window = window_of_mode(ref.mode) or _vips.low_range_window(image)
                image = _vips.load(path, ref.format, sequential=True, **options)
            image = _vips.to_rgb8(image, window)
        previous: npt.NDArray[Any] | None = None
        end = 0
        for y in ys:
            new_rows = _vips.to_array(image.crop(0, max(y, end), image.width, y + height - max(y, end)))
            if previous is None or y >= end:
                strip = new_rows
            else:
                strip = np.concatenate([previous[len(previous) - (end - y) :], new_rows])
            previous = strip
            end = y + height
            yield strip


@contextmanager
def local_path(files: MediaSource, ref: ImageRef) -> Iterator[Path]:
    """Yield the path of an image's file, or of a temporary copy if it is not a local file."""
    with files.open_media(ref) as file:
        path = _file_path(file)
        if path is not None:
            yield path
            return
        with tempfile.NamedTemporaryFile(suffix=f".{ref.format}", delete=False) as copy:
            shutil.copyfileobj(file, copy)
        try:
            yield Path(copy.name)
        finally:
            Path(copy.name).unlink(missing_ok=True)


def _file_path(file: BinaryIO) -> Path | None:
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        return None
    path = Path(name)
    return path if path.is_absolute() and path.is_file() else None
