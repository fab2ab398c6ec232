"""Finding the annotations, images and splits of a Pascal VOC source."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from saccade.core.report import Action, Report
from saccade.formats._common.paths import SPLIT_WORDS, Tree, stem_of
from saccade.formats._common.per_image import images_by
from saccade.formats._common.spill import RoomyDict
from saccade.formats._common.text import lines_of

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images", "Images")
SETS = "ImageSets/Main"
_ORDER = {"train": 0, "val": 1, "test": 2, "trainval": 4}
_OTHERS = 3


def voc_root(source: Path) -> Path:
    """The folder with the annotations: the source, or the one set of a VOCdevkit in it."""
    for pattern in ("VOC*", "VOCdevkit/VOC*"):
        found = [path for path in sorted(source.glob(pattern)) if (path / ANNOTATIONS[0]).is_dir()]
        if len(found) == 1 and found[0].resolve().is_relative_to(source.resolve()):
            return found[0]
    return source


@dataclass
class Files:
    """The XML file and the images of each item by its stem; either may be missing."""

    annotations: RoomyDict[str] = field(default_factory=RoomyDict)
    images: RoomyDict[list[str]] = field(default_factory=RoomyDict)
    split_folders: bool = False

    def __contains__(self, stem: object) -> bool:
        return isinstance(stem, str) and (stem in self.annotations or stem in self.images)

    def stems(self) -> Iterator[str]:
        """All stems, those with annotations first."""
        yield from (stem for stem, _ in self.annotations.items())
        yield from (stem for stem, _ in self.images.items() if stem not in self.annotations)

    def named(self, file_name: str) -> str | None:
        """The last of the images that are called so, whatever their folder."""
        if not self._by_name:
            for _, images in self.images.items():
                for image in images:
                    self._by_name[image.rpartition("/")[2]] = image
        return self._by_name.get(file_name)

    def __post_init__(self) -> None:
        self._by_name: RoomyDict[str] = RoomyDict()


def find_files(tree: Tree) -> Files:
    """The layout with Annotations/ and JPEGImages/, or XML files beside the images."""
    found = Files()
    place = next((name for name in ANNOTATIONS if name in tree.folders), "")
    folder = next((name for name in IMAGES if name in tree.folders), "") if place else ""
    in_folders = True
    tops: set[str] = set()
    for file in tree.below(place, (".xml",)):
        stem = stem_of(file)[len(place) + 1 if place else 0 :]
        found.annotations[stem] = file
        top, slash, _ = stem.partition("/")
        tops.add(top)
        in_folders = in_folders and bool(slash)
    found.images = images_by(
        tree.each_image(folder), lambda image: stem_of(image[len(folder) + 1 :] if folder else image)
    )
    found.split_folders = not place and bool(tops) and tops <= SPLIT_WORDS and in_folders
    return found


def read_splits(tree: Tree, known: Container[str], report: Report) -> RoomyDict[str] | None:
    """The split of each stem by the lists in ImageSets/Main, or None where that folder is missing.

    Lists of one class (a flag on each line) are passed over. The more specific list wins over trainval, and train
    over val over test; being in two of these is reported.
    """
    if SETS not in tree.folders:
        return None
    lists = {stem_of(file.rsplit("/", 1)[-1]): tree.path(file) for file in tree.below(SETS, (".txt",))}
    splits: RoomyDict[str] = RoomyDict()
    missing: RoomyDict[str] = RoomyDict()
    for name in sorted(lists, key=lambda name: (_ORDER.get(name, _OTHERS), name)):
        if _is_of_a_class(lists[name], known):
            continue
        for stem in _entries(lists[name], known):
            first = splits.get(stem)
            if stem not in known:
                missing[stem] = missing.get(stem) or name
            elif first is None:
                splits[stem] = name
            elif first != name and (name != "trainval" or first == "test"):
                detail = f"{first} and {name}; {first} is kept"
                report.add(Action.NOTICED, "item in two splits", key=stem, detail=detail)
    for stem, name in missing.items():
        report.add(Action.SET_ASIDE, "listed image that is not there", key=stem, detail=name)
    return splits


def _lines(path: Path) -> Iterator[str]:
    return (line for line in (line.removesuffix("\r") for line in lines_of(path)) if line.strip())


def _is_of_a_class(path: Path, known: Container[str]) -> bool:
    """Whether it is a list of one class, whose lines carry a flag."""
    is_any = False
    for line in _lines(path):
        is_any = True
        words = line.split()
        if line in known or line.strip() in known or len(words) != 2 or words[1] not in ("-1", "0", "1"):
            return False
    return is_any


def _entries(path: Path, known: Container[str]) -> Iterator[str]:
    """The stems in a list."""
    return (line if line in known else line.strip() for line in _lines(path))


def pick_image(files: Files, stem: str, file_name: str) -> str | None:
    """The image of a stem, else the one that the XML file names."""
    if found := files.images.get(stem):
        return next((image for image in found if image.endswith(f"/{file_name}") or image == file_name), found[0])
    return files.named(file_name) if file_name else None
