"""Ingestion of media: probe the file of a record, store or link it, and describe it by a reference."""

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
from saccade.media.image import ImageProbe, verify
from saccade.store.blobs.blob_batch import BlobBatch

_MAX_CHANNELS = 4
LOW_RANGE = "16-bit values of a low range are shown by their percentiles"
"""The warning for images that a stated window replaces."""
_STREAM_FROM_BYTES = 1 << 26
"""Larger files are streamed instead of being read into memory."""


class IngestResult(NamedTuple):
    """Result of ingesting one file: a reference or an error, plus warnings as (reason, detail)."""

    ref: ImageRef | VideoRef | SaccadeError | None
    warnings: tuple[tuple[str, str], ...] = ()


class MediaIngestor:
    """Ingests images, videos and frames of videos. Thread-safe.

    Args:
        blobs: Receives the content of the files.
        link: Refer to the files at their present paths instead of storing them.
        keep_video: Ingest videos as videos; otherwise each record of a video is one frame.
        check_only: Verify and describe the files, but store nothing.
    """

    def __init__(self, blobs: BlobBatch, *, link: bool, keep_video: bool, check_only: bool = False) -> None:
        self._blobs = blobs
        # A linked file is only read, which is what a check does.
        self._link = link or check_only
        self._check_only = check_only
        self._keep_video = keep_video
        self._lock = threading.Lock()
        self._videos: dict[Path, VideoRef | SaccadeError] = {}
        self._page_digests: dict[Path, str] = {}

    @property
    def ingests_images(self) -> bool:
        """Whether the records are images rather than whole videos."""
        return not self._keep_video

    @property
    def is_linking(self) -> bool:
        return self._link

    def ingest(self, record: Record) -> IngestResult:
        """Ingest the media of a record. A bad file gives a result with an error.

        Raises:
            WorkspaceError: The workspace cannot store the file. This ends the import.
        """
        if record.media is None:
            return IngestResult(None)
        try:
            if not self._keep_video and (record.frame is None or not _is_video(record.media.path)):
                return self._ingest_image(record)
            video = self._ingest_video(record)
            return IngestResult(video if record.frame is None else _frame_ref(video, record.frame))
        except WorkspaceError:
            raise  # not a fault of the file
        except SaccadeError as error:
            return IngestResult(error)
        except OSError as error:
            return IngestResult(SaccadeError(f"{record.media.name} cannot be read: {error.strerror}."))

    def _ingest_image(self, record: Record) -> IngestResult:
        assert record.media is not None
        path = record.media.path
        frame = record.frame or 0
        uri = _file_uri(path) if self._link and path is not None else None
        if path is not None and (frame or path.stat().st_size > _STREAM_FROM_BYTES):
            probe = verify(path, frame=frame)
            size = path.stat().st_size
            # The pages of one file follow each other: hash the file only once.
            digest = (self._page_digests.get(path) if frame else None) or self._store_file(path)
        else:
            data = record.media.read()
            probe = verify(data)
            size = len(data)
            is_stored = uri is None and not self._check_only
            digest = self._blobs.put_bytes(data) if is_stored else digest_bytes(data)
        if record.frame is not None and path is not None:
            self._page_digests[path] = digest
        ref = ImageRef(
            digest,
            size,
            record.media.name,
            probe.width,
            probe.height,
            probe.format,
            probe.mode,
            probe.orientation,
            uri,
            record.frame,
        )
        return IngestResult(ref, tuple(_image_warnings(probe, record.frame)))

    def _ingest_video(self, record: Record) -> VideoRef:
        """Probe and store a video when its first frame is ingested; later frames reuse the result."""
        assert record.media is not None
        path = record.media.path
        if path is None:
            raise MediaError(f"The video '{record.media.name}' is not a file.", hint="Unpack it into a folder.")
        with self._lock:
            if path not in self._videos:
                try:
                    self._videos[path] = self._probe_and_store(path)
                except SaccadeError as error:
                    self._videos[path] = error
            result = self._videos[path]
        if isinstance(result, SaccadeError):
            raise result
        return result

    def _probe_and_store(self, path: Path) -> VideoRef:
        from saccade.media.video import probe_video

        probe = probe_video(path)
        size = path.stat().st_size
        digest = self._store_file(path)
        uri = _file_uri(path) if self._link else None
        return VideoRef(
            digest,
            size,
            path.name,
            probe.width,
            probe.height,
            probe.frames,
            probe.duration,
            probe.rate,
            probe.container,
            probe.codec,
            probe.orientation,
            uri,
        )

    def _store_file(self, path: Path) -> str:
        return digest_file(path) if self._link else self._blobs.put_file(path)


def _image_warnings(probe: ImageProbe, frame: int | None) -> Iterator[tuple[str, str]]:
    if probe.frames > 1 and frame is None:
        yield "only the first frame of several is used", f"of {probe.frames}"
    if probe.channels > _MAX_CHANNELS:
        yield "only the first three channels of several are shown", f"of {probe.channels}"
    if probe.window is not None:
        low, high = probe.window
        yield LOW_RANGE, f"{low:g} to {high:g}; state another range with --option window=LOW,HIGH"
    if probe.has_unknown_range:
        yield "values without a fixed range are shown from the lowest to the highest", probe.mode


@lru_cache(maxsize=1024)
def _is_video(path: Path | None) -> bool:
    from saccade.media.video import is_video

    if path is None:
        return False
    with path.open("rb") as file:
        return is_video(file.read(1024))


def _frame_ref(video: VideoRef, frame: int) -> ImageRef:
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


def _file_uri(path: Path) -> str:
    """Return the file's URI with symbolic links in its folder resolved (a link of the file itself stays)."""
    return (_resolved_folder(path.parent) / path.name).as_uri()


@lru_cache(maxsize=1024)
def _resolved_folder(folder: Path) -> Path:
    return folder.resolve()
