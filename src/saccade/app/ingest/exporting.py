"""Export: a dataset version as files in an outside format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.app.datasets.splits import SPLIT, check_split
from saccade.app.io.atomic_dir import new_folder
from saccade.core.errors import FormatError
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Reader
from saccade.core.report import Action, Report
from saccade.core.schema import ImageRef, Kind
from saccade.formats.base import FORMATS, Reading, Record
from saccade.media.image import IMAGE_FORMATS, encode
from saccade.media.loader import read_image
from saccade.store.workspace import Workspace

FRAME_QUALITY = 95
"""Of the JPEGs that frames of videos become."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image of a dataset as a media source; read when it is written."""

    reader: Reader
    ref: ImageRef

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def path(self) -> Path | None:
        return None

    def read(self) -> bytes:
        return self.reader.read_media(self.ref)


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame of a file that holds several, as a picture: a JPEG for one of a video, else a PNG."""

    reader: Reader
    ref: ImageRef

    @property
    def name(self) -> str:
        return f"{Path(self.ref.name).stem}-{self.ref.frame:06}.{'png' if self._is_page else 'jpg'}"

    @property
    def path(self) -> Path | None:
        return None

    @property
    def _is_page(self) -> bool:
        return self.ref.format in IMAGE_FORMATS

    def read(self) -> bytes:
        return encode(read_image(self.reader, self.ref), "png" if self._is_page else "jpeg", FRAME_QUALITY)


def reading_of(
    reader: Reader,
    progress: Progress,
    report: Report,
    split: str | None = None,
    keys: Sequence[str] | None = None,
) -> Reading:
    """A reader as what formats write: all its items or those with some keys, of all splits or of one."""
    if not reader.schema.of_kind(Kind.IMAGE) and reader.schema.of_kind(Kind.VIDEO):
        raise FormatError("Whole videos are not exported.", hint="Import their frames: without --option frames=none.")
    image = reader.schema.first(Kind.IMAGE).name

    def records() -> Iterator[Record]:
        frames = 0
        for item in reader.items(keys=keys):
            progress.advance(1, item.key)
            if split is not None and item.values.get(SPLIT) != split:
                continue
            ref: ImageRef | None = item[image]
            values = {name: value for name, value in item.values.items() if name != image}
            if ref is None:
                yield Record(item.key, None, values)
                continue
            frames += ref.frame is not None
            media = StoredImage(reader, ref) if ref.frame is None else StoredFrame(reader, ref)
            yield Record(item.key, media, values, (ref.width, ref.height))
        if frames:
            report.add(Action.NOTICED, "frames are written as pictures", detail=f"{frames} frames")

    return Reading(reader.schema, records(), len(reader) if keys is None else len(keys))


def export_dataset(
    workspace: Workspace,
    ref: str,
    destination: Path,
    format: str,
    *,
    split: str | None = None,
    where: str | None = None,
    strict: bool = False,
    options: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a dataset version into ``destination``, which must not exist or be empty; all of it or nothing.

    Args:
        split: only the items of this split.
        where: only the items for which this query holds.

    Returns what the format could not hold; with ``strict`` that raises FormatError instead.
    """
    part = FORMATS.get(format)
    version = workspace.datasets.open(ref)
    check_split(version, split)
    keys = None if where is None else version.where(where)
    progress, report = progress or Silent(), Report()
    with new_folder(destination) as folder:
        progress.start("Exporting", len(version) if keys is None else len(keys))
        try:
            part.write(reading_of(version, progress, report, split, keys), folder, report, **(options or {}))
        finally:
            progress.finish()
        count, first = report.losses()
        if strict and first is not None:
            raise FormatError(
                f"'{format}' cannot hold everything: {count} losses, the first: {first.reason}.",
                hint="Choose another format, or export without --strict.",
            )
    return report
