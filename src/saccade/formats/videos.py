"""Videos without labels: a folder, with any folders in it, or one file.

Read: each frame as an item of its own, with its ``time`` in seconds; its key is the key of the video and the number of
the frame, as in ``street/000042``. The video is stored once, unchanged, and keeps its own frame rate. ``--option
every=10`` reads each tenth frame, ``--option fps=2`` the frames nearest to two a second; with ``--option frames=none``
each video is one item, of kind video.

Written: nothing; other formats write frames as images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.options import check_choice, parse_options
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_video_name, source_tree, strip_extension
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer


@dataclass(frozen=True)
class VideosReadOptions:
    """Options of reading.

    Attributes:
        frames: "all" reads frames as items, "none" reads each video as one item.
        every: read one frame in this many.
        fps: read this many frames a second; None for all.
    """

    frames: str = "all"
    every: int | str = 1
    fps: float | str | None = None

    def parse_every(self) -> int:
        """Return ``every`` as a number.

        Raises:
            FormatError: if it is not a whole number from 1.
        """
        if not str(self.every).isdecimal() or int(self.every) < 1:
            raise FormatError(f"The option 'every' may not be {self.every!r}.", hint="Give a whole number from 1.")
        return int(self.every)

    def parse_fps(self) -> float | None:
        """Return ``fps`` as a number, or None if it is not set.

        Raises:
            FormatError: if it is not a finite number above 0.
        """
        if self.fps is None:
            return None
        try:
            fps = float(self.fps)
        except ValueError:
            fps = -1.0
        if not 0 < fps < math.inf:
            raise FormatError(f"The option 'fps' may not be {self.fps!r}.", hint="Give a number above 0.")
        return fps


class Videos(Format):
    name: ClassVar[str] = "videos"
    title: ClassVar[str] = "videos without labels"
    supports: ClassVar[str] = "no labels"
    fallback: ClassVar[bool] = True

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            matches = is_video_name(source.name)
            return Detection(matches, "it is a video" if matches else "it is a file, but not a video")
        tree = source_tree(source)
        videos = _list_videos(tree)
        images = list(tree.iter_images())
        if videos and images:
            return Detection(False, f"there are {len(images)} images beside {len(videos)} videos")
        reason = f"there are {len(videos)} videos in it" if videos else "there are no videos in it"
        return Detection(bool(videos), reason)

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or of one video; see :class:`VideosReadOptions`."""
        parsed = parse_options(VideosReadOptions, options, "videos")
        frames = check_choice("frames", parsed.frames, ("all", "none"))
        return VideosReader(
            source, report, as_frames=frames == "all", every=parsed.parse_every(), fps=parsed.parse_fps()
        )

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        raise FormatError(
            "Videos are not written.", hint="Write the frames as images: --format images, or a format with labels."
        )


class VideosReader(Reader):
    """Reads a folder or one video.

    Args:
        as_frames: whether each frame is an item; otherwise each video is one.
        every: read one frame in this many.
        fps: read this many frames a second; None for all.
    """

    def __init__(
        self, source: Path, report: ConversionReport, *, as_frames: bool, every: int, fps: float | None
    ) -> None:
        self._source = source
        self._report = report
        self._as_frames = as_frames
        self._every = every
        self._fps = fps

    def open(self) -> RecordStream:
        keys = UniqueKeys(self._report)
        if self._source.is_file():
            videos = [(keys.claim(self._source.stem), self._source)]
        else:
            tree = SourceTree(self._source)
            tree.report_skipped(self._report)
            videos = [(keys.claim(strip_extension(name), name), tree.path(name)) for name in _list_videos(tree)]
        if not videos:
            raise FormatError(f"There are no videos below {self._source}.", hint="Check the path.")
        if not self._as_frames:
            records = (Record(key, LocalFile(path)) for key, path in videos)
            return RecordStream(Schema((Column("video", Kind.VIDEO),)), records, len(videos))
        schema = Schema((Column("image", Kind.IMAGE), Column("time", Kind.NUMBER)))
        return RecordStream(schema, self._frames(videos))

    def _frames(self, videos: list[tuple[str, Path]]) -> Iterator[Record]:
        from saccade.media.video import Video

        for key, path in videos:
            try:
                with Video(path) as video:
                    index = video.index
            except SaccadeError as error:
                self._report.add(FindingType.SKIPPED, "video that cannot be used", key=key, detail=str(error))
                continue
            for number in index.sample_frames(every=self._every, fps=self._fps):
                values = {"time": index.frame_time(number)}
                yield Record(f"{key}/{number:06}", LocalFile(path), values, frame=number, group=key)


def _list_videos(tree: SourceTree) -> list[str]:
    return [name for name in tree.files if is_video_name(name)]


FORMAT = Videos()
