"""Sequences of numbered frames, as MOT and MOTS have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from saccade.core.errors import SaccadeError
from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.formats._common.paths import SPLIT_WORDS, Tree
from saccade.formats._common.spill import NumberSet, Rows, temporary_database
from saccade.formats._common.writing import copy_media, image_size_wh, safe_component, size_wh_of
from saccade.formats.base import Record


def sequences_of(tree: Tree) -> list[str]:
    """The folders that hold an ``img1``; "" is the source itself."""
    found = [folder for folder in tree.folders if folder == "img1" or folder.endswith("/img1")]
    return [folder.rpartition("/")[0] for folder in found]


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def truth_of(tree: Tree, folder: str) -> str:
    """The file of labels of a sequence, "" where there is none."""
    path = join(folder, "gt/gt.txt")
    return path if path in tree.files else ""


def has_masks(path: Path) -> bool:
    """Whether the first line of a file of labels has the parts of MOTS."""
    with path.open("rb") as file:
        first = file.readline(1 << 20).decode(errors="replace").split()
    return len(first) == 6 and all(part.isdigit() for part in first[:5])


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of an image, where they can be read."""
    try:
        return image_size_wh(path)
    except (SaccadeError, OSError):
        return None


class Tracks:
    """The numbers of tracks by their names."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._highest = 0

    def next(self) -> int:
        """A number above all others."""
        self._highest += 1
        return self._highest

    def number(self, key: str, found: Object, report: Report) -> int:
        """The number of an object's track; one whose name is no number gets the next, and that is reported."""
        name = found.track
        assert name is not None
        if name.isascii() and name.isdecimal() and str(int(name)) == name:
            self._highest = max(self._highest, int(name))
            return self._numbers.setdefault(name, int(name))
        number = self._numbers[name] = self._numbers.get(name) or self.next()
        detail = f"{name!r} to {number}"
        report.add(Action.REPAIRED, "name of a track that is no number", key=key, object_id=found.id, detail=detail)
        return number


@dataclass
class Sequence:
    """A sequence while it is written: its folder, how many frames it has, their numbers and the highest of these."""

    number: int
    folder: Path
    frames: int = 0
    numbers: NumberSet = field(default_factory=NumberSet)
    highest: int = 0
    tracks: Tracks = field(default_factory=Tracks)
    labelled: int = 0
    size_wh: tuple[int, int] | None = None
    suffix: str = ""

    def free(self, stem: str) -> int:
        """The number in a name where it is one that is free, else the next."""
        if stem.isdecimal() and len(stem) <= 9 and int(stem) not in self.numbers:
            return int(stem)
        return self.highest + 1


class SequencesOut:
    """Writes the pictures of records as the frames of sequences, and then their labels."""

    def __init__(self, destination: Path, report: Report) -> None:
        self.by_name: dict[str, Sequence] = {}
        self._destination, self._report = destination, report
        self._db = temporary_database(self)
        self._lines = Rows(self._db, "lines", ("sequence", "frame", "line"))

    def frame(self, record: Record) -> tuple[Sequence, int] | None:
        """Write a picture; the sequence that its key says and its number there, None where it cannot be written."""
        folder, _, stem = record.key.rpartition("/")
        name = "/".join(safe_component(part, ("img1", "gt", *SPLIT_WORDS)) for part in folder.split("/"))
        name = name if folder else "sequence"
        sequence = self.by_name.setdefault(name, Sequence(len(self.by_name), self._destination / name))
        number = sequence.free(stem)
        if (written := f"{name}/{number:06}") != record.key:
            reason = "key changed to be a file name"
            self._report.add(Action.REPAIRED, reason, key=record.key, detail=f"to {written!r}")
        image = copy_media(record, sequence.folder / "img1" / f"{number:06}", self._report)
        if image is None:
            return None
        sequence.frames += 1
        sequence.numbers.add(number)
        sequence.highest = max(sequence.highest, number)
        sequence.suffix = image.suffix
        sequence.size_wh = sequence.size_wh or size_wh_of(record)
        return sequence, number

    def add(self, sequence: Sequence, frame: int, line: str) -> None:
        """Add a line to the labels of a sequence, among which it stands by its frame."""
        self._lines.add(sequence.number, frame, line)

    def write_truths(self, labels: str) -> None:
        """Write the labels of every sequence that has any, and the names of the classes."""
        self._lines.flush()
        self._db.execute("CREATE INDEX lines_in_order ON lines (sequence, frame, place)")
        for name, sequence in self.by_name.items():
            if not sequence.frames or not sequence.labelled:
                continue
            if unlabelled := sequence.frames - sequence.labelled:
                reason = "not labelled, which becomes reviewed and empty"
                self._report.add(Action.DROPPED, reason, key=name, detail=f"{unlabelled} frames")
            (sequence.folder / "gt").mkdir()
            asked = "SELECT line FROM lines WHERE sequence = ? ORDER BY frame, place"
            with (sequence.folder / "gt" / "gt.txt").open("w", encoding="utf-8") as out:
                out.writelines(f"{line}\n" for (line,) in self._db.execute(asked, (sequence.number,)))
            (sequence.folder / "gt" / "labels.txt").write_text(labels, encoding="utf-8")
