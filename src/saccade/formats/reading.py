"""Reading a source in any format: the encoding of its label files, files that were not read, and labels that were lost.

stream = read_source(FORMATS.get("coco"), source, report, encoding="cp1252")
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.encoding import stated_encoding
from saccade.formats._common.paths import SourceTree
from saccade.formats._common.source_files import ReadFiles, label_files, note_read_files, report_unread
from saccade.formats.base import Format, Record, RecordStream

# Files that name the folders and lists around them, and so stand for their folder.
_FOLDER_FILES = (".yaml", ".yml", ".data")


def read_source(format: Format, source: Path, report: ConversionReport, **options: Any) -> RecordStream:
    """Open a source.

    Once all records have been read, the report names every file that may hold labels and was not read. An image whose
    objects were all dropped is not labelled.

    Args:
        format: the format of the source.
        source: a folder or a file.
        report: receives what was lost or changed.
        options: options of the format, see :meth:`Format.reader`, and ``encoding``: the encoding of label files that
            have no byte-order mark and declare none; UTF-8 by default.

    Raises:
        FormatError: if an option is unknown or invalid, or the source cannot be read.
    """
    reading = _SourceReading(source, report, str(options.pop("encoding", "")))
    with reading.step():
        stream = format.reader(source, report, **options).open()
    return reading.wrap(stream)


class _SourceReading:
    """The reading of one source.

    Args:
        source: the folder or file.
        report: receives files that were not read.
        encoding: the encoding of label files without a byte-order mark; "" for UTF-8.
    """

    def __init__(self, source: Path, report: ConversionReport, encoding: str = "") -> None:
        self._source = source
        self._report = report
        self._encoding = encoding
        self._files = ReadFiles()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Enter the context in which the reader opens files."""
        with stated_encoding(self._encoding), note_read_files(self._files):
            yield

    def wrap(self, stream: RecordStream) -> RecordStream:
        """Return the stream, which reports files that were not read once all records have been."""
        return replace(stream, records=self._records(stream.records, stream.schema))

    def _records(self, records: Iterator[Record], schema: Schema) -> Iterator[Record]:
        columns = [column.name for column in schema.columns_of_kind(Kind.OBJECTS)]
        while True:
            findings = len(self._report)
            # The context holds only while the reader works: the records are used outside of it.
            with self.step():
                record = next(records, None)
            if record is None:
                break
            yield self._without_lost_labels(record, columns, findings)
        self._report_unread()

    def _without_lost_labels(self, record: Record, columns: list[str], findings: int) -> Record:
        """Return the record as not labelled if all objects of an image were dropped: it is not reviewed and empty."""
        empty = [name for name in columns if record.values.get(name) == ()]
        if not empty or len(self._report) == findings:
            return record
        is_lost = any(
            finding.action is FindingType.DROPPED and finding.key == record.key and finding.object_id
            for finding in self._report.latest(len(self._report) - findings)
        )
        return replace(record, values={**record.values, **dict.fromkeys(empty)}) if is_lost else record

    def _report_unread(self) -> None:
        source = self._source
        if source.is_file():
            if source.suffix.lower() not in _FOLDER_FILES:
                # One file was chosen; the others beside it were not.
                return
            source = source.parent
        tree = self._files.trees.get(source) or SourceTree(source)
        self._files.trees.clear()
        paths = ((file, str(tree.path(file))) for file in label_files(tree))
        report_unread(self._files.unread(paths), self._report)
