"""Frames as FFmpeg decodes them to arrays of RGB."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from saccade.media._orientation import shrink, turn

if TYPE_CHECKING:
    from av import VideoFrame

Pixels = npt.NDArray[np.uint8]
_UNSPECIFIED = 2
_STANDARD_LINES = 576


def orientation_of(frame: VideoFrame) -> int:
    """The display matrix of a frame as an EXIF orientation, 1 to 8; angles between are taken to the nearest one."""
    from av.sidedata.sidedata import Type

    extra = cast("Mapping[Any, Any]", frame.side_data)
    if Type.DISPLAYMATRIX not in extra:
        return 1
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(extra[Type.DISPLAYMATRIX]), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a >= 0, d >= 0]
    return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[b >= 0, c >= 0]


class ToPixels:
    """Turns frames of one video into arrays; colours are converted as PyAV, OpenCV and others do by themselves."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, mode: Literal["RGB", "L"], max_size: int | None) -> Pixels:
        """A frame in RGB or grey, turned and scaled down."""
        from av.video.reformatter import Colorspace

        # Players take large pictures of which nothing is said for those of BT.709, small ones for BT.601.
        guessed = Colorspace.ITU709 if frame.colorspace == _UNSPECIFIED and frame.height > _STANDARD_LINES else None
        shown = self._reformatter.reformat(frame, format="rgb24", src_colorspace=guessed)
        upright = turn(np.asarray(shown.to_ndarray(), np.uint8), orientation_of(frame))
        pixels = shrink(upright, max_size)
        return np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if mode == "L" else pixels
