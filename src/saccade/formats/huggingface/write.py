"""Writing Hugging Face datasets."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.objects import Object
from saccade.core.report import ConversionReport
from saccade.core.schema import Kind, Schema
from saccade.formats._common.json import Json
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.names import SPLIT
from saccade.formats._common.options import check_choice
from saccade.formats._common.per_image import PerImageWriter, WrittenImage
from saccade.formats.huggingface.metadata import FILE_NAME
from saccade.formats.huggingface.parquet_files import table_schema
from saccade.formats.huggingface.rows import METADATA, SPLIT_ALIASES

_FILE_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_OBJECT_FIELDS = ("id", "bbox", "box_xyxy", "category", "score", "track", "attributes")
# Images lie here until they are in a Parquet file.
_TEMPORARY_FOLDER = ".images"


@dataclass(frozen=True)
class HuggingFaceWriteOptions:
    """How to write.

    Attributes:
        layout: imagefolder or parquet.
    """

    layout: str = "imagefolder"

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, ("imagefolder", "parquet"))


class _RowWriter(PerImageWriter):
    """Base class of the writers: builds a row for each image."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport, *, folder: str) -> None:
        super().__init__(
            schema,
            destination,
            report,
            folder=folder,
            split_folders="custom",
            extra={"label": Kind.LABEL, METADATA: Kind.TABLE},
            reserved=(*SPLIT_ALIASES, "images", "data"),
        )
        self._losses = LossCounter(report, attributes=True, tracks=True, scores=True)

    @abstractmethod
    def _write_row(self, row: Json, image: WrittenImage) -> None: ...

    def write_labels(self, image: WrittenImage) -> None:
        row: Json = {"objects": None if image.objects is None else self._objects(image.objects, image.key)}
        # Sorted, so that files do not differ between runs: the names are a set.
        for name in sorted(self.columns.extra):
            value = image.record.values.get(name)
            if value is not None:
                row[name] = value
        if image.split is not None:
            row[SPLIT] = image.split
        self._write_row(row, image)

    def _finish(self) -> None:
        super()._finish()
        self.classes.report_unlisted(self.report)

    def _objects(self, objects: Sequence[Object], key: str) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {name: [] for name in _OBJECT_FIELDS}
        for position, obj in enumerate(objects, 1):
            self._losses.count(key, obj, position)
            bounds = self._losses.bounds_xyxy(key, obj)
            if bounds is None:
                continue
            self.classes.index_of(obj.class_name)
            x1, y1, x2, y2 = bounds
            columns["id"].append(obj.id)
            columns["bbox"].append([x1, y1, x2 - x1, y2 - y1])
            columns["box_xyxy"].append(list(bounds))
            columns["category"].append(obj.class_name)
            columns["score"].append(obj.score)
            columns["track"].append(obj.track)
            attributes = json.dumps(dict(obj.attributes), ensure_ascii=False) if obj.attributes else None
            columns["attributes"].append(attributes)
        return columns


class ImageFolderWriter(_RowWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, folder="")
        path = destination / "metadata.jsonl"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8", newline="\n"))

    def _write_row(self, row: Json, image: WrittenImage) -> None:
        self._file.write(json.dumps({FILE_NAME: image.image_path, **row}, ensure_ascii=False) + "\n")


class ParquetWriter(_RowWriter):
    """Writes one file for each of train, validation and test, and one for all other images."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, folder=_TEMPORARY_FOLDER)
        self._parquet_files: dict[str, Any] = {}

    def _write_row(self, row: Json, image: WrittenImage) -> None:
        import pyarrow as pa

        path = self.destination / image.image_path
        row["image"] = {"bytes": path.read_bytes(), "path": image.image_path.removeprefix(f"{_TEMPORARY_FOLDER}/")}
        path.unlink()
        if isinstance(row.get(METADATA), Mapping | list):
            row[METADATA] = json.dumps(row[METADATA], ensure_ascii=False)
        file = self._parquet_file(_FILE_SPLITS.get(image.split or "", "all"))
        file.write_table(pa.Table.from_pylist([row], schema=table_schema()))

    def _finish(self) -> None:
        super()._finish()
        temporary_folder = self.destination / _TEMPORARY_FOLDER
        for folder in sorted(temporary_folder.rglob("*"), reverse=True):
            folder.rmdir()
        if temporary_folder.is_dir():
            temporary_folder.rmdir()
        if not self._parquet_files:
            self._parquet_file("all")

    def _parquet_file(self, file_split: str) -> Any:
        from pyarrow import parquet

        if file_split not in self._parquet_files:
            folder = self.destination / "data"
            folder.mkdir(exist_ok=True)
            path = folder / f"{file_split}-00000-of-00001.parquet"
            writer = self._open_files.enter_context(parquet.ParquetWriter(path, table_schema()))
            self._parquet_files[file_split] = writer
        return self._parquet_files[file_split]
