"""TFRecord shards in the layout of TensorFlow's object detection, with a label map.

Read: every file that begins with a TFRecord, and ``*.pbtxt`` for the names of classes; the features
``image/encoded``, ``image/filename``, ``image/source_id``, ``image/object/bbox/*`` (shares of the sides),
``image/object/class/text`` or ``label``, ``image/object/is_crowd``, ``difficult``, ``truncated`` and ``score``. A
file named after train, val or test gives that split. A damaged file is set aside from the damage on. An example
without boxes is reviewed and empty, unless Saccade wrote that it is not labelled.

Written: ``SPLIT-00000-of-00001.record`` (as many shards as the option ``shards`` says, else one for every 500
images), and ``label_map.pbtxt`` with ids from 1 in the order of the classes, which stay what they are when classes
are added. The image keeps its own format. Coordinates are 32-bit floats in this format.

Source of the format: https://github.com/tensorflow/models/blob/master/research/object_detection (using your own
dataset).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.media import image_size_wh, record_size_wh
from saccade.formats._common.names import SPLIT, FolderNames
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    replace_surrogates,
    source_tree,
    strip_extension,
)
from saccade.formats._common.text import read_text
from saccade.formats.base import Detection, Format, Reader, Record, RecordStream, SizeWH, Writer
from saccade.formats.tfrecord.records import (
    Example,
    decode_example,
    encode_example,
    is_tfrecord,
    read_records,
    write_record,
)

_ITEM = re.compile(r"item\s*\{(.*?)\}", re.DOTALL)
_ENTRY = re.compile(r"""(\w+)\s*:\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(-?\d+))""")
_CORNERS = tuple(f"image/object/bbox/{name}" for name in ("xmin", "ymin", "xmax", "ymax"))
_FLAGS = {
    "image/object/is_crowd": "crowd",
    "image/object/difficult": "difficult",
    "image/object/truncated": "truncated",
}
_LABELLED = "saccade/labelled"
_SLACK = 1e-6
_IMAGES_PER_SHARD = 500


@dataclass(frozen=True)
class Options:
    """How to write.

    Attributes:
        shards: files for each split; 0 for one for every 500 images.
    """

    shards: int = 0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "shards", int(self.shards))
        except ValueError:
            raise FormatError(f"The option 'shards' may not be {self.shards!r}.", hint="Give a number.") from None
        if not 0 <= self.shards <= 99_999:
            raise FormatError(f"The option 'shards' may not be {self.shards}.", hint="Give 0 to 99999.")


@dataclass(frozen=True)
class InRecord:
    """An image that lies in a record."""

    name: str
    file: Path
    start: int
    length: int
    path: Path | None = None

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


class TfRecord(Format):
    name: ClassVar[str] = "tfrecord"
    title: ClassVar[str] = "TFRecord"
    supports: ClassVar[str] = "boxes; crowd, difficult, truncated; scores; labelled or not"

    def detect(self, source: Path) -> Detection:
        files = [source] if source.is_file() else [source / file for file in source_tree(source).files if _may_be(file)]
        found = next((file for file in files if is_tfrecord(file)), None)
        if found is None:
            return Detection(False, "there is no file that begins with a TFRecord")
        return Detection(True, f"{found.name} begins with a TFRecord")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder or one file."""
        parse_options(Options, options, "TFRecord")
        return TfRecordReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        return TfRecordWriter(schema, destination, report, parse_options(Options, options, "TFRecord"))


def read_label_map(text: str) -> dict[int, str]:
    """The names by id of a label map in protobuf's text format."""
    found = {}
    for item in _ITEM.findall(text):
        entries = {name: double or single or digits for name, double, single, digits in _ENTRY.findall(item)}
        name = entries.get("name") or entries.get("display_name")
        if name and re.fullmatch(r"-?\d+", entries.get("id", "")):
            found[int(entries["id"])] = replace_surrogates(_unescaped(name))
    return found


def _unescaped(text: str) -> str:
    named = {"n": "\n", "r": "\r", "t": "\t"}

    def plain(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code, 8)) if code[0].isdigit() else named.get(code, code)

    return re.sub(r"\\([0-7]{1,3}|.)", plain, text, flags=re.DOTALL)


def _escaped(text: str) -> str:
    def code(char: str) -> str:
        return f"\\{char}" if char in '"\\' else f"\\{ord(char):03o}" if ord(char) < 32 else char

    return "".join(map(code, text))


class TfRecordReader(Reader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._report = report
        self._names: dict[int, str] = {}
        if source.is_file():
            self._files, maps = [("", source)], sorted(source.parent.glob("*.pbtxt"))
        else:
            tree = SourceTree(source)
            tree.report_skipped(report)
            likely = filter(_may_be, tree.files)
            self._files = [(file, tree.path(file)) for file in likely if is_tfrecord(tree.path(file))]
            maps = [tree.path(file) for file in tree.files_below("", (".pbtxt",))]
        if not self._files:
            raise FormatError(f"There is no file below {source} that begins with a TFRecord.")
        for path in maps:
            self._names.update(read_label_map(read_text(path)))

    def open(self) -> RecordStream:
        names, count, splits = dict.fromkeys(self._names[at] for at in sorted(self._names)), 0, False
        for _, split, _, example, _, _ in self._examples(ConversionReport()):
            count += 1
            splits = splits or split is not None
            names.update(dict.fromkeys(name for name in self._classes(example) if name))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, names)))]
        columns += [Column(SPLIT, Kind.TEXT)] if splits else []
        return RecordStream(Schema(tuple(columns)), self._records(), count)

    def _examples(
        self, report: ConversionReport
    ) -> Iterator[tuple[str, str | None, Path, Example, tuple[int, int], int]]:
        """Key, split, file, features, and the place of the image, of every example that has an image."""
        keys = UniqueKeys(report)
        for name, path in self._files:
            split = _split_of(name or path.name)
            try:
                for number, (place, data) in enumerate(read_records(path), 1):
                    example, places = decode_example(data)
                    encoded = places.get("image/encoded")
                    if not encoded:
                        report.add(FindingType.SET_ASIDE, "example without an image", detail=f"{path.name}, {number}")
                        continue
                    start, end = encoded[0]
                    wish = _text(example, "image/source_id") or strip_extension(_text(example, "image/filename"))
                    key = keys.claim(wish or f"{strip_extension(path.name)}-{number}")
                    stated = _text(example, "saccade/split")
                    yield key, stated or split, path, example, (place + start, end - start), number
            except (FormatError, OSError) as error:
                report.add(FindingType.SET_ASIDE, "rest of a file that is damaged", detail=str(error))

    def _classes(self, example: Example) -> list[str]:
        texts = [
            one.decode(errors="replace") for one in example.get("image/object/class/text", []) if isinstance(one, bytes)
        ]
        if texts:
            return [replace_surrogates(text) for text in texts]
        numbers = example.get("image/object/class/label", [])
        return [self._names.get(int(one), f"class-{one}") for one in numbers if isinstance(one, int)]

    def _records(self) -> Iterator[Record]:
        for key, split, path, example, (start, length), _ in self._examples(self._report):
            name = _text(example, "image/filename").replace("\\", "/").rpartition("/")[2] or key
            media = InRecord(name, path, start, length)
            size = _size_of(media)
            values: dict[str, Any] = {"objects": None}
            if example.get(_LABELLED, [1]) != [0]:
                objects = tuple(self._objects(example, key, size))
                report_duplicates(objects, key, self._report)
                values["objects"] = objects
            if split is not None:
                values[SPLIT] = split
            yield Record(key, media, values, size)

    def _objects(self, example: Example, key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        names, corners = self._classes(example), [_numbers(example, name) for name in _CORNERS]
        scores = _numbers(example, "image/object/score")
        flags = {word: _numbers(example, name) for name, word in _FLAGS.items()}
        width, height = size_wh or (math.nan, math.nan)
        for at in range(max(map(len, corners))):
            object_id = str(at + 1)
            if at >= len(names) or not names[at]:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            x1, y1, x2, y2 = (side[at] if at < len(side) else math.nan for side in corners)
            xyxy = (x1 * width, y1 * height, x2 * width, y2 * height)
            box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, tolerance=_SLACK)
            if box is None:
                continue
            attributes: dict[str, AttributeValue] = {
                word: True for word, given in flags.items() if at < len(given) and given[at] > 0
            }
            score = scores[at] if at < len(scores) and scores[at] >= 0 else None
            yield Object(object_id, names[at], box, score, None, attributes)


def _may_be(name: str) -> bool:
    """Whether a file of that name may hold records; of many images not each is opened."""
    return not is_image_name(name) and not name.lower().endswith((".json", ".xml", ".txt", ".csv", ".pbtxt"))


def _split_of(name: str) -> str | None:
    words = re.split(r"[^a-z]+", strip_extension(name).lower())
    return next((word for word in words if word in SPLIT_NAMES), None)


def _text(example: Example, name: str) -> str:
    found = example.get(name) or [b""]
    return replace_surrogates(found[0].decode(errors="replace")) if isinstance(found[0], bytes) else str(found[0])


def _numbers(example: Example, name: str) -> list[float]:
    return [float(one) for one in example.get(name, []) if not isinstance(one, bytes)]


def _size_of(media: InRecord) -> SizeWH | None:
    try:
        return image_size_wh(media.read())
    except (SaccadeError, OSError):
        return None


class TfRecordWriter(Writer):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport, options: Options) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._classes = ClassIndex(self._columns.labels)
        self._destination, self._report, self._options = destination, report, options
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._names = FolderNames(report, "split")
        self._written: dict[str | None, int] = {}

    def add(self, record: Record) -> None:
        # How many shards there are stands in the name of each, so they are written one by one and named at the end.
        self._columns.count_dropped(record)
        example = self._example(record)
        if example is not None:
            split = self._columns.split_of(record)
            number = self._written.get(split, 0)
            self._written[split] = number + 1
            with self._partial(split, self._shard(number)).open("ab") as file:
                write_record(file, encode_example(example))

    def _finish(self) -> None:
        self._name_shards()
        items = "".join(
            f'item {{\n  id: {number + 1}\n  name: "{_escaped(name)}"\n}}\n'
            for name, number in self._classes.indices.items()
        )
        (self._destination / "label_map.pbtxt").write_text(items, encoding="utf-8")
        self._losses.report()
        self._columns.report_dropped()

    def _shard(self, number: int) -> int:
        return number % self._options.shards if self._options.shards else number // _IMAGES_PER_SHARD

    def _partial(self, split: str | None, shard: int) -> Path:
        name = "data" if split is None else self._names.get(split)
        return self._destination / f"{name}.{'' if split is None else 's'}{shard}.partial"

    def _name_shards(self) -> None:
        for split, count in self._written.items():
            used = sorted({self._shard(number) for number in range(count)})
            name = "all" if split is None else self._names.get(split)
            for at, shard in enumerate(used):
                final = self._destination / f"{name}-{at:05}-of-{len(used):05}.record"
                while final.exists():
                    final = final.with_name(f"_{final.name}")
                self._partial(split, shard).replace(final)
        if not self._written:
            (self._destination / "all-00000-of-00001.record").touch()

    def _example(self, record: Record) -> dict[str, Any] | None:
        size = record_size_wh(record)
        try:
            data = record.media.read() if record.media else None
        except (OSError, SaccadeError) as error:
            self._report.add(FindingType.SET_ASIDE, "image file that cannot be read", key=record.key, detail=str(error))
            return None
        if data is None or size is None:
            self._report.add(FindingType.SET_ASIDE, "item without an image file", key=record.key)
            return None
        assert record.media is not None
        objects = self._columns.labels_of(record)
        key = record.key.encode()
        example: dict[str, Any] = {
            "image/encoded": [data],
            "image/filename": [record.media.name.encode()],
            "image/source_id": [key],
            "image/format": [_format_of(data)],
            "image/width": [size[0]],
            "image/height": [size[1]],
        }
        split = self._columns.split_of(record)
        if split is not None:
            example["saccade/split"] = [split.encode()]
        if objects is None:
            example[_LABELLED] = [0]
        return example | self._features(objects or (), record.key, size)

    def _features(self, objects: Sequence[Object], key: str, size: tuple[int, int]) -> dict[str, list[Any]]:
        texts: list[bytes] = []
        found: dict[str, list[Any]] = {name: [] for name in (*_CORNERS, "image/object/score", *_FLAGS)}
        labels: list[int] = []
        for position, one in enumerate(objects, 1):
            self._losses.count(key, one, position)
            bounds = self._losses.bounds_xyxy(key, one)
            if bounds is None:
                continue
            for name, side, whole in zip(_CORNERS, bounds, (*size, *size), strict=True):
                found[name].append(float(side / whole))
            for name, word in _FLAGS.items():
                found[name].append(int(one.attributes.get(word) is True))
            found["image/object/score"].append(-1.0 if one.score is None else float(one.score))
            for name, value in one.attributes.items():
                if name not in _FLAGS.values() or value is not True:
                    self._drop("attribute", key, one, f"{name} = {value!r}")
            if one.score is not None and one.score < 0:
                self._drop("score", key, one, str(one.score))
            texts.append(one.class_name.encode())
            labels.append(self._classes.index_of(one.class_name) + 1)
        if all(score < 0 for score in found["image/object/score"]):
            del found["image/object/score"]
        return {**found, "image/object/class/text": texts, "image/object/class/label": labels}

    def _drop(self, reason: str, key: str, found: Object, detail: str) -> None:
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=found.id, detail=detail)


def _format_of(data: bytes) -> bytes:
    for start, name in ((b"\xff\xd8", b"jpeg"), (b"\x89PNG", b"png"), (b"GIF8", b"gif"), (b"BM", b"bmp")):
        if data.startswith(start):
            return name
    return b"webp" if data[8:12] == b"WEBP" else b"tiff"


FORMAT = TfRecord()
