"""Files of a source that may hold labels, and whether they have been read.

While a source is read, readers note the label files that they open. All others are losses: they are named in the
report, so that labels of an unknown layout are never left out silently.
"""

from __future__ import annotations

import os
import re
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from saccade.core.report import ConversionReport, FindingType

if TYPE_CHECKING:
    from saccade.formats._common.paths import SourceTree

LABEL_EXTENSIONS = (
    *(".txt", ".json", ".jsonl", ".ndjson", ".geojson", ".xml", ".csv", ".tsv", ".yaml", ".yml", ".tfrecord"),
    *(".tfrecords", ".record", ".parquet", ".arrow", ".feather", ".data", ".names", ".labels", ".pbtxt", ".mat"),
    *(".npy", ".npz", ".h5", ".hdf5", ".pkl", ".pickle", ".xlsx", ".xls", ".odgt", ".lif", ".shp", ".kml", ".gpkg"),
)
"""Endings of the names of files that may hold labels."""
MASK_FOLDERS = frozenset(
    {"mask", "masks", "segmentationclass", "segmentationobject", "segmentation", "segmentations", "instances"}
    | {"instance", "semantic", "labels", "label", "annotations", "gtfine", "gt", "seg"}
)
"""Names of folders, in lower case, whose PNGs are masks rather than images."""
_IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "leftimg8bit", "rgb", "photos", "frames"})
_MASK_EXTENSIONS = (".png",)
# Files that come with datasets and hold no labels.
_COMPANION = re.compile(
    r"(readme|licen[cs]e|copying|notice|changelog|changes|authors|contributors|citation|requirements|manifest|notes|todo|about|credits|urls|checksums"
    r"|md5sums?|sha256sums?|robots|package|package-lock|tsconfig|pyproject|conda|environment)([._-].*)?"
    r"|saccade\.json|dataset_dict\.json|state\.json|dataset_infos?\.json|dvc\.(yaml|lock)|.*\.dvc|mkdocs\.ya?ml"
    # Derived from the polygons of Cityscapes beside them.
    r"|.*_gt(fine|coarse)_(color|instanceids|labelids|labeltrainids)\.png",
    re.IGNORECASE,
)
_MAX_NAMED = 1000

_current: ContextVar[ReadFiles | None] = ContextVar("files that were read", default=None)


class ReadFiles:
    """The label files that have been opened; each takes eight bytes.

    Attributes:
        trees: the lists of files that the reader made, by folder, so that none is made twice.
    """

    def __init__(self) -> None:
        self.trees: dict[Path, SourceTree] = {}
        self._hashes = array("q")
        self._rejected: set[str] = set()

    def add(self, path: str) -> None:
        self._hashes.append(hash(path))

    def reject(self, path: str) -> None:
        """Note that a file was opened, but is not of the format."""
        self._rejected.add(path)

    def unread(self, paths: Iterable[tuple[str, str]]) -> Iterator[str]:
        """Yield the names of the files that have not been opened.

        Args:
            paths: pairs of a name and the path under which the file would have been opened.
        """
        hashes = np.unique(np.frombuffer(self._hashes, np.int64)) if self._hashes else np.zeros(0, np.int64)
        for name, path in paths:
            index = int(hashes.searchsorted(hash(path)))
            is_read = index < len(hashes) and int(hashes[index]) == hash(path)
            if not is_read or path in self._rejected:
                yield name


@contextmanager
def note_read_files(files: ReadFiles) -> Iterator[None]:
    """Note the label files that are opened within the block."""
    token = _current.set(files)
    try:
        yield
    finally:
        _current.reset(token)


def current_read_files() -> ReadFiles | None:
    """Return the collection that notes opened files, or None if no source is being read."""
    return _current.get()


def mark_read(path: str | os.PathLike[str]) -> None:
    """Note that a label file is read."""
    files = _current.get()
    if files is not None:
        files.add(os.fspath(path))


def mark_rejected(path: str | os.PathLike[str]) -> None:
    """Note that a file was opened, but is not of the format, so that its labels are not read."""
    files = _current.get()
    if files is not None:
        files.reject(os.fspath(path))


def label_files(tree: SourceTree) -> Iterator[str]:
    """Iterate over the files that may hold labels by their names: text and data files, and PNGs in folders of masks."""
    masks = tuple(f"{folder}/" for folder in _mask_folders(tree.folders))
    for file in tree.files:
        lower = file.lower()
        is_mask = bool(masks) and lower.endswith(_MASK_EXTENSIONS) and file.startswith(masks)
        if (is_mask or lower.endswith(LABEL_EXTENSIONS)) and not _COMPANION.fullmatch(file.rpartition("/")[2]):
            yield file


def _mask_folders(folders: Iterable[str]) -> Iterator[str]:
    """Iterate over the folders of masks: those that are called so and lie beside a folder of images."""
    names = list(folders)
    beside_images = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2].lower() in _IMAGE_FOLDERS}
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent in beside_images and last.lower() in MASK_FOLDERS:
            yield name


def report_unread(unread: Iterable[str], report: ConversionReport) -> None:
    """Report label files that were not read as a loss."""
    for number, file in enumerate(unread, 1):
        detail = file if number < _MAX_NAMED else f"{file}, and perhaps others"
        report.add(FindingType.DROPPED, "file that may contain labels and was not read", detail=detail)
        if number == _MAX_NAMED:
            return
