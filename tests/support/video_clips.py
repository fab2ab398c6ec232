"""Small videos whose frames show their own number, as a row of black and white bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

WIDTH, HEIGHT = 64, 48
_BITS = 16


def picture(number: int) -> npt.NDArray[np.uint8]:
    """The frame with a number."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:8] = number * 7 % 256
    bar = WIDTH // _BITS
    for bit in range(_BITS):
        pixels[8:40, bit * bar : (bit + 1) * bar] = 255 * (number >> bit & 1)
    return pixels


def number_in(pixels: npt.NDArray[np.uint8]) -> int:
    """The number that a frame shows."""
    bar = pixels.shape[1] // _BITS
    row = pixels[pixels.shape[0] // 2]
    return sum((int(row[bit * bar + bar // 2].mean()) > 128) << bit for bit in range(_BITS))


def make_clip(
    path: Path,
    frames: int = 40,
    codec: str = "libx264",
    *,
    ticks: Sequence[int] | None = None,
    unit: Fraction = Fraction(1, 30),
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    rotation: int | None = None,
    pixels: str = "yuv420p",
) -> Path:
    """Write a video; frame ``n`` is shown at ``ticks[n]`` times ``unit`` seconds, else ``n`` times."""
    with av.open(str(path), "w", options=dict(container or {})) as output:
        stream: Any = output.add_stream(codec, rate=round(1 / unit), options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.time_base = unit
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = (number if ticks is None else ticks[number]), unit
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path
