"""Videos without labels: a folder with whatever folders are in it, or one file.

Read: each frame as an item of its own, with the ``time`` in seconds at which it is shown; its key is that of the video
and the number of the frame, as in ``street/000042``. The video is kept once, as it is, and keeps its own frame rate.
``--option every=10`` takes each tenth frame, ``--option fps=2`` those nearest to two a second; with
``--option frames=none`` each video is one item, of kind video.

Written: nothing; other formats write frames as pictures.
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
class VideoOptions:
    """``frames``: "all", or "none" for whole videos; ``every``: one frame in so many; ``fps``: so many a second."""

    frames: str = "all"
    every: int | str = 1
    fps: float | str | None = None

    def every_frame(self) -> int:
        """One frame in how many."""
        if not str(self.every).isdecimal() or int(self.every) < 1:
            raise FormatError(f"The option 'every' may not be {self.every!r}.", hint="Give a whole number from 1.")
        return int(self.every)

    def frames_a_second(self) -> float | None:
        """How many frames a second, where that is asked for."""
        if self.fps is None:
            return None
        try:
            found = float(self.fps)
        except ValueError:
            found = -1.0
        if not 0 < found < math.inf:
            raise FormatError(f"The option 'fps' may not be {self.fps!r}.", hint="Give a number above 0.")
        return found


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
        found, images = _videos(tree), list(tree.iter_images())
        if found and images:
            return Detection(False, f"there are {len(images)} images beside {len(found)} videos")
        return Detection(bool(found), f"there are {len(found)} videos in it" if found else "there are no videos in it")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder, or one video."""
        chosen = parse_options(VideoOptions, options, "videos")
        whole = check_choice("frames", chosen.frames, ("all", "none")) == "none"
        every, fps = chosen.every_frame(), chosen.frames_a_second()
        return VideosReader(source, report, whole=whole, every=every, fps=fps)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        raise FormatError(
            "Videos are not written.", hint="Write the frames as pictures: --format images, or one with labels."
        )


class VideosReader(Reader):
    def __init__(self, source: Path, report: ConversionReport, *, whole: bool, every: int, fps: float | None) -> None:
        self._source = source
        self._report = report
        self._whole = whole
        self._every = every
        self._fps = fps

    def open(self) -> RecordStream:
        source, report = self._source, self._report
        keys = UniqueKeys(report)
        if source.is_file():
            files = [(keys.claim(source.stem), source)]
        else:
            tree = SourceTree(source)
            tree.report_skipped(report)
            files = [(keys.claim(strip_extension(name), name), tree.path(name)) for name in _videos(tree)]
        if not files:
            raise FormatError(f"There are no videos below {source}.", hint="Check the path.")
        if self._whole:
            records = (Record(key, LocalFile(path)) for key, path in files)
            return RecordStream(Schema((Column("video", Kind.VIDEO),)), records, len(files))
        schema = Schema((Column("image", Kind.IMAGE), Column("time", Kind.NUMBER)))
        return RecordStream(schema, _frames(files, self._every, self._fps, report))


def _videos(tree: SourceTree) -> list[str]:
    return [name for name in tree.files if is_video_name(name)]


def _frames(files: list[tuple[str, Path]], every: int, fps: float | None, report: ConversionReport) -> Iterator[Record]:
    from saccade.media.video import Video

    for key, path in files:
        try:
            with Video(path) as video:
                index = video.index
        except SaccadeError as error:
            report.add(FindingType.SET_ASIDE, "video that cannot be used", key=key, detail=str(error))
            continue
        for number in index.sample_frames(every=every, fps=fps):
            values = {"time": index.frame_time(number)}
            yield Record(f"{key}/{number:06}", LocalFile(path), values, frame=number, group=key)


FORMAT = Videos()
