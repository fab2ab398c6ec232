"""MOTS: the masks of tracks in numbered frames, a folder for each sequence.

Read: ``SEQUENCE/img1/000001.jpg`` with ``gt/gt.txt`` (MOTSChallenge), one sequence or a folder of them, also below
train and test, which become splits. A line is ``frame id class height width rle``, separated by spaces. If the id is
``class * 1000 + number``, the track is ``number``, else it is the id. The names of the classes are in
``gt/labels.txt``, else 1 is car, 2 pedestrian and 10 ignore. All frames of a sequence with a gt.txt are labelled.

Written: the same, with ``labels.txt`` (``number name``). Every shape becomes a mask; if objects overlap, the later one
is visible, and the hidden parts are reported. The folder of a key is its sequence. An object without a track gets a
track of its own.

Source of the format: Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation" (2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.geometry import coco_string_to_counts, counts_to_coco_string, mask_from_array
from saccade.core.objects import Mask, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.index_mask import IndexMaskPainter, report_dropped_fields
from saccade.formats._common.losses import report_renumbered, report_unsized_objects
from saccade.formats._common.media import record_size_wh
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_NAMES, SourceTree, replace_surrogates, source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader
from saccade.formats._common.sequences import (
    IMAGES,
    LABELS,
    SequenceState,
    SequenceWriter,
    find_sequences,
    ground_truth_file,
    is_mots_file,
    join_path,
)
from saccade.formats._common.text import read_text
from saccade.formats.base import Detection, Format, Reader, Record, RecordStream, SizeWH, Writer

_DEFAULT_CLASSES = {1: "car", 2: "pedestrian", 10: "ignore"}
_TRACKS_PER_CLASS = 1000
_MAX_NUMBER_DIGITS = 9

Line = tuple[str, int, int, int, int, str]
"""Location in the file, id, class number, height, width and run lengths."""


class Mots(Format):
    name: ClassVar[str] = "mots"
    title: ClassVar[str] = "MOTS"
    supports: ClassVar[str] = "masks that do not overlap, with tracks in frames; labelled or not, by sequence"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and MOTS is a folder")
        tree = source_tree(source)
        files = [file for folder in find_sequences(tree) if (file := ground_truth_file(tree, folder))]
        if not files:
            return Detection(False, "there is no img1 with a gt/gt.txt beside it")
        if any(is_mots_file(tree.path(file)) for file in files):
            return Detection(True, f"{files[0]} holds masks")
        return Detection(False, f"{files[0]} holds no masks")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder."""
        parse_options(NoOptions, options, "MOTS")
        return MotsReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "MOTS")
        return MotsWriter(schema, destination, report)


class MotsReader(PerImageReader):
    """Reads a sequence, or a folder of them."""

    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, split_folders=False)
        self._class_names: dict[str, dict[int, str]] = {}

    def open(self) -> RecordStream:
        sequences = find_sequences(self.tree)
        if not sequences:
            raise FormatError(
                f"There is no folder img1 below {self.tree.root}.", hint="Expected SEQUENCE/img1 and gt/gt.txt."
            )
        self._class_names = {sequence: _read_class_names(self.tree, sequence) for sequence in sequences}
        classes: dict[str, None] = {}
        for sequence in sequences:
            if ground_truth_file(self.tree, sequence):
                classes.update(dict.fromkeys(self._class_names[sequence].values()))
            self._fill_labels(sequence)
        image_folders = tuple(f"{join_path(sequence, IMAGES)}/" for sequence in sequences)
        stream = self.stream(classes, self._objects, include=lambda image: image.startswith(image_folders))
        return replace(stream, records=map(_with_group, stream.records))

    def _fill_labels(self, sequence: str) -> None:
        file = ground_truth_file(self.tree, sequence)
        lines_by_frame = _read_lines(self.tree, file, self.report) if file else None
        split, _, name = sequence.partition("/")
        has_split = split in SPLIT_NAMES and bool(name)
        for image in self.tree.iter_images(join_path(sequence, IMAGES)):
            labels = self.labels_for(image)
            assert labels is not None
            stem = strip_extension(image.rpartition("/")[2])
            labels.key = join_path(name if has_split else sequence, stem)
            labels.split = split if has_split else None
            if lines_by_frame is not None:
                frame = int(stem) if stem.isdecimal() and len(stem) <= _MAX_NUMBER_DIGITS else -1
                labels.raw = [lines_by_frame.pop(frame, []), sequence]
        # Lines that remain belong to frames without an image.
        for frame, lines in sorted((lines_by_frame or {}).items()):
            reason = "masks of a frame without a picture"
            self.report.add(FindingType.DROPPED, reason, key=sequence, detail=f"{len(lines)} of {frame}")

    def _objects(self, raw: tuple[list[Line], str], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        lines, sequence = raw
        for position, (location, number, class_number, height, width, rle) in enumerate(lines, 1):
            object_id = str(position)
            class_name = self._class_names[sequence].get(class_number, "")
            if not class_name:
                reason = "class number out of range"
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=location)
                continue
            try:
                mask = Mask(width, height, coco_string_to_counts(rle))
            except ValueError as error:
                reason = "object without a usable shape"
                detail = f"{location}: {error}"[:200]
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail)
                continue
            has_class = number // _TRACKS_PER_CLASS == class_number
            track = number % _TRACKS_PER_CLASS if has_class else number
            yield Object(object_id, class_name, mask, None, str(track))


def _with_group(record: Record) -> Record:
    return replace(record, group=record.key.rpartition("/")[0] or "sequence")


def _read_class_names(tree: SourceTree, sequence: str) -> dict[int, str]:
    """Read the names of the classes by number; lines without a number are numbered from 1."""
    path = join_path(sequence, LABELS)
    if path not in tree.files:
        return dict(_DEFAULT_CLASSES)
    names = {}
    lines = (line for line in read_text(tree.path(path)).split("\n") if line.strip())
    for position, line in enumerate(lines, 1):
        number, _, name = line.partition(" ")
        has_number = number.isdigit() and len(number) <= _MAX_NUMBER_DIGITS and name.strip()
        names[int(number) if has_number else position] = replace_surrogates(name if has_number else line.strip())
    return names


def _read_lines(tree: SourceTree, path: str, report: ConversionReport) -> dict[int, list[Line]]:
    """Read the lines of a label file by frame; bad lines are reported."""
    lines_by_frame: dict[int, list[Line]] = {}
    for line_number, line in enumerate(read_text(tree.path(path)).split("\n"), 1):
        fields = line.split()
        if not fields:
            continue
        are_numbers = all(field.isdigit() and len(field) <= _MAX_NUMBER_DIGITS for field in fields[:5])
        if len(fields) != 6 or not are_numbers:
            detail = f"line {line_number}: {line[:80]!r}"
            report.add(FindingType.DROPPED, "line that cannot be read", key=path, detail=detail)
            continue
        frame, number, class_number, height, width = map(int, fields[:5])
        location = f"line {line_number}"
        lines_by_frame.setdefault(frame, []).append((location, number, class_number, height, width, fields[5]))
    return lines_by_frame


class MotsWriter(Writer):
    """Writes a folder for each sequence."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._report = report
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._columns.drop_split()
        self._classes = ClassIndex(self._columns.labels)
        self._sequences = SequenceWriter(destination, report)
        self._renumbered = 0

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        size = record_size_wh(record)
        location = self._sequences.add_frame(record)
        if location is None:
            return
        sequence, frame = location
        objects = self._columns.labels_of(record)
        if objects is not None and size is None:
            report_unsized_objects(objects, record.key, self._report)
        elif objects is not None and size is not None:
            sequence.labelled += 1
            self._write_objects(objects, record.key, frame, size, sequence)

    def _write_objects(self, objects: Objects, key: str, frame: int, size: SizeWH, sequence: SequenceState) -> None:
        painter = IndexMaskPainter(size, key, self._report)
        for obj in objects:
            painter.add(obj)
        for position, (number, obj) in enumerate(painter.visible_objects(), 1):
            self._renumbered += obj.id != str(position)
            report_dropped_fields(obj, key, self._report, supported=("track",))
            class_number = self._classes.index_of(obj.class_name) + 1
            track_id = self._track_id(key, obj, class_number, sequence)
            rle = counts_to_coco_string(mask_from_array(painter.object_numbers == number).counts)
            line = f"{frame} {track_id} {class_number} {size[1]} {size[0]} {rle}"
            self._sequences.add_line(sequence, frame, line)
            if _on_one_line(obj.class_name) != obj.class_name or not obj.class_name.strip():
                self._add(FindingType.DROPPED, "line breaks in a class", key, obj, repr(obj.class_name))

    def _track_id(self, key: str, obj: Object, class_number: int, sequence: SequenceState) -> int:
        """Return the id of an object, which combines its class with its track if the track is below 1000."""
        if obj.track is None:
            track = sequence.tracks.create()
            self._add(FindingType.REPAIRED, "object without a track", key, obj, f"its own: {track}")
        else:
            track = sequence.tracks.number_of(key, obj, self._report)
        track_id = class_number * _TRACKS_PER_CLASS + track if track < _TRACKS_PER_CLASS else track
        if track_id // _TRACKS_PER_CLASS == class_number and track_id % _TRACKS_PER_CLASS != track:
            reason = "number of a track that cannot be told from its class"
            self._add(FindingType.DROPPED, reason, key, obj, str(track))
        return track_id

    def _add(self, action: FindingType, reason: str, key: str, obj: Object, detail: str) -> None:
        self._report.add(action, reason, key=key, object_id=obj.id, detail=detail)

    def _finish(self) -> None:
        lines = (f"{index + 1} {_on_one_line(name)}\n" for name, index in self._classes.indices.items())
        self._sequences.write_ground_truths("".join(lines))
        report_renumbered(self._report, self._renumbered)
        self._columns.report_dropped()


def _on_one_line(name: str) -> str:
    return name.replace("\n", " ")


FORMAT = Mots()
