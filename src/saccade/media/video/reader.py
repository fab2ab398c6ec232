"""Frames of a video by their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, MediaError, NotFoundError
from saccade.media.video.container import (
    VIDEO_LIMITS,
    VideoLimits,
    VideoSource,
    as_media_error,
    check_size,
    opened_video,
    video_name,
)
from saccade.media.video.index import FrameIndex, frames_of, index_of
from saccade.media.video.pixels import ToPixels, orientation_of

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """What a video holds.

    Attributes:
        width, height: pixels of a frame as it is shown, after the rotation that the file asks for.
        frames: how many there are.
        duration: in seconds, from when the first frame is shown to the end of the last.
        rate: frames a second in the mean.
        variable: whether frames are shown for different times.
        codec, container: FFmpeg's names.
        orientation: the rotation or reflection that was applied, as EXIF numbers them, 1 to 8.
        pixel_aspect: width of a pixel over its height. Pixels are given as they are stored, also where this is not 1.
    """

    width: int
    height: int
    frames: int
    duration: float
    rate: float
    variable: bool
    codec: str
    container: str
    orientation: int = 1
    pixel_aspect: float = 1.0

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.width, self.height


def probe_video(source: VideoSource, *, limits: VideoLimits = VIDEO_LIMITS) -> VideoProbe:
    """What a video holds, from its frames and not from what its header claims.

    The file is read once; the first frames and the last group are decoded. MediaError: not a video that can be read,
    broken, or larger than ``limits``. NotFoundError: no such file.
    """
    with Video(source, limits=limits) as video:
        return video.probe()


def _index_of(source: VideoSource, limits: VideoLimits) -> FrameIndex:
    if not isinstance(source, Path):
        return index_of(partial(opened_video, source, limits), limits.max_frames, video_name(source))
    try:
        facts = source.stat()
    except OSError as error:
        reason = f"{video_name(source)} cannot be opened: {error.strerror}."
        raise NotFoundError(reason, hint="Check the path.") from error
    return _index_of_file(source.absolute(), facts.st_mtime_ns, facts.st_size, limits)


@lru_cache(maxsize=64)
def _index_of_file(path: Path, changed_ns: int, size: int, limits: VideoLimits) -> FrameIndex:
    """As long as a file keeps its time and size, it is read once."""
    return index_of(partial(opened_video, path, limits), limits.max_frames, video_name(path))


class Video:
    """A video file open for reading; one thread at a time.

    Frames in rising order are decoded once; any other jump decodes from the nearest frame from which that can begin.
    Every way to a frame gives the same pixels.

    Args:
        index: the index of the same file, where it is known; else it is made.
    """

    def __init__(
        self, source: VideoSource, *, index: FrameIndex | None = None, limits: VideoLimits = VIDEO_LIMITS
    ) -> None:
        self._source, self._limits, self._name = source, limits, video_name(source)
        self._resources = ExitStack()
        self._to_pixels = ToPixels()
        self.index = _index_of(source, limits) if index is None else index
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._next = 0
        """The frame that comes next from the decoder, where the index is counted."""
        self._last: tuple[int, VideoFrame] | None = None

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.index)

    def close(self) -> None:
        self._frames, self._last, self._container = iter(()), None, None
        self._resources.close()

    @property
    def position(self) -> int:
        """The frame that was decoded last; -1 before any."""
        return -1 if self._last is None else self._last[0]

    def probe(self) -> VideoProbe:
        """What the video holds."""
        first = self._decoded(0)
        container = self._opened()
        stream = container.streams.video[0]
        orientation = orientation_of(first)
        width, height = (first.height, first.width) if orientation >= 5 else (first.width, first.height)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        return VideoProbe(
            width,
            height,
            len(self.index),
            self.index.duration,
            self.index.rate,
            self.index.is_variable,
            stream.codec_context.codec.canonical_name,
            container.format.name.partition(",")[0],
            orientation,
            float(aspect) if aspect > 0 else 1.0,
        )

    def frame(self, number: int, *, mode: Literal["RGB", "L"] = "RGB", max_size: int | None = None) -> Pixels:
        """The pixels of a frame, (height, width, 3) in RGB or (height, width) in grey, turned as the file asks.

        Args:
            max_size: the longest side in pixels; a larger frame is scaled down to it by area.

        NotFoundError: no such frame. MediaError: it is damaged.
        """
        if mode not in ("RGB", "L"):
            raise InvalidValueError(f"Pixels can be decoded as 'RGB' or 'L', not as {mode!r}.")
        if max_size is not None and max_size < 1:
            raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
        return self._to_pixels(self._decoded(number), mode, max_size)

    def _decoded(self, number: int) -> VideoFrame:
        self.index.checked(number)
        if self._last is None or self._last[0] != number:
            with as_media_error(self._source):
                found = self._counted(number) if self.index.counted else self._at(int(self.index.ticks[number]), number)
            if found is None:
                raise MediaError(
                    f"Frame {number} of {self._name.lower()} is damaged.", hint="Copy the file again from its source."
                )
            check_size(self._source, found.width, found.height, self._limits)
            self._last = number, found
        return self._last[1]

    def _counted(self, number: int) -> VideoFrame | None:
        if self._container is None or number < self._next:
            self._restart()
        for frame in self._frames:
            self._next += 1
            if self._next > number:
                return frame
        return None

    def _at(self, tick: int, number: int) -> VideoFrame | None:
        """The frame shown at a time, from where the decoder stands or from a place at which it can begin."""
        key = self.index.key_before(number)
        if self._last is not None and key <= self._last[0] < number:
            found = self._run_to(tick)
            if found is not None:
                return found
        back = 0
        while True:
            key = self.index.key_before(number, back)
            if key == 0:
                break
            self._seek(int(self.index.ticks[key]))
            found = self._run_to(tick)
            if found is not None and not found.is_corrupt:
                return found
            back = 2 * back + 1
        self._restart()
        return self._run_to(tick)

    def _run_to(self, tick: int) -> VideoFrame | None:
        """The frame of that time; None where the decoder goes past it."""
        for frame in self._frames:
            if frame.pts is not None and frame.pts >= tick:
                return frame if frame.pts == tick else None
        return None

    def _seek(self, tick: int) -> None:
        container = self._opened()
        container.seek(tick, stream=container.streams.video[0])
        self._frames = frames_of(container)

    def _restart(self) -> None:
        self.close()
        self._frames, self._next = frames_of(self._opened()), 0

    def _opened(self) -> InputContainer:
        if self._container is None:
            self._container = self._resources.enter_context(opened_video(self._source, self._limits))
        return self._container
