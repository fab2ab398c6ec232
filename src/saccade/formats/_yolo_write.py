"""Writing YOLO: data.yaml, images and label files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saccade.core.objects import Box, Object
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._boxes import fit_box
from saccade.formats._writing import (
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


@dataclass(frozen=True)
class Options:
    """YOLO is written in one way only."""


def write_yolo(reading: Reading, destination: Path, report: Report, options: Options) -> None:
    """Write ``data.yaml``, ``images/[<split>/]`` and ``labels/[<split>/]``."""
    del options
    columns = Columns(reading, report, Kind.OBJECTS)
    columns.report_class_details("parent", "color", "keypoints", "skeleton")
    writer = _Writer(columns, destination, report)
    for record in reading.records:
        columns.count(record)
        writer.record(record)
    writer.finish()
    columns.finish()


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report) -> None:
        self._columns = columns
        self._destination = destination
        self._report = report
        self._files = FileNames(report, reserved=("images", "labels"))
        self._splits = Names(report, "split", reserved=(NO_SPLIT_FOLDER, "images", "labels"))
        self._folders: dict[str | None, str] = {}
        self._classes = ClassNames(columns.labels)
        self._losses = ObjectLosses(report, attributes=False)

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

    def _line(self, key: str, found: Object, position: int, size: tuple[int, int] | None) -> str | None:
        self._losses.note(key, found, position)
        bounds = self._losses.bounds_xyxy(key, found)
        if bounds is None or size is None:
            return None
        box = fit_box(bounds, size, self._report, key=key, object_id=found.id)
        return None if box is None else f"{self._classes.number(found.class_name)} {_shares(box, size)}"

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
        names = {number: name for name, number in self._classes.numbers.items()}
        return {**data, "names": names, "saccade": {"has_splits": self._columns.has_split, "folders": folders}}


def _shares(box: Box, size_wh: tuple[int, int]) -> str:
    """Centre and sides as shares of the image, with every digit that the numbers have."""
    width, height = size_wh
    shares = (
        (box.x1 + box.x2) / 2 / width,
        (box.y1 + box.y2) / 2 / height,
        (box.x2 - box.x1) / width,
        (box.y2 - box.y1) / height,
    )
    return " ".join(map(repr, shares))
