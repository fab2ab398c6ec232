"""Open Images: CSV tables of boxes in shares of the image's sides, with classes by machine ids.

Read: ``SPLIT-annotations-bbox.csv`` (also under other names, by their columns), the names of classes from
``class-descriptions*.csv``, images named after their ids, in one folder or a folder for each split. ``IsOccluded``,
``IsTruncated``, ``IsGroupOf``, ``IsDepiction`` and ``IsInside`` become attributes, ``IsGroupOf`` as ``crowd``. Labels
of images (``*-imagelabels*.csv``) that are confirmed become a column ``labels``. An image that is in no table is not
labelled yet; one that has labels of the image but no boxes is reviewed and empty.

Written: the same, with a generated machine id for each class, in tables train, validation and test; images of other
splits or without a split are in a table ``all``.

Source of the format: Kuznetsova et al., "The Open Images Dataset V4" (2020), and storage.googleapis.com/openimages.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.losses import LossCounter, report_unsized_objects
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree, strip_extension
from saccade.formats._common.per_image import ImageLabels, PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import format_csv_row, parse_float, read_csv_header, read_csv_records, read_csv_rows
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
_TABLE_NAMES = {"train": "train", "val": "validation", "test": "test"}
_FLAGS = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "crowd",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
_HEADER = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", *_FLAGS)
_BOX_COLUMNS = {"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"}
_LABEL_COLUMNS = {"ImageID", "LabelName", "Confidence"}
# Shares of the sides are rounded, and may exceed the image by this much.
_TOLERANCE = 1e-6
_CONTAINERS = ("images", "data")

Row = Mapping[str, str]


class OpenImages(Format):
    name: ClassVar[str] = "openimages"
    title: ClassVar[str] = "Open Images"
    supports: ClassVar[str] = "boxes with flags; labels of images; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Open Images is a folder")
        files = source_tree(source).files_below("", (".csv",))
        box_table = next((file for file in files if _read_header(source / file) >= _BOX_COLUMNS), None)
        if box_table is None:
            return Detection(False, "there is no CSV file with ImageID, LabelName and XMin")
        return Detection(True, f"{box_table} has ImageID, LabelName and XMin")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "Open Images")
        return OpenImagesReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Open Images")
        return OpenImagesWriter(schema, destination, report)


def _read_header(path: Path) -> set[str]:
    return {name.strip() for name in read_csv_header(path)}


class OpenImagesReader(PerImageReader):
    """Reads a folder.

    Raises:
        FormatError: if there is no table of boxes.
    """

    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=_CONTAINERS, split_aliases=_SPLITS)
        headers = {file: _read_header(self.tree.path(file)) for file in self.tree.files_below("", (".csv",))}
        self._box_tables = [file for file, header in headers.items() if header >= _BOX_COLUMNS]
        if not self._box_tables:
            raise FormatError(f"No CSV file below {source} has ImageID, LabelName and XMin.")
        self._label_tables = [
            file for file, header in headers.items() if header >= _LABEL_COLUMNS and not header >= _BOX_COLUMNS
        ]
        self._class_names: dict[str, str] = {}
        for file in headers:
            if "class-descriptions" in file:
                rows = read_csv_rows(self.tree.path(file))
                self._class_names.update((row[0], row[1]) for row in rows if len(row) > 1)
        # Newer files of descriptions have a header.
        self._class_names.pop("LabelName", None)

    def open(self) -> RecordStream:
        for file in self._box_tables:
            for _, row in read_csv_records(self.tree.path(file)):
                self._add_box(file, row)
        image_labels: set[str] = set()
        for file in self._label_tables:
            for _, row in read_csv_records(self.tree.path(file)):
                labels = self._labels_of_row(file, row)
                if labels is None:
                    continue
                labels.raw = labels.raw or []
                if parse_float(row.get("Confidence")) > 0:
                    name = self._class_name(row)
                    image_labels.add(name)
                    labels.values["labels"] = tuple(dict.fromkeys((*labels.values.get("labels", ()), name)))
        infos = tuple(map(ClassInfo, sorted(image_labels)))
        columns = [Column("labels", Kind.LABELS, infos)] if self._label_tables else []
        # First the classes that have a description, in its order, then those that only occur.
        return self.stream(dict.fromkeys(self._class_names.values()), self._objects, columns=columns)

    def _labels_of_row(self, file: str, row: Row) -> ImageLabels | None:
        labels = self.labels_for(row.get("ImageID", ""), file.rpartition("/")[0], location=file)
        if labels is not None and labels.split is None:
            labels.split = _SPLITS.get(file.rpartition("/")[2].partition("-")[0])
        return labels

    def _add_box(self, file: str, row: Row) -> None:
        labels = self._labels_of_row(file, row)
        if labels is None:
            return
        labels.raw = labels.raw or []
        # A row without a class says that the image was reviewed; see the writer.
        if row.get("LabelName"):
            self._class_names.setdefault(row["LabelName"], row["LabelName"])
            labels.raw.append(row)

    def _class_name(self, row: Row) -> str:
        machine_id = row.get("LabelName", "")
        return self._class_names.get(machine_id) or machine_id

    def _objects(self, rows: Sequence[Row], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        width, height = size_wh or (math.nan, math.nan)
        for position, row in enumerate(rows, 1):
            x1, x2, y1, y2 = (parse_float(row.get(name)) for name in ("XMin", "XMax", "YMin", "YMax"))
            corners = (x1 * width, y1 * height, x2 * width, y2 * height)
            box = fit_box(corners, size_wh, self.report, key=key, object_id=str(position), tolerance=_TOLERANCE)
            if box is None:
                continue
            flags: dict[str, AttributeValue] = {
                attribute: True for name, attribute in _FLAGS.items() if parse_float(row.get(name)) > 0
            }
            confidence = parse_float(row.get("Confidence"))
            # 1 means that a person drew the box.
            score = confidence if math.isfinite(confidence) and confidence != 1 else None
            yield Object(str(position), self._class_name(row), box, score, None, flags)


class OpenImagesWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        reserved = (*_SPLITS, *_CONTAINERS)
        super().__init__(schema, destination, report, folder="", split_folders="custom", reserved=reserved)
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._tables: dict[str, IO[str]] = {}

    def write_labels(self, image: WrittenImage) -> None:
        if image.split is not None and (image.split not in _TABLE_NAMES or image.objects is None):
            reason = (
                "split of an image that is not labelled"
                if image.objects is None
                else "split that is not train, val or test"
            )
            self.report.add(FindingType.DROPPED, reason, key=image.key, detail=image.split)
        if image.objects is None:
            return
        if image.size_wh is None:
            report_unsized_objects(image.objects, image.key, self.report)
        table = self._table(image.split)
        name = strip_extension(image.image_path)
        row_count = 0
        for position, obj in enumerate(image.objects, 1):
            self._losses.count(image.key, obj, position)
            bounds = self._losses.bounds_xyxy(image.key, obj)
            if bounds is None or image.size_wh is None:
                continue
            class_index = self.classes.index_of(obj.class_name)
            self._report_other_attributes(image.key, obj)
            if obj.score == 1:
                detail = "1 means that a person drew the box"
                self.report.add(FindingType.DROPPED, "score", key=image.key, object_id=obj.id, detail=detail)
            width, height = image.size_wh
            shares = (bounds[0] / width, bounds[2] / width, bounds[1] / height, bounds[3] / height)
            confidence = 1 if obj.score is None else obj.score
            flags = [int(obj.attributes.get(attribute) is True) for attribute in _FLAGS.values()]
            table.write(format_csv_row([name, "saccade", f"/s/{class_index}", confidence, *shares, *flags]))
            row_count += 1
        if not row_count:
            # A row without a class: the image was reviewed.
            table.write(format_csv_row([name, "saccade", *([None] * (len(_HEADER) - 2))]))

    def _report_other_attributes(self, key: str, obj: Object) -> None:
        for name, value in obj.attributes.items():
            if name not in _FLAGS.values() or value is not True:
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)

    def _finish(self) -> None:
        super()._finish()
        self._losses.report()
        if not self._tables:
            self._table(None)
        rows = ((f"/s/{index}", name) for name, index in self.classes.indices.items())
        text = "".join(format_csv_row(list(row)) for row in rows)
        (self.destination / "class-descriptions-boxable.csv").write_text(text, encoding="utf-8")

    def _table(self, split: str | None) -> IO[str]:
        name = _TABLE_NAMES.get(split or "", "all")
        if name not in self._tables:
            path = self.destination / f"{name}-annotations-bbox.csv"
            self._tables[name] = self._open_files.enter_context(path.open("w", encoding="utf-8", newline=""))
            self._tables[name].write(format_csv_row(list(_HEADER)))
        return self._tables[name]


FORMAT = OpenImages()
