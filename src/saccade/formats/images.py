"""Plain images without labels: a folder with whatever folders are in it, or one image file.

Matches only where no format with labels does (``fallback``). Items have the image and nothing else; files that are no
images, among them labels that no format could read, are named in the report. With
``--option pages=all`` each page of a TIFF, and each frame of a GIF, WebP or PNG that moves, is an item of its own with
the number of the page in its key, as in ``scan/0002``; by default the first is taken, which is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.columns import SupportedColumns
from saccade.formats._common.media import copy_media
from saccade.formats._common.names import FileNames
from saccade.formats._common.options import NoOptions, check_choice, parse_options
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_image_name, source_tree, strip_extension
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer

_OF_LABELS = (".json", ".jsonl", ".geojson", ".xml", ".yaml", ".yml", ".csv", ".parquet", ".tfrecord", ".record")


@dataclass(frozen=True)
class ReadOptions:
    """``pages``: first, or all of those that a file has."""

    pages: str = "first"


class Images(Format):
    name: ClassVar[str] = "images"
    title: ClassVar[str] = "images without labels"
    supports: ClassVar[str] = "no labels"
    fallback: ClassVar[bool] = True

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            matches = is_image_name(source.name)
            return Detection(matches, "it is an image" if matches else "it is a file, but not an image")
        count = _count(source_tree(source))
        return Detection(count > 0, f"there are {count} images in it" if count else "there are no images in it")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder, or one image."""
        every = check_choice("pages", parse_options(ReadOptions, options, "images").pages, ("first", "all")) == "all"
        return ImagesReader(source, report, every=every)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "images")
        return ImagesWriter(schema, destination, report)


class ImagesReader(Reader):
    def __init__(self, source: Path, report: ConversionReport, *, every: bool) -> None:
        self._source = source
        self._report = report
        self._every = every

    def open(self) -> RecordStream:
        source, report, every = self._source, self._report, self._every
        schema = Schema((Column("image", Kind.IMAGE),))
        if source.is_file():
            records = _pages(Record(source.stem, LocalFile(source)), every)
            return RecordStream(schema, records, None if every else 1)
        tree = SourceTree(source)
        count = _count(tree)
        if not count:
            raise FormatError(f"There are no images below {source}.", hint="Check the path.")
        tree.report_skipped(report)
        for file in tree.files:
            if file.lower().endswith(_OF_LABELS):
                report.add(FindingType.DROPPED, "file that may hold labels, of no format that is known", detail=file)
            elif not is_image_name(file):
                report.add(FindingType.WARNING, "file that is no image and is not read", detail=file)
        return RecordStream(schema, _records(tree, report, every), None if every else count)


class ImagesWriter(Writer):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._destination = destination
        self._report = report
        self._columns = SupportedColumns(schema, report)
        # Splits are no part of this layout: they count as dropped like any other column.
        self._columns.drop_split()
        self._files = FileNames(report)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        copy_media(record, self._destination / self._files.claim(record.key), self._report)

    def _finish(self) -> None:
        self._columns.report_dropped()


def _count(tree: SourceTree) -> int:
    return sum(1 for _ in tree.iter_images())


def _records(tree: SourceTree, report: ConversionReport, every: bool) -> Iterator[Record]:
    keys = UniqueKeys(report)
    for image in tree.iter_images():
        yield from _pages(Record(keys.claim(strip_extension(image), image), LocalFile(tree.path(image))), every)


def _pages(record: Record, every: bool) -> Iterator[Record]:
    """A record of each page of an image; the record itself where there is one page, or only the first is asked for."""
    assert record.media is not None
    assert record.media.path is not None
    count = 1
    if every:
        from saccade.media.image import probe

        with suppress(SaccadeError):  # the import says what is wrong with it
            count = probe(record.media.path).frames
    if count == 1:
        yield record
    for page in range(count if count > 1 else 0):
        yield replace(record, key=f"{record.key}/{page:04}", frame=page, group=record.key)


FORMAT = Images()
