"""Writing YOLO."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import NO_SPLIT_FOLDER, SPLIT, FileNames, FolderNames
from saccade.formats.base import Record, SizeWH, Writer
from saccade.formats.yolo.shapes import GEOMETRY_TYPES, ShapeWriter


@dataclass(frozen=True)
class YoloWriteOptions:
    """Options of writing.

    Attributes:
        task: what a line holds: "detect", "segment", "obb" or "pose".
    """

    task: str = "detect"


class YoloWriter(Writer):
    """Writes ``data.yaml``, ``images/[<split>/]`` and ``labels/[<split>/]``."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport, task: str) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        details = ("parent", "color", "skeleton") if task == "pose" else ("parent", "color", "skeleton", "keypoints")
        self._columns.report_class_details(*details)
        self._destination = destination
        self._report = report
        self._file_names = FileNames(report, reserved=("images", "labels"))
        self._split_names = FolderNames(report, SPLIT, reserved=(NO_SPLIT_FOLDER, "images", "labels"))
        self._folders: dict[str | None, str] = {}
        self._classes = ClassIndex(self._columns.labels)
        self._losses = LossCounter(report, attributes=False, geometry_type=GEOMETRY_TYPES[task])
        self._keypoint_names = self._shared_keypoint_names() if task == "pose" else ()
        self._shapes = ShapeWriter(task, len(self._keypoint_names), report)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        folder = self._folder(self._columns.split_of(record))
        objects = self._columns.labels_of(record)
        size = record_size_wh(record)
        if objects and size is None:
            self._report.add(FindingType.SKIPPED, "image of unknown size", key=record.key)
            return
        stem = self._file_names.claim(record.key)
        if copy_media(record, self._destination / "images" / folder / stem, self._report) is None:
            return
        if objects is not None:
            lines: list[str] = []
            for obj in objects:
                if obj.is_crowd:
                    reason = "crowd region, which would be an ordinary object in YOLO"
                    self._report.add(FindingType.DROPPED, reason, key=record.key, object_id=obj.id)
                    continue
                line = self._line(record.key, obj, len(lines) + 1, size)
                lines += [line] if line else []
            path = self._destination / "labels" / folder / f"{stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines))

    def _folder(self, split: str | None) -> str:
        if split not in self._folders:
            name = NO_SPLIT_FOLDER if split is None else self._split_names.get(split)
            self._folders[split] = name if self._columns.has_split else ""
        return self._folders[split]

    def _shared_keypoint_names(self) -> tuple[str, ...]:
        """Return the keypoint names of the class with most of them; in this format, all classes share theirs."""
        labels = self._columns.labels
        names_of_classes = [info.keypoints for info in labels.classes] if labels else []
        if not any(names_of_classes):
            return ()
        longest = max(names_of_classes, key=len)
        if any(names != longest for names in names_of_classes):
            reason = "names of keypoints that differ from class to class"
            self._report.add(FindingType.DROPPED, reason, detail=", ".join(longest))
        return longest

    def _line(self, key: str, obj: Object, position: int, size: SizeWH | None) -> str | None:
        self._losses.count(key, obj, position)
        numbers = None if size is None else self._shapes.numbers(key, obj, size)
        if numbers is None:
            return None
        return " ".join([str(self._classes.index_of(obj.class_name)), *map(repr, numbers)])

    def _finish(self) -> None:
        self._losses.report()
        if not self._columns.has_split:
            # The folder exists even if there are no records.
            self._folders = {None: ""}
        text = yaml.safe_dump(self._data_yaml(), allow_unicode=True, sort_keys=False, width=10**9)
        (self._destination / "data.yaml").write_text(text, encoding="utf-8")
        for folder in self._folders.values():
            (self._destination / "images" / folder).mkdir(parents=True, exist_ok=True)
        self._columns.report_dropped()

    def _data_yaml(self) -> dict[str, Any]:
        paths = {split: f"images/{folder}".rstrip("/") for split, folder in self._folders.items()}
        data: dict[str, Any] = {name: paths[name] for name in ("train", "val", "test") if name in paths}
        if not self._columns.has_split:
            # Trainers require both; the extra key states that there is no split.
            data = {"train": "images", "val": "images"}
        folders = [{"path": path} if split is None else {"split": split, "path": path} for split, path in paths.items()]
        data["names"] = {index: name for name, index in self._classes.indices.items()}
        extra: dict[str, Any] = {"has_splits": self._columns.has_split, "folders": folders}
        # Without keypoints, the lines are those of boxes: a shape of keypoints would contradict them.
        task = "detect" if self._shapes.task == "pose" and not self._shapes.keypoints else self._shapes.task
        if task != "detect":
            extra["task"] = task
        if task == "pose":
            data["kpt_shape"] = [self._shapes.keypoints, 3]
            extra["keypoints"] = list(self._keypoint_names)
        return {**data, "saccade": extra}
