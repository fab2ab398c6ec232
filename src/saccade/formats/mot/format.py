"""MOT Challenge: the boxes of tracks in numbered frames, a folder for each sequence.

Read: ``SEQUENCE/img1/000001.jpg`` with ``gt/gt.txt``, one sequence or a folder of them, also below train and test,
which become splits. A line is ``frame, id, left, top, width, height, flag, class, visibility``; the names of classes
stand in ``gt/labels.txt`` (as CVAT writes it), else they are those of MOT16. Coordinates are taken as they stand. A
flag of 0 becomes the attribute ``ignored``, a visibility below 1 the attribute ``visibility``. A frame of a sequence
with a gt.txt is labelled; without one it is not. Boxes may reach over the edge of the image, as they do in this format.

Written: the same, with ``seqinfo.ini`` and ``labels.txt``. The folder of a key is its sequence.

Source of the format: Milan et al., "MOT16: A benchmark for multi-object tracking" (2016).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, Box, Object
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_WORDS, Keys, Tree, stem_of, tree_of, whole_text
from saccade.formats._common.writing import (
    SPLIT,
    ClassNames,
    Columns,
    ObjectLosses,
)
from saccade.formats.base import Detection, LocalFile, Reading, Record
from saccade.formats.mot.sequences import (
    Sequence,
    SequencesOut,
    has_masks,
    join,
    sequences_of,
    size_of,
    truth_of,
)

CLASSES = (
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
_FRAME = re.compile(r"(\d{1,9})$")


class Mot:
    name: ClassVar[str] = "mot"
    title: ClassVar[str] = "MOT Challenge"
    holds: ClassVar[str] = "boxes with tracks in frames; visibility; labelled or not, by sequence"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and MOT is a folder")
        tree = tree_of(source)
        found = [truth for folder in sequences_of(tree) if (truth := truth_of(tree, folder))]
        if not found:
            return Detection(False, "there is no img1 with a gt/gt.txt beside it")
        if any(has_masks(tree.path(truth)) for truth in found):
            return Detection(False, f"{found[0]} holds masks: it is MOTS")
        return Detection(True, f"there is {found[0]} beside img1")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "MOT")
        return _Sequences(source, report).open()

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "MOT")
        columns = Columns(reading, report, Kind.OBJECTS)
        columns.report_class_details("parent", "color", "keypoints", "skeleton")
        columns.drop_split()
        writer = _Writer(columns, destination, report)
        for record in reading.records:
            columns.count(record)
            writer.record(record)
        writer.finish()
        columns.finish()


class _Sequences:
    """One opening of a source."""

    def __init__(self, source: Path, report: Report) -> None:
        self._report = report
        self._tree = Tree(source)
        self._tree.report_unusable(report)
        self._folders = sequences_of(self._tree)
        if not self._folders:
            raise FormatError(f"There is no folder img1 below {source}.", hint="Expected SEQUENCE/img1 and gt/gt.txt.")
        self._splits = any(folder.partition("/")[0] in SPLIT_WORDS and "/" in folder for folder in self._folders)
        self._names = {folder: self._labels(folder) for folder in self._folders}

    def _labels(self, folder: str) -> list[str]:
        path = join(folder, "gt/labels.txt")
        if path not in self._tree.files:
            return list(CLASSES)
        text = self._tree.path(path).read_bytes().decode("utf-8-sig", errors="replace")
        return [whole_text(line.strip()) for line in text.split("\n") if line.strip()]

    def open(self) -> Reading:
        known = [self._names[folder] for folder in self._folders if truth_of(self._tree, folder)] or [list(CLASSES)]
        classes = tuple(ClassInfo(name) for name in dict.fromkeys(name for names in known for name in names))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        columns += [Column(SPLIT, Kind.TEXT)] if self._splits else []
        count = sum(1 for folder in self._folders for _ in self._tree.each_image(join(folder, "img1")))
        return Reading(Schema(tuple(columns)), self._records(), count)

    def _records(self) -> Iterator[Record]:
        keys = Keys(self._report)
        for folder in self._folders:
            split, name = None, folder
            if self._splits and folder.partition("/")[0] in SPLIT_WORDS:
                split, _, name = folder.partition("/")
            truth = truth_of(self._tree, folder)
            frames = self._lines(truth, folder) if truth else None
            for image in self._tree.each_image(join(folder, "img1")):
                stem = stem_of(image.rpartition("/")[2])
                key = keys.take(join(name, stem), join(folder, stem))
                match = _FRAME.search(stem)
                lines = frames.pop(int(match.group(1)), []) if frames is not None and match else []
                objects = None if frames is None else self._objects(lines, key, self._names[folder])
                path = self._tree.path(image)
                values: dict[str, Any] = {"objects": objects, **({SPLIT: split} if split else {})}
                yield Record(key, LocalFile(path), values, size_of(path), group=name or "sequence")
            for frame, lines in sorted((frames or {}).items()):
                self._report.add(
                    Action.DROPPED, "boxes of a frame without a picture", key=name, detail=f"{len(lines)} of {frame}"
                )

    def _lines(self, path: str, folder: str) -> dict[int, list[list[float]]]:
        """The numbers of each line, by frame; bad lines go to the report."""
        found: dict[int, list[list[float]]] = {}
        text = self._tree.path(path).read_bytes().decode("utf-8-sig", errors="replace")
        for at, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                numbers = [float(part) for part in line.split(",")]
            except ValueError:
                numbers = []
            if len(numbers) < 6 or not all(map(math.isfinite, numbers)) or numbers[0] != int(numbers[0]):
                detail = f"line {at}: {line[:80]!r}"
                self._report.add(Action.DROPPED, "line without six finite numbers", key=folder, detail=detail)
                continue
            found.setdefault(int(numbers[0]), []).append(numbers)
        return found

    def _objects(self, lines: list[list[float]], key: str, names: list[str]) -> tuple[Object, ...]:
        made = []
        for at, numbers in enumerate(lines, 1):
            found = self._object(numbers, str(at), key, names)
            if found is not None:
                made.append(found)
        return tuple(made)

    def _object(self, numbers: list[float], object_id: str, key: str, names: list[str]) -> Object | None:
        _, track, left, top, width, height, *more = numbers
        number = int(more[1]) if len(more) == 3 else 1
        reason = ""
        if width <= 0 or height <= 0:
            reason = "box without area"
        elif not 1 <= number <= len(names):
            reason = "class number out of range"
        if reason:
            self._report.add(Action.DROPPED, reason, key=key, object_id=object_id, detail=str(numbers)[:200])
            return None
        attributes: dict[str, AttributeValue] = {}
        if len(more) == 3 and more[0] == 0:
            attributes["ignored"] = True
        if len(more) == 3 and more[2] < 1:
            attributes["visibility"] = more[2]
        box = Box(left, top, left + width, top + height)
        name = str(int(track)) if track >= 0 and track == int(track) else None
        return Object(object_id, names[number - 1], box, None, name, attributes)


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report) -> None:
        self._columns, self._report = columns, report
        self._classes = ClassNames(columns.labels)
        self._losses = ObjectLosses(report, attributes=True, tracks=True)
        self._sequences = SequencesOut(destination, report)

    def record(self, record: Record) -> None:
        place = self._sequences.frame(record)
        if place is None:
            return
        sequence, frame = place
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        sequence.labelled += objects is not None
        written_count = 0
        for found in objects or ():
            self._losses.note(record.key, found, written_count + 1)
            bounds = self._losses.bounds_xyxy(record.key, found)
            if bounds is not None:
                written_count += 1
                self._sequences.add(sequence, frame, self._line(record.key, found, frame, bounds, sequence))

    def _line(
        self, key: str, found: Object, frame: int, bounds: tuple[float, float, float, float], sequence: Sequence
    ) -> str:
        x1, y1, x2, y2 = bounds
        for name, value in found.attributes.items():
            held = (name == "ignored" and value is True) or (
                name == "visibility" and isinstance(value, float) and value < 1 and math.isfinite(value)
            )
            if not held:
                detail = f"{name} = {value!r}"
                self._report.add(Action.DROPPED, "attribute", key=key, object_id=found.id, detail=detail)
        seen = found.attributes.get("visibility")
        visibility = seen if isinstance(seen, float) and seen < 1 and math.isfinite(seen) else 1
        flag = int(found.attributes.get("ignored") is not True)
        number = self._classes.number(found.class_name) + 1
        track = -1 if found.track is None else sequence.tracks.number(key, found, self._report)
        return f"{frame},{track},{x1!r},{y1!r},{x2 - x1!r},{y2 - y1!r},{flag},{number},{visibility!r}"

    def finish(self) -> None:
        self._losses.finish()
        names = list(self._classes.numbers)
        self._sequences.write_truths("".join(f"{' '.join(label.split()) or '_'}\n" for label in names))
        for name, sequence in self._sequences.by_name.items():
            if sequence.frames:
                self._write_info(name, sequence)
        for label in names:
            if " ".join(label.split()) != label:
                self._report.add(Action.REPAIRED, "name of a class that is not one line", detail=repr(label))

    def _write_info(self, name: str, sequence: Sequence) -> None:
        width, height = sequence.size_wh or (0, 0)
        (sequence.folder / "seqinfo.ini").write_text(
            f"[Sequence]\nname={name.rpartition('/')[2]}\nimDir=img1\nframeRate=30\nseqLength={sequence.highest}\n"
            f"imWidth={width}\nimHeight={height}\nimExt={sequence.suffix}\n",
            encoding="utf-8",
        )


FORMAT = Mot()
