"""Index of the frames of a video in presentation order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import MediaError, NotFoundError

if TYPE_CHECKING:
    from av.container import InputContainer

Timestamps = npt.NDArray[np.int64]
_VERIFIED_FRAMES = 64
_MAX_VERIFIED_GOP = 600
_VP8_SHOW_FRAME = 0x10


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """Presentation timestamps and keyframes of a video.

    Attributes:
        timestamps: presentation timestamps (PTS) in units of ``time_base``, strictly increasing; frame numbers if
            ``is_counted``.
        keyframes: indices into ``timestamps`` of the frames at which decoding can start.
        time_base: seconds a unit.
        end: timestamp of the end of the last frame.
        is_counted: the file has no usable timestamps, so a frame is only found by decoding from the first one.
    """

    timestamps: Timestamps
    keyframes: Timestamps
    time_base: Fraction
    end: int
    is_counted: bool = False

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def duration(self) -> float:
        """Seconds from the start of the first frame to the end of the last."""
        return float((self.end - int(self.timestamps[0])) * self.time_base)

    @property
    def rate(self) -> float:
        """Mean frames per second."""
        return len(self) / self.duration

    @property
    def has_variable_rate(self) -> bool:
        """Whether the frame rate is variable: durations differ by more than the rounding of timestamps."""
        durations = np.diff(self.timestamps)
        return bool(len(durations)) and int(durations.max() - durations.min()) > max(2, int(durations.mean() * 0.1))

    def frame_time(self, frame: int) -> float:
        """Return the presentation time of a frame in seconds from the first frame.

        Raises:
            NotFoundError: there is no such frame.
        """
        return float((int(self.timestamps[self.check_frame(frame)]) - int(self.timestamps[0])) * self.time_base)

    def frame_at(self, seconds: float) -> int:
        """Return the frame shown at a time; times outside the video give the first or the last frame."""
        timestamp = int(self.timestamps[0]) + seconds / float(self.time_base)
        # Half a unit of tolerance against rounding, so that frame_at(frame_time(n)) is n.
        return max(0, int(np.searchsorted(self.timestamps, timestamp + 0.5, "right")) - 1)

    def sample_frames(self, *, every: int = 1, fps: float | None = None) -> list[int]:
        """Return the indices of every n-th frame or, with ``fps``, of the frames at so many regular times a second."""
        if fps is None:
            return list(range(0, len(self), every))
        count = max(1, round(self.duration * fps))
        return list(dict.fromkeys(self.frame_at(number / fps) for number in range(count)))

    def check_frame(self, frame: int) -> int:
        """Return ``frame`` unchanged.

        Raises:
            NotFoundError: there is no such frame.
        """
        if not 0 <= frame < len(self):
            raise NotFoundError(f"There is no frame {frame}: the video has frames 0 to {len(self) - 1}.")
        return frame

    def keyframe_before(self, frame: int, skip: int = 0) -> int:
        """Return the last keyframe at or before a frame, or the ``skip``-th before it; 0 if there is none."""
        position = int(np.searchsorted(self.keyframes, frame, "right")) - 1 - skip
        return int(self.keyframes[position]) if position >= 0 else 0


def build_index(open_container: Any, max_frames: int, name: str) -> FrameIndex:
    """Build the frame index of a file.

    Timestamps are read from the packets of the container in one pass over the file. The first frames and the last group
    of pictures (GOP) are decoded to verify them. If they differ or packets have no timestamps, all frames are decoded.

    Args:
        open_container: returns a context manager that opens the file.
        max_frames: limit of the number of frames.
        name: subject of error messages.

    Raises:
        MediaError: the video is broken, has no frame or more than ``max_frames``.
    """
    with open_container() as container:
        index = _index_packets(container, max_frames, name)
    if index is not None:
        with open_container() as container:
            if _matches_decoder(container, index):
                return index
    with open_container() as container:
        return _index_frames(container, max_frames, name)


def _index_packets(container: InputContainer, max_frames: int, name: str) -> FrameIndex | None:
    """Index the packets, or return None if their timestamps are not usable."""
    stream = container.streams.video[0]
    # VP8 has packets that are decoded but not shown; a bit of their first byte tells.
    has_hidden_frames = stream.codec_context.name in ("vp8", "libvpx")
    timestamps: list[int] = []
    keyframes: list[int] = []
    end = 0
    for packet in container.demux(stream):
        if not packet.size or packet.is_discard or (has_hidden_frames and not bytes(packet)[0] & _VP8_SHOW_FRAME):
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        timestamps.append(packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            keyframes.append(packet.pts)
        _check_count(timestamps, max_frames, name)
    times = np.unique(np.array(timestamps, np.int64))
    if not keyframes or len(times) != len(timestamps) or min(keyframes) != times[0]:
        return None
    positions = np.searchsorted(times, np.array(sorted(set(keyframes)), np.int64))
    return FrameIndex(times, positions, Fraction(stream.time_base or 1), _end_of_last_frame(times, end))


def _matches_decoder(container: InputContainer, index: FrameIndex) -> bool:
    """Decode the first frames and the last GOP, and compare their timestamps with the index."""
    stream = container.streams.video[0]
    first = [frame.pts for frame in islice(decode_frames(container), _VERIFIED_FRAMES)]
    if first != index.timestamps[: len(first)].tolist() or len(first) < min(_VERIFIED_FRAMES, len(index)):
        return False
    last_keyframe = int(index.keyframes[-1])
    if len(index) <= _VERIFIED_FRAMES or len(index) - last_keyframe > _MAX_VERIFIED_GOP:
        return True
    start = int(index.timestamps[last_keyframe])
    container.seek(start, stream=stream)
    decoded = [frame.pts for frame in decode_frames(container) if frame.pts is None or frame.pts >= start]
    return bool(decoded == index.timestamps[last_keyframe:].tolist())


def _index_frames(container: InputContainer, max_frames: int, name: str) -> FrameIndex:
    stream = container.streams.video[0]
    timestamps: list[int | None] = []
    keyframes: list[int] = []
    end = 0
    for frame in decode_frames(container):
        if frame.key_frame:
            keyframes.append(len(timestamps))
        timestamps.append(frame.pts)
        end = (frame.pts or 0) + (frame.duration or 0)
        _check_count(timestamps, max_frames, name)
    if not timestamps:
        raise MediaError(f"{name} has no frame that can be decoded.", hint="Copy the file again from its source.")
    times = np.array([-1 if pts is None else pts for pts in timestamps], np.int64)
    if None in timestamps or not (np.diff(times) > 0).all():
        numbers = np.arange(len(timestamps), dtype=np.int64)
        unit = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
        return FrameIndex(numbers, np.zeros(1, np.int64), unit, len(timestamps), is_counted=True)
    return FrameIndex(
        times, np.array(keyframes or [0], np.int64), Fraction(stream.time_base or 1), _end_of_last_frame(times, end)
    )


def _end_of_last_frame(times: Timestamps, end: int) -> int:
    """Return the end of the last frame; if the file lacks it, assume the median duration."""
    if end > times[-1]:
        return end
    return int(times[-1]) + max(1, int(np.median(np.diff(times))) if len(times) > 1 else 1)


def _check_count(timestamps: list[Any], max_frames: int, name: str) -> None:
    if len(timestamps) > max_frames:
        raise MediaError(f"{name} has more than {max_frames:,} frames.", hint="Cut it into parts first.")


def decode_frames(container: InputContainer) -> Iterator[Any]:
    """Decode frames from the current position of the container, in order. Undecodable packets are skipped."""
    import av

    stream = container.streams.video[0]
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except (av.InvalidDataError, av.error.ExternalError):
            continue
        yield from frames
