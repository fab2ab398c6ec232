"""Export of a dataset version to an external format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.app.datasets.splits import SPLIT, check_split
from saccade.core.errors import FormatError
from saccade.core.progress import NullProgress, Progress
from saccade.core.reader import Reader
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ImageRef, Kind
from saccade.formats.base import FORMATS, Record, RecordStream
from saccade.io.atomic import atomic_output_dir
from saccade.media.image import IMAGE_FORMATS, encode
from saccade.media.loader import read_image
from saccade.store.workspace import Workspace

FRAME_QUALITY = 95
"""JPEG quality of exported video frames."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """Media source of an image of a dataset, read when it is written."""

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
    """Media source of one frame of a file: a JPEG of a video frame, or a PNG of a page of an image file."""

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


def open_records(
    reader: Reader,
    progress: Progress,
    report: ConversionReport,
    split: str | None = None,
    keys: Sequence[str] | None = None,
) -> RecordStream:
    """Convert the items of a reader to the records that formats write.

    Args:
        reader: The dataset.
        progress: Advances by each item.
        report: Receives a warning if frames of videos are exported.
        split: Only items of this split; all if None.
        keys: Only items with these keys; all if None.

    Raises:
        FormatError: The dataset has videos but no images.
    """
    if not reader.schema.columns_of_kind(Kind.IMAGE) and reader.schema.columns_of_kind(Kind.VIDEO):
        raise FormatError("Whole videos cannot be exported.", hint="Import their frames: without --option frames=none.")
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
            report.add(FindingType.WARNING, "frames exported as images", detail=f"{frames} frames")

    return RecordStream(reader.schema, records(), len(reader) if keys is None else len(keys))


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
    overwrite: bool = False,
    replaceable: bool = True,
    progress: Progress | None = None,
) -> ConversionReport:
    """Export a dataset version. The destination is written completely or not at all.

    Args:
        workspace: The workspace.
        ref: The dataset version, such as ``NAME@7``.
        destination: A folder that does not exist or is empty, or an earlier export with ``overwrite``.
        format: The name of the format.
        split: Export only this split.
        where: Export only items that match this query.
        strict: Fail if the format cannot represent everything.
        options: Options of the format.
        overwrite: Replace the output of an earlier export. Other folders are never replaced.
        replaceable: Leave a hidden file, by which a later export knows that it may replace this one.
        progress: Advances by each item.

    Returns:
        A report of everything that the format could not represent.

    Raises:
        FormatError: The export failed, or lost data and ``strict`` is set.
        ConflictError: The destination is not empty.
        NotFoundError: The version, format or split does not exist.
    """
    FORMATS.get(format)
    version = workspace.datasets.open(ref)
    check_split(version, split)
    keys = None if where is None else version.where(where)
    return export_reader(
        version,
        destination,
        format,
        split=split,
        keys=keys,
        strict=strict,
        options=options,
        overwrite=overwrite,
        replaceable=replaceable,
        progress=progress,
    )


def export_reader(
    reader: Reader,
    destination: Path,
    format: str,
    *,
    split: str | None = None,
    keys: Sequence[str] | None = None,
    strict: bool = False,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    replaceable: bool = True,
    progress: Progress | None = None,
) -> ConversionReport:
    """Export the items of a reader; see :func:`export_dataset`.

    Args:
        reader: The items.
        destination: A folder that does not exist or is empty, or an earlier export with ``overwrite``.
        format: The name of the format.
        split: Export only this split.
        keys: Export only the items with these keys.
        strict: Fail if the format cannot represent everything.
        options: Options of the format.
        overwrite: Replace the output of an earlier export. Other folders are never replaced.
        replaceable: Leave a hidden file, by which a later export knows that it may replace this one.
        progress: Advances by each item.

    Raises:
        FormatError: The export failed, or lost data and ``strict`` is set.
        ConflictError: The destination is not empty.
        NotFoundError: The format does not exist.
    """
    writer = FORMATS.get(format)
    progress = progress or NullProgress()
    report = ConversionReport()
    with atomic_output_dir(destination, replaceable=replaceable, overwrite=overwrite) as folder:
        progress.start("Exporting", len(reader) if keys is None else len(keys))
        try:
            writer.write(open_records(reader, progress, report, split, keys), folder, report, **(options or {}))
        finally:
            progress.finish()
        count, first = report.losses()
        if strict and first is not None:
            raise FormatError(
                f"'{format}' cannot hold everything: {count} losses, the first: {first.reason}.",
                hint="Choose another format, or export without --strict.",
            )
    return report
