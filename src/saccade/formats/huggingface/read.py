"""Reading Hugging Face datasets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.frames import LabelFrame, read_image_size, to_size_wh
from saccade.formats._common.json import Json
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import UniqueKeys, replace_surrogates, strip_extension
from saccade.formats._common.per_image import PerImageReader
from saccade.formats._common.source_files import mark_read
from saccade.formats.base import InMemoryFile, Reader, Record, RecordStream
from saccade.formats.huggingface.metadata import FILE_NAME, is_metadata_file, iter_metadata
from saccade.formats.huggingface.parquet_files import find_image_column, read_class_names
from saccade.formats.huggingface.rows import SPLIT_ALIASES, RowReader

# Rows that are read together; each may contain an image.
_BATCH_ROWS = 64


class ImageFolderReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=("images", "data"), split_aliases=SPLIT_ALIASES)

    def open(self) -> RecordStream:
        files = list(filter(is_metadata_file, self.tree.files))
        if not files:
            message = f"There is no metadata.jsonl and no Parquet file with images below {self.tree.root}."
            raise FormatError(message)
        row_reader = RowReader(self.report)
        for file in files:
            folder = file.rpartition("/")[0]
            for row in iter_metadata(self.tree.path(file), self.report):
                labels = self.labels_for(str(row.get(FILE_NAME)), folder, location=file)
                if labels is None:
                    continue
                labels.raw, values = row_reader.read(row)
                labels.stated_wh = to_size_wh(row.get("width"), row.get("height"))
                labels.values.update(values)
                if isinstance(row.get(SPLIT), str):
                    labels.split = row[SPLIT]
        return self.stream(sorted(row_reader.classes), row_reader.objects, columns=row_reader.columns())


class ParquetReader(Reader):
    """Reads Parquet files that contain the images.

    A first pass over all columns but the images finds the schema.
    """

    def __init__(self, paths: list[Path], report: ConversionReport) -> None:
        self._paths = paths
        self._report = report

    def open(self) -> RecordStream:
        from pyarrow import parquet

        # What is wrong with rows is reported when they are read.
        row_reader = RowReader(ConversionReport())
        count = 0
        listed_classes: dict[str, None] = {}
        has_split = False
        for path in self._paths:
            mark_read(path)
            table = parquet.ParquetFile(path)
            class_names, label_names = read_class_names(table.schema_arrow)
            listed_classes.update(dict.fromkeys(class_names))
            count += table.metadata.num_rows
            column_names = table.schema_arrow.names
            has_split = has_split or _split_of(path) is not None or SPLIT in column_names
            image_column = find_image_column(path)
            for row in _iter_rows(table, [name for name in column_names if name != image_column]):
                row_reader.read(row, class_names, label_names)
        classes = [*listed_classes, *sorted(row_reader.classes.keys() - listed_classes.keys())]
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, classes)))]
        columns += row_reader.columns()
        if has_split:
            columns.append(Column(SPLIT, Kind.TEXT))
        return RecordStream(Schema(tuple(columns)), self._records(), count)

    def _records(self) -> Iterator[Record]:
        from pyarrow import parquet

        keys = UniqueKeys(self._report)
        row_reader = RowReader(self._report)
        for path in self._paths:
            table = parquet.ParquetFile(path)
            image_column = find_image_column(path)
            class_names, label_names = read_class_names(table.schema_arrow)
            file_split = _split_of(path)
            for number, row in enumerate(_iter_rows(table, table.schema_arrow.names), 1):
                image = row.pop(image_column) or {}
                data = image.get("bytes")
                if not isinstance(data, bytes):
                    self._report.add(FindingType.SKIPPED, "row without an image", detail=f"{path.name}, {number}")
                    continue
                fallback_key = f"{path.stem}-{number}"
                name = str(image.get("path") or fallback_key)
                raw_objects, values = row_reader.read(row, class_names, label_names)
                key = keys.claim(strip_extension(replace_surrogates(name.replace("\\", "/"))), fallback_key)
                media = InMemoryFile(name.rpartition("/")[2], data)
                stated_wh = to_size_wh(row.get("width"), row.get("height"))
                frame = LabelFrame.create(read_image_size(media), stated_wh, self._report, key)
                values["objects"] = None
                if raw_objects is not None:
                    objects = frame.to_image(tuple(row_reader.objects(raw_objects, key, frame.size_wh)))
                    report_duplicates(objects or (), key, self._report)
                    values["objects"] = objects
                split = row.get(SPLIT)
                if not isinstance(split, str):
                    split = file_split
                if split is not None:
                    values[SPLIT] = split
                yield Record(key, media, values, frame.image_wh)


def _iter_rows(table: Any, columns: list[str]) -> Iterator[Json]:
    for batch in table.iter_batches(_BATCH_ROWS, columns=columns):
        yield from batch.to_pylist()


def _split_of(path: Path) -> str | None:
    words = re.split(r"[^a-z]+", path.name.lower())
    return next((SPLIT_ALIASES[word] for word in words if word in SPLIT_ALIASES), None)
