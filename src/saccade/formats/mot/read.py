"""Reading MOT Challenge."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Box, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.frames import LabelFrame, read_image_size
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import SPLIT_NAMES, SourceTree, UniqueKeys, replace_surrogates, strip_extension
from saccade.formats._common.sequences import (
    IMAGES,
    LABELS,
    find_sequences,
    ground_truth_file,
    join_path,
    read_sequence_size,
)
from saccade.formats._common.text import read_text
from saccade.formats.base import LocalFile, Reader, Record, RecordStream

MOT16_CLASSES = (
    "pedestrian",
    "person on vehicle",
    "car",
    "bicycle",
    "motorbike",
    "non motorized vehicle",
    "static person",
    "distractor",
    "occluder",
    "occluder on the ground",
    "occluder full",
    "reflection",
)
_FRAME_NUMBER = re.compile(r"(\d{1,9})$")
# Frame, id, left, top, width and height.
_REQUIRED_FIELDS = 6

LinesByFrame = dict[int, list[list[float]]]


class MotReader(Reader):
    """Reads a sequence, or a folder of them."""

    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._report = report
        self._tree = SourceTree(source)
        self._tree.report_skipped(report)
        self._sequences = find_sequences(self._tree)
        if not self._sequences:
            raise FormatError(f"There is no folder img1 below {source}.", hint="Expected SEQUENCE/img1 and gt/gt.txt.")
        self._has_splits = any(
            "/" in sequence and sequence.partition("/")[0] in SPLIT_NAMES for sequence in self._sequences
        )
        self._class_names = {sequence: self._read_class_names(sequence) for sequence in self._sequences}

    def _split_and_name(self, sequence: str) -> tuple[str | None, str]:
        split, _, name = sequence.partition("/")
        return (split, name) if self._has_splits and split in SPLIT_NAMES else (None, sequence)

    def _read_class_names(self, sequence: str) -> list[str]:
        path = join_path(sequence, LABELS)
        if path not in self._tree.files:
            return list(MOT16_CLASSES)
        lines = read_text(self._tree.path(path)).split("\n")
        return [replace_surrogates(line.strip()) for line in lines if line.strip()]

    def open(self) -> RecordStream:
        labelled = [sequence for sequence in self._sequences if ground_truth_file(self._tree, sequence)]
        names_of_sequences = [self._class_names[sequence] for sequence in labelled] or [list(MOT16_CLASSES)]
        classes = tuple(map(ClassInfo, dict.fromkeys(name for names in names_of_sequences for name in names)))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if self._has_splits:
            columns.append(Column(SPLIT, Kind.TEXT))
        total = sum(1 for sequence in self._sequences for _ in self._tree.iter_images(join_path(sequence, IMAGES)))
        return RecordStream(Schema(tuple(columns)), self._records(), total)

    def _records(self) -> Iterator[Record]:
        keys = UniqueKeys(self._report)
        for sequence in self._sequences:
            split, name = self._split_and_name(sequence)
            file = ground_truth_file(self._tree, sequence)
            # None if the sequence is not labelled; frames without lines are labelled as empty.
            lines_by_frame = self._read_lines(file, sequence) if file else None
            stated_wh = read_sequence_size(self._tree, sequence)
            for image in self._tree.iter_images(join_path(sequence, IMAGES)):
                stem = strip_extension(image.rpartition("/")[2])
                key = keys.claim(join_path(name, stem), join_path(sequence, stem))
                media = LocalFile(self._tree.path(image))
                frame = LabelFrame.create(read_image_size(media), stated_wh, self._report, key)
                objects: Objects | None = None
                if lines_by_frame is not None:
                    match = _FRAME_NUMBER.search(stem)
                    lines = lines_by_frame.pop(int(match.group(1)), []) if match else []
                    objects = frame.to_image(self._objects(lines, key, self._class_names[sequence]))
                values: dict[str, Any] = {"objects": objects}
                if split:
                    values[SPLIT] = split
                yield Record(key, media, values, frame.image_wh, group=name or "sequence")
            # Lines that remain belong to frames without an image.
            for number, lines in sorted((lines_by_frame or {}).items()):
                reason = "boxes of a frame without a picture"
                self._report.add(FindingType.DROPPED, reason, key=name, detail=f"{len(lines)} of {number}")

    def _read_lines(self, path: str, sequence: str) -> LinesByFrame:
        """Read the numbers of each line, by frame; bad lines are reported."""
        lines_by_frame: LinesByFrame = {}
        for number, line in enumerate(read_text(self._tree.path(path)).split("\n"), 1):
            if not line.strip():
                continue
            try:
                fields = [float(field) for field in line.split(",")]
            except ValueError:
                fields = []
            is_valid = len(fields) >= _REQUIRED_FIELDS and all(map(math.isfinite, fields))
            if not is_valid or fields[0] != int(fields[0]):
                reason = "line without six finite numbers"
                detail = f"line {number}: {line[:80]!r}"
                self._report.add(FindingType.DROPPED, reason, key=sequence, detail=detail)
                continue
            lines_by_frame.setdefault(int(fields[0]), []).append(fields)
        return lines_by_frame

    def _objects(self, lines: list[list[float]], key: str, class_names: list[str]) -> tuple[Object, ...]:
        objects = (self._object(line, str(position), key, class_names) for position, line in enumerate(lines, 1))
        return tuple(obj for obj in objects if obj is not None)

    def _object(self, fields: list[float], object_id: str, key: str, class_names: list[str]) -> Object | None:
        _, track_number, left, top, width, height, *more = fields
        # Files of detections have other fields here.
        has_class = len(more) == 3
        class_number = int(more[1]) if has_class else 1
        reason = ""
        if width <= 0 or height <= 0:
            reason = "box without area"
        elif not 1 <= class_number <= len(class_names):
            reason = "class number out of range"
        if reason:
            self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=str(fields)[:200])
            return None
        attributes: dict[str, AttributeValue] = {}
        if has_class and more[0] == 0:
            attributes["ignored"] = True
        if has_class and more[2] < 1:
            attributes["visibility"] = more[2]
        box = Box(left, top, left + width, top + height)
        has_track = track_number >= 0 and track_number == int(track_number)
        track = str(int(track_number)) if has_track else None
        return Object(object_id, class_names[class_number - 1], box, None, track, attributes)
