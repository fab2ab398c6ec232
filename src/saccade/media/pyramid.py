"""Parts of images that are too large to be held: tiled TIFFs, with smaller copies of themselves for smaller sizes.

Any other giant is made into one, once, by :func:`build_pyramid`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, MediaError
from saccade.core.objects import BoundsXYXY
from saccade.media import _vips
from saccade.media._orientation import turn
from saccade.media._pillow import LIMITS, Limits, check_pixels, named, opened
from saccade.media._raw_values import check_blocks, is_beyond_screens
from saccade.media._tiff import Page, is_level_of, pages_of

Pixels = npt.NDArray[np.uint8]
TILE = 512
_SMALL = 4096


@dataclass(frozen=True, slots=True)
class Level:
    """One size of the image: the page (or the sub-image of the first page) that holds it, as it is stored."""

    size_wh: tuple[int, int]
    page: int
    sub: int | None = None


def needs_pyramid(path: Path) -> bool:
    """Whether parts of an image can only be read through a pyramid: it is no tiled TIFF, or one without small levels.

    MediaError where it is a damaged one.
    """
    return _levels(path) is None


def _levels(path: Path) -> list[Level] | None:
    """The sizes of a tiled TIFF from the largest on; None where it is none, or lacks the small ones."""
    pages = pages_of(path)
    if not pages or not pages[0].is_tiled or is_beyond_screens(pages[0]):
        return None
    first = pages[0]
    levels = [Level(first.size_wh, 0)]
    levels += [Level(page.size_wh, page.number) for page in pages[1:] if is_level_of(page, first) and page.is_tiled]
    with _vips.as_media_error(named(path)):
        whole = _vips.load(path, "tiff", page=0)
        if "n-subifds" in whole.get_fields():
            for sub in range(int(whole.get("n-subifds"))):
                part = _vips.load(path, "tiff", page=0, subifd=sub)
                levels.append(Level((part.width, part.height), 0, sub))
    levels.sort(key=lambda level: -level.size_wh[0])
    steps = [large.size_wh[0] / small.size_wh[0] for large, small in pairwise(levels)]
    is_whole = max(levels[-1].size_wh) <= _SMALL and all(step <= 8 for step in steps)
    return levels if is_whole else None


def build_pyramid(
    source: Path,
    target: Path,
    *,
    progress: Callable[[float], None] | None = None,
    limits: Limits = LIMITS,
) -> None:
    """Write a TIFF in tiles with all smaller sizes, without loss, reading the source once from top to bottom.

    Values without a fixed range are refused. The orientation stays what it is.

    Args:
        target: a new file; what is there after an error is not whole.
        progress: called with the share that is done; what it raises ends the work.
    """
    with opened(source, limits, giant=True) as found:
        format, orientation = found.format, found.orientation
    with _vips.as_media_error(named(source)):
        image = _vips.load(source, format, in_order=True)
        shown = _vips.to_eight_bits(image).copy()
        shown.set_type(_vips.vips().GValue.gint_type, "orientation", orientation)
        with _reported(shown, progress):
            shown.tiffsave(
                str(target),
                tile=True,
                tile_width=TILE,
                tile_height=TILE,
                pyramid=True,
                bigtiff=True,
                compression="deflate",
                predictor="horizontal",
                level=1,
            )


@contextmanager
def _reported(image: Any, progress: Callable[[float], None] | None) -> Iterator[None]:
    """Call ``progress`` while libvips works on an image; what it raises ends the work, and comes out of the block."""
    raised: list[BaseException] = []

    def on_step(_: Any, state: Any) -> None:
        try:
            assert progress is not None
            progress(min(1.0, state.percent / 100))
        except BaseException as error:  # libvips would only print it
            raised.append(error)
            image.set_kill(True)

    if progress is not None:
        image.set_progress(True)
        image.signal_connect("eval", on_step)
    try:
        yield
    except _vips.vips().Error:
        if raised:
            raise raised[0] from None
        raise
    if raised:
        raise raised[0]
    if progress is not None:
        progress(1.0)


class Giant:
    """A tiled TIFF of several sizes, open for reading parts of it; by several threads at once.

    Args:
        path: a TIFF for which :func:`needs_pyramid` is false, such as :func:`build_pyramid` writes.
    """

    def __init__(self, path: Path, *, limits: Limits = LIMITS) -> None:
        levels = _levels(path)
        if levels is None:
            raise MediaError(f"{named(path)} is no tiled TIFF of several sizes.", hint="Build its pyramid first.")
        first: Page = pages_of(path)[0]
        check_blocks(path, first)
        check_pixels(path, first.size_wh, limits.max_giant_pixels)
        self._path, self._limits, self._orientation, self.levels = path, limits, first.orientation, levels
        self._images: dict[Level, Any] = {}

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height as it is shown."""
        width, height = self.levels[0].size_wh
        return (height, width) if self._orientation >= 5 else (width, height)

    def region(self, box_xyxy: BoundsXYXY, *, max_size: int | None = None) -> Pixels:
        """The pixels of a part, (height, width, 3) in RGB.

        Args:
            box_xyxy: in pixels of the whole image as it is shown; taken to whole pixels outward and cut to the image.
            max_size: the longest side of what comes back; a larger part is scaled down to it.

        InvalidValueError for a part without pixels; MediaError where it is damaged, or more than may be held.
        """
        width, height = self.size_wh
        x1, y1 = max(0, math.floor(box_xyxy[0])), max(0, math.floor(box_xyxy[1]))
        x2, y2 = min(width, math.ceil(box_xyxy[2])), min(height, math.ceil(box_xyxy[3]))
        if x1 >= x2 or y1 >= y2:
            raise InvalidValueError(f"The part {box_xyxy} has no pixels of the {width} x {height} of the image.")
        scale = 1.0 if max_size is None else min(1.0, max_size / max(x2 - x1, y2 - y1))
        out_wh = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
        check_pixels(self._path, out_wh, self._limits.max_pixels)
        turned = self._orientation >= 5
        box = _stored_box((x1, y1, x2, y2), self.size_wh, self._orientation)
        pixels = self._stored(box, (out_wh[1], out_wh[0]) if turned else out_wh)
        return turn(pixels, self._orientation)

    def _stored(self, box: tuple[int, int, int, int], out_wh: tuple[int, int]) -> Pixels:
        """A part by its place in the image as it is stored, scaled to a size that is no larger."""
        x1, y1, x2, y2 = box
        whole = self.levels[0].size_wh
        # Twice as many pixels as come out, so that those at the edge, which reach over it, weigh little.
        wanted = 2 * max(out_wh[0] / (x2 - x1), out_wh[1] / (y2 - y1))
        level = next(
            (level for level in reversed(self.levels) if level.size_wh[0] >= wanted * whole[0]), self.levels[0]
        )
        with _vips.as_media_error(named(self._path)):
            image = self._image(level)
            sx, sy = image.width / whole[0], image.height / whole[1]
            left, top = min(math.floor(x1 * sx), image.width - 1), min(math.floor(y1 * sy), image.height - 1)
            right = min(image.width, max(left + 1, math.ceil(x2 * sx)))
            bottom = min(image.height, max(top + 1, math.ceil(y2 * sy)))
            part = _vips.to_eight_bits(image.crop(left, top, right - left, bottom - top))
            pixels = np.asarray(part.numpy(), np.uint8)
        if pixels.shape[1::-1] == out_wh:
            return pixels
        import cv2

        # Where the part begins and ends between pixels of the level, to the fraction.
        matrix = np.array(
            [[(x2 - x1) * sx / out_wh[0], 0, x1 * sx - left], [0, (y2 - y1) * sy / out_wh[1], y1 * sy - top]],
            np.float64,
        )
        matrix[:, 2] += (np.diag(matrix[:, :2]) - 1) / 2
        if max(matrix[0, 0], matrix[1, 1]) > 1.001:
            return np.asarray(cv2.resize(pixels, out_wh, interpolation=cv2.INTER_AREA), np.uint8)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(pixels, matrix, out_wh, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8
        )

    def _image(self, level: Level) -> Any:
        if level not in self._images:
            options: dict[str, Any] = {} if level.sub is None else {"subifd": level.sub}
            self._images[level] = _vips.load(self._path, "tiff", page=level.page, **options)
        return self._images[level]


def _stored_box(
    box: tuple[int, int, int, int], size_wh: tuple[int, int], orientation: int
) -> tuple[int, int, int, int]:
    """A part of the image as it is shown, by its place in the image as it is stored."""
    x1, y1, x2, y2 = box
    width, height = size_wh
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    return (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
