"""The files of records on their way into a workspace: looked at, stored or linked, and described."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from saccade.core.digest import digest_bytes, digest_file
from saccade.core.errors import MediaError, SaccadeError, WorkspaceError
from saccade.core.schema import ImageRef, VideoRef
from saccade.formats.base import Record
from saccade.media.image import Probe, verify
from saccade.store.blobs.blob_batch import ObjectBatch

_SHOWN_CHANNELS = 4
_IN_PIECES = 1 << 26
"""Files of more bytes are not read as a whole."""


class Taken(NamedTuple):
    """What became of a file: a reference to it or why it cannot be used, and what else is to be said, with details."""

    ref: ImageRef | VideoRef | SaccadeError | None
    notes: tuple[tuple[str, str], ...] = ()


class Intake:
    """Takes in images, videos and frames of videos; used by several threads at once.

    Args:
        link: leave files where they are and refer to them there.
        whole: take in videos as what they are; else records of them are of single frames.
    """

    def __init__(self, objects: ObjectBatch, *, link: bool, whole: bool) -> None:
        self._objects, self._link, self._whole = objects, link, whole
        self._lock = threading.Lock()
        self._videos: dict[Path, VideoRef | SaccadeError] = {}
        self._of_earlier_page: dict[Path, str] = {}

    @property
    def takes_images(self) -> bool:
        """Whether its records are images, and not whole videos."""
        return not self._whole

    @property
    def is_linking(self) -> bool:
        return self._link

    def take(self, record: Record) -> Taken:
        """Take in the file of a record."""
        if record.media is None:
            return Taken(None)
        try:
            if not self._whole and (record.frame is None or not _is_video(record.media.path)):
                return self._image(record)
            video = self._video(record)
            return Taken(video if record.frame is None else _frame_of(video, record.frame))
        except WorkspaceError:
            raise  # that it cannot be stored is no fault of the file, and ends the import
        except SaccadeError as error:
            return Taken(error)
        except OSError as error:
            return Taken(SaccadeError(f"{record.media.name} cannot be read: {error.strerror}."))

    def _image(self, record: Record) -> Taken:
        assert record.media is not None
        path, frame = record.media.path, record.frame or 0
        uri = _uri(path) if self._link and path is not None else None
        if path is not None and (frame or path.stat().st_size > _IN_PIECES):
            found, size = verify(path, frame=frame), path.stat().st_size
            digest = self._of_earlier_page.get(path) if frame else None
            digest = digest or self._keep_file(path)
        else:
            data = record.media.read()
            found, size = verify(data), len(data)
            digest = digest_bytes(data) if uri is not None else self._objects.put_bytes(data)
        if record.frame is not None and path is not None:
            self._of_earlier_page[path] = digest
        ref = ImageRef(
            digest,
            size,
            record.media.name,
            found.width,
            found.height,
            found.format,
            found.mode,
            found.orientation,
            uri,
            record.frame,
        )
        return Taken(ref, tuple(_notes(found, record.frame)))

    def _video(self, record: Record) -> VideoRef:
        """The video of a record, taken in when its first frame is."""
        assert record.media is not None
        path = record.media.path
        if path is None:
            raise MediaError(f"The video '{record.media.name}' is no file.", hint="Unpack it into a folder.")
        with self._lock:
            if path not in self._videos:
                try:
                    self._videos[path] = self._probed(path)
                except SaccadeError as error:
                    self._videos[path] = error
            found = self._videos[path]
        if isinstance(found, SaccadeError):
            raise found
        return found

    def _probed(self, path: Path) -> VideoRef:
        from saccade.media.video import probe_video

        found, size = probe_video(path), path.stat().st_size
        digest, uri = self._keep_file(path), _uri(path) if self._link else None
        return VideoRef(
            digest,
            size,
            path.name,
            found.width,
            found.height,
            found.frames,
            found.duration,
            found.rate,
            found.container,
            found.codec,
            found.orientation,
            uri,
        )

    def _keep_file(self, path: Path) -> str:
        return digest_file(path) if self._link else self._objects.put_file(path)


def _notes(found: Probe, frame: int | None) -> Iterator[tuple[str, str]]:
    """What is not shown of an image, or not as it is."""
    if found.frames > 1 and frame is None:
        yield "only the first frame of several is used", f"of {found.frames}"
    if found.channels > _SHOWN_CHANNELS:
        yield "only the first three channels of several are shown", f"of {found.channels}"
    if found.has_open_range:
        yield "values without a fixed range are shown from the lowest to the highest", found.mode


@lru_cache(maxsize=1024)
def _is_video(path: Path | None) -> bool:
    from saccade.media.video import is_video

    if path is None:
        return False
    with path.open("rb") as file:
        return is_video(file.read(1024))


def _frame_of(video: VideoRef, frame: int) -> ImageRef:
    if not 0 <= frame < video.frames:
        raise MediaError(f"There is no frame {frame} in '{video.name}', which has {video.frames}.")
    return ImageRef(
        video.digest,
        video.size,
        video.name,
        video.width,
        video.height,
        video.format,
        "RGB",
        video.orientation,
        video.uri,
        frame,
    )


def _uri(path: Path) -> str:
    """The file's URI; links on the way to its folder are followed, which is asked once for each folder."""
    return (_real_folder(path.parent) / path.name).as_uri()


@lru_cache(maxsize=1024)
def _real_folder(folder: Path) -> Path:
    return folder.resolve()
