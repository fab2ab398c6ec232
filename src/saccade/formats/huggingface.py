"""Hugging Face datasets: an image folder with metadata, or Parquet files that hold the images.

Read: ``metadata.jsonl`` or ``metadata.csv`` beside the images they name (``file_name``), and Parquet files with a
column of images; ``objects`` with ``bbox`` (x, y, width, height) and ``category`` (or categories, label, labels,
class, name), as lists or as a list of objects, and ``label``. Numbers of classes get their names from the features in
the Parquet file. What else stands there is kept in a column ``metadata``. Folders and files named after train,
validation and test are splits. An image without ``objects``, or with none stated, is not labelled.

Written: with ``--option layout=imagefolder`` (the default) the images with a ``metadata.jsonl`` for each split, or
with ``layout=parquet`` a Parquet file for each split; ids, scores, tracks and attributes (as JSON) stand beside the
boxes.

Source of the format: https://huggingface.co/docs/datasets (image_dataset, object_detection).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.json import Json, to_float
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.media import try_image_size_wh
from saccade.formats._common.names import SPLIT
from saccade.formats._common.options import check_choice, parse_options
from saccade.formats._common.paths import SourceTree, UniqueKeys, replace_surrogates, source_tree, strip_extension
from saccade.formats._common.per_image import ImageLabels, PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.text import read_csv_records, read_lines
from saccade.formats.base import Detection, Format, Reader, Record, RecordStream, SizeWH, Writer

_METADATA = ("metadata.jsonl", "metadata.csv")
_CATEGORIES = ("category", "categories", "label", "labels", "class", "classes", "name", "class_name", "category_id")
_FILE = "file_name"
_EXTRAS = "metadata"
_SPLITS = {"train": "train", "validation": "val", "val": "val", "valid": "val", "dev": "val", "test": "test"}
_FOLDERS = {"train": "train", "val": "validation", "test": "test"}
_BATCH = 64
_LAYOUTS = ("imagefolder", "parquet")


@dataclass(frozen=True)
class Options:
    """How to write.

    Attributes:
        layout: imagefolder or parquet.
    """

    layout: str = "imagefolder"

    def __post_init__(self) -> None:
        check_choice("layout", self.layout, _LAYOUTS)


@dataclass(frozen=True)
class InTable:
    """An image that a table holds."""

    name: str
    data: bytes
    path: Path | None = None

    def read(self) -> bytes:
        return self.data


class HuggingFace(Format):
    name: ClassVar[str] = "huggingface"
    title: ClassVar[str] = "Hugging Face datasets"
    supports: ClassVar[str] = "boxes; scores, tracks, attributes; a label of the image; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(source.suffix == ".parquet" and _image_column(source) != "", f"{source.name} is a file")
        tree = source_tree(source)
        found = next(
            (file for file in tree.files if file.rpartition("/")[2] in _METADATA and _names_files(source / file)), ""
        )
        if found:
            return Detection(True, f"{found} has {_FILE}")
        for file in tree.files_below("", (".parquet",)):
            if column := _image_column(source / file):
                return Detection(True, f"{file} has the images in '{column}'")
        return Detection(False, f"there is no metadata.jsonl with {_FILE} and no Parquet file with images")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder or one Parquet file."""
        parse_options(Options, options, "Hugging Face")
        files = (
            [source]
            if source.is_file()
            else [source / file for file in SourceTree(source).files_below("", (".parquet",))]
        )
        tables = [file for file in files if _image_column(file)]
        return ParquetReader(tables, report) if tables else ImageFolderReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        chosen = parse_options(Options, options, "Hugging Face")
        return HuggingFaceWriter(schema, destination, report, chosen.layout)


def _names_files(path: Path) -> bool:
    first = next(iter(_metadata_rows(path, ConversionReport())), {})
    return isinstance(first.get(_FILE), str)


def _metadata_rows(path: Path, report: ConversionReport) -> Iterator[Json]:
    if path.suffix == ".csv":
        yield from (dict(row) for _, row in read_csv_records(path))
        return
    for number_, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield row
        else:
            report.add(FindingType.SET_ASIDE, "line that cannot be read", detail=f"{path.name}, {number_}")


def _split_of(path: str) -> str | None:
    words = re.split(r"[^a-z]+", path.lower())
    return next((_SPLITS[word] for word in words if word in _SPLITS), None)


class _Rows:
    """What rows say of images, whatever they come from."""

    def __init__(self, report: ConversionReport) -> None:
        self._report = report
        self.classes: dict[str, None] = {}
        self.labels: dict[str, None] = {}
        self.has_extras = False

    def values(self, row: Json, names: Sequence[str], labels: Sequence[str]) -> tuple[Any, dict[str, Any]]:
        """The raw objects (None where it is not labelled), and the other columns."""
        raw = _entries(row.get("objects"))
        for one in raw or ():
            one["class"] = _named(one.get("class"), names)
            self.classes.update({one["class"]: None} if one["class"] else {})
        extras = {name: value for name, value in row.items() if name not in ("objects", "label", _FILE, "image", SPLIT)}
        values: dict[str, Any] = {}
        if row.get("label") not in (None, ""):
            values["label"] = _named(row["label"], labels)
            self.labels[values["label"]] = None
        if extras := {name: value for name, value in extras.items() if value not in (None, "")}:
            values[_EXTRAS] = extras
            self.has_extras = True
        return raw, values

    def columns(self) -> list[Column]:
        found = [Column("label", Kind.LABEL, tuple(map(ClassInfo, self.labels)))] if self.labels else []
        return found + ([Column(_EXTRAS, Kind.TABLE)] if self.has_extras else [])

    def objects(self, raw: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        used: set[str] = set()
        for position, one in enumerate(raw, 1):
            object_id = str(one.get("id") or position)
            while object_id in used:
                object_id += "'"
            used.add(object_id)
            if not one["class"]:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            box = fit_box(_corners(one), size_wh, self._report, key=key, object_id=object_id)
            if box is not None:
                score, track = to_float(one.get("score")), one.get("track")
                yield Object(
                    object_id,
                    one["class"],
                    box,
                    score if math.isfinite(score) else None,
                    str(track) if track else None,
                    self._attributes(one, key, object_id),
                )

    def _attributes(self, one: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        given: Any = one.get("attributes")
        try:
            given = json.loads(given) if isinstance(given, str) else given
        except (ValueError, RecursionError):
            given = None
        known = ("bbox", "class", "id", "score", "track", "attributes", "box_xyxy")
        more = {name: value for name, value in one.items() if name not in known}
        found = {**more, **(given if isinstance(given, dict) else {})}
        plain = {name: value for name, value in found.items() if value is not None}
        return scalar_attributes(plain, self._report, key=key, object_id=object_id, finite=False)


def _corners(one: Json) -> tuple[float, float, float, float]:
    exact = one.get("box_xyxy")
    sides = exact if isinstance(exact, list) else one.get("bbox")
    if not isinstance(sides, list) or len(sides) != 4:
        return (math.nan,) * 4
    x, y, width, height = (to_float(side) for side in sides)
    return (x, y, width, height) if isinstance(exact, list) else (x, y, x + width, y + height)


def _entries(objects: Any) -> list[Json] | None:
    """Objects as a list of mappings, from that or from a mapping of lists."""
    if isinstance(objects, str):  # a cell of CSV
        try:
            objects = json.loads(objects) if objects.strip() else None
        except (ValueError, RecursionError):
            return None
    if isinstance(objects, list):
        made = [dict(one) for one in objects if isinstance(one, dict)]
    elif isinstance(objects, dict):
        columns = {name: value for name, value in objects.items() if isinstance(value, list)}
        count = max(map(len, columns.values()), default=0)
        made = [{name: value[at] for name, value in columns.items() if at < len(value)} for at in range(count)]
    else:
        return None
    for one in made:
        found = next((name for name in _CATEGORIES if name in one), None)
        one["class"] = None if found is None else one.pop(found)
    return made


def _named(value: Any, names: Sequence[str]) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return ""
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else f"class-{value}" if not names else ""
    return replace_surrogates(str(value))


class ImageFolderReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, containers=("images", "data"), split_aliases=_SPLITS)

    def open(self) -> RecordStream:
        rows = _Rows(self.report)
        files = [file for file in self.tree.files if file.rpartition("/")[2] in _METADATA]
        if not files:
            message = f"There is no metadata.jsonl and no Parquet file with images below {self.tree.root}."
            raise FormatError(message)
        for file in files:
            for row in _metadata_rows(self.tree.path(file), self.report):
                entry = self.labels_for(str(row.get(_FILE)), file.rpartition("/")[0], location=file)
                if entry is not None:
                    _fill(entry, row, rows)
        return self.stream(sorted(rows.classes), rows.objects, columns=rows.columns())


def _fill(entry: ImageLabels, row: Json, rows: _Rows) -> None:
    raw, values = rows.values(row, (), ())
    entry.raw = raw
    entry.values.update(values)
    if isinstance(row.get(SPLIT), str):
        entry.split = row[SPLIT]


def _image_column(path: Path) -> str:
    """The column of a Parquet file that holds images, "" where there is none."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (OSError, pa.ArrowException):
        return ""
    fields = (field for field in schema if pa.types.is_struct(field.type))
    return next((field.name for field in fields if field.type.get_field_index("bytes") >= 0), "")


class ParquetReader(Reader):
    """Reads Parquet files that hold the images."""

    def __init__(self, files: list[Path], report: ConversionReport) -> None:
        self._files, self._report = files, report

    def open(self) -> RecordStream:
        from pyarrow import parquet

        rows, count = _Rows(ConversionReport()), 0
        named: dict[str, None] = {}
        for path in self._files:
            table = parquet.ParquetFile(path)
            names, labels = _class_names(table.schema_arrow)
            named.update(dict.fromkeys(names))
            count += table.metadata.num_rows
            image = _image_column(path)
            for row in self._rows(table, [name for name in table.schema_arrow.names if name != image]):
                rows.values(row, names, labels)
        classes = (*named, *sorted(rows.classes.keys() - named.keys()))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, classes)))]
        columns += rows.columns()
        self._splits = [_split_of(path.name) for path in self._files]
        if any(self._splits) or any("split" in parquet.read_schema(path).names for path in self._files):
            columns.append(Column(SPLIT, Kind.TEXT))
        return RecordStream(Schema(tuple(columns)), self._records(), count)

    def _rows(self, table: Any, columns: list[str]) -> Iterator[Json]:
        for batch in table.iter_batches(_BATCH, columns=columns):
            yield from batch.to_pylist()

    def _records(self) -> Iterator[Record]:
        from pyarrow import parquet

        keys, rows = UniqueKeys(self._report), _Rows(self._report)
        for path, split in zip(self._files, self._splits, strict=True):
            table, image = parquet.ParquetFile(path), _image_column(path)
            names, labels = _class_names(table.schema_arrow)
            for number_, row in enumerate(self._rows(table, table.schema_arrow.names), 1):
                held = row.pop(image) or {}
                data, name = held.get("bytes"), str(held.get("path") or f"{path.stem}-{number_}")
                if not isinstance(data, bytes):
                    self._report.add(FindingType.SET_ASIDE, "row without an image", detail=f"{path.name}, {number_}")
                    continue
                raw, values = rows.values(row, names, labels)
                key = keys.claim(strip_extension(replace_surrogates(name.replace("\\", "/"))), f"{path.stem}-{number_}")
                size = try_image_size_wh(data)
                if raw is not None:
                    values["objects"] = tuple(rows.objects(raw, key, size))
                    report_duplicates(values["objects"], key, self._report)
                stated = row.get(SPLIT)
                if isinstance(stated, str) or split is not None:
                    values[SPLIT] = stated if isinstance(stated, str) else split
                yield Record(key, InTable(name.rpartition("/")[2], data), {"objects": None, **values}, size)


def _class_names(schema: Any) -> tuple[list[str], list[str]]:
    """The names of classes of objects and of labels, from the features that Hugging Face notes in a file."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return _names_in(features.get("objects")), _names_in(features.get("label"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return [], []


def _names_in(feature: Any) -> list[str]:
    if isinstance(feature, list):
        return next((found for one in feature if (found := _names_in(one))), [])
    if not isinstance(feature, dict):
        return []
    if isinstance(feature.get("names"), list):
        return [replace_surrogates(str(name)) for name in feature["names"]]
    return next((found for one in feature.values() if (found := _names_in(one))), [])


class HuggingFaceWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport, layout: str) -> None:
        self._parquet = layout == "parquet"
        super().__init__(
            schema,
            destination,
            report,
            folder=".images" if self._parquet else "",
            split_folders="custom",
            extra={"label": Kind.LABEL, _EXTRAS: Kind.TABLE},
            reserved=(*_SPLITS, "images", "data"),
        )
        self._losses = LossCounter(report, attributes=True, tracks=True, scores=True)
        self._files: dict[str, Any] = {}

    def write_labels(self, one: WrittenImage) -> None:
        row: Json = {"objects": None if one.objects is None else self._objects(one.objects, one.key)}
        for name in self.columns.extra:
            if one.record.values.get(name) is not None:
                row[name] = one.record.values[name]
        if one.split is not None:
            row[SPLIT] = one.split
        self._add(row, one.image_path, one.split)

    def _finish(self) -> None:
        super()._finish()
        if not self._files and not self._parquet:
            (self.destination / "metadata.jsonl").touch()
        if self._parquet:
            for path in sorted((self.destination / ".images").rglob("*"), reverse=True):
                path.rmdir()
            if (self.destination / ".images").is_dir():
                (self.destination / ".images").rmdir()
            if not self._files:
                self._parquet_file("all")
        self.classes.report_unlisted(self.report)

    def _objects(self, objects: Sequence[Object], key: str) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {
            name: [] for name in ("id", "bbox", "box_xyxy", "category", "score", "track", "attributes")
        }
        for position, found in enumerate(objects, 1):
            self._losses.count(key, found, position)
            bounds = self._losses.bounds_xyxy(key, found)
            if bounds is None:
                continue
            self.classes.index_of(found.class_name)
            x1, y1, x2, y2 = bounds
            cells = (
                found.id,
                [x1, y1, x2 - x1, y2 - y1],
                list(bounds),
                found.class_name,
                found.score,
                found.track,
                json.dumps(dict(found.attributes), ensure_ascii=False) if found.attributes else None,
            )
            for name, cell in zip(columns, cells, strict=True):
                columns[name].append(cell)
        return columns

    def _add(self, row: Json, image: str, split: str | None) -> None:
        word = _FOLDERS.get(split or "", "all")
        if not self._parquet:
            path = self.destination / "metadata.jsonl"
            file = self._files.get("") or self._open_files.enter_context(path.open("w", encoding="utf-8", newline="\n"))
            self._files[""] = file
            file.write(json.dumps({_FILE: image, **row}, ensure_ascii=False) + "\n")
            return
        held = self.destination / image
        row["image"] = {"bytes": held.read_bytes(), "path": image.removeprefix(".images/")}
        held.unlink()
        if isinstance(row.get(_EXTRAS), Mapping | list):
            row[_EXTRAS] = json.dumps(row[_EXTRAS], ensure_ascii=False)
        self._parquet_file(word).write_table(_table(row))

    def _parquet_file(self, word: str) -> Any:
        from pyarrow import parquet

        if word not in self._files:
            folder = self.destination / "data"
            folder.mkdir(exist_ok=True)
            path = folder / f"{word}-00000-of-00001.parquet"
            self._files[word] = self._open_files.enter_context(parquet.ParquetWriter(path, _schema()))
        return self._files[word]


def _schema() -> Any:
    import pyarrow as pa

    texts, numbers = pa.list_(pa.string()), pa.list_(pa.list_(pa.float64()))
    objects = pa.struct(
        {
            "id": texts,
            "bbox": numbers,
            "box_xyxy": numbers,
            "category": texts,
            "score": pa.list_(pa.float64()),
            "track": texts,
            "attributes": texts,
        }
    )
    columns = {
        "image": pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        "objects": objects,
        "label": pa.string(),
        _EXTRAS: pa.string(),
        SPLIT: pa.string(),
    }
    features = {"image": {"_type": "Image"}}
    return pa.schema(columns).with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _table(row: Json) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([row], schema=_schema())


FORMAT = HuggingFace()
