"""CSV: a table with a row for each box.

Read: files with a header that has usual names for the image (``image``, ``filename``, ``file``, ``path`` …), the class
(``class``, ``label``, ``name``, ``category`` …) and the corners (``xmin``, ``ymin``, ``xmax``, ``ymax``, or ``x1`` … or
``left`` … or ``x``, ``y``, ``w``, ``h``), and optionally split, score, id and track; any further column becomes an
attribute. Also files without a header in the two usual orders: ``path,x1,y1,x2,y2,class`` (RetinaNet), in which an
image with empty cells is reviewed and empty, and ``set,path,label,x1,y1,,,x2,y2,,`` (AutoML, corners as shares of the
sides). Several files are read together; a file named after train, val or test gives that split. An image without a row
is not labelled yet.

Written: ``annotations.csv`` with the columns image, width, height, class, xmin, ymin, xmax, ymax, split, id, score,
track and attributes (as JSON), and the images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, BoundsXYXY, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.attributes import claim_object_id, scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_NAMES, is_image_name, source_tree
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import format_csv_row, parse_float, read_csv_header, read_csv_rows
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "img_path", "image_id", "img"),
    "class": ("class", "label", "name", "category", "class_name", "labelname"),
    "split": ("split", "set", "subset", "ml_use"),
    "score": ("score", "confidence"),
    "id": ("id", "object_id"),
    "track": ("track", "track_id"),
    "attributes": ("attributes",),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
}
"""Names in use for each column, the preferred first."""
_XYXY_NAMES = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_XYWH_NAMES = (
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
)
_AUTOML_SPLITS = {
    "TRAIN": "train",
    "TRAINING": "train",
    "VALIDATE": "val",
    "VALIDATION": "val",
    "TEST": "test",
    "UNASSIGNED": None,
}
_AUTOML_CORNERS = (3, 4, 7, 8)
_HEADER = (
    "image",
    "width",
    "height",
    "class",
    "xmin",
    "ymin",
    "xmax",
    "ymax",
    "split",
    "id",
    "score",
    "track",
    "attributes",
)
# Between image, width and height in front, and the split: class, four corners and four fields of an object.
_EMPTY_OBJECT: tuple[None, ...] = (None,) * 9
_NAN_XYXY: BoundsXYXY = (math.nan, math.nan, math.nan, math.nan)


class _Row(NamedTuple):
    """A row of a table.

    Attributes:
        name: the class.
        xyxy: the corners; empty for an image without objects.
        location: line of the file, for the report.
        is_relative: whether the corners are shares of the image's sides.
        fields: score, id, track and attributes as text; under "" a JSON object of the further columns.
        stated_wh: size of the image that the row states, if any.
    """

    image: str
    name: str
    xyxy: Sequence[float]
    location: str
    split: str | None = None
    is_relative: bool = False
    fields: Mapping[str, str] | None = None
    stated_wh: SizeWH | None = None


@dataclass(frozen=True)
class _Columns:
    """Indices of the columns of a table with a header.

    Attributes:
        by_field: index by the keys of ``_COLUMN_NAMES``.
        box: indices of the four columns of the box.
        is_xywh: whether these are corner and size; otherwise two corners.
        further: indices of the other columns by name.
    """

    by_field: Mapping[str, int]
    box: Sequence[int]
    is_xywh: bool
    further: Mapping[str, int]


_Layout = _Columns | Literal["retinanet", "automl"]


class Csv(Format):
    name: ClassVar[str] = "csv"
    title: ClassVar[str] = "CSV"
    supports: ClassVar[str] = "boxes; scores, tracks, attributes, splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and CSV is read from a folder")
        files = list(source_tree(source).files_below("", (".csv",)))
        if not files:
            return Detection(False, "there is no CSV file in it")
        for file in files:
            if _detect_layout(source / file) is not None:
                return Detection(True, f"{file} has images, classes and corners")
        return Detection(False, f"{files[0]} has no columns for image, class and corners")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "CSV")
        return CsvReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "CSV")
        return CsvWriter(schema, destination, report)


class CsvReader(PerImageReader):
    def open(self) -> RecordStream:
        names: set[str] = set()
        layouts = {file: _detect_layout(self.tree.path(file)) for file in self.tree.files_below("", (".csv",))}
        if not any(layouts.values()):
            raise FormatError(f"No CSV file below {self.tree.root} has columns for image, class and corners.")
        for file, layout in layouts.items():
            if layout is None:
                continue
            for row in _read_rows(self.tree.path(file), layout):
                location = f"{file}, {row.location}"
                labels = self.labels_for(row.image, file.rpartition("/")[0], location=location)
                if labels is None:
                    continue
                labels.raw = labels.raw or []
                if row.xyxy or row.name:
                    labels.raw.append(row)
                labels.split = labels.split or row.split or _split_of_file(file)
                labels.stated_wh = labels.stated_wh or row.stated_wh
                if row.name:
                    names.add(row.name)
        return self.stream(sorted(names), self._objects)

    def _objects(self, rows: Sequence[Sequence[Any]], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used_ids: set[str] = set()
        # Rows that were on disk come back as lists.
        for position, row in enumerate(starmap(_Row, rows), 1):
            fields = row.fields or {}
            object_id = claim_object_id(fields.get("id") or str(position), used_ids)
            if not row.name:
                reason = "object without a class"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=row.location)
                continue
            xyxy = _to_pixels(row, size_wh)
            box = fit_box(xyxy, size_wh, self.report, key=key, object_id=object_id)
            if box is None:
                continue
            score = parse_float(fields.get("score"))
            yield Object(
                object_id,
                row.name,
                box,
                score if math.isfinite(score) else None,
                fields.get("track") or None,
                self._attributes(fields, key, object_id),
            )

    def _attributes(self, fields: Mapping[str, str], key: str, object_id: str) -> dict[str, AttributeValue]:
        further: dict[str, AttributeValue] = dict(json.loads(fields.get("", "{}")))
        try:
            attributes = json.loads(fields.get("attributes") or "{}")
        except (ValueError, RecursionError):
            attributes = None
        if not isinstance(attributes, dict):
            reason = "attributes that are no JSON object"
            self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id)
            return further
        return further | scalar_attributes(attributes, self.report, key=key, object_id=object_id, finite=False)


def _to_pixels(row: _Row, size_wh: SizeWH | None) -> BoundsXYXY:
    x1, y1, x2, y2 = row.xyxy or _NAN_XYXY
    if not row.is_relative:
        return x1, y1, x2, y2
    width, height = size_wh or (math.nan, math.nan)
    return x1 * width, y1 * height, x2 * width, y2 * height


def _split_of_file(file: str) -> str | None:
    words = file.removesuffix(".csv").replace("_", "/").replace("-", "/").split("/")
    return next((word for word in words if word in SPLIT_NAMES), None)


def _detect_layout(path: Path) -> _Layout | None:
    """Return the layout of a table, or None if it is not a table of boxes."""
    first_row = read_csv_header(path)
    columns = _parse_header(first_row)
    if columns is not None:
        return columns
    if len(first_row) == 6 and is_image_name(first_row[0]) and all(map(_is_number_or_empty, first_row[1:5])):
        return "retinanet"
    if len(first_row) >= 9 and first_row[0].upper() in _AUTOML_SPLITS and is_image_name(first_row[1]):
        return "automl"
    return None


def _is_number_or_empty(cell: str) -> bool:
    return not cell.strip() or math.isfinite(parse_float(cell))


def _parse_header(header: Sequence[str]) -> _Columns | None:
    """Return the columns of a table, or None if image, class or box is missing."""
    # Reversed, so that the first of several columns of one name counts.
    index_by_name = {name.strip().lower().replace(" ", "_"): index for index, name in reversed(list(enumerate(header)))}
    by_field: dict[str, int] = {}
    for field, names in _COLUMN_NAMES.items():
        name = next((name for name in names if name in index_by_name), None)
        if name is not None:
            by_field[field] = index_by_name[name]
    box_names = next((names for names in (*_XYXY_NAMES, *_XYWH_NAMES) if index_by_name.keys() >= set(names)), None)
    if box_names is None or not {"image", "class"} <= by_field.keys():
        return None
    box = [index_by_name[name] for name in box_names]
    # "width" and "height" may be those of the box.
    by_field = {field: index for field, index in by_field.items() if index not in box}
    used = {*by_field.values(), *box}
    further = {name.strip(): index for index, name in enumerate(header) if index not in used and name.strip()}
    return _Columns(by_field, box, box_names in _XYWH_NAMES, further)


def _read_rows(path: Path, layout: _Layout) -> Iterator[_Row]:
    for number, cells in enumerate(read_csv_rows(path), 1):
        location = f"line {number}"
        if layout == "retinanet":
            if len(cells) >= 6:
                corners = tuple(map(parse_float, cells[1:5])) if any(cells[1:5]) else ()
                yield _Row(cells[0], cells[5].strip(), corners, location)
        elif layout == "automl":
            if len(cells) >= 9:
                corners = tuple(parse_float(cells[index]) for index in _AUTOML_CORNERS) if any(cells[3:9]) else ()
                split = _AUTOML_SPLITS.get(cells[0].upper())
                yield _Row(cells[1], cells[2].strip(), corners, location, split, is_relative=True)
        elif number > 1:
            assert isinstance(layout, _Columns)
            yield _parse_row(cells, layout, location)


def _parse_row(cells: Sequence[str], columns: _Columns, location: str) -> _Row:
    def cell(field: str) -> str:
        index = columns.by_field.get(field)
        return cells[index] if index is not None and index < len(cells) else ""

    texts = [cells[index] if index < len(cells) else "" for index in columns.box]
    corners: tuple[float, ...] = tuple(map(parse_float, texts)) if any(text.strip() for text in texts) else ()
    if corners and columns.is_xywh:
        x, y, width, height = corners
        corners = (x, y, x + width, y + height)
    further = {
        name: cells[index] for name, index in columns.further.items() if index < len(cells) and cells[index] != ""
    }
    fields = {field: cell(field) for field in ("score", "id", "track", "attributes")}
    fields[""] = json.dumps(further)
    stated_wh = to_size_wh(cell("width"), cell("height"))
    return _Row(
        cell("image"), cell("class"), corners, location, cell("split") or None, fields=fields, stated_wh=stated_wh
    )


class CsvWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, split_folders="custom")
        self._losses = LossCounter(report, attributes=True, tracks=True, scores=True)
        path = destination / "annotations.csv"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8", newline=""))
        self._file.write(format_csv_row(list(_HEADER)))

    def write_labels(self, image: WrittenImage) -> None:
        size_wh = image.size_wh or (None, None)
        if image.objects is None:
            if image.split is not None:
                self.report.add(FindingType.DROPPED, "split of an image that is not labelled", key=image.key)
            return
        rows = list(self._object_cells(image.objects, image.key)) or [_EMPTY_OBJECT]
        for name, x1, y1, x2, y2, *rest in rows:
            cells = [image.image_path, *size_wh, name, x1, y1, x2, y2, image.split, *rest]
            self._file.write(format_csv_row(cells))

    def _finish(self) -> None:
        super()._finish()
        self.classes.report_unlisted(self.report)

    def _object_cells(self, objects: Sequence[Object], key: str) -> Iterator[Sequence[object]]:
        for position, obj in enumerate(objects, 1):
            self._losses.count(key, obj, position)
            bounds = self._losses.bounds_xyxy(key, obj)
            if bounds is None:
                continue
            self.classes.index_of(obj.class_name)
            attributes = json.dumps(dict(obj.attributes), ensure_ascii=False) if obj.attributes else None
            yield obj.class_name, *bounds, obj.id, obj.score, obj.track, attributes


FORMAT = Csv()
