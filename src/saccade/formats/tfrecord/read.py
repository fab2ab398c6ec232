"""Reading TFRecord."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.frames import LabelFrame, read_image_size, to_size_wh
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    replace_surrogates,
    strip_extension,
)
from saccade.formats._common.text import read_text
from saccade.formats.base import Reader, Record, RecordStream, SizeWH
from saccade.formats.tfrecord.features import BOX_SIDES, CLASS_LABEL, CLASS_TEXT, FLAGS, LABELLED, SCORE, SPLIT_FEATURE
from saccade.formats.tfrecord.label_map import parse_label_map
from saccade.formats.tfrecord.records import Features, decode_example, is_tfrecord, read_records

# Share of a side by which a box may exceed the image, since coordinates are rounded to 32 bits.
_TOLERANCE = 1e-6
_OTHER_EXTENSIONS = (".json", ".xml", ".txt", ".csv", ".pbtxt")


@dataclass(frozen=True)
class EmbeddedImage:
    """An image inside a TFRecord file, by the range of its bytes."""

    name: str
    file: Path
    start: int
    length: int
    path: Path | None = None

    def read(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True)
class _Example:
    """A decoded example that has an image."""

    key: str
    split: str | None
    image: EmbeddedImage
    features: Features


class TfRecordReader(Reader):
    """Reads the examples twice: first for the classes and splits, and then for the records.

    Raises:
        FormatError: if there is no file that begins with a TFRecord.
    """

    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._report = report
        if source.is_file():
            self._files = [(source.name, source)]
            label_maps = sorted(source.parent.glob("*.pbtxt"))
        else:
            tree = SourceTree(source)
            tree.report_skipped(report)
            candidates = filter(is_candidate, tree.files)
            self._files = [(file, tree.path(file)) for file in candidates if is_tfrecord(tree.path(file))]
            label_maps = [tree.path(file) for file in tree.files_below("", (".pbtxt",))]
        if not self._files:
            raise FormatError(f"There is no file below {source} that begins with a TFRecord.")
        self._names_by_id: dict[int, str] = {}
        for path in label_maps:
            self._names_by_id.update(parse_label_map(read_text(path)))

    def open(self) -> RecordStream:
        names = dict.fromkeys(name for _, name in sorted(self._names_by_id.items()))
        count = 0
        has_split = False
        # What is wrong with examples is reported when they are read for the records.
        for example in self._examples(ConversionReport()):
            count += 1
            has_split = has_split or example.split is not None
            names.update(dict.fromkeys(name for name in self._class_names(example.features) if name))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, tuple(map(ClassInfo, names)))]
        if has_split:
            columns.append(Column(SPLIT, Kind.TEXT))
        return RecordStream(Schema(tuple(columns)), self._records(), count)

    def _examples(self, report: ConversionReport) -> Iterator[_Example]:
        keys = UniqueKeys(report)
        for file, path in self._files:
            file_split = _split_of(file)
            try:
                for number, (offset, data) in enumerate(read_records(path), 1):
                    features, byte_ranges = decode_example(data)
                    image_ranges = byte_ranges.get("image/encoded")
                    if not image_ranges:
                        report.add(FindingType.SKIPPED, "example without an image", detail=f"{path.name}, {number}")
                        continue
                    start, end = image_ranges[0]
                    file_name = _text(features, "image/filename")
                    preferred_key = _text(features, "image/source_id") or strip_extension(file_name)
                    key = keys.claim(preferred_key or f"{strip_extension(path.name)}-{number}")
                    image_name = file_name.replace("\\", "/").rpartition("/")[2] or key
                    image = EmbeddedImage(image_name, path, offset + start, end - start)
                    yield _Example(key, _text(features, SPLIT_FEATURE) or file_split, image, features)
            except (FormatError, OSError) as error:
                report.add(FindingType.SKIPPED, "rest of a file that is damaged", detail=str(error))

    def _class_names(self, features: Features) -> list[str]:
        texts = [value for value in features.get(CLASS_TEXT, []) if isinstance(value, bytes)]
        if texts:
            return [replace_surrogates(text.decode(errors="replace")) for text in texts]
        class_ids = [value for value in features.get(CLASS_LABEL, []) if isinstance(value, int)]
        return [self._names_by_id.get(class_id, f"class-{class_id}") for class_id in class_ids]

    def _records(self) -> Iterator[Record]:
        for example in self._examples(self._report):
            sides = [next(iter(_numbers(example.features, name)), None) for name in ("image/width", "image/height")]
            image = read_image_size(example.image)
            frame = LabelFrame.create(image, to_size_wh(*sides), self._report, example.key, relative=True)
            values: dict[str, Any] = {"objects": None}
            if example.features.get(LABELLED, [1]) != [0]:
                objects = frame.to_image(tuple(self._objects(example.features, example.key, frame.size_wh)))
                report_duplicates(objects or (), example.key, self._report)
                values["objects"] = objects
            if example.split is not None:
                values[SPLIT] = example.split
            yield Record(example.key, example.image, values, frame.image_wh)

    def _objects(self, features: Features, key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        names = self._class_names(features)
        sides = [_numbers(features, feature) for feature in BOX_SIDES]
        scores = _numbers(features, SCORE)
        flags = {attribute: _numbers(features, feature) for feature, attribute in FLAGS.items()}
        width, height = size_wh or (math.nan, math.nan)
        # The lists may have different lengths in a faulty file.
        for index in range(max(map(len, sides))):
            object_id = str(index + 1)
            if index >= len(names) or not names[index]:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            x1, y1, x2, y2 = (numbers[index] if index < len(numbers) else math.nan for numbers in sides)
            xyxy = (x1 * width, y1 * height, x2 * width, y2 * height)
            box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, tolerance=_TOLERANCE)
            if box is None:
                continue
            attributes: dict[str, AttributeValue] = {
                attribute: True for attribute, numbers in flags.items() if index < len(numbers) and numbers[index] > 0
            }
            score = scores[index] if index < len(scores) and scores[index] >= 0 else None
            yield Object(object_id, names[index], box, score, None, attributes)


def is_candidate(file: str) -> bool:
    """Whether a file may be a TFRecord by its name, so that not every image is opened."""
    return not is_image_name(file) and not file.lower().endswith(_OTHER_EXTENSIONS)


def _split_of(file: str) -> str | None:
    words = re.split(r"[^a-z]+", strip_extension(file).lower())
    return next((word for word in words if word in SPLIT_NAMES), None)


def _text(features: Features, name: str) -> str:
    value = (features.get(name) or [b""])[0]
    return replace_surrogates(value.decode(errors="replace")) if isinstance(value, bytes) else str(value)


def _numbers(features: Features, name: str) -> list[float]:
    return [float(value) for value in features.get(name, []) if not isinstance(value, bytes)]
