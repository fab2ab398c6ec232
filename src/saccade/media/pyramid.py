"""Read regions of images too large for memory, from tiled pyramidal TIFFs.

:func:`build_pyramid` converts other large images to such a TIFF.
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
from saccade.media._orientation import apply_orientation
from saccade.media._pillow import IMAGE_LIMITS, ImageLimits, check_pixels, image_name, open_image
from saccade.media._raw_values import check_block_size, requires_libvips
from saccade.media._tiff import TiffPage, is_pyramid_level, read_pages

Pixels = npt.NDArray[np.uint8]
TILE_SIZE = 512
_MAX_TOP_LEVEL_SIZE = 4096


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """One resolution of the image: its stored size and the page (or the sub-IFD of the first page) that holds it."""

    size_wh: tuple[int, int]
    page: int
    subifd: int | None = None


def needs_pyramid(path: Path) -> bool:
    """Whether an image must be converted by :func:`build_pyramid` before its regions can be read.

    Raises:
        MediaError: the image is a damaged tiled TIFF.
    """
    return _read_levels(path) is None


def _read_levels(path: Path) -> list[PyramidLevel] | None:
    """Return the levels of a pyramidal TIFF, largest first, or None if it is not tiled or lacks small levels."""
    pages = read_pages(path)
    if not pages or not pages[0].is_tiled or requires_libvips(pages[0]):
        return None
    first = pages[0]
    levels = [PyramidLevel(first.size_wh, 0)]
    levels += [
        PyramidLevel(page.size_wh, page.index) for page in pages[1:] if is_pyramid_level(page, first) and page.is_tiled
    ]
    with _vips.as_media_error(image_name(path)):
        first_page = _vips.load(path, "tiff", page=0)
        if "n-subifds" in first_page.get_fields():
            for subifd in range(int(first_page.get("n-subifds"))):
                level_image = _vips.load(path, "tiff", page=0, subifd=subifd)
                levels.append(PyramidLevel((level_image.width, level_image.height), 0, subifd))
    levels.sort(key=lambda level: -level.size_wh[0])
    scales = [large.size_wh[0] / small.size_wh[0] for large, small in pairwise(levels)]
    is_complete = max(levels[-1].size_wh) <= _MAX_TOP_LEVEL_SIZE and all(scale <= 8 for scale in scales)
    return levels if is_complete else None


def build_pyramid(
    source: Path,
    target: Path,
    *,
    progress: Callable[[float], None] | None = None,
    limits: ImageLimits = IMAGE_LIMITS,
) -> None:
    """Write a lossless tiled pyramidal TIFF in one pass over the source. The orientation tag is kept.

    Args:
        source: path of the image.
        target: path of the new file; it is incomplete after an error.
        progress: called with the completed fraction, 0 to 1; an exception from it cancels the conversion.
        limits: limits of the source.

    Raises:
        MediaError: the source is unsupported, broken, exceeds ``limits`` or has values without a fixed range.
        NotFoundError: the source cannot be opened.
    """
    with open_image(source, limits, streamed=True) as opened:
        format = opened.format
        orientation = opened.orientation
    with _vips.as_media_error(image_name(source)):
        # The values of a stream are read twice: first to find the window of 16-bit values.
        window = _vips.low_range_window(_vips.load(source, format, sequential=True))
        rgb = _vips.to_rgb8(_vips.load(source, format, sequential=True), window).copy()
        rgb.set_type(_vips.vips().GValue.gint_type, "orientation", orientation)
        with _report_progress(rgb, progress):
            rgb.tiffsave(
                str(target),
                tile=True,
                tile_width=TILE_SIZE,
                tile_height=TILE_SIZE,
                pyramid=True,
                bigtiff=True,
                compression="deflate",
                predictor="horizontal",
                level=1,
            )


@contextmanager
def _report_progress(image: Any, progress: Callable[[float], None] | None) -> Iterator[None]:
    """Call ``progress`` while libvips evaluates an image; an exception from it cancels and leaves the block."""
    exceptions: list[BaseException] = []

    def on_step(_: Any, state: Any) -> None:
        try:
            assert progress is not None
            progress(min(1.0, state.percent / 100))
        except BaseException as error:  # libvips would only print it
            exceptions.append(error)
            image.set_kill(True)

    if progress is not None:
        image.set_progress(True)
        image.signal_connect("eval", on_step)
    try:
        yield
    except _vips.vips().Error:
        if exceptions:
            raise exceptions[0] from None
        raise
    if exceptions:
        raise exceptions[0]
    if progress is not None:
        progress(1.0)


class PyramidImage:
    """A pyramidal TIFF, opened to read regions. Thread-safe.

    Args:
        path: a TIFF for which :func:`needs_pyramid` is false, such as the output of :func:`build_pyramid`.
        limits: limits of the image and of the regions.

    Raises:
        MediaError: the file is not a pyramidal TIFF, is damaged or exceeds ``limits``.
    """

    def __init__(self, path: Path, *, limits: ImageLimits = IMAGE_LIMITS) -> None:
        levels = _read_levels(path)
        if levels is None:
            raise MediaError(f"{image_name(path)} is not a pyramidal TIFF.", hint="Build its pyramid first.")
        first: TiffPage = read_pages(path)[0]
        check_block_size(path, first)
        check_pixels(path, first.size_wh, limits.max_streamed_pixels)
        self._path = path
        self._limits = limits
        self._orientation = first.orientation
        self.levels = levels
        self._images: dict[PyramidLevel, Any] = {}
        self._value_window: tuple[float, float] | None = None
        self._has_window = False

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height after the orientation is applied."""
        width, height = self.levels[0].size_wh
        return (height, width) if self._orientation >= 5 else (width, height)

    def read_region(self, box_xyxy: BoundsXYXY, *, max_size: int | None = None) -> Pixels:
        """Read a region as RGB pixels, (height, width, 3).

        Args:
            box_xyxy: pixels of the full-resolution image after orientation; rounded outward and clipped to the image.
            max_size: maximum of the longest side of the result; a larger region is downscaled.

        Raises:
            InvalidValueError: the region has no pixels.
            MediaError: the region is damaged or exceeds the limits.
        """
        width, height = self.size_wh
        x1, y1 = max(0, math.floor(box_xyxy[0])), max(0, math.floor(box_xyxy[1]))
        x2, y2 = min(width, math.ceil(box_xyxy[2])), min(height, math.ceil(box_xyxy[3]))
        if x1 >= x2 or y1 >= y2:
            raise InvalidValueError(f"The region {box_xyxy} lies outside the image of {width} x {height} pixels.")
        scale = 1.0 if max_size is None else min(1.0, max_size / max(x2 - x1, y2 - y1))
        out_wh = max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale))
        check_pixels(self._path, out_wh, self._limits.max_pixels)
        is_transposed = self._orientation >= 5
        stored_box = _to_stored_box((x1, y1, x2, y2), self.size_wh, self._orientation)
        pixels = self._read_stored(stored_box, (out_wh[1], out_wh[0]) if is_transposed else out_wh)
        return apply_orientation(pixels, self._orientation)

    def _window(self) -> tuple[float, float] | None:
        """Return the window of 16-bit values, which is that of the smallest level for all regions."""
        if not self._has_window:
            self._value_window = _vips.low_range_window(self._level_image(self.levels[-1]))
            self._has_window = True
        return self._value_window

    def _read_stored(self, box: tuple[int, int, int, int], out_wh: tuple[int, int]) -> Pixels:
        """Read a box in stored (unoriented) coordinates, downscaled to ``out_wh``."""
        x1, y1, x2, y2 = box
        full_wh = self.levels[0].size_wh
        # A level with twice the resolution of the result: pixels that cross the edge of the box then weigh little.
        min_scale = 2 * max(out_wh[0] / (x2 - x1), out_wh[1] / (y2 - y1))
        level = next(
            (level for level in reversed(self.levels) if level.size_wh[0] >= min_scale * full_wh[0]), self.levels[0]
        )
        with _vips.as_media_error(image_name(self._path)):
            image = self._level_image(level)
            sx, sy = image.width / full_wh[0], image.height / full_wh[1]
            left, top = min(math.floor(x1 * sx), image.width - 1), min(math.floor(y1 * sy), image.height - 1)
            right = min(image.width, max(left + 1, math.ceil(x2 * sx)))
            bottom = min(image.height, max(top + 1, math.ceil(y2 * sy)))
            crop = _vips.to_rgb8(image.crop(left, top, right - left, bottom - top), self._window())
            pixels = np.asarray(crop.numpy(), np.uint8)
        if pixels.shape[1::-1] == out_wh:
            return pixels
        import cv2

        # The edges of the box lie between pixels of the level: map them with subpixel precision.
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

    def _level_image(self, level: PyramidLevel) -> Any:
        if level not in self._images:
            options: dict[str, Any] = {} if level.subifd is None else {"subifd": level.subifd}
            self._images[level] = _vips.load(self._path, "tiff", page=level.page, **options)
        return self._images[level]


def _to_stored_box(
    box: tuple[int, int, int, int], size_wh: tuple[int, int], orientation: int
) -> tuple[int, int, int, int]:
    """Convert a box from oriented to stored coordinates."""
    x1, y1, x2, y2 = box
    width, height = size_wh
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    return (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
