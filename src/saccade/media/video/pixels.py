"""Convert decoded frames of FFmpeg to RGB arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from saccade.media._orientation import apply_orientation, downscale

if TYPE_CHECKING:
    from av import VideoFrame

Pixels = npt.NDArray[np.uint8]
_UNSPECIFIED = 2
_MAX_SD_HEIGHT = 576


def display_orientation(frame: VideoFrame) -> int:
    """Convert the display matrix of a frame to the nearest EXIF orientation, 1 to 8."""
    from av.sidedata.sidedata import Type

    side_data = cast("Mapping[Any, Any]", frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return 1
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(side_data[Type.DISPLAYMATRIX]), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return {(True, True): 1, (False, True): 2, (False, False): 3, (True, False): 4}[a >= 0, d >= 0]
    return {(True, True): 5, (True, False): 6, (False, False): 7, (False, True): 8}[b >= 0, c >= 0]


class FrameConverter:
    """Convert frames of one video to arrays, with the same colour conversion as PyAV and OpenCV do by default."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame, mode: Literal["RGB", "L"], max_size: int | None) -> Pixels:
        """Convert a frame to RGB or grey, apply its orientation and downscale it."""
        from av.video.reformatter import Colorspace

        # If the colour space is unspecified, players assume BT.709 for HD and BT.601 for SD frames.
        colorspace = Colorspace.ITU709 if frame.colorspace == _UNSPECIFIED and frame.height > _MAX_SD_HEIGHT else None
        rgb = self._reformatter.reformat(frame, format="rgb24", src_colorspace=colorspace)
        oriented = apply_orientation(np.asarray(rgb.to_ndarray(), np.uint8), display_orientation(frame))
        pixels = downscale(oriented, max_size)
        return np.ascontiguousarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8) if mode == "L" else pixels
