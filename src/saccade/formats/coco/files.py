"""Finding the annotation files of a COCO source, the split of each, and the images they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.core.report import Action, Report
from saccade.formats._common.json import Json, mentioned, own
from saccade.formats._common.paths import SPLIT_WORDS, Tree, leaves_folder, normal
from saccade.formats._common.spill import RoomySet

TASKS = ("instances", "person_keypoints")
_OTHER_TASKS = ("captions", "image_info", "panoptic", "stuff", "sentences")
_SPLIT = re.compile(r"([A-Za-z\-]+?)[_\-]?(?:\d{4}.*)?")
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class AnnotationFile:
    """A COCO file: the task and split that its name tells."""

    path: Path
    task: str
    split: str | None
    stem: str


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file is an object that names images and annotations; looks for the words, parses nothing.

    Panoptic ones, which have segments instead of shapes, are another format.
    """
    with path.open("rb") as file:
        if not file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            return False
    found = mentioned(path, '"annotations"', '"categories"', '"images"', '"segments_info"')
    return '"images"' in found and bool(found & {'"annotations"', '"categories"'}) and '"segments_info"' not in found


def candidates(source: Path) -> list[Path]:
    """The JSON files where COCO keeps its annotations, in order: annotations/, beside, in split folders."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    places = (source / "annotations", source, *(path for path in sorted(source.iterdir()) if path.name in SPLIT_WORDS))
    return [
        path
        for place in places
        if place.is_dir() and place.resolve().is_relative_to(source.resolve())
        for path in sorted(place.glob("*.json"))
        if path.is_file() and path.resolve().is_relative_to(source.resolve())
    ]


def describe(path: Path) -> AnnotationFile:
    """The task and split of a file by its name; a split may also be the name of its folder.

    >>> describe(Path("annotations/instances_train2017.json")).split
    'train'
    """
    stem = path.stem
    for task in (*TASKS, *_OTHER_TASKS):
        if stem.startswith(f"{task}_"):
            rest = stem[len(task) + 1 :]
            match = _SPLIT.fullmatch(rest)
            return AnnotationFile(path, task, match[1] if match else rest, rest)
    words = [word.lower() for word in _WORD.findall(stem)]
    found = next((word for word in words if word in SPLIT_WORDS), None)
    if found is None and path.parent.name in SPLIT_WORDS:
        found = path.parent.name
    return AnnotationFile(path, "", found, found or "")


def annotation_files(source: Path, task: str, report: Report) -> list[AnnotationFile]:
    """The files to read: those of one task (or without one in their names); the others are reported."""
    found = [describe(path) for path in candidates(source) if path.stat().st_size and looks_like_coco(path)]
    if not found:
        raise FormatError(f"There is no COCO annotation file in {source}.", hint="Expected annotations/*.json.")
    tasks = {file.task for file in found}
    order = (task,) if task != "auto" else (*TASKS, "")
    chosen = next((name for name in order if name in tasks), None)
    if source.is_file() and task == "auto":
        chosen = found[0].task
    if chosen is None:
        raise FormatError(f"{source} has no annotations of the task '{task}'.", hint=f"It has: {sorted(tasks)}.")
    for file in found:
        if file.task != chosen:
            report.add(Action.NOTICED, "annotation file that was not read", detail=file.path.name)
    return [file for file in found if file.task == chosen]


class Images:
    """Finds the file of an image entry below the source, never outside.

    Args:
        named: takes the paths that are found.
    """

    def __init__(self, tree: Tree, file: AnnotationFile, data: Json, named: RoomySet) -> None:
        self._tree = tree
        mine = own(data).get("images")
        self._places = (normal(mine),) if isinstance(mine, str) else tuple(self._usual_places(file))
        self._last = ""
        self._named = named

    def _usual_places(self, file: AnnotationFile) -> Iterator[str]:
        root, beside = self._tree.root.resolve(), file.path.parent.resolve()
        if beside.is_relative_to(root) and beside != root:
            yield beside.relative_to(root).as_posix()
        for word in dict.fromkeys(name for name in (file.stem, file.split) if name):
            yield from (f"images/{word}", f"{word}/images", word)
        yield from ("images", "data", "")

    def find(self, name: str, report: Report) -> tuple[str, str] | None:
        """The path in the tree and the path below the folder of images, or None with the reason in the report."""
        if leaves_folder(name):
            report.add(Action.SET_ASIDE, "file name that leads outside the source", detail=repr(name))
            return None
        for below in dict.fromkeys((name, normal(name))):
            for place in (self._last, *self._places):
                path = f"{place}/{below}" if place else below
                if path in self._tree.files:
                    self._last = place if place in self._places else self._last
                    self._named.add(path)
                    return path, below
        outside = any(self._tree.leads_outside(f"{place}/{normal(name)}".lstrip("/")) for place in self._places)
        if outside:
            report.add(Action.SET_ASIDE, "link that leads outside the source", detail=repr(name))
        return None

    @property
    def last_place(self) -> str:
        """The folder in which the last image was found."""
        return self._last
