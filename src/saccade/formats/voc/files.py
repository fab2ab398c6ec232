"""The annotations, images and splits of a Pascal VOC source."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.names import DEFAULT_SUBSET
from saccade.formats._common.paths import SPLIT_NAMES, SourceTree, strip_extension
from saccade.formats._common.per_image import ImageGroups
from saccade.formats._common.spill import SpillDict, get_by_form
from saccade.formats._common.text import read_lines

ANNOTATIONS = ("Annotations", "annotations")
IMAGES = ("JPEGImages", "images", "Images")
SETS = "ImageSets/Main"
# Lists are read in this order, and the first one that has an image gives its split.
_ORDER = {"train": 0, "val": 1, "test": 2, "trainval": 4}
_OTHER_LISTS = 3


def voc_root(source: Path) -> Path:
    """Return the folder with the annotations: the source, or the only set of a VOCdevkit in it."""
    for pattern in ("VOC*", "VOCdevkit/VOC*"):
        sets = [path for path in sorted(source.glob(pattern)) if (path / ANNOTATIONS[0]).is_dir()]
        if len(sets) == 1 and sets[0].resolve().is_relative_to(source.resolve()):
            return sets[0]
    return source


@dataclass
class VocFiles:
    """The XML file and the images of each item, by its stem; either may be missing."""

    annotations: SpillDict[str] = field(default_factory=SpillDict)
    images: ImageGroups = field(default_factory=ImageGroups)
    has_split_folders: bool = False
    _image_by_name: SpillDict[str] = field(default_factory=SpillDict)

    def __contains__(self, stem: object) -> bool:
        return isinstance(stem, str) and (stem in self.annotations or stem in self.images)

    def iter_stems(self) -> Iterator[str]:
        """Iterate over all stems, those with annotations first."""
        yield from (stem for stem, _ in self.annotations.items())
        yield from (stem for stem, _ in self.images.items() if stem not in self.annotations)

    def find_image(self, file_name: str) -> str | None:
        """Return the last image of this file name in any folder."""
        if not self._image_by_name:
            for _, images in self.images.items():
                for image in images:
                    self._image_by_name[image.rpartition("/")[2]] = image
        return get_by_form(self._image_by_name, file_name)


def list_files(tree: SourceTree) -> VocFiles:
    """List the files of a layout with Annotations/ and JPEGImages/, or of XML files beside the images."""
    files = VocFiles()
    annotation_folder = next((name for name in ANNOTATIONS if name in tree.folders), "")
    image_folder = next((name for name in IMAGES if name in tree.folders), "") if annotation_folder else ""
    all_in_folders = True
    top_folders: set[str] = set()
    for file in tree.files_below(annotation_folder, (".xml",)):
        stem = strip_extension(file)[len(annotation_folder) + 1 if annotation_folder else 0 :]
        files.annotations[stem] = file
        top, slash, _ = stem.partition("/")
        top_folders.add(top)
        all_in_folders = all_in_folders and bool(slash)
    prefix_length = len(image_folder) + 1 if image_folder else 0
    files.images = ImageGroups(tree.iter_images(image_folder), lambda image: strip_extension(image[prefix_length:]))
    has_folders = not annotation_folder and bool(top_folders) and all_in_folders
    files.has_split_folders = has_folders and top_folders <= SPLIT_NAMES
    return files


def read_splits(tree: SourceTree, stems: Container[str], report: ConversionReport) -> SpillDict[str] | None:
    """Read the split of each stem from the lists in ImageSets/Main.

    Lists of one class, which have a flag on each line, are skipped. A more specific list wins over trainval, and train
    over val over test; a stem in two of these is reported.

    Args:
        stems: stems of the items that exist; others in the lists are reported.

    Returns:
        None if there is no such folder, or no list of a split in it.
    """
    if SETS not in tree.folders:
        return None
    lists = {strip_extension(file.rsplit("/", 1)[-1]): tree.path(file) for file in tree.files_below(SETS, (".txt",))}
    # CVAT lists the items without a subset under this name.
    lists.pop(DEFAULT_SUBSET, None)
    if not lists:
        return None
    splits: SpillDict[str] = SpillDict()
    missing: SpillDict[str] = SpillDict()
    for name in sorted(lists, key=lambda name: (_ORDER.get(name, _OTHER_LISTS), name)):
        if _is_class_list(lists[name], stems):
            continue
        for stem in _stems_in(lists[name], stems):
            first = splits.get(stem)
            if stem not in stems:
                missing[stem] = missing.get(stem) or name
            elif first is None:
                splits[stem] = name
            elif first != name and (name != "trainval" or first == "test"):
                detail = f"{first} and {name}; {first} is kept"
                report.add(FindingType.WARNING, "item in two splits", key=stem, detail=detail)
    for stem, name in missing.items():
        report.add(FindingType.SKIPPED, "listed image that is not there", key=stem, detail=name)
    return splits


def _lines(path: Path) -> Iterator[str]:
    return (line for line in (line.removesuffix("\r") for line in read_lines(path)) if line.strip())


def _is_class_list(path: Path, stems: Container[str]) -> bool:
    """Whether all lines are a stem and a flag."""
    has_lines = False
    for line in _lines(path):
        has_lines = True
        words = line.split()
        if line in stems or line.strip() in stems or len(words) != 2 or words[1] not in ("-1", "0", "1"):
            return False
    return has_lines


def _stems_in(path: Path, stems: Container[str]) -> Iterator[str]:
    # A stem may begin or end with spaces.
    return (line if line in stems else line.strip() for line in _lines(path))


def pick_image(files: VocFiles, stem: str, file_name: str) -> str | None:
    """Return the image of an item.

    Args:
        stem: stem of the item.
        file_name: name of the image in the XML file, or "".

    Returns:
        The image of the stem, of several the one of that name, else any image of that name; None if there is none.
    """
    if images := files.images.get(stem):
        return next((image for image in images if image.endswith(f"/{file_name}") or image == file_name), images[0])
    return files.find_image(file_name) if file_name else None
