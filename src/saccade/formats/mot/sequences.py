"""Sequences of numbered frames, as MOT and MOTS have them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from saccade.core.errors import SaccadeError
from saccade.core.objects import Object
from saccade.core.report import Action, Report
from saccade.formats._paths import Tree
from saccade.formats._writing import image_size_wh


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
