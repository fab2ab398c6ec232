"""YOLO labels: a text file for each image, a line for each object, in shares of the image's sides.

Read: ``data.yaml`` (names as a list or by number; train, val and test as a folder, a list of folders or a text file of
images), darknet's ``obj.data`` and ``obj.names``, or ``classes.txt`` with the text files in ``labels/`` or beside the
images. A line is ``class cx cy w h``, with a sixth number as the score; ``class x y x y …`` is a polygon; where
data.yaml has ``kpt_shape`` it is a box with keypoints; with the option ``task=obb`` four points are the corners of a
rotated box (a data set itself does not say so; those that we write do). An image without a label file is not labelled
yet; one with an empty file is reviewed and empty. The size in pixels comes from the image's header.

Written: ``data.yaml``, ``images/<split>`` and ``labels/<split>``, with all digits of the numbers. The option ``task``
says what a line holds: ``detect`` (boxes, cut at the edge of the image; other shapes become their box), ``segment``
(polygons of one ring), ``obb`` (corners of rotated boxes) or ``pose`` (boxes with keypoints). The extra key ``saccade``
in data.yaml keeps the names of splits and the task.

Source of the format: https://docs.ultralytics.com/datasets/ (detect, segment, obb, pose).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import SaccadeError
from saccade.core.objects import Objects
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.options import one_of, parse_options
from saccade.formats._common.paths import Keys, Tree, stem_of, tree_of
from saccade.formats._common.spill import RoomySet, Rows, temporary_database
from saccade.formats._common.writing import image_size_wh
from saccade.formats.base import Detection, LocalFile, Reading, Record
from saccade.formats.yolo.files import (
    NAME_FILES,
    Layout,
    find_layout,
    find_yaml,
    label_path,
    load_yaml,
    orphans,
)
from saccade.formats.yolo.lines import LineReader, highest_class, looks_like_labels
from saccade.formats.yolo.shapes import TASKS
from saccade.formats.yolo.write import Options as WriteOptions
from saccade.formats.yolo.write import write_yolo


@dataclass(frozen=True)
class ReadOptions:
    """``task``: obb, to take four points as a rotated box; else auto."""

    task: str = "auto"


class Yolo:
    name: ClassVar[str] = "yolo"
    title: ClassVar[str] = "YOLO"
    holds: ClassVar[str] = "boxes, polygons, rotated boxes or keypoints (one of them, by task); splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if (path := find_yaml(source)) is not None:
            named = "names" in load_yaml(path)
            return Detection(named, f"{path.name} {'names classes' if named else 'has no names'}")
        if source.is_file():
            return Detection(False, "it is a file, but not a data.yaml")
        reason = _sign(tree_of(source))
        return Detection(bool(reason), reason or "there is no data.yaml, no class names and no label text for an image")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder or a data.yaml."""
        task = one_of("task", parse_options(ReadOptions, options, "YOLO").task, ("auto", *TASKS))
        return _YoloReading(source, report, task).open()

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        write_yolo(reading, destination, report, parse_options(WriteOptions, options, "YOLO"))


def _sign(tree: Tree) -> str:
    """What shows, without a data.yaml, that a folder holds YOLO labels; or nothing."""
    if data := next((file for file in tree.files if file.endswith(".data")), None):
        return f"{data} is a darknet file"
    for label in map(label_path, tree.each_image()):
        if label in tree.files and looks_like_labels(tree.path(label)):
            return f"{label} holds labels of an image"
    named = next((file for file in tree.files if file.rsplit("/", 1)[-1] in NAME_FILES), None)
    has_masks = any(folder.rpartition("/")[2] == "masks" for folder in tree.folders)
    return f"{named} names classes and there are images" if named and any(tree.each_image()) and not has_masks else ""


@dataclass(frozen=True)
class _Entry:
    image: str
    key: str
    split: str | None


class _YoloReading:
    """One opening of a source."""

    def __init__(self, source: Path, report: Report, task: str) -> None:
        self._report = report
        self._tree = Tree(source.parent if source.is_file() else source)
        self._layout: Layout = find_layout(source, self._tree, report)
        self._oriented = (self._layout.task if task == "auto" else task) == "obb"
        self._entries = Rows(temporary_database(self), "entries", ("image", "key", "split"))
        for entry in self._find_entries():
            self._entries.add(entry.image, entry.key, entry.split)

    def open(self) -> Reading:
        self._tree.report_unusable(self._report)
        expected = RoomySet()
        for entry in self._listed():
            expected.add(label_path(entry.image))
        for orphan in orphans(self._tree, expected):
            self._report.add(Action.SET_ASIDE, "label file without an image", detail=orphan)
        names = self._layout.names or self._guessed_names()
        infos = tuple(ClassInfo(name, keypoints=self._layout.keypoint_names) for name in names)
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, infos)]
        if self._layout.has_splits:
            columns.append(Column("split", Kind.TEXT))
        return Reading(Schema(tuple(columns)), self._records(names), len(self._entries))

    def _listed(self) -> Iterator[_Entry]:
        return (_Entry(image, key, split) for _, image, key, split in self._entries)

    def _find_entries(self) -> Iterator[_Entry]:
        keys, groups = Keys(self._report), self._layout.groups
        for at, group in enumerate(groups):
            for image, below in group.images.items():
                first = next((other for other in groups[:at] if image in other.images), None)
                if first is not None:
                    if first.split != group.split:
                        detail = f"{first.split} and {group.split}; the first is kept"
                        self._report.add(Action.NOTICED, "image in two splits", key=stem_of(below), detail=detail)
                    continue
                stem = stem_of(below)
                wishes = (stem, f"{group.split}/{stem}") if group.split else (stem, stem_of(image))
                yield _Entry(image, keys.take(*wishes), group.split)

    def _guessed_names(self) -> list[str]:
        if self._layout.names is not None:
            return []
        labels = (label_path(entry.image) for entry in self._listed())
        paths = (self._tree.path(label) for label in labels if label in self._tree.files)
        highest = max(map(highest_class, paths), default=-1)
        if highest >= 0:
            detail = f"0 to {highest}"
            self._report.add(Action.GUESSED, "names of classes, which no file gives, taken as numbers", detail=detail)
        return [str(number) for number in range(highest + 1)]

    def _records(self, names: list[str]) -> Iterator[Record]:
        lines = LineReader(names, self._layout.keypoints_shape, self._report, oriented=self._oriented)
        for entry in self._listed():
            try:
                yield self._record(entry, lines)
            except (SaccadeError, OSError) as error:
                reason = "image that cannot be opened"
                self._report.add(Action.SET_ASIDE, reason, key=entry.key, detail=str(error))

    def _record(self, entry: _Entry, lines: LineReader) -> Record:
        path = self._tree.path(entry.image)
        label = label_path(entry.image)
        objects: Objects | None = None
        size = None
        if label in self._tree.files:
            text = self._tree.path(label).read_bytes().decode("utf-8-sig", errors="replace")
            size = image_size_wh(path) if text.strip() else None
            objects = lines.objects(text, entry.key, size) if size else ()
        values: dict[str, Any] = {"objects": objects}
        if self._layout.has_splits and entry.split is not None:
            values["split"] = entry.split
        return Record(entry.key, LocalFile(path), values, size)


FORMAT = Yolo()
