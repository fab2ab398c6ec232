"""Writing MOT Challenge."""

from __future__ import annotations

import math
from pathlib import Path

from saccade.core.objects import AttributeValue, BoundsXYXY, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.losses import LossCounter
from saccade.formats._common.sequences import IMAGES, SequenceState, SequenceWriter
from saccade.formats.base import Record, Writer


class MotWriter(Writer):
    """Writes a folder for each sequence."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._report = report
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._columns.drop_split()
        self._classes = ClassIndex(self._columns.labels)
        self._losses = LossCounter(report, attributes=True, tracks=True)
        self._sequences = SequenceWriter(destination, report)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        location = self._sequences.add_frame(record)
        if location is None:
            return
        sequence, frame = location
        objects = self._columns.labels_of(record)
        sequence.labelled += objects is not None
        written = 0
        for obj in objects or ():
            self._losses.count(record.key, obj, written + 1)
            bounds = self._losses.bounds_xyxy(record.key, obj)
            if bounds is not None:
                written += 1
                line = self._format_line(record.key, obj, frame, bounds, sequence)
                self._sequences.add_line(sequence, frame, line)

    def _format_line(self, key: str, obj: Object, frame: int, bounds: BoundsXYXY, sequence: SequenceState) -> str:
        x1, y1, x2, y2 = bounds
        for name, value in obj.attributes.items():
            is_ignored_flag = name == "ignored" and value is True
            if not is_ignored_flag and not (name == "visibility" and _is_visibility(value)):
                detail = f"{name} = {value!r}"
                self._report.add(FindingType.DROPPED, "attribute", key=key, object_id=obj.id, detail=detail)
        stated_visibility = obj.attributes.get("visibility")
        visibility = stated_visibility if _is_visibility(stated_visibility) else 1
        flag = int(obj.attributes.get("ignored") is not True)
        class_number = self._classes.index_of(obj.class_name) + 1
        track = -1 if obj.track is None else sequence.tracks.number_of(key, obj, self._report)
        return f"{frame},{track},{x1!r},{y1!r},{x2 - x1!r},{y2 - y1!r},{flag},{class_number},{visibility!r}"

    def _finish(self) -> None:
        self._losses.report()
        names = list(self._classes.indices)
        self._sequences.write_ground_truths("".join(f"{_on_one_line(name) or '_'}\n" for name in names))
        for name, sequence in self._sequences.by_name.items():
            if sequence.frames:
                self._write_sequence_info(name, sequence)
        for name in names:
            if _on_one_line(name) != name:
                reason = "name of a class that is not one line"
                self._report.add(FindingType.REPAIRED, reason, detail=repr(name))
        self._columns.report_dropped()

    def _write_sequence_info(self, name: str, sequence: SequenceState) -> None:
        width, height = sequence.size_wh or (0, 0)
        lines = (
            "[Sequence]",
            f"name={name.rpartition('/')[2]}",
            f"imDir={IMAGES}",
            "frameRate=30",
            f"seqLength={sequence.max_frame_number}",
            f"imWidth={width}",
            f"imHeight={height}",
            f"imExt={sequence.suffix}",
        )
        (sequence.folder / "seqinfo.ini").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _is_visibility(value: AttributeValue | None) -> bool:
    """Whether a value is read back as a visibility; 1 is the default."""
    return isinstance(value, float) and value < 1 and math.isfinite(value)


def _on_one_line(name: str) -> str:
    return " ".join(name.split())
