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
from saccade.core.report import Action, Report
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.options import NoOptions, one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, is_image_name, stem_of, tree_of
from saccade.formats._common.writing import Columns, FileNames, copy_media
from saccade.formats.base import Detection, LocalFile, Reading, Record

_OF_LABELS = (".json", ".jsonl", ".geojson", ".xml", ".yaml", ".yml", ".csv", ".parquet", ".tfrecord", ".record")


@dataclass(frozen=True)
class ReadOptions:
    """``pages``: first, or all of those that a file has."""

    pages: str = "first"


class Images:
    name: ClassVar[str] = "images"
    title: ClassVar[str] = "images without labels"
    holds: ClassVar[str] = "no labels"
    fallback: ClassVar[bool] = True

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            matches = is_image_name(source.name)
            return Detection(matches, "it is an image" if matches else "it is a file, but not an image")
        count = _count(tree_of(source))
        return Detection(count > 0, f"there are {count} images in it" if count else "there are no images in it")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder, or one image."""
        every = one_of("pages", parse_options(ReadOptions, options, "images").pages, ("first", "all")) == "all"
        schema = Schema((Column("image", Kind.IMAGE),))
        if source.is_file():
            records = _pages(Record(source.stem, LocalFile(source)), every)
            return Reading(schema, records, None if every else 1)
        tree = Tree(source)
        count = _count(tree)
        if not count:
            raise FormatError(f"There are no images below {source}.", hint="Check the path.")
        tree.report_unusable(report)
        for file in tree.files:
            if file.lower().endswith(_OF_LABELS):
                report.add(Action.DROPPED, "file that may hold labels, of no format that is known", detail=file)
            elif not is_image_name(file):
                report.add(Action.NOTICED, "file that is no image and is not read", detail=file)
        return Reading(schema, _records(tree, report, every), None if every else count)

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "images")
        columns = Columns(reading, report)
        # Splits are no part of this layout: they count as dropped like any other column.
        columns.drop_split()
        files = FileNames(report)
        for record in reading.records:
            columns.count(record)
            copy_media(record, destination / files.take(record.key), report)
        columns.finish()


def _count(tree: Tree) -> int:
    return sum(1 for _ in tree.each_image())


def _records(tree: Tree, report: Report, every: bool) -> Iterator[Record]:
    keys = Keys(report)
    for image in tree.each_image():
        yield from _pages(Record(keys.take(stem_of(image), image), LocalFile(tree.path(image))), every)


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
