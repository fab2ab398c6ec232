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
from saccade.core.report import Action, Report
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.options import one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, is_video_name, stem_of, tree_of
from saccade.formats.base import Detection, LocalFile, Reading, Record


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


class Videos:
    name: ClassVar[str] = "videos"
    title: ClassVar[str] = "videos without labels"
    holds: ClassVar[str] = "no labels"
    fallback: ClassVar[bool] = True

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            matches = is_video_name(source.name)
            return Detection(matches, "it is a video" if matches else "it is a file, but not a video")
        tree = tree_of(source)
        found, images = _videos(tree), tree.images()
        if found and images:
            return Detection(False, f"there are {len(images)} images beside {len(found)} videos")
        return Detection(bool(found), f"there are {len(found)} videos in it" if found else "there are no videos in it")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder, or one video."""
        chosen = parse_options(VideoOptions, options, "videos")
        whole = one_of("frames", chosen.frames, ("all", "none")) == "none"
        every, fps = chosen.every_frame(), chosen.frames_a_second()
        keys = Keys(report)
        if source.is_file():
            files = [(keys.take(source.stem), source)]
        else:
            tree = Tree(source)
            tree.report_unusable(report)
            files = [(keys.take(stem_of(name), name), tree.path(name)) for name in _videos(tree)]
        if not files:
            raise FormatError(f"There are no videos below {source}.", hint="Check the path.")
        if whole:
            records = (Record(key, LocalFile(path)) for key, path in files)
            return Reading(Schema((Column("video", Kind.VIDEO),)), records, len(files))
        schema = Schema((Column("image", Kind.IMAGE), Column("time", Kind.NUMBER)))
        return Reading(schema, _frames(files, every, fps, report))

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        raise FormatError(
            "Videos are not written.", hint="Write the frames as pictures: --format images, or one with labels."
        )


def _videos(tree: Tree) -> list[str]:
    return [name for name in tree.files if is_video_name(name)]


def _frames(files: list[tuple[str, Path]], every: int, fps: float | None, report: Report) -> Iterator[Record]:
    from saccade.media.video import Video

    for key, path in files:
        try:
            with Video(path) as video:
                index = video.index
        except SaccadeError as error:
            report.add(Action.SET_ASIDE, "video that cannot be used", key=key, detail=str(error))
            continue
        for number in index.sampled(every=every, fps=fps):
            values = {"time": index.time_of(number)}
            yield Record(f"{key}/{number:06}", LocalFile(path), values, frame=number, group=key)


FORMAT = Videos()
