"""Sequences of numbered frames, as MOT and MOTS have them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from saccade.core.errors import SaccadeError
from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.formats._paths import SPLIT_WORDS, Tree
from saccade.formats._writing import copy_media, image_size_wh, safe_component, size_wh_of
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


def free_frame(stem: str, taken: Collection[int]) -> int:
    """The number in a name where it is one that is free, else the next."""
    if stem.isdecimal() and len(stem) <= 9 and int(stem) not in taken:
        return int(stem)
    return max(taken, default=0) + 1


def track_number(key: str, found: Object, known: dict[str, int], report: Report) -> int:
    """The number of an object's track; one whose name is no number gets the next, and that is reported."""
    assert found.track is not None
    if found.track.isascii() and found.track.isdecimal() and str(int(found.track)) == found.track:
        return known.setdefault(found.track, int(found.track))
    if found.track not in known:
        known[found.track] = max(known.values(), default=0) + 1
    number = known[found.track]
    detail = f"{found.track!r} to {number}"
    report.add(Action.REPAIRED, "name of a track that is no number", key=key, object_id=found.id, detail=detail)
    return number


@dataclass
class Sequence:
    """A sequence while it is written: its folder, the numbers of its frames, and the lines of its labels by frame."""

    folder: Path
    frames: set[int] = field(default_factory=set)
    lines: list[tuple[int, str]] = field(default_factory=list)
    tracks: dict[str, int] = field(default_factory=dict)
    labelled: int = 0
    size_wh: tuple[int, int] | None = None
    suffix: str = ""


class SequencesOut:
    """Writes the pictures of records as the frames of sequences, and then their labels."""

    def __init__(self, destination: Path, report: Report) -> None:
        self.by_name: dict[str, Sequence] = {}
        self._destination, self._report = destination, report

    def frame(self, record: Record) -> tuple[Sequence, int] | None:
        """Write a picture; the sequence that its key says and its number there, None where it cannot be written."""
        folder, _, stem = record.key.rpartition("/")
        name = "/".join(safe_component(part, ("img1", "gt", *SPLIT_WORDS)) for part in folder.split("/"))
        name = name if folder else "sequence"
        sequence = self.by_name.setdefault(name, Sequence(self._destination / name))
        number = free_frame(stem, sequence.frames)
        if (written := f"{name}/{number:06}") != record.key:
            reason = "key changed to be a file name"
            self._report.add(Action.REPAIRED, reason, key=record.key, detail=f"to {written!r}")
        image = copy_media(record, sequence.folder / "img1" / f"{number:06}", self._report)
        if image is None:
            return None
        sequence.frames.add(number)
        sequence.suffix = image.suffix
        sequence.size_wh = sequence.size_wh or size_wh_of(record)
        return sequence, number

    def write_truths(self, labels: str) -> None:
        """Write the labels of every sequence that has any, and the names of the classes."""
        for name, sequence in self.by_name.items():
            if not sequence.frames or not sequence.labelled:
                continue
            if unlabelled := len(sequence.frames) - sequence.labelled:
                reason = "not labelled, which becomes reviewed and empty"
                self._report.add(Action.DROPPED, reason, key=name, detail=f"{unlabelled} frames")
            (sequence.folder / "gt").mkdir()
            lines = "".join(f"{line}\n" for _, line in sorted(sequence.lines, key=lambda pair: pair[0]))
            (sequence.folder / "gt" / "gt.txt").write_text(lines, encoding="utf-8")
            (sequence.folder / "gt" / "labels.txt").write_text(labels, encoding="utf-8")
