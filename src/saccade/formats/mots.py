"""MOTS: the masks of tracks in numbered frames, a folder for each sequence.

Read: ``SEQUENCE/img1/000001.jpg`` with ``gt/gt.txt`` (MOTSChallenge), one sequence or a folder of them, also below
train and test, which become splits. A line is ``frame id class height width rle``, parted by spaces; the track is
what the id has beyond its class (``id % 1000`` where the id is ``class * 1000 + number``, else the id). Names of
classes stand in ``gt/labels.txt``, else 1 is car, 2 pedestrian and 10 ignore. A frame of a sequence with a gt.txt is
labelled.

Written: the same, with ``labels.txt`` (``number name``). Every shape becomes a mask; where objects overlap, the later
one is seen, and what it covers is reported. The folder of a key is its sequence. An object without a track gets one
of its own.

Source of the format: Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation" (2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.geometry import coco_string_to_counts, counts_to_coco_string, mask_from_array
from saccade.core.objects import Mask, Object
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.index_mask import Painting, drop_beside_shape
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_WORDS, Tree, stem_of, tree_of, whole_text
from saccade.formats._common.per_image import ByImage, SizeWH
from saccade.formats._common.text import read_text
from saccade.formats._common.writing import ClassNames, Columns, size_wh_of
from saccade.formats.base import Detection, Reading, Record
from saccade.formats.mot.sequences import Sequence, SequencesOut, has_masks, join, sequences_of, truth_of

CLASSES = {1: "car", 2: "pedestrian", 10: "ignore"}
_PER_CLASS = 1000


Line = tuple[str, int, int, int, int, str]
"""Where it stands, and id, class, height, width and run lengths."""


class Mots:
    name: ClassVar[str] = "mots"
    title: ClassVar[str] = "MOTS"
    holds: ClassVar[str] = "masks that do not overlap, with tracks in frames; labelled or not, by sequence"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and MOTS is a folder")
        tree = tree_of(source)
        found = [truth for folder in sequences_of(tree) if (truth := truth_of(tree, folder))]
        if not found:
            return Detection(False, "there is no img1 with a gt/gt.txt beside it")
        if any(has_masks(tree.path(truth)) for truth in found):
            return Detection(True, f"{found[0]} holds masks")
        return Detection(False, f"{found[0]} holds no masks")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "MOTS")
        images = ByImage(source, report, splits=False)
        folders = sequences_of(images.tree)
        if not folders:
            raise FormatError(f"There is no folder img1 below {source}.", hint="Expected SEQUENCE/img1 and gt/gt.txt.")
        classes: dict[str, None] = {}
        pictures = tuple(f"{join(folder, 'img1')}/" for folder in folders)
        named = {folder: _names(images.tree, folder) for folder in folders}
        for folder, names in named.items():
            truth = truth_of(images.tree, folder)
            frames = _lines(images.tree, truth, report) if truth else None
            if frames is not None:
                classes.update(dict.fromkeys(names.values()))
            split, _, rest = folder.partition("/")
            for image in images.tree.each_image(join(folder, "img1")):
                entry = images.entry(image)
                assert entry is not None
                stem = stem_of(image.rpartition("/")[2])
                has_split = split in SPLIT_WORDS and bool(rest)
                entry.key = join(rest if has_split else folder, stem)
                entry.split = split if has_split else None
                if frames is not None:
                    number = int(stem) if stem.isdecimal() and len(stem) <= 9 else -1
                    entry.raw = [frames.pop(number, []), folder]
            for number, lines in sorted((frames or {}).items()):
                reason = "masks of a frame without a picture"
                report.add(Action.DROPPED, reason, key=folder, detail=f"{len(lines)} of {number}")
        reading = images.reading(
            classes,
            lambda raw, key, size: _objects(raw[0], named[raw[1]], key, size, report),
            wanted=lambda image: image.startswith(pictures),
        )
        return replace(reading, records=(_in_sequence(record) for record in reading.records))

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "MOTS")
        columns = Columns(reading, report, Kind.OBJECTS)
        columns.report_class_details("parent", "color", "keypoints", "skeleton")
        columns.drop_split()
        writer = _Writer(columns, destination, report)
        for record in reading.records:
            columns.count(record)
            writer.record(record)
        writer.finish()
        columns.finish()


def _in_sequence(record: Record) -> Record:
    return replace(record, group=record.key.rpartition("/")[0] or "sequence")


def _names(tree: Tree, folder: str) -> dict[int, str]:
    path = join(folder, "gt/labels.txt")
    if path not in tree.files:
        return dict(CLASSES)
    found = {}
    for at, line in enumerate((line for line in read_text(tree.path(path)).split("\n") if line.strip()), 1):
        number, _, name = line.partition(" ")
        has_number = number.isdigit() and len(number) <= 9 and name.strip()
        found[int(number) if has_number else at] = whole_text(name if has_number else line.strip())
    return found


def _lines(tree: Tree, path: str, report: Report) -> dict[int, list[Line]]:
    """The lines of a file by frame; bad ones go to the report."""
    found: dict[int, list[Line]] = {}
    for at, line in enumerate(read_text(tree.path(path)).split("\n"), 1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 6 or not all(part.isdigit() and len(part) <= 9 for part in parts[:5]):
            report.add(Action.DROPPED, "line that cannot be read", key=path, detail=f"line {at}: {line[:80]!r}")
            continue
        frame, number, label, height, width = map(int, parts[:5])
        found.setdefault(frame, []).append((f"line {at}", number, label, height, width, parts[5]))
    return found


def _objects(lines: list[Line], names: dict[int, str], key: str, size_wh: SizeWH, report: Report) -> Iterator[Object]:
    for position, (place, number, label, height, width, text) in enumerate(lines, 1):
        object_id, name = str(position), names.get(label, "")
        if not name:
            report.add(Action.DROPPED, "class number out of range", key=key, object_id=object_id, detail=place)
            continue
        try:
            if size_wh is not None and (width, height) != size_wh:
                raise InvalidValueError(f"The mask is for an image of {width} x {height}.")
            mask = Mask(width, height, coco_string_to_counts(text))
        except ValueError as error:
            reason = "object without a usable shape"
            report.add(Action.DROPPED, reason, key=key, object_id=object_id, detail=f"{place}: {error}"[:200])
            continue
        track = number % _PER_CLASS if number // _PER_CLASS == label else number
        yield Object(object_id, name, mask, None, str(track))


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report) -> None:
        self._columns, self._report = columns, report
        self._classes = ClassNames(columns.labels)
        self._sequences = SequencesOut(destination, report)
        self._ids = 0

    def record(self, record: Record) -> None:
        size, place = size_wh_of(record), self._sequences.frame(record)
        if place is None:
            return
        sequence, frame = place
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        if objects is not None and size is not None:
            sequence.labelled += 1
            self._write(objects, record.key, frame, size, sequence)

    def _write(
        self, objects: tuple[Object, ...], key: str, frame: int, size: tuple[int, int], sequence: Sequence
    ) -> None:
        painting = Painting(size, key, self._report)
        for found in objects:
            painting.add(found)
        for position, (number, found) in enumerate(painting.seen(), 1):
            self._ids += found.id != str(position)
            drop_beside_shape(found, key, self._report, kept=("track",))
            label = self._classes.number(found.class_name) + 1
            if found.track is None:
                track = sequence.tracks.next()
                self._add(Action.REPAIRED, "object without a track", key, found, f"its own: {track}")
            else:
                track = sequence.tracks.number(key, found, self._report)
            joined = label * _PER_CLASS + track if track < _PER_CLASS else track
            if joined // _PER_CLASS == label and joined % _PER_CLASS != track:
                self._add(
                    Action.DROPPED, "number of a track that cannot be told from its class", key, found, str(track)
                )
            mask = mask_from_array(painting.numbers == number)
            text = counts_to_coco_string(mask.counts)
            self._sequences.add(sequence, frame, f"{frame} {joined} {label} {size[1]} {size[0]} {text}")
            if " ".join(found.class_name.split("\n")) != found.class_name or not found.class_name.strip():
                self._add(Action.DROPPED, "line breaks in a class", key, found, repr(found.class_name))

    def _add(self, action: Action, reason: str, key: str, found: Object, detail: str) -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def finish(self) -> None:
        labels = "".join(f"{n + 1} {' '.join(name.split(chr(10)))}\n" for name, n in self._classes.numbers.items())
        self._sequences.write_truths(labels)
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")


FORMAT = Mots()
