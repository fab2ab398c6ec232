"""Writing TFRecord."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError, SaccadeError
from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.media import record_size_wh
from saccade.formats._common.names import FolderNames
from saccade.formats.base import Record, SizeWH, Writer
from saccade.formats.tfrecord.features import BOX_SIDES, CLASS_LABEL, CLASS_TEXT, FLAGS, LABELLED, SCORE, SPLIT_FEATURE
from saccade.formats.tfrecord.label_map import format_label_map
from saccade.formats.tfrecord.records import encode_example, write_record

_IMAGES_PER_SHARD = 500
_NO_SCORE = -1.0
_SIGNATURES = ((b"\xff\xd8", b"jpeg"), (b"\x89PNG", b"png"), (b"GIF8", b"gif"), (b"BM", b"bmp"))


@dataclass(frozen=True)
class TfRecordWriteOptions:
    """How to write.

    Attributes:
        shards: number of files for each split; 0 for one file for every 500 images.

    Raises:
        FormatError: if it is not a number from 0 to 99999.
    """

    shards: int = 0

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "shards", int(self.shards))
        except ValueError:
            raise FormatError(f"The option 'shards' may not be {self.shards!r}.", hint="Give a number.") from None
        # The names of shards have five digits.
        if not 0 <= self.shards <= 99_999:
            raise FormatError(f"The option 'shards' may not be {self.shards}.", hint="Give 0 to 99999.")


class TfRecordWriter(Writer):
    """Writes shards under temporary names, since their names contain the number of shards."""

    def __init__(
        self, schema: Schema, destination: Path, report: ConversionReport, options: TfRecordWriteOptions
    ) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._classes = ClassIndex(self._columns.labels)
        self._destination = destination
        self._report = report
        self._options = options
        self._losses = LossCounter(report, attributes=True, scores=True)
        self._split_names = FolderNames(report, "split")
        self._count_by_split: dict[str | None, int] = {}

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        features = self._features(record)
        if features is None:
            return
        split = self._columns.split_of(record)
        index = self._count_by_split.get(split, 0)
        self._count_by_split[split] = index + 1
        with self._temporary_path(split, self._shard_of(index)).open("ab") as file:
            write_record(file, encode_example(features))

    def _finish(self) -> None:
        self._name_shards()
        label_map = format_label_map(self._classes.indices)
        (self._destination / "label_map.pbtxt").write_text(label_map, encoding="utf-8")
        self._losses.report()
        self._columns.report_dropped()

    def _shard_of(self, index: int) -> int:
        return index % self._options.shards if self._options.shards else index // _IMAGES_PER_SHARD

    def _temporary_path(self, split: str | None, shard: int) -> Path:
        # The "s" keeps a split called "data" apart from the images without a split.
        name = f"data.{shard}" if split is None else f"{self._split_names.get(split)}.s{shard}"
        return self._destination / f"{name}.partial"

    def _name_shards(self) -> None:
        for split, count in self._count_by_split.items():
            shards = sorted({self._shard_of(index) for index in range(count)})
            name = "all" if split is None else self._split_names.get(split)
            for position, shard in enumerate(shards):
                path = self._destination / f"{name}-{position:05}-of-{len(shards):05}.record"
                # A split may be called "all", as the images without a split are.
                while path.exists():
                    path = path.with_name(f"_{path.name}")
                self._temporary_path(split, shard).replace(path)
        if not self._count_by_split:
            (self._destination / "all-00000-of-00001.record").touch()

    def _features(self, record: Record) -> dict[str, list[Any]] | None:
        """Return the features of a record; None, and reported, if its image cannot be read."""
        size_wh = record_size_wh(record)
        try:
            data = record.media.read() if record.media else None
        except (OSError, SaccadeError) as error:
            self._report.add(FindingType.SKIPPED, "image file that cannot be read", key=record.key, detail=str(error))
            return None
        if record.media is None or data is None or size_wh is None:
            self._report.add(FindingType.SKIPPED, "item without an image file", key=record.key)
            return None
        features: dict[str, list[Any]] = {
            "image/encoded": [data],
            "image/filename": [record.media.name.encode()],
            "image/source_id": [record.key.encode()],
            "image/format": [_image_format(data)],
            "image/width": [size_wh[0]],
            "image/height": [size_wh[1]],
        }
        split = self._columns.split_of(record)
        if split is not None:
            features[SPLIT_FEATURE] = [split.encode()]
        objects = self._columns.labels_of(record)
        if objects is None:
            features[LABELLED] = [0]
        return features | self._object_features(objects or (), record.key, size_wh)

    def _object_features(self, objects: Sequence[Object], key: str, size_wh: SizeWH) -> dict[str, list[Any]]:
        features: dict[str, list[Any]] = {name: [] for name in (*BOX_SIDES, SCORE, *FLAGS, CLASS_TEXT, CLASS_LABEL)}
        for position, obj in enumerate(objects, 1):
            self._losses.count(key, obj, position)
            bounds = self._losses.bounds_xyxy(key, obj)
            if bounds is None:
                continue
            for name, side, extent in zip(BOX_SIDES, bounds, (*size_wh, *size_wh), strict=True):
                features[name].append(float(side / extent))
            for name, attribute in FLAGS.items():
                features[name].append(int(obj.attributes.get(attribute) is True))
            features[SCORE].append(_NO_SCORE if obj.score is None else float(obj.score))
            features[CLASS_TEXT].append(obj.class_name.encode())
            features[CLASS_LABEL].append(self._classes.index_of(obj.class_name) + 1)
            self._report_losses(key, obj)
        if all(score < 0 for score in features[SCORE]):
            del features[SCORE]
        return features

    def _report_losses(self, key: str, obj: Object) -> None:
        for name, value in obj.attributes.items():
            if name not in FLAGS.values() or value is not True:
                self._drop("attribute", key, obj, f"{name} = {value!r}")
        if obj.score is not None and obj.score < 0:
            self._drop("score", key, obj, str(obj.score))

    def _drop(self, reason: str, key: str, obj: Object, detail: str) -> None:
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)


def _image_format(data: bytes) -> bytes:
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    return b"webp" if data[8:12] == b"WEBP" else b"tiff"
