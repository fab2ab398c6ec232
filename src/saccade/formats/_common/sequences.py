"""Sequences of numbered frames with tracks, as MOT and MOTS have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from saccade.core.objects import Object
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import safe_component
from saccade.formats._common.paths import SPLIT_NAMES, SourceTree
from saccade.formats._common.spill import IntSet, SpillTable, temporary_database
from saccade.formats._common.text import read_lines
from saccade.formats.base import Record, SizeWH

IMAGES = "img1"
GROUND_TRUTH = "gt/gt.txt"
LABELS = "gt/labels.txt"
SEQUENCE_INFO = "seqinfo.ini"
_MAX_NUMBER_DIGITS = 9


def find_sequences(tree: SourceTree) -> list[str]:
    """Return the folders with a folder ``img1``; "" is the source itself."""
    image_folders = [folder for folder in tree.folders if folder == IMAGES or folder.endswith(f"/{IMAGES}")]
    return [folder.rpartition("/")[0] for folder in image_folders]


def join_path(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def ground_truth_file(tree: SourceTree, folder: str) -> str:
    """Return the label file of a sequence, or ""."""
    path = join_path(folder, GROUND_TRUTH)
    return path if path in tree.files else ""


def read_sequence_size(tree: SourceTree, folder: str) -> SizeWH | None:
    """Return the size of the frames that the ``seqinfo.ini`` of a sequence states, if any."""
    path = join_path(folder, SEQUENCE_INFO)
    if path not in tree.files:
        return None
    pairs = (line.partition("=") for line in read_lines(tree.path(path)))
    fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return to_size_wh(fields.get("imwidth"), fields.get("imheight"))


def is_mots_file(path: Path) -> bool:
    """Whether the first line of a label file has the fields of MOTS."""
    with path.open("rb") as file:
        fields = file.readline(1 << 20).decode(errors="replace").split()
    return len(fields) == 6 and all(number.isdigit() for number in fields[:5])


class TrackNumbers:
    """The numbers of a sequence's tracks, by their names."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._max_number = 0

    def create(self) -> int:
        """Return a number above all others."""
        self._max_number += 1
        return self._max_number

    def number_of(self, key: str, obj: Object, report: ConversionReport) -> int:
        """Return the number of an object's track: its name, or else a new number, which is reported.

        Args:
            key: key of the object's item.
            obj: an object with a track.
        """
        name = obj.track
        assert name is not None
        if name.isascii() and name.isdecimal() and str(int(name)) == name:
            self._max_number = max(self._max_number, int(name))
            return self._numbers.setdefault(name, int(name))
        number = self._numbers.get(name) or self.create()
        self._numbers[name] = number
        reason = "name of a track that is no number"
        detail = f"{name!r} to {number}"
        report.add(FindingType.REPAIRED, reason, key=key, object_id=obj.id, detail=detail)
        return number


@dataclass
class SequenceState:
    """A sequence while it is written.

    Attributes:
        number: number of the sequence, from 0.
        frame_numbers: numbers of the frames that are written.
        labelled: how many frames are labelled.
        size_wh: size of the first frame of known size.
        suffix: extension of the images.
    """

    number: int
    folder: Path
    frames: int = 0
    frame_numbers: IntSet = field(default_factory=IntSet)
    max_frame_number: int = 0
    tracks: TrackNumbers = field(default_factory=TrackNumbers)
    labelled: int = 0
    size_wh: SizeWH | None = None
    suffix: str = ""

    def choose_frame_number(self, stem: str) -> int:
        """Return the number that a file name is, if it is free, else the next number."""
        is_number = stem.isdecimal() and len(stem) <= _MAX_NUMBER_DIGITS
        return int(stem) if is_number and int(stem) not in self.frame_numbers else self.max_frame_number + 1


class SequenceWriter:
    """Writes the images of records as the frames of sequences, and then their label files."""

    def __init__(self, destination: Path, report: ConversionReport) -> None:
        self.by_name: dict[str, SequenceState] = {}
        self._destination = destination
        self._report = report
        self._db = temporary_database(self)
        self._lines = SpillTable(self._db, "lines", ("sequence", "frame", "line"))

    def add_frame(self, record: Record) -> tuple[SequenceState, int] | None:
        """Write an image.

        Returns:
            The sequence, which is the folder of the key, and the number of the frame. None, and reported, if the image
            cannot be written.
        """
        folder, _, stem = record.key.rpartition("/")
        name = "/".join(safe_component(part, (IMAGES, "gt", *SPLIT_NAMES)) for part in folder.split("/"))
        name = name if folder else "sequence"
        sequence = self.by_name.setdefault(name, SequenceState(len(self.by_name), self._destination / name))
        number = sequence.choose_frame_number(stem)
        written_key = f"{name}/{number:06}"
        if written_key != record.key:
            reason = "key changed to be a file name"
            self._report.add(FindingType.REPAIRED, reason, key=record.key, detail=f"to {written_key!r}")
        image = copy_media(record, sequence.folder / IMAGES / f"{number:06}", self._report)
        if image is None:
            return None
        sequence.frames += 1
        sequence.frame_numbers.add(number)
        sequence.max_frame_number = max(sequence.max_frame_number, number)
        sequence.suffix = image.suffix
        sequence.size_wh = sequence.size_wh or record_size_wh(record)
        return sequence, number

    def add_line(self, sequence: SequenceState, frame: int, line: str) -> None:
        """Add a line to the labels of a sequence.

        Args:
            frame: number of the frame, by which the lines are ordered.
            line: the line without its end.
        """
        self._lines.add(sequence.number, frame, line)

    def write_ground_truths(self, class_names: str) -> None:
        """Write the label file of every labelled sequence, with its lines ordered by frame.

        Args:
            class_names: content of the file with the names of the classes.
        """
        self._lines.flush()
        self._db.execute("CREATE INDEX lines_in_order ON lines (sequence, frame, position)")
        for name, sequence in self.by_name.items():
            if not sequence.frames or not sequence.labelled:
                continue
            if unlabelled := sequence.frames - sequence.labelled:
                reason = "not labelled, which becomes reviewed and empty"
                self._report.add(FindingType.DROPPED, reason, key=name, detail=f"{unlabelled} frames")
            (sequence.folder / "gt").mkdir()
            query = "SELECT line FROM lines WHERE sequence = ? ORDER BY frame, position"
            with (sequence.folder / GROUND_TRUTH).open("w", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for (line,) in self._db.execute(query, (sequence.number,)))
            (sequence.folder / LABELS).write_text(class_names, encoding="utf-8")
