"""Images without labels: a folder, with any folders in it, or one image file.

Matches only if no format with labels does (``fallback``). Items have the image and nothing else; files that are no
images, among them labels of unknown formats, are listed in the report. With ``--option pages=all`` each page of a
TIFF, and each frame of an animated GIF, WebP or PNG, is an item of its own with the number of the page in its key, as
in ``scan/0002``; by default only the first is imported, which is reported.
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
from saccade.core.text import format_count
from saccade.formats._common.columns import SupportedColumns
from saccade.formats._common.media import copy_media
from saccade.formats._common.names import FileNames
from saccade.formats._common.options import NoOptions, check_choice, parse_options
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_image_name, source_tree, strip_extension
from saccade.formats._common.source_files import LABEL_EXTENSIONS, label_files
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer


@dataclass(frozen=True)
class ImagesReadOptions:
    """Options of reading.

    Attributes:
        pages: "first" reads the first page of each file, "all" reads every page as an item.
    """

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
        tree = source_tree(source)
        if (label_file := next(label_files(tree), None)) is not None:
            reason = f"{label_file} may hold labels, which --format images would leave out"
            return Detection(False, reason)
        count = _count_images(tree)
        return Detection(count > 0, f"it has {format_count(count, 'image')}" if count else "there are no images in it")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder or of one image; see :class:`ImagesReadOptions`."""
        parsed = parse_options(ImagesReadOptions, options, "images")
        pages = check_choice("pages", parsed.pages, ("first", "all"))
        return ImagesReader(source, report, all_pages=pages == "all")

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "images")
        return ImagesWriter(schema, destination, report)


class ImagesReader(Reader):
    """Reads a folder or one image.

    Args:
        all_pages: whether every page of a file is an item; otherwise only the first is read.
    """

    def __init__(self, source: Path, report: ConversionReport, *, all_pages: bool) -> None:
        self._source = source
        self._report = report
        self._all_pages = all_pages

    def open(self) -> RecordStream:
        schema = Schema((Column("image", Kind.IMAGE),))
        if self._source.is_file():
            records = self._pages(Record(self._source.stem, LocalFile(self._source)))
            return RecordStream(schema, records, None if self._all_pages else 1)
        tree = SourceTree(self._source)
        count = _count_images(tree)
        if not count:
            raise FormatError(f"There are no images below {self._source}.", hint="Check the path.")
        tree.report_skipped(self._report)
        for file in tree.files:
            # Files that may hold labels are reported as losses, as they are for every format.
            if not is_image_name(file) and not file.lower().endswith(LABEL_EXTENSIONS):
                self._report.add(FindingType.WARNING, "file that is not an image and is not read", detail=file)
        # The number of pages is only known once every file has been opened.
        return RecordStream(schema, self._records(tree), None if self._all_pages else count)

    def _records(self, tree: SourceTree) -> Iterator[Record]:
        keys = UniqueKeys(self._report)
        for image in tree.iter_images():
            yield from self._pages(Record(keys.claim(strip_extension(image), image), LocalFile(tree.path(image))))

    def _pages(self, record: Record) -> Iterator[Record]:
        """Yield a record for each page; the record itself if there is one page, or only the first is read."""
        assert record.media is not None
        assert record.media.path is not None
        count = 1
        if self._all_pages:
            from saccade.media.image import probe

            # The import reports what is wrong with the file.
            with suppress(SaccadeError):
                count = probe(record.media.path).frames
        if count == 1:
            yield record
            return
        for page in range(count):
            yield replace(record, key=f"{record.key}/{page:04}", frame=page, group=record.key)


class ImagesWriter(Writer):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._destination = destination
        self._report = report
        self._columns = SupportedColumns(schema, report)
        # This layout has no splits: they count as dropped like any other column.
        self._columns.drop_split()
        self._file_names = FileNames(report)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        copy_media(record, self._destination / self._file_names.claim(record.key), self._report)

    def _finish(self) -> None:
        self._columns.report_dropped()


def _count_images(tree: SourceTree) -> int:
    return sum(1 for _ in tree.iter_images())


FORMAT = Images()
