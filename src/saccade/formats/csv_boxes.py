"""CSV: a table with a row for each box.

Read: files with a heading whose names are among those in use for image (``image``, ``filename``, ``file``, ``path``
…), class (``class``, ``label``, ``name``, ``category`` …), corners (``xmin``, ``ymin``, ``xmax``, ``ymax``, or ``x1``
… or ``left`` … or ``x``, ``y``, ``w``, ``h``), and optionally split, score, id and track; any further column becomes
an attribute. And files without a heading in the two usual orders: ``path,x1,y1,x2,y2,class`` (RetinaNet), where an
image with empty cells is reviewed and empty, and ``set,path,label,x1,y1,,,x2,y2,,`` (AutoML, corners as shares of the
sides). Several files are read together; one named train, val or test gives that split. An image in no row is not
labelled.

Written: ``annotations.csv`` with the columns image, width, height, class, xmin, ymin, xmax, ymax, split, id, score,
track and attributes (as JSON), and the images.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_NAMES, is_image_name, source_tree
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import format_csv_row, parse_float, read_csv_rows
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_NAMES: Mapping[str, tuple[str, ...]] = {
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
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"), ("left", "top", "right", "bottom"))
_SIZES = (("x", "y", "w", "h"), ("left", "top", "width", "height"), ("bbox_x", "bbox_y", "bbox_width", "bbox_height"))
_AUTOML_SETS = {
    "TRAIN": "train",
    "TRAINING": "train",
    "VALIDATE": "val",
    "VALIDATION": "val",
    "TEST": "test",
    "UNASSIGNED": None,
}
HEADING = (
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


class _Row(NamedTuple):
    """A row: ``xyxy`` is empty for an image without objects; ``shares`` whether it is in shares of the sides."""

    image: str
    name: str
    xyxy: tuple[float, ...]
    place: str
    split: str | None = None
    shares: bool = False
    more: Mapping[str, str] | None = None


class Csv(Format):
    name: ClassVar[str] = "csv"
    title: ClassVar[str] = "CSV"
    supports: ClassVar[str] = "boxes; scores, tracks, attributes, splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and CSV is read from a folder")
        found = list(source_tree(source).files_below("", (".csv",)))
        if not found:
            return Detection(False, "there is no CSV file in it")
        for file in found:
            if _reader_of(source / file) is not None:
                return Detection(True, f"{file} has images, classes and corners")
        return Detection(False, f"{found[0]} has no columns for image, class and corners")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "CSV")
        return CsvReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "CSV")
        return CsvWriter(schema, destination, report)


class CsvReader(PerImageReader):
    def open(self) -> RecordStream:
        names: set[str] = set()
        files = [file for file in self.tree.files_below("", (".csv",)) if _reader_of(self.tree.path(file))]
        if not files:
            raise FormatError(f"No CSV file below {self.tree.root} has columns for image, class and corners.")
        for file in files:
            for row in _rows(self.tree.path(file)):
                entry = self.labels_for(row.image, file.rpartition("/")[0], location=f"{file}, {row.place}")
                if entry is not None:
                    entry.raw = entry.raw or []
                    entry.raw += [row] if row.xyxy or row.name else []
                    entry.split = entry.split or row.split or _split_of(file)
                    names.update([row.name] if row.name else [])
        return self.stream(sorted(names), lambda rows, key, size: _objects(rows, key, size, self.report))


class CsvWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, split_folders="custom")
        self._losses = LossCounter(report, attributes=True, tracks=True, scores=True)
        path = destination / "annotations.csv"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8", newline=""))
        self._file.write(format_csv_row(list(HEADING)))

    def write_labels(self, image: WrittenImage) -> None:
        size = image.size_wh or (None, None)
        if image.objects is None:
            if image.split is not None:
                self.report.add(FindingType.DROPPED, "split of an image that is not labelled", key=image.key)
            return
        rows = list(_written(image.objects, image.key, self._losses, self))
        for cells in rows or [[None] * 9]:
            name, corners, rest = cells[0], cells[1:5], cells[5:]
            self._file.write(format_csv_row([image.image_path, *size, name, *corners, image.split, *rest]))

    def _finish(self) -> None:
        super()._finish()
        self.classes.report_unlisted(self.report)


def _split_of(file: str) -> str | None:
    words = file.removesuffix(".csv").replace("_", "/").replace("-", "/").split("/")
    return next((word for word in words if word in SPLIT_NAMES), None)


def _reader_of(path: Path) -> Any:
    """What makes a row of cells a :class:`_Row`, or None for a file that is none of ours."""
    try:
        first = next(iter(read_csv_rows(path)), [])
    except OSError:
        return None
    columns = _columns(first)
    if columns is not None:
        return columns
    if len(first) == 6 and is_image_name(first[0]) and all(_numeric(cell) for cell in first[1:5]):
        return "retinanet"
    if len(first) >= 9 and first[0].upper() in _AUTOML_SETS and is_image_name(first[1]):
        return "automl"
    return None


def _numeric(cell: str) -> bool:
    return not cell.strip() or math.isfinite(parse_float(cell))


def _columns(heading: Sequence[str]) -> dict[str, Any] | None:
    """Which column holds what."""
    at = {name.strip().lower().replace(" ", "_"): place for place, name in reversed(list(enumerate(heading)))}
    found: dict[str, Any] = {what: at[name] for what, names in _NAMES.items() for name in reversed(names) if name in at}
    for what, groups in (("corners", _CORNERS), ("sizes", _SIZES)):
        for group in groups:
            if all(name in at for name in group):
                found.setdefault("place", (what, [at[name] for name in group]))
    if not {"image", "class", "place"} <= found.keys():
        return None
    used = {value for value in found.values() if isinstance(value, int)} | set(found["place"][1])
    found["more"] = {name.strip(): place for place, name in enumerate(heading) if place not in used and name.strip()}
    return found


def _rows(path: Path) -> Iterator[_Row]:
    reader = _reader_of(path)
    for number, cells in enumerate(read_csv_rows(path), 1):
        place = f"line {number}"
        if reader == "retinanet":
            if len(cells) >= 6:
                corners = tuple(map(parse_float, cells[1:5])) if any(cells[1:5]) else ()
                yield _Row(cells[0], cells[5].strip(), corners, place)
        elif reader == "automl":
            if len(cells) >= 9:
                corners = tuple(parse_float(cells[at]) for at in (3, 4, 7, 8)) if any(cells[3:9]) else ()
                yield _Row(cells[1], cells[2].strip(), corners, place, _AUTOML_SETS.get(cells[0].upper()), shares=True)
        elif number > 1:
            yield _row(cells, reader, place)


def _row(cells: Sequence[str], columns: Mapping[str, Any], place: str) -> _Row:
    def cell(what: str) -> str:
        at = columns.get(what)
        return cells[at] if at is not None and at < len(cells) else ""

    how, places = columns["place"]
    texts = [cells[at] if at < len(cells) else "" for at in places]
    corners: tuple[float, ...] = tuple(map(parse_float, texts)) if any(text.strip() for text in texts) else ()
    if corners and how == "sizes":
        corners = (corners[0], corners[1], corners[0] + corners[2], corners[1] + corners[3])
    more = {name: cells[at] for name, at in columns["more"].items() if at < len(cells) and cells[at] != ""}
    known = {what: cell(what) for what in ("score", "id", "track", "attributes")}
    return _Row(
        cell("image"), cell("class"), corners, place, cell("split") or None, False, {**known, "": json.dumps(more)}
    )


def _objects(
    rows: Sequence[Sequence[Any]], key: str, size_wh: SizeWH | None, report: ConversionReport
) -> Iterator[Object]:
    used: set[str] = set()
    for position, row in enumerate(starmap(_Row, rows), 1):
        more = row.more or {}
        object_id = more.get("id") or str(position)
        while object_id in used:
            object_id += "'"
        used.add(object_id)
        if not row.name:
            report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id, detail=row.place)
            continue
        xyxy = row.xyxy or (math.nan,) * 4
        if row.shares:
            width, height = size_wh or (math.nan, math.nan)
            xyxy = (xyxy[0] * width, xyxy[1] * height, xyxy[2] * width, xyxy[3] * height)
        box = fit_box((xyxy[0], xyxy[1], xyxy[2], xyxy[3]), size_wh, report, key=key, object_id=object_id)
        if box is not None:
            score = parse_float(more.get("score"))
            attributes = _attributes(more, key, object_id, report)
            track = more.get("track") or None
            yield Object(object_id, row.name, box, score if math.isfinite(score) else None, track, attributes)


def _attributes(
    more: Mapping[str, str], key: str, object_id: str, report: ConversionReport
) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] = dict(json.loads(more.get("", "{}")))
    try:
        given = json.loads(more.get("attributes") or "{}")
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        report.add(FindingType.DROPPED, "attributes that are no JSON object", key=key, object_id=object_id)
        return found
    return found | scalar_attributes(given, report, key=key, object_id=object_id, finite=False)


def _written(objects: Sequence[Object], key: str, losses: LossCounter, out: PerImageWriter) -> Iterator[list[object]]:
    for position, found in enumerate(objects, 1):
        losses.count(key, found, position)
        bounds = losses.bounds_xyxy(key, found)
        if bounds is None:
            continue
        out.classes.index_of(found.class_name)
        attributes = json.dumps(dict(found.attributes), ensure_ascii=False) if found.attributes else None
        yield [found.class_name, *bounds, found.id, found.score, found.track, attributes]


FORMAT = Csv()
