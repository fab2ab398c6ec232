"""The annotation files of a COCO source, their splits, and the images that they name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.encoding import read_head
from saccade.formats._common.json import Json, find_tokens, saccade_extra
from saccade.formats._common.names import DEFAULT_SUBSET
from saccade.formats._common.paths import SPLIT_NAMES, SourceTree, escapes_root, normalize_path
from saccade.formats._common.source_files import mark_read
from saccade.formats._common.spill import SpillSet

TASKS = ("instances", "person_keypoints")
_OTHER_TASKS = ("captions", "image_info", "panoptic", "stuff", "sentences")
# The split, and the year with what follows it: "train2017".
_SPLIT = re.compile(r"([A-Za-z\-]+?)[_\-]?(?:\d{4}.*)?")
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class AnnotationFile:
    """A COCO file, with the task and split that its name gives.

    Attributes:
        task: "" if the name has no task.
        split: None if the name has no split.
        stem: the part of the name after the task, by which the folder of the images may be called.
    """

    path: Path
    task: str
    split: str | None
    stem: str


def looks_like_coco(path: Path) -> bool:
    """Whether a JSON file mentions images and annotations; it is searched, not parsed.

    Panoptic files, which have segments instead of shapes, are another format.
    """
    if not read_head(path, 64).lstrip("\ufeff \t\r\n").startswith("{"):
        return False
    tokens = find_tokens(path, '"annotations"', '"categories"', '"images"', '"segments_info"')
    has_labels = bool(tokens & {'"annotations"', '"categories"'})
    return '"images"' in tokens and has_labels and '"segments_info"' not in tokens


def candidate_files(source: Path) -> list[Path]:
    """Return the JSON files in ``annotations``, in the source itself and in split folders, in this order."""
    if source.is_file():
        return [source] if source.suffix.lower() == ".json" else []
    split_folders = (path for path in sorted(source.iterdir()) if path.name in SPLIT_NAMES)
    return [
        path
        for folder in (source / "annotations", source, *split_folders)
        if folder.is_dir() and folder.resolve().is_relative_to(source.resolve())
        for path in sorted(folder.glob("*.json"))
        if path.is_file() and path.resolve().is_relative_to(source.resolve())
    ]


def parse_file_name(path: Path) -> AnnotationFile:
    """Parse the task and split from the name of a file; its folder may also be named after the split.

    >>> parse_file_name(Path("annotations/instances_train2017.json")).split
    'train'
    """
    stem = path.stem
    for task in (*TASKS, *_OTHER_TASKS):
        if stem.startswith(f"{task}_"):
            rest = stem[len(task) + 1 :]
            match = _SPLIT.fullmatch(rest)
            split = match[1] if match else rest
            # The name that CVAT and Datumaro give to the items without a subset.
            return AnnotationFile(path, task, None if split == DEFAULT_SUBSET else split, rest)
    words = [word.lower() for word in _WORD.findall(stem)]
    split = next((word for word in words if word in SPLIT_NAMES), None)
    if split is None and path.parent.name in SPLIT_NAMES:
        split = path.parent.name
    return AnnotationFile(path, "", split, split or "")


def annotation_files(source: Path, task: str, report: ConversionReport) -> list[AnnotationFile]:
    """Return the files of one task, or those without a task in their names; the others are reported.

    Args:
        task: "auto" chooses the first of :data:`TASKS` that there is.

    Raises:
        FormatError: if there is no COCO file, or none of the task.
    """
    files = [parse_file_name(path) for path in candidate_files(source) if path.stat().st_size and looks_like_coco(path)]
    if not files:
        raise FormatError(f"There is no COCO annotation file in {source}.", hint="Expected annotations/*.json.")
    available = {file.task for file in files}
    preference = (task,) if task != "auto" else (*TASKS, "")
    chosen = next((name for name in preference if name in available), None)
    if source.is_file() and task == "auto":
        chosen = files[0].task
    if chosen is None:
        raise FormatError(f"{source} has no annotations of the task '{task}'.", hint=f"It has: {sorted(available)}.")
    for file in files:
        # Those of other tasks are named among the files that were not read, unless the task was chosen by an option.
        if file.task != chosen and (task != "auto" or file.task == "image_info"):
            mark_read(file.path)
            report.add(FindingType.WARNING, "annotation file that was not read", detail=file.path.name)
    return [file for file in files if file.task == chosen]


class ImageFinder:
    """Finds the images of an annotation file below the source.

    Args:
        data: content of the annotation file.
        found: receives the paths that are found.
    """

    def __init__(self, tree: SourceTree, file: AnnotationFile, data: Json, found: SpillSet) -> None:
        self._tree = tree
        stated = saccade_extra(data).get("images")
        folders = [normalize_path(stated)] if isinstance(stated, str) else self._usual_folders(file)
        self._folders = tuple(folders)
        # Images of one file mostly lie in one folder, so the last one is tried first.
        self._last_folder = ""
        self._found = found

    def _usual_folders(self, file: AnnotationFile) -> Iterator[str]:
        root = self._tree.root.resolve()
        parent = file.path.parent.resolve()
        if parent.is_relative_to(root) and parent != root:
            yield parent.relative_to(root).as_posix()
        for name in dict.fromkeys(name for name in (file.stem, file.split) if name):
            yield from (f"images/{name}", f"{name}/images", name)
        yield from ("images", "data", "")

    def find(self, name: str, report: ConversionReport) -> tuple[str, str] | None:
        """Find the image of an entry.

        Returns:
            Its path in the tree, and its path below the folder of images. None if it is missing; the report says so
            only if the name leads outside the source.
        """
        if escapes_root(name):
            report.add(FindingType.SKIPPED, "file name that leads outside the source", detail=repr(name))
            return None
        for relative in dict.fromkeys((name, normalize_path(name))):
            for folder in (self._last_folder, *self._folders):
                path = f"{folder}/{relative}" if folder else relative
                file = self._tree.find(path)
                if file is not None:
                    self._last_folder = folder if folder in self._folders else self._last_folder
                    self._found.add(file)
                    # The key has the characters of the file's name, whichever normal form the entry has.
                    below = file[len(folder) + 1 :] if folder else file
                    return file, below if file != path else relative
        paths = (f"{folder}/{normalize_path(name)}".lstrip("/") for folder in self._folders)
        if any(map(self._tree.links_outside, paths)):
            report.add(FindingType.SKIPPED, "link that leads outside the source", detail=repr(name))
        return None
