"""Images of a reader by their references: of files, and of frames of videos, which are opened once for many frames."""

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

_KEPT_OPEN = 4
_KEPT_INDEXES = 64


class Files(Protocol):
    """What gives files by their references, as every reader does."""

    def read_media(self, ref: MediaRef) -> bytes: ...

    def open_media(self, ref: MediaRef) -> BinaryIO: ...


def read_image(
    reader: Files, ref: ImageRef, *, mode: Literal["RGB", "L"] = "RGB", max_size: int | None = None
) -> Pixels:
    """The pixels of an image of a reader; see :func:`saccade.media.image.decode`, also for errors."""
    if ref.frame is None or ref.format in IMAGE_FORMATS:
        return decode(reader.read_media(ref), mode=mode, max_size=max_size, frame=ref.frame or 0)
    with _VIDEOS.borrowed(reader, ref, ref.frame) as video:
        return video.frame(ref.frame, mode=mode, max_size=max_size)


def read_frame(reader: Files, ref: VideoRef, number: int, *, max_size: int | None = None) -> Pixels:
    """The pixels of a frame of a video of a reader, by its number in the order of showing."""
    with _VIDEOS.borrowed(reader, ref, number) as video:
        return video.frame(number, max_size=max_size)


def frame_index(reader: Files, ref: ImageRef | VideoRef) -> FrameIndex:
    """The frames of a video of a reader."""
    with _VIDEOS.borrowed(reader, ref, 0) as video:
        return video.index


@dataclass(slots=True)
class _Open:
    digest: str
    video: Video
    file: BinaryIO

    def close(self) -> None:
        self.video.close()
        self.file.close()


class _Videos:
    """Open videos of which nobody reads at the moment, the latest last, and the indexes of more of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Open] = []
        self._indexes: OrderedDict[str, FrameIndex] = OrderedDict()

    @contextmanager
    def borrowed(self, reader: Files, ref: ImageRef | VideoRef, frame: int) -> Iterator[Video]:
        """A video for the caller alone, the one whose decoder stands nearest before a frame if there are several."""
        one = self._take(ref.digest, frame) or self._open(reader, ref)
        try:
            yield one.video
        except BaseException:
            one.close()
            raise
        self._give_back(one)

    def _take(self, digest: str, frame: int) -> _Open | None:
        with self._lock:
            same = [one for one in self._idle if one.digest == digest]
            if not same:
                return None
            behind = [one for one in same if one.video.position <= frame]
            best = max(behind or same, key=lambda one: one.video.position)
            self._idle.remove(best)
            return best

    def _open(self, reader: Files, ref: ImageRef | VideoRef) -> _Open:
        file = reader.open_media(ref)
        try:
            video = Video(file, index=self._indexes.get(ref.digest))
        except BaseException:
            file.close()
            raise
        with self._lock:
            self._indexes[ref.digest] = video.index
            while len(self._indexes) > _KEPT_INDEXES:
                self._indexes.popitem(last=False)
        return _Open(ref.digest, video, file)

    def _give_back(self, one: _Open) -> None:
        with self._lock:
            self._idle.append(one)
            surplus = self._idle[:-_KEPT_OPEN]
            self._idle = self._idle[-_KEPT_OPEN:]
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close those of which nobody reads."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.close()


_VIDEOS = _Videos()
atexit.register(_VIDEOS.close)
