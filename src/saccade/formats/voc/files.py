"""Finding the annotations, images and splits of a Pascal VOC source."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from saccade.core.report import Action, Report
from saccade.formats._paths import SPLIT_WORDS, Tree, stem_of

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images", "Images")
SETS = "ImageSets/Main"
_ORDER = ("train", "val", "test")


def voc_root(source: Path) -> Path:
    """The folder with the annotations: the source, or the one set of a VOCdevkit in it."""
    for pattern in ("VOC*", "VOCdevkit/VOC*"):
        found = [path for path in sorted(source.glob(pattern)) if (path / ANNOTATIONS[0]).is_dir()]
        if len(found) == 1 and found[0].resolve().is_relative_to(source.resolve()):
            return found[0]
    return source


@dataclass(frozen=True)
class Files:
    """The XML file and the image of each item by its stem; either may be missing."""

    annotations: dict[str, str]
    images: dict[str, list[str]]
    split_folders: bool

    def stems(self) -> list[str]:
        """All stems, those with annotations first."""
        return [*self.annotations, *(stem for stem in self.images if stem not in self.annotations)]


def find_files(tree: Tree) -> Files:
    """The layout with Annotations/ and JPEGImages/, or XML files beside the images."""
    place = next((name for name in ANNOTATIONS if name in tree.folders), None)
    if place is None:
        annotations = {stem_of(file): file for file in tree.below("", (".xml",))}
        images = _by_stem(tree.images(), "")
        tops = {stem.partition("/")[0] for stem in annotations if "/" in stem}
        is_split = bool(tops) and tops <= SPLIT_WORDS and all("/" in stem for stem in annotations)
        return Files(annotations, images, is_split)
    annotations = {stem_of(file)[len(place) + 1 :]: file for file in tree.below(place, (".xml",))}
    folder = next((name for name in IMAGES if name in tree.folders), "")
    return Files(annotations, _by_stem(tree.images(folder), folder), False)


def _by_stem(images: Iterable[str], folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image in images:
        found.setdefault(stem_of(image[len(folder) + 1 :] if folder else image), []).append(image)
    return found


def read_splits(tree: Tree, stems: Iterable[str], report: Report) -> dict[str, str] | None:
    """The split of each stem by the lists in ImageSets/Main, or None where that folder is missing.

    Lists of one class (a flag on each line) are passed over. The more specific list wins over trainval, and train
    over val over test; being in two of these is reported.
    """
    if SETS not in tree.folders:
        return None
    known = set(stems)
    lists = {stem_of(file.rsplit("/", 1)[-1]): _entries(tree.path(file), known) for file in tree.below(SETS, (".txt",))}
    splits: dict[str, str] = {}
    names = [name for name, entries in lists.items() if entries is not None and name != "trainval"]
    for name in sorted(names, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)):
        _add(splits, name, lists[name] or (), known, report)
    for stem in lists.get("trainval") or ():
        if stem not in splits:
            splits[stem] = "trainval"
        elif splits[stem] == "test":
            report.add(Action.NOTICED, "item in two splits", key=stem, detail=f"{splits[stem]} and trainval")
    for stem in sorted(splits.keys() - known):
        report.add(Action.SET_ASIDE, "listed image that is not there", key=stem, detail=splits.pop(stem))
    return splits


def _add(splits: dict[str, str], name: str, stems: Iterable[str], known: set[str], report: Report) -> None:
    for stem in stems:
        first = splits.setdefault(stem, name)
        if first != name and stem in known:
            report.add(Action.NOTICED, "item in two splits", key=stem, detail=f"{first} and {name}; {first} is kept")


def _entries(path: Path, known: set[str]) -> list[str] | None:
    """The stems in a list; None for a list of one class, whose lines carry a flag."""
    text = path.read_bytes().decode("utf-8-sig", errors="replace")
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line.strip()]
    flagged = [line.split() for line in lines if line not in known and line.strip() not in known]
    flagged = [words for words in flagged if len(words) == 2 and words[1] in ("-1", "0", "1")]
    if lines and len(flagged) == len(lines):
        return None
    return [line if line in known else line.strip() for line in lines]


def pick_image(files: Files, stem: str, named: Mapping[str, str], file_name: str) -> str | None:
    """The image of a stem, else the one that the XML file names."""
    if found := files.images.get(stem):
        return next((image for image in found if image.endswith(f"/{file_name}") or image == file_name), found[0])
    return named.get(file_name)
