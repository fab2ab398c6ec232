"""The frames of a video in the order in which they are shown."""

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

Ticks = npt.NDArray[np.int64]
_LOOKED_AT = 64
_LAST_GROUP = 600
_SHOWN = 0x10


@dataclass(frozen=True, slots=True, eq=False)
class FrameIndex:
    """When each frame of a video is shown, in that order.

    Attributes:
        ticks: presentation times in units of ``unit`` seconds, rising strictly, as the file has them; an index that is
            ``counted`` has the numbers of the frames instead.
        keys: the frames from which decoding can begin, by their place in ``ticks``.
        end: when the last frame ends, in the same units.
        counted: the file has no usable times, so frames are known only by counting them from the first.
    """

    ticks: Ticks
    keys: Ticks
    unit: Fraction
    end: int
    counted: bool = False

    def __len__(self) -> int:
        return len(self.ticks)

    @property
    def duration(self) -> float:
        """Seconds from when the first frame is shown to the end of the last."""
        return float((self.end - int(self.ticks[0])) * self.unit)

    @property
    def rate(self) -> float:
        """Frames a second in the mean."""
        return len(self) / self.duration

    @property
    def is_variable(self) -> bool:
        """Whether frames are shown for different times, by more than the rounding of their clock."""
        steps = np.diff(self.ticks)
        return bool(len(steps)) and int(steps.max() - steps.min()) > max(2, int(steps.mean() * 0.1))

    def time_of(self, frame: int) -> float:
        """Seconds from when the first frame is shown to when this one is."""
        return float((int(self.ticks[self.checked(frame)]) - int(self.ticks[0])) * self.unit)

    def at(self, seconds: float) -> int:
        """The frame that is shown at a time; the first or the last for times before or after all."""
        tick = int(self.ticks[0]) + seconds / float(self.unit)
        # Half a tick of grace, so that the time of a frame is a time at which it is shown.
        return max(0, int(np.searchsorted(self.ticks, tick + 0.5, "right")) - 1)

    def sampled(self, *, every: int = 1, fps: float | None = None) -> list[int]:
        """The numbers of one frame in ``every``, or with ``fps`` those shown at so many regular times a second."""
        if fps is None:
            return list(range(0, len(self), every))
        count = max(1, round(self.duration * fps))
        return list(dict.fromkeys(self.at(number / fps) for number in range(count)))

    def checked(self, frame: int) -> int:
        """The frame's number, where there is such a frame; NotFoundError where there is none."""
        if not 0 <= frame < len(self):
            raise NotFoundError(f"There is no frame {frame}: the video has frames 0 to {len(self) - 1}.")
        return frame

    def key_before(self, frame: int, skip: int = 0) -> int:
        """The last frame at or before this one from which decoding can begin, ``skip`` of them left out; 0 if none."""
        at = int(np.searchsorted(self.keys, frame, "right")) - 1 - skip
        return int(self.keys[at]) if at >= 0 else 0


def index_of(open_container: Any, max_frames: int, name: str) -> FrameIndex:
    """The frames of a file.

    Times come from the packets of the container, which takes one reading of the file; the first frames and the last
    group are decoded to see whether they are what the packets say. Where they are not, or where packets have no times,
    all frames are decoded.

    Args:
        open_container: opens the file anew, as a context.
    """
    with open_container() as container:
        index = _from_packets(container, max_frames, name)
    if index is not None:
        with open_container() as container:
            if _agrees(container, index):
                return index
    with open_container() as container:
        return _from_frames(container, max_frames, name)


def _from_packets(container: InputContainer, max_frames: int, name: str) -> FrameIndex | None:
    """None where packets do not tell."""
    stream = container.streams.video[0]
    hides_frames = stream.codec_context.name in ("vp8", "libvpx")
    ticks: list[int] = []
    keys: list[int] = []
    end = 0
    for packet in container.demux(stream):
        if not packet.size or packet.is_discard or (hides_frames and not bytes(packet)[0] & _SHOWN):
            continue
        if packet.pts is None or packet.is_corrupt:
            return None
        ticks.append(packet.pts)
        end = max(end, packet.pts + (packet.duration or 0))
        if packet.is_keyframe:
            keys.append(packet.pts)
        _check_count(ticks, max_frames, name)
    times = np.unique(np.array(ticks, np.int64))
    if not keys or len(times) != len(ticks) or min(keys) != times[0]:
        return None
    places = np.searchsorted(times, np.array(sorted(set(keys)), np.int64))
    return FrameIndex(times, places, Fraction(stream.time_base or 1), _end(times, end))


def _agrees(container: InputContainer, index: FrameIndex) -> bool:
    """Whether the first frames, and those of the last group, are what the index says."""
    stream = container.streams.video[0]
    first = [frame.pts for frame in islice(frames_of(container), _LOOKED_AT)]
    if first != index.ticks[: len(first)].tolist() or len(first) < min(_LOOKED_AT, len(index)):
        return False
    last = int(index.keys[-1])
    if len(index) <= _LOOKED_AT or len(index) - last > _LAST_GROUP:
        return True
    container.seek(int(index.ticks[last]), stream=stream)
    begin = int(index.ticks[last])
    found = [frame.pts for frame in frames_of(container) if frame.pts is None or frame.pts >= begin]
    return bool(found == index.ticks[last:].tolist())


def _from_frames(container: InputContainer, max_frames: int, name: str) -> FrameIndex:
    stream = container.streams.video[0]
    ticks: list[int | None] = []
    keys: list[int] = []
    end = 0
    for frame in frames_of(container):
        if frame.key_frame:
            keys.append(len(ticks))
        ticks.append(frame.pts)
        end = (frame.pts or 0) + (frame.duration or 0)
        _check_count(ticks, max_frames, name)
    if not ticks:
        raise MediaError(f"{name} has no frame that can be decoded.", hint="Copy the file again from its source.")
    times = np.array([-1 if tick is None else tick for tick in ticks], np.int64)
    if None in ticks or not (np.diff(times) > 0).all():
        counted = np.arange(len(ticks), dtype=np.int64)
        unit = 1 / Fraction(stream.average_rate or stream.guessed_rate or 25)
        return FrameIndex(counted, np.zeros(1, np.int64), unit, len(ticks), counted=True)
    return FrameIndex(times, np.array(keys or [0], np.int64), Fraction(stream.time_base or 1), _end(times, end))


def _end(times: Ticks, end: int) -> int:
    """The end of the last frame; where the file does not say it, the frame lasts as long as others do."""
    if end > times[-1]:
        return end
    return int(times[-1]) + max(1, int(np.median(np.diff(times))) if len(times) > 1 else 1)


def _check_count(ticks: list[Any], max_frames: int, name: str) -> None:
    if len(ticks) > max_frames:
        raise MediaError(f"{name} has more than {max_frames:,} frames.", hint="Cut it into parts first.")


def frames_of(container: InputContainer) -> Iterator[Any]:
    """The frames from where the container stands, in order; packets that cannot be decoded are left out."""
    import av

    stream = container.streams.video[0]
    for packet in container.demux(stream):
        try:
            found = packet.decode()
        except (av.InvalidDataError, av.error.ExternalError):
            continue
        yield from found
