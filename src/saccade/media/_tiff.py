"""Parse the directories of a TIFF without decoding pixels: pages, pyramid levels and sample formats."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from saccade.media._pillow import suppress_warnings

MAX_PAGES = 100_000
# Tags of TIFF 6.0.
_NEW_SUBFILE_TYPE = 254
_IMAGE_WIDTH = 256
_IMAGE_LENGTH = 257
_BITS_PER_SAMPLE = 258
_ORIENTATION = 274
_SAMPLES_PER_PIXEL = 277
_ROWS_PER_STRIP = 278
_TILE_WIDTH = 322
_TILE_LENGTH = 323
_SAMPLE_FORMAT = 339
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED_FLAG = 1
_ASPECT_TOLERANCE = 0.02
_SAMPLE_FORMATS = {1: "uint", 2: "int", 3: "float", 4: "uint"}
_BYTES_PER_SAMPLE = {8: 1, 16: 2, 32: 4, 64: 8}


@dataclass(frozen=True, slots=True)
class TiffPage:
    """One directory of a TIFF.

    Attributes:
        index: 0-based position in the file.
        size_wh: width and height as stored, before the orientation is applied.
        bits_per_sample: the largest bit depth among the channels.
        sample_format: "uint", "int" or "float".
        block_wh: width and height of a tile, or of a strip, which is as wide as the page.
        orientation: EXIF orientation, 1 to 8.
    """

    index: int
    size_wh: tuple[int, int]
    channels: int
    bits_per_sample: int
    sample_format: str
    block_wh: tuple[int, int]
    is_tiled: bool
    is_reduced: bool
    orientation: int

    @property
    def block_bytes(self) -> int:
        """Size in bytes of one decoded tile or strip."""
        return math.prod(self.block_wh) * self.channels * _BYTES_PER_SAMPLE.get(self.bits_per_sample, 1)

    @property
    def dtype(self) -> str:
        """NumPy's name of the sample type."""
        return f"{self.sample_format}{max(8, self.bits_per_sample)}"

    @property
    def has_unknown_range(self) -> bool:
        """Whether the values of black and white are unknown: floats, signed and 32-bit or wider integers."""
        return self.sample_format != "uint" or self.bits_per_sample > 16


def read_pages(data: bytes | Path) -> list[TiffPage]:
    """Return the pages of a TIFF in file order, or an empty list if it is not a TIFF or its directories are damaged."""
    try:
        with data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data)) as stream:
            if stream.read(4) not in _SIGNATURES:
                return []
            with suppress_warnings():
                return list(_iter_pages(stream))
    except Exception:  # a broken directory makes the parser raise almost anything
        return []


def _iter_pages(stream: BinaryIO) -> Iterator[TiffPage]:
    stream.seek(0)
    header = stream.read(16)
    # The header of a BigTIFF is 16 bytes long, that of a classic TIFF 8.
    is_big_tiff = header[2:3] == b"+" or header[3:4] == b"+"
    directory = ImageFileDirectory_v2(header if is_big_tiff else header[:8])
    offset = directory.next
    visited = set[int]()
    # A damaged file may link its directories in a circle.
    while offset and offset not in visited and len(visited) < MAX_PAGES:
        visited.add(offset)
        stream.seek(offset)
        directory.reset()
        directory.load(stream)
        offset = directory.next or 0
        yield _parse_page(directory, len(visited) - 1)


def _parse_page(directory: Any, index: int) -> TiffPage:
    width, height = int(directory[_IMAGE_WIDTH]), int(directory[_IMAGE_LENGTH])
    if width < 1 or height < 1:
        raise ValueError("a page without pixels")
    tile_width, tile_height = directory.get(_TILE_WIDTH), directory.get(_TILE_LENGTH)
    is_tiled = tile_width is not None and tile_height is not None
    rows_per_strip = int(directory.get(_ROWS_PER_STRIP) or height)
    orientation = int(directory.get(_ORIENTATION, 1) or 1)
    return TiffPage(
        index=index,
        size_wh=(width, height),
        channels=int(directory.get(_SAMPLES_PER_PIXEL, 1)),
        bits_per_sample=int(max(directory.get(_BITS_PER_SAMPLE, (1,)))),
        sample_format=_SAMPLE_FORMATS.get(int(directory.get(_SAMPLE_FORMAT, (1,))[0]), "uint"),
        block_wh=(int(tile_width), int(tile_height)) if is_tiled else (width, min(rows_per_strip, height)),
        is_tiled=is_tiled,
        is_reduced=bool(int(directory.get(_NEW_SUBFILE_TYPE, 0)) & _REDUCED_FLAG),
        orientation=orientation if orientation in range(1, 9) else 1,
    )


def is_pyramid_level(page: TiffPage, first: TiffPage) -> bool:
    """Whether a page is a smaller copy of the first page, that is, a level of its pyramid."""
    if page.index == first.index or page.size_wh[0] >= first.size_wh[0]:
        return False
    width, height = first.size_wh
    aspect_error = abs(page.size_wh[0] * height - page.size_wh[1] * width)
    same_aspect = aspect_error <= _ASPECT_TOLERANCE * page.size_wh[0] * height + height
    return same_aspect and (page.is_reduced or (page.is_tiled and first.is_tiled))
