"""Read images and video frames by their references. Open videos are pooled and reused for further frames."""

from __future__ import annotations

import atexit
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

from saccade.core.schema import ImageRef, MediaRef, VideoRef
from saccade.media.image import IMAGE_FORMATS, Pixels, decode
from saccade.media.video import FrameIndex, Video
from saccade.media.window import window_of_mode

_MAX_IDLE_VIDEOS = 4
_MAX_CACHED_INDEXES = 64


class MediaSource(Protocol):
    """Source of media files by reference. Every reader is one."""

    def read_media(self, ref: MediaRef) -> bytes: ...

    def open_media(self, ref: MediaRef) -> BinaryIO: ...


def read_image(
    reader: MediaSource, ref: ImageRef, *, mode: Literal["RGB", "L"] = "RGB", max_size: int | None = None
) -> Pixels:
    """Decode an image of a reader.

    Args:
        reader: source of the file.
        ref: an image file or a frame of a video.
        mode: "RGB" or "L"; see :func:`saccade.media.image.decode`.
        max_size: maximum of the longest side in pixels.

    Raises:
        MediaError: the image is broken or exceeds the limits.
        NotFoundError: there is no such file or frame.
    """
    if ref.frame is None or ref.format in IMAGE_FORMATS:
        window = window_of_mode(ref.mode)
        return decode(reader.read_media(ref), mode=mode, max_size=max_size, frame=ref.frame or 0, window=window)
    with _VIDEO_POOL.acquire(reader, ref, ref.frame) as video:
        return video.frame(ref.frame, mode=mode, max_size=max_size)


def read_frame(reader: MediaSource, ref: ImageRef | VideoRef, number: int, *, max_size: int | None = None) -> Pixels:
    """Decode a frame of a video.

    Args:
        reader: source of the file.
        ref: the video, or any frame of it.
        number: 0-based index in presentation order.
        max_size: maximum of the longest side in pixels.

    Raises:
        MediaError: the video is broken or exceeds the limits.
        NotFoundError: there is no such file or frame.
    """
    with _VIDEO_POOL.acquire(reader, ref, number) as video:
        return video.frame(number, max_size=max_size)


def read_frame_index(reader: MediaSource, ref: ImageRef | VideoRef) -> FrameIndex:
    """Return the frame index of a video.

    Args:
        reader: source of the file.
        ref: the video, or any frame of it.

    Raises:
        MediaError: the video is broken or exceeds the limits.
        NotFoundError: there is no such file.
    """
    with _VIDEO_POOL.acquire(reader, ref, 0) as video:
        return video.index


@dataclass(slots=True)
class _PooledVideo:
    digest: str
    video: Video
    file: BinaryIO

    def close(self) -> None:
        self.video.close()
        self.file.close()


class _VideoPool:
    """Pool of idle open videos, most recently used last, and a cache of frame indexes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_PooledVideo] = []
        self._indexes: OrderedDict[str, FrameIndex] = OrderedDict()

    @contextmanager
    def acquire(self, reader: MediaSource, ref: ImageRef | VideoRef, frame: int) -> Iterator[Video]:
        """Acquire exclusive use of a video, preferably one whose decoder is positioned shortly before ``frame``."""
        pooled = self._pop_idle(ref.digest, frame) or self._open(reader, ref)
        try:
            yield pooled.video
        except BaseException:
            # The decoder may be in an undefined state: do not reuse it.
            pooled.close()
            raise
        self._release(pooled)

    def _pop_idle(self, digest: str, frame: int) -> _PooledVideo | None:
        with self._lock:
            candidates = [pooled for pooled in self._idle if pooled.digest == digest]
            if not candidates:
                return None
            before = [pooled for pooled in candidates if pooled.video.position <= frame]
            best = max(before or candidates, key=lambda pooled: pooled.video.position)
            self._idle.remove(best)
            return best

    def _open(self, reader: MediaSource, ref: ImageRef | VideoRef) -> _PooledVideo:
        file = reader.open_media(ref)
        try:
            video = Video(file, index=self._indexes.get(ref.digest))
        except BaseException:
            file.close()
            raise
        with self._lock:
            self._indexes[ref.digest] = video.index
            while len(self._indexes) > _MAX_CACHED_INDEXES:
                self._indexes.popitem(last=False)
        return _PooledVideo(ref.digest, video, file)

    def _release(self, pooled: _PooledVideo) -> None:
        with self._lock:
            self._idle.append(pooled)
            evicted = self._idle[:-_MAX_IDLE_VIDEOS]
            self._idle = self._idle[-_MAX_IDLE_VIDEOS:]
        for video in evicted:
            video.close()

    def close(self) -> None:
        """Close the idle videos."""
        with self._lock:
            idle = self._idle
            self._idle = []
        for pooled in idle:
            pooled.close()


_VIDEO_POOL = _VideoPool()
atexit.register(_VIDEO_POOL.close)
