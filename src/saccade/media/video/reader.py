"""Random access to the frames of a video."""

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
    check_frame_size,
    open_video,
    video_name,
)
from saccade.media.video.index import FrameIndex, build_index, decode_frames
from saccade.media.video.pixels import FrameConverter, display_orientation

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class VideoProbe:
    """Properties of a video.

    Attributes:
        width: pixels of a frame, after the orientation is applied.
        height: pixels of a frame, after the orientation is applied.
        frames: number of frames.
        duration: seconds from the start of the first frame to the end of the last.
        rate: mean frames per second.
        has_variable_rate: frames have different durations.
        codec: FFmpeg's name of the codec.
        container: FFmpeg's name of the container.
        orientation: the display rotation or reflection as an EXIF orientation, 1 to 8.
        pixel_aspect: width of a pixel divided by its height. Frames are not resampled to square pixels.
    """

    width: int
    height: int
    frames: int
    duration: float
    rate: float
    has_variable_rate: bool
    codec: str
    container: str
    orientation: int = 1
    pixel_aspect: float = 1.0

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.width, self.height


def probe_video(source: VideoSource, *, limits: VideoLimits = VIDEO_LIMITS) -> VideoProbe:
    """Determine the properties of a video from its frames rather than from its header.

    The file is read once; the first frames and the last GOP are decoded.

    Raises:
        MediaError: the video is unsupported, broken or exceeds ``limits``.
        NotFoundError: there is no such file.
    """
    with Video(source, limits=limits) as video:
        return video.probe()


def _load_index(source: VideoSource, limits: VideoLimits) -> FrameIndex:
    if not isinstance(source, Path):
        return build_index(partial(open_video, source, limits), limits.max_frames, video_name(source))
    try:
        stat = source.stat()
    except OSError as error:
        reason = f"{video_name(source)} cannot be opened: {error.strerror}."
        raise NotFoundError(reason, hint="Check the path.") from error
    return _cached_file_index(source.absolute(), stat.st_mtime_ns, stat.st_size, limits)


@lru_cache(maxsize=64)
def _cached_file_index(path: Path, mtime_ns: int, size: int, limits: VideoLimits) -> FrameIndex:
    """Build the index of a file; the modification time and the size are part of the cache key."""
    return build_index(partial(open_video, path, limits), limits.max_frames, video_name(path))


class Video:
    """A video file, opened to decode frames. Not thread-safe.

    Frames in increasing order are decoded once; any other access decodes from the nearest keyframe. The pixels of a
    frame do not depend on the order of access.

    Args:
        source: the file.
        index: the index of the same file; by default it is built.
        limits: limits of the video.

    Raises:
        MediaError: the video is unsupported, broken or exceeds ``limits``.
        NotFoundError: there is no such file.
    """

    def __init__(
        self, source: VideoSource, *, index: FrameIndex | None = None, limits: VideoLimits = VIDEO_LIMITS
    ) -> None:
        self._source = source
        self._limits = limits
        self._name = video_name(source)
        self._resources = ExitStack()
        self._to_pixels = FrameConverter()
        self.index = _load_index(source, limits) if index is None else index
        self._container: InputContainer | None = None
        self._frames: Iterator[VideoFrame] = iter(())
        self._next = 0
        """Index of the frame that the decoder returns next; only used if the index is counted."""
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
        self._frames = iter(())
        self._last = None
        self._container = None
        self._resources.close()

    @property
    def position(self) -> int:
        """Index of the last decoded frame, or -1 if none was decoded."""
        return -1 if self._last is None else self._last[0]

    def probe(self) -> VideoProbe:
        """Return the properties of the video."""
        first = self._decode(0)
        container = self._open_container()
        stream = container.streams.video[0]
        orientation = display_orientation(first)
        width, height = (first.height, first.width) if orientation >= 5 else (first.width, first.height)
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        return VideoProbe(
            width,
            height,
            len(self.index),
            self.index.duration,
            self.index.rate,
            self.index.has_variable_rate,
            stream.codec_context.codec.canonical_name,
            container.format.name.partition(",")[0],
            orientation,
            float(aspect) if aspect > 0 else 1.0,
        )

    def frame(self, number: int, *, mode: Literal["RGB", "L"] = "RGB", max_size: int | None = None) -> Pixels:
        """Decode a frame and apply its orientation.

        Args:
            number: 0-based index in presentation order.
            mode: "RGB" for (height, width, 3), "L" for (height, width).
            max_size: maximum of the longest side in pixels; a larger frame is downscaled by area.

        Raises:
            InvalidValueError: ``mode`` or ``max_size`` is invalid.
            NotFoundError: there is no such frame.
            MediaError: the frame is damaged.
        """
        if mode not in ("RGB", "L"):
            raise InvalidValueError(f"Pixels can be decoded as 'RGB' or 'L', not as {mode!r}.")
        if max_size is not None and max_size < 1:
            raise InvalidValueError(f"The longest side must be at least 1 pixel, not {max_size}.")
        return self._to_pixels(self._decode(number), mode, max_size)

    def _decode(self, number: int) -> VideoFrame:
        self.index.check_frame(number)
        if self._last is None or self._last[0] != number:
            with as_media_error(self._source):
                frame = (
                    self._decode_counted(number)
                    if self.index.is_counted
                    else self._decode_at(int(self.index.timestamps[number]), number)
                )
            if frame is None:
                raise MediaError(
                    f"Frame {number} of {self._name.lower()} is damaged.", hint="Copy the file again from its source."
                )
            check_frame_size(self._source, frame.width, frame.height, self._limits)
            self._last = number, frame
        return self._last[1]

    def _decode_counted(self, number: int) -> VideoFrame | None:
        if self._container is None or number < self._next:
            self._restart()
        for frame in self._frames:
            self._next += 1
            if self._next > number:
                return frame
        return None

    def _decode_at(self, timestamp: int, number: int) -> VideoFrame | None:
        """Decode the frame with a timestamp, from the current position or from a keyframe."""
        keyframe = self.index.keyframe_before(number)
        if self._last is not None and keyframe <= self._last[0] < number:
            frame = self._decode_until(timestamp)
            if frame is not None:
                return frame
        # If the decoder does not return exactly this frame, retry from earlier keyframes, finally from the first frame.
        skip = 0
        while keyframe := self.index.keyframe_before(number, skip):
            self._seek(int(self.index.timestamps[keyframe]))
            frame = self._decode_until(timestamp)
            if frame is not None and not frame.is_corrupt:
                return frame
            skip = 2 * skip + 1
        self._restart()
        return self._decode_until(timestamp)

    def _decode_until(self, timestamp: int) -> VideoFrame | None:
        """Decode up to the frame with a timestamp; None if there is no such frame."""
        for frame in self._frames:
            if frame.pts is not None and frame.pts >= timestamp:
                return frame if frame.pts == timestamp else None
        return None

    def _seek(self, timestamp: int) -> None:
        container = self._open_container()
        container.seek(timestamp, stream=container.streams.video[0])
        self._frames = decode_frames(container)

    def _restart(self) -> None:
        self.close()
        self._frames, self._next = decode_frames(self._open_container()), 0

    def _open_container(self) -> InputContainer:
        if self._container is None:
            self._container = self._resources.enter_context(open_video(self._source, self._limits))
        return self._container
