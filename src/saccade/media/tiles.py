"""Images cut into tiles, from top to bottom, without ever holding the whole of a giant one."""

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
from saccade.media.image import LIMITS, encode, read_values
from saccade.media.loader import Files, read_image

PLAIN_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Modes of which nothing is lost when they are shown in 8 bits."""
_STRIPS = frozenset({"tiff", "jpeg", "png", "webp", "jpeg2000", "ppm"})
_EXACT = "tiff"


def tile_starts(length: int, size: int, overlap: int) -> list[int]:
    """Where tiles of ``size`` begin along a side, each sharing ``overlap`` with the next; the last ends at the edge.

    A side that is no longer than a tile has one, at 0.

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
    """A tile as a file, and where it was: ``x`` and ``y`` in pixels of the whole image."""

    x: int
    y: int
    width: int
    height: int
    data: bytes


def cut_tiles(
    files: Files, ref: ImageRef, size: int, overlap: int, *, format: str = "auto", quality: int = 95
) -> Iterator[Tile]:
    """The tiles of an image, row after row, encoded.

    Args:
        format: ``jpeg``, ``png`` or ``tiff``; with ``auto`` JPEG for what is one, PNG for other images of 8 bits, and
            TIFF with all channels and the type of the values for the rest.

    MediaError for an image that cannot be read.
    """
    xs, ys = tile_starts(ref.width, size, overlap), tile_starts(ref.height, size, overlap)
    width, height = min(size, ref.width), min(size, ref.height)
    chosen = _format(ref) if format == "auto" else format
    rows = _rows(files, ref, ys, height, exact=chosen == _EXACT)
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for y, strip in zip(ys, rows, strict=True):
            parts = [strip[:, x : x + width] for x in xs]
            encoded = pool.map(lambda part: _encoded(part, chosen, quality), parts)
            for x, data in zip(xs, encoded, strict=True):
                yield Tile(x, y, width, height, data)


def _format(ref: ImageRef) -> str:
    if ref.mode not in PLAIN_MODES:
        return _EXACT
    return "jpeg" if ref.format in ("jpeg", "mpo") else "png"


def _encoded(part: npt.NDArray[Any], format: str, quality: int) -> bytes:
    if format == _EXACT:
        values = np.ascontiguousarray(part if part.ndim == 3 else part[..., None])
        image = _vips.vips().Image.new_from_array(values)
        content: bytes = image.tiffsave_buffer(compression="deflate", predictor="horizontal")
        return content
    return encode(np.ascontiguousarray(part), "jpeg" if format == "jpeg" else "png", quality)


def _rows(files: Files, ref: ImageRef, ys: Sequence[int], height: int, *, exact: bool) -> Iterator[npt.NDArray[Any]]:
    """The strip of ``height`` rows that begins at each of ``ys``."""
    is_giant = ref.width * ref.height > LIMITS.max_pixels
    if not is_giant or ref.format not in _STRIPS or ref.orientation != 1:
        whole = read_values(files.read_media(ref), frame=ref.frame or 0) if exact else read_image(files, ref)
        yield from (whole[y : y + height] for y in ys)
        return
    with on_disk(files, ref) as path:
        yield from _strips(path, ref, ys, height, exact=exact)


def _strips(path: Path, ref: ImageRef, ys: Sequence[int], height: int, *, exact: bool) -> Iterator[npt.NDArray[Any]]:
    """Strips that are decoded once each; rows that two of them share are kept between them."""
    options = {"page": ref.frame or 0} if ref.format == "tiff" else {}
    with _vips.as_media_error(ref.name):
        image = _vips.load(path, ref.format, in_order=True, **options)
        if not exact:
            image = _vips.to_eight_bits(image)
        kept: npt.NDArray[Any] | None = None
        end = 0
        for y in ys:
            new = _vips.values_of(image.crop(0, max(y, end), image.width, y + height - max(y, end)))
            strip = new if kept is None or y >= end else np.concatenate([kept[len(kept) - (end - y) :], new])
            kept, end = strip, y + height
            yield strip


@contextmanager
def on_disk(files: Files, ref: ImageRef) -> Iterator[Path]:
    """The path of an image's file; of a copy where it lies elsewhere."""
    with files.open_media(ref) as file:
        path = _path_of(file)
        if path is not None:
            yield path
            return
        with tempfile.NamedTemporaryFile(suffix=f".{ref.format}", delete=False) as copy:
            shutil.copyfileobj(file, copy)
        try:
            yield Path(copy.name)
        finally:
            Path(copy.name).unlink(missing_ok=True)


def _path_of(file: BinaryIO) -> Path | None:
    name = getattr(file, "name", None)
    if not isinstance(name, str):
        return None
    path = Path(name)
    return path if path.is_absolute() and path.is_file() else None
