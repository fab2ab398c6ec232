"""Plain images without labels: a folder with whatever folders are in it, or one image file.

Matches only where no format with labels does (``fallback``). Items have the image and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.report import Report
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._options import NoOptions, parse_options
from saccade.formats._paths import Keys, Tree, is_image_name, stem_of, tree_of
from saccade.formats._writing import Columns, FileNames, copy_media
from saccade.formats.base import Detection, LocalFile, Reading, Record


class Images:
    name: ClassVar[str] = "images"
    title: ClassVar[str] = "images without labels"
    holds: ClassVar[str] = "no labels"
    fallback: ClassVar[bool] = True

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            matches = is_image_name(source.name)
            return Detection(matches, "it is an image" if matches else "it is a file, but not an image")
        count = len(tree_of(source).images())
        return Detection(count > 0, f"there are {count} images in it" if count else "there are no images in it")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder, or one image."""
        parse_options(NoOptions, options, "images")
        schema = Schema((Column("image", Kind.IMAGE),))
        if source.is_file():
            return Reading(schema, iter([Record(source.stem, LocalFile(source))]), 1)
        tree = Tree(source)
        found = tree.images()
        if not found:
            raise FormatError(f"There are no images below {source}.", hint="Check the path.")
        tree.report_unusable(report)
        return Reading(schema, _records(tree, found, report), len(found))

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


def _records(tree: Tree, images: list[str], report: Report) -> Iterator[Record]:
    keys = Keys(report)
    for image in images:
        yield Record(keys.take(stem_of(image), image), LocalFile(tree.path(image)))


FORMAT = Images()
