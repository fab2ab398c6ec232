"""What the directories of a TIFF say, without a pixel: of pages, of reduced copies, and of what a page is made of."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import ImageFileDirectory_v2

from saccade.media._pillow import without_warnings

MAX_PAGES = 100_000
_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED = 1
_SAME_SHAPE = 0.02
_KINDS = {1: "uint", 2: "int", 3: "float", 4: "uint"}
_BYTES = {8: 1, 16: 2, 32: 4, 64: 8}


@dataclass(frozen=True, slots=True)
class Page:
    """One directory of a TIFF.

    Attributes:
        number: its place in the file, from 0.
        size_wh: as it is stored.
        bits: of each channel, the largest.
        kind: "uint", "int" or "float".
        block_wh: width and height of a tile, or of a strip, which is as wide as the page.
    """

    number: int
    size_wh: tuple[int, int]
    channels: int
    bits: int
    kind: str
    block_wh: tuple[int, int]
    is_tiled: bool
    is_reduced: bool
    orientation: int

    @property
    def block_bytes(self) -> int:
        """Bytes of one tile or strip when it is decoded."""
        return math.prod(self.block_wh) * self.channels * _BYTES.get(self.bits, 1)

    @property
    def dtype(self) -> str:
        """NumPy's name for the type of a value."""
        return f"{self.kind}{max(8, self.bits)}"

    @property
    def has_open_range(self) -> bool:
        """Whether nothing says which values are black and white: those of 32 bits or more, signed ones and floats."""
        return self.kind != "uint" or self.bits > 16


def pages_of(data: bytes | Path) -> list[Page]:
    """The pages of a TIFF in the order of the file; none where it is no TIFF, or one whose directories are damaged."""
    try:
        with data.open("rb") if isinstance(data, Path) else nullcontext(BytesIO(data)) as stream:
            if stream.read(4) not in _SIGNATURES:
                return []
            with without_warnings():
                return list(_pages(stream))
    except Exception:  # a broken directory makes the parser raise almost anything
        return []


def _pages(stream: BinaryIO) -> Iterator[Page]:
    stream.seek(0)
    head = stream.read(16)
    directory = ImageFileDirectory_v2(head[:16] if head[2:3] == b"+" or head[3:4] == b"+" else head[:8])
    position, seen, number = directory.next, set[int](), 0
    while position and position not in seen and number < MAX_PAGES:
        seen.add(position)
        stream.seek(position)
        directory.reset()
        directory.load(stream)
        position = directory.next or 0
        yield _page(directory, number)
        number += 1


def _page(directory: Any, number: int) -> Page:
    width, height = int(directory[256]), int(directory[257])
    if width < 1 or height < 1:
        raise ValueError("a page without pixels")
    tile = directory.get(322), directory.get(323)
    tiled = tile[0] is not None and tile[1] is not None
    rows = int(directory.get(278) or height)
    orientation = int(directory.get(274, 1) or 1)
    formats = directory.get(339, (1,))
    return Page(
        number,
        (width, height),
        int(directory.get(277, 1)),
        int(max(directory.get(258, (1,)))),
        _KINDS.get(int(formats[0]), "uint"),
        (int(tile[0]), int(tile[1])) if tiled else (width, min(rows, height)),
        tiled,
        bool(int(directory.get(254, 0)) & _REDUCED),
        orientation if orientation in range(1, 9) else 1,
    )


def is_level_of(page: Page, first: Page) -> bool:
    """Whether a page is a smaller copy of the first, as those of a pyramid are."""
    if page.number == first.number or page.size_wh[0] >= first.size_wh[0]:
        return False
    width, height = first.size_wh
    alike = abs(page.size_wh[0] * height - page.size_wh[1] * width) <= _SAME_SHAPE * page.size_wh[0] * height + height
    return alike and (page.is_reduced or (page.is_tiled and first.is_tiled))
