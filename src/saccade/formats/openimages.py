"""Open Images: tables of boxes in shares of the image's sides, with classes by machine ids.

Read: ``SPLIT-annotations-bbox.csv`` (also under other names, by their columns), the names of classes from
``class-descriptions*.csv``, images named after their ids, in folders by split or in one. ``IsOccluded``,
``IsTruncated``, ``IsGroupOf``, ``IsDepiction`` and ``IsInside`` become attributes, ``IsGroupOf`` as ``crowd``. Labels
of whole images (``*-imagelabels*.csv``) that are confirmed become a column ``labels``. An image that no table names
is not labelled; one that has labels as a whole and no boxes is reviewed and empty.

Written: the same, with a machine id made for each class, in folders train, validation and test; other splits and none
in a folder of their own.

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
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import format_csv_row, parse_float, read_csv_records, read_csv_rows
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_SPLITS = {"train": "train", "validation": "val", "val": "val", "test": "test"}
_FOLDERS = {"train": "train", "val": "validation", "test": "test"}
_FLAGS = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "crowd",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
_HEADING = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", *_FLAGS)
_BOXES = {"ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"}
_LABELS = {"ImageID", "LabelName", "Confidence"}
_SLACK = 1e-6
_CONTAINERS = ("images", "data")
Row = Mapping[str, str]


class OpenImages(Format):
    name: ClassVar[str] = "openimages"
    title: ClassVar[str] = "Open Images"
    supports: ClassVar[str] = "boxes with flags; labels of whole images; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Open Images is a folder")
        files = list(source_tree(source).files_below("", (".csv",)))
        found = next((file for file in files if _heading(source / file) >= _BOXES), None)
        if found is None:
            return Detection(False, "there is no CSV file with ImageID, LabelName and XMin")
        return Detection(True, f"{found} has ImageID, LabelName and XMin")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "Open Images")
        return OpenImagesReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Open Images")
        return OpenImagesWriter(schema, destination, report)


def _heading(path: Path) -> set[str]:
    try:
        return {name.strip() for name in next(iter(read_csv_rows(path)), [])}
    except OSError:
        return set()


class OpenImagesReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=_CONTAINERS, split_aliases=_SPLITS)
        self._names: dict[str, str] = {}
        tables = {file: _heading(self.tree.path(file)) for file in self.tree.files_below("", (".csv",))}
        self._boxes = [file for file, heading in tables.items() if heading >= _BOXES]
        if not self._boxes:
            raise FormatError(f"No CSV file below {source} has ImageID, LabelName and XMin.")
        for file in tables:
            if "class-descriptions" in file:
                self._names.update((row[0], row[1]) for row in read_csv_rows(self.tree.path(file)) if len(row) > 1)
        self._names.pop("LabelName", None)
        self._whole = [file for file, heading in tables.items() if heading >= _LABELS and not heading >= _BOXES]

    def open(self) -> RecordStream:
        for file in self._boxes:
            for number, row in read_csv_records(self.tree.path(file)):
                self._add(file, number, row)
        confirmed: set[str] = set()
        for file in self._whole:
            for _, row in read_csv_records(self.tree.path(file)):
                entry = self._entry(file, row)
                if entry is None:
                    continue
                entry.raw = entry.raw or []
                if parse_float(row.get("Confidence")) > 0:
                    name = self._name(row)
                    confirmed.add(name)
                    entry.values["labels"] = tuple(dict.fromkeys((*entry.values.get("labels", ()), name)))
        infos = tuple(map(ClassInfo, sorted(confirmed)))
        columns = [Column("labels", Kind.LABELS, infos)] if self._whole else []
        # The classes that have a description, in its order, then those that only occur.
        return self.stream(dict.fromkeys(self._names.values()), self._objects, columns=columns)

    def _entry(self, file: str, row: Row) -> Any:
        entry = self.labels_for(row.get("ImageID", ""), file.rpartition("/")[0], location=file)
        if entry is not None and entry.split is None:
            word = file.rpartition("/")[2].partition("-")[0]
            entry.split = _SPLITS.get(word)
        return entry

    def _add(self, file: str, number: int, row: Row) -> None:
        entry = self._entry(file, row)
        if entry is None:
            return
        entry.raw = entry.raw or []
        if row.get("LabelName"):
            self._names.setdefault(row["LabelName"], row["LabelName"])
            entry.raw.append(row)

    def _name(self, row: Row) -> str:
        code = row.get("LabelName", "")
        return self._names.get(code) or code

    def _objects(self, rows: Sequence[Row], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        width, height = size_wh or (math.nan, math.nan)
        for position, row in enumerate(rows, 1):
            x1, x2, y1, y2 = (parse_float(row.get(name)) for name in ("XMin", "XMax", "YMin", "YMax"))
            corners = (x1 * width, y1 * height, x2 * width, y2 * height)
            box = fit_box(corners, size_wh, self.report, key=key, object_id=str(position), tolerance=_SLACK)
            if box is None:
                continue
            flags: dict[str, AttributeValue] = {
                word: True for name, word in _FLAGS.items() if parse_float(row.get(name)) > 0
            }
            score = parse_float(row.get("Confidence"))
            shown = score if math.isfinite(score) and score != 1 else None
            yield Object(str(position), self._name(row), box, shown, None, flags)


class OpenImagesWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        reserved = (*_SPLITS, *_CONTAINERS)
        super().__init__(schema, destination, report, folder="", split_folders="custom", reserved=reserved)
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._tables: dict[str, IO[str]] = {}

    def _table(self, split: str | None) -> IO[str]:
        word = _FOLDERS.get(split or "", "all")
        if word not in self._tables:
            path = self.destination / f"{word}-annotations-bbox.csv"
            self._tables[word] = self._open_files.enter_context(path.open("w", encoding="utf-8", newline=""))
            self._tables[word].write(format_csv_row(list(_HEADING)))
        return self._tables[word]

    def write_labels(self, one: WrittenImage) -> None:
        key, split, objects = one.key, one.split, one.objects
        if split is not None and (split not in _FOLDERS or objects is None):
            reason = (
                "split that is not train, val or test"
                if objects is not None
                else "split of an image that is not labelled"
            )
            self.report.add(FindingType.DROPPED, reason, key=key, detail=split)
        if objects is None:
            return
        table, name, written = self._table(split), strip_extension(one.image_path), 0
        for position, found in enumerate(objects, 1):
            self._losses.count(key, found, position)
            bounds = self._losses.bounds_xyxy(key, found)
            if bounds is None or one.size_wh is None:
                continue
            number = self.classes.index_of(found.class_name)
            flags = [int(found.attributes.get(word) is True) for word in _FLAGS.values()]
            self._drop_other(key, found)
            if found.score == 1:
                detail = "1 stands for a box that a person drew"
                self.report.add(FindingType.DROPPED, "score", key=key, object_id=found.id, detail=detail)
            width, height = one.size_wh
            shares = (bounds[0] / width, bounds[2] / width, bounds[1] / height, bounds[3] / height)
            score = 1 if found.score is None else found.score
            table.write(format_csv_row([name, "saccade", f"/s/{number}", score, *shares, *flags]))
            written += 1
        if not written:  # a row without a class: the image was looked at
            table.write(format_csv_row([name, "saccade", *([None] * (len(_HEADING) - 2))]))

    def _drop_other(self, key: str, found: Object) -> None:
        for name, value in found.attributes.items():
            if name not in _FLAGS.values() or value is not True:
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=found.id, detail=detail)

    def _finish(self) -> None:
        super()._finish()
        self._losses.report()
        if not self._tables:
            self._table_of_none()
        rows = ((f"/s/{number}", name) for name, number in self.classes.indices.items())
        text = "".join(format_csv_row(list(row)) for row in rows)
        (self.destination / "class-descriptions-boxable.csv").write_text(text, encoding="utf-8")

    def _table_of_none(self) -> None:
        path = self.destination / "all-annotations-bbox.csv"
        path.write_text(format_csv_row(list(_HEADING)), encoding="utf-8")


FORMAT = OpenImages()
