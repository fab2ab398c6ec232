"""Writing YOLO: data.yaml, images and label files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.options import one_of
from saccade.formats._common.writing import (
    NO_SPLIT_FOLDER,
    ClassNames,
    Columns,
    FileNames,
    Names,
    ObjectLosses,
    copy_media,
    size_wh_of,
)
from saccade.formats.base import Reading, Record
from saccade.formats.yolo.shapes import HELD, TASKS, ShapeWriter


@dataclass(frozen=True)
class Options:
    """``task``: what a line holds: detect, segment, obb or pose."""

    task: str = "detect"


def write_yolo(reading: Reading, destination: Path, report: Report, options: Options) -> None:
    """Write ``data.yaml``, ``images/[<split>/]`` and ``labels/[<split>/]``."""
    task = one_of("task", options.task, TASKS)
    columns = Columns(reading, report, Kind.OBJECTS)
    columns.report_class_details("parent", "color", "skeleton", *(() if task == "pose" else ("keypoints",)))
    writer = _Writer(columns, destination, report, task)
    for record in reading.records:
        columns.count(record)
        writer.record(record)
    writer.finish()
    columns.finish()


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report, task: str) -> None:
        self._columns = columns
        self._destination = destination
        self._report = report
        self._files = FileNames(report, reserved=("images", "labels"))
        self._splits = Names(report, "split", reserved=(NO_SPLIT_FOLDER, "images", "labels"))
        self._folders: dict[str | None, str] = {}
        self._classes = ClassNames(columns.labels)
        self._losses = ObjectLosses(report, attributes=False, held=HELD[task])
        self._keypoints = self._keypoint_names(report, task)
        self._shapes = ShapeWriter(task, len(self._keypoints), report)

    def record(self, record: Record) -> None:
        folder = self._folder(self._columns.split_of(record))
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        size = size_wh_of(record)
        if objects and size is None:
            self._report.add(Action.SET_ASIDE, "image of unknown size", key=record.key)
            return
        stem = self._files.take(record.key)
        if copy_media(record, self._destination / "images" / folder / stem, self._report) is None:
            return
        if objects is not None:
            lines: list[str] = []
            for found in objects:
                line = self._line(record.key, found, len(lines) + 1, size)
                lines += [line] if line else []
            path = self._destination / "labels" / folder / f"{stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{line}\n" for line in lines))

    def _folder(self, split: str | None) -> str:
        if split not in self._folders:
            name = NO_SPLIT_FOLDER if split is None else self._splits.of(split)
            self._folders[split] = name if self._columns.has_split else ""
        return self._folders[split]

    def _keypoint_names(self, report: Report, task: str) -> tuple[str, ...]:
        """The names of keypoints, which all classes share in this format: those of the class that has most."""
        named = [info.keypoints for info in self._columns.labels.classes] if self._columns.labels else []
        if task != "pose" or not any(named):
            return ()
        longest = max(named, key=len)
        if any(names != longest for names in named):
            report.add(Action.DROPPED, "names of keypoints that differ from class to class", detail=", ".join(longest))
        return longest

    def _line(self, key: str, found: Object, position: int, size: tuple[int, int] | None) -> str | None:
        self._losses.note(key, found, position)
        numbers = None if size is None else self._shapes.numbers(key, found, size)
        if numbers is None:
            return None
        return " ".join([str(self._classes.number(found.class_name)), *map(repr, numbers)])

    def finish(self) -> None:
        self._losses.finish()
        if not self._columns.has_split:
            self._folders = {None: ""}
        path = self._destination / "data.yaml"
        text = yaml.safe_dump(self._data(), allow_unicode=True, sort_keys=False, width=10**9)
        path.write_text(text, encoding="utf-8")
        for folder in self._folders.values():
            (self._destination / "images" / folder).mkdir(parents=True, exist_ok=True)

    def _data(self) -> dict[str, Any]:
        paths = {split: f"images/{folder}".rstrip("/") for split, folder in self._folders.items()}
        data: dict[str, Any] = {name: paths[name] for name in ("train", "val", "test") if name in paths}
        if not self._columns.has_split:
            # Trainers ask for both; that there is no split stands under the extra key.
            data = {"train": "images", "val": "images"}
        folders = [{"path": path} if split is None else {"split": split, "path": path} for split, path in paths.items()]
        data["names"] = {number: name for name, number in self._classes.numbers.items()}
        mine: dict[str, Any] = {"has_splits": self._columns.has_split, "folders": folders}
        if self._shapes.task != "detect":
            mine["task"] = self._shapes.task
        if self._shapes.task == "pose":
            data["kpt_shape"] = [self._shapes.keypoints or 1, 3]
            mine["keypoints"] = list(self._keypoints)
        return {**data, "saccade": mine}
