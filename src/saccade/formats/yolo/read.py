"""Reading YOLO."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import SaccadeError
from saccade.core.objects import Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.media import image_size_wh
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import SourceTree, UniqueKeys, strip_extension
from saccade.formats._common.source_files import mark_read
from saccade.formats._common.spill import SpillSet, SpillTable, temporary_database
from saccade.formats._common.text import try_read_text
from saccade.formats.base import LocalFile, Reader, Record, RecordStream
from saccade.formats.yolo.files import LabelFinder, YoloLayout, find_layout, is_dota_file, orphan_label_files
from saccade.formats.yolo.lines import LabelReader, dota_class_names, max_class_number


@dataclass(frozen=True)
class YoloReadOptions:
    """Options of reading.

    Attributes:
        task: "obb" reads four points as a rotated box; "auto" does so only if data.yaml states this task.
    """

    task: str = "auto"


@dataclass(frozen=True)
class _ItemRow:
    image: str
    key: str
    split: str | None


class YoloReader(Reader):
    """Reads a folder or a data.yaml."""

    def __init__(self, source: Path, report: ConversionReport, task: str) -> None:
        self._report = report
        self._tree = SourceTree(source.parent if source.is_file() else source)
        self._layout: YoloLayout = find_layout(source, self._tree, report)
        self._labels = LabelFinder(self._tree)
        self._oriented = (self._layout.task if task == "auto" else task) == "obb"
        self._items = SpillTable(temporary_database(self), "items", ("image", "key", "split"))
        for item in self._find_items():
            self._items.add(item.image, item.key, item.split)

    def open(self) -> RecordStream:
        self._tree.report_skipped(self._report)
        expected = SpillSet()
        for item in self._iter_items():
            if (label := self._labels.find(item.image)) is not None:
                expected.add(label)
        for orphan in orphan_label_files(self._tree, expected):
            # Named here, so not once more among the files that were not read.
            mark_read(self._tree.path(orphan))
            self._report.add(FindingType.SKIPPED, "label file without an image", detail=orphan)
        names = self._layout.names or self._infer_names()
        names = [*names, *self._further_names(names)]
        classes = tuple(ClassInfo(name, keypoints=self._layout.keypoint_names) for name in names)
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if self._layout.has_splits:
            columns.append(Column(SPLIT, Kind.TEXT))
        return RecordStream(Schema(tuple(columns)), self._records(names), len(self._items))

    def _iter_items(self) -> Iterator[_ItemRow]:
        return (_ItemRow(image, key, split) for _, image, key, split in self._items)

    def _find_items(self) -> Iterator[_ItemRow]:
        keys = UniqueKeys(self._report)
        splits = self._layout.splits
        for index, images in enumerate(splits):
            for image, key_path in images.images.items():
                stem = strip_extension(key_path)
                first = next((other for other in splits[:index] if image in other.images), None)
                if first is not None:
                    if first.split != images.split:
                        detail = f"{first.split} and {images.split}; the first is kept"
                        self._report.add(FindingType.WARNING, "image in two splits", key=stem, detail=detail)
                    continue
                alternative = f"{images.split}/{stem}" if images.split else strip_extension(image)
                yield _ItemRow(image, keys.claim(stem, alternative), images.split)

    def _infer_names(self) -> list[str]:
        """Use the numbers of the classes as their names, if no file gives the names."""
        if self._layout.names is not None:
            return []
        files = (self._labels.find(item.image) for item in self._iter_items())
        paths = (self._tree.path(file) for file in files if file is not None and not is_dota_file(file))
        highest = max(map(max_class_number, paths), default=-1)
        if highest >= 0:
            reason = "names of classes, which no file gives, taken as numbers"
            self._report.add(FindingType.INFERRED, reason, detail=f"0 to {highest}")
        return [str(number) for number in range(highest + 1)]

    def _further_names(self, names: list[str]) -> list[str]:
        """Return the classes that only files of DOTA have, which name them in each line."""
        further: set[str] = set()
        for item in self._iter_items():
            file = self._labels.find(item.image)
            if file is not None and is_dota_file(file):
                further |= dota_class_names(self._tree.path(file))
        return sorted(further - set(names))

    def _records(self, names: list[str]) -> Iterator[Record]:
        labels = LabelReader(names, self._layout.keypoints_shape, self._report, oriented=self._oriented)
        for item in self._iter_items():
            try:
                yield self._record(item, labels)
            except (SaccadeError, OSError) as error:
                reason = "image that cannot be opened"
                self._report.add(FindingType.SKIPPED, reason, key=item.key, detail=str(error))

    def _record(self, item: _ItemRow, labels: LabelReader) -> Record:
        path = self._tree.path(item.image)
        file = self._labels.find(item.image)
        objects: Objects | None = None
        size = None
        text = None if file is None else try_read_text(self._tree.path(file), item.key, self._report)
        if text is not None and file is not None:
            # The image is opened only if there are labels to scale.
            size = image_size_wh(path) if text.strip() else None
            if not size:
                objects = ()
            elif is_dota_file(file):
                objects = labels.read_dota(text, item.key)
            else:
                objects = labels.read(text, item.key, size)
        values: dict[str, Any] = {"objects": objects}
        if self._layout.has_splits and item.split is not None:
            values[SPLIT] = item.split
        return Record(item.key, LocalFile(path), values, size)
