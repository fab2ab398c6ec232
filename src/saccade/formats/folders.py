"""Class folders: one folder for each class with its images, optionally inside a folder for each split.

Read: ``<class>/*.jpg``, or ``train|val|test/<class>/*.jpg``; the folder of a class may have subfolders. Images in
``_unlabelled`` are not labelled yet. An image outside the class folders is skipped and reported.

Written: the same, plus ``saccade.json``, which keeps the order of the classes and the names that could not be folders.

Source of the layout: torchvision.datasets.ImageFolder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.media import copy_media
from saccade.formats._common.names import NO_SPLIT_FOLDER, SPLIT, FileNames, FolderNames
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    replace_surrogates,
    source_tree,
    strip_extension,
)
from saccade.formats._common.source_files import label_files
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer

UNLABELLED_FOLDER = "_unlabelled"
MARKER_FILE = "saccade.json"
_LABEL_FOLDERS = frozenset({"annotations", "labels", "Annotations", "ImageSets", "masks", "SegmentationClass"})
# A few stray images outside the class folders are reported; if one in so many is, they speak against them.
_MIN_SHARE_IN_FOLDERS = 4


@dataclass
class _Layout:
    """The meaning of the folders.

    Attributes:
        has_splits: whether the top folders are splits, with the class folders inside.
        splits: split by top folder, if it is not the name of the folder.
        classes: class by folder.
    """

    has_splits: bool
    splits: dict[str, str | None] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)


class Folders(Format):
    name: ClassVar[str] = "folders"
    title: ClassVar[str] = "class folders"
    supports: ClassVar[str] = "one class for each image; splits; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and class folders are folders")
        tree = source_tree(source)
        if _read_marker(tree) is not None:
            return Detection(True, f"{MARKER_FILE} says so")
        if reason := _mismatch_reason(tree):
            return Detection(False, reason)
        layout = _infer_layout(tree)
        folders = sorted({_class_folder(image, layout.has_splits) for image in tree.iter_images()} - {""})
        if not layout.has_splits and set(folders) <= SPLIT_NAMES:
            return Detection(False, f"its folders are splits, without classes in them: {folders}")
        if len(folders) < 2 and UNLABELLED_FOLDER not in folders:
            return Detection(False, f"fewer than two folders contain images: {folders}")
        return Detection(True, f"{len(folders)} folders contain images: {', '.join(folders[:5])}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "class folders")
        return FoldersReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "class folders")
        return FoldersWriter(schema, destination, report)


class FoldersReader(Reader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._tree = SourceTree(source)
        self._report = report

    def open(self) -> RecordStream:
        if not any(self._tree.iter_images()):
            raise FormatError(f"There are no images below {self._tree.root}.", hint="Expected <class>/*.jpg.")
        self._tree.report_skipped(self._report)
        layout = _read_marker(self._tree) or _infer_layout(self._tree)
        for folder in _class_folders(self._tree, layout.has_splits):
            layout.classes.setdefault(folder, folder)
        infos = tuple(ClassInfo(name) for name in dict.fromkeys(layout.classes.values()))
        columns = [Column("image", Kind.IMAGE), Column("label", Kind.LABEL, infos)]
        if layout.has_splits:
            columns.append(Column(SPLIT, Kind.TEXT))
        count = sum(bool(_class_folder(image, layout.has_splits)) for image in self._tree.iter_images())
        return RecordStream(Schema(tuple(columns)), self._records(layout), count)

    def _records(self, layout: _Layout) -> Iterator[Record]:
        keys = UniqueKeys(self._report)
        for image in self._tree.iter_images():
            folder = _class_folder(image, layout.has_splits)
            if not folder:
                self._report.add(FindingType.SKIPPED, "image outside the class folders", detail=image)
                continue
            parts = image.split("/")
            inner = strip_extension("/".join(parts[1 + layout.has_splits :]))
            values: dict[str, Any] = {"label": None if folder == UNLABELLED_FOLDER else layout.classes[folder]}
            split = layout.splits.get(parts[0], parts[0]) if layout.has_splits else None
            if split is not None:
                values[SPLIT] = split
            key = keys.claim(inner, f"{folder}/{inner}", strip_extension(image))
            yield Record(key, LocalFile(self._tree.path(image)), values)


def _mismatch_reason(tree: SourceTree) -> str:
    """Return why a folder cannot be class folders, or "" if nothing speaks against it."""
    if label_folder := next((name for name in tree.subfolders() if name in _LABEL_FOLDERS), None):
        return f"it has a folder '{label_folder}' for labels"
    if frames := next((name for name in tree.folders if name.rpartition("/")[2] == "img1"), None):
        return f"'{frames}' contains the frames of a sequence"
    outside = sum("/" not in image for image in tree.iter_images())
    if outside * _MIN_SHARE_IN_FOLDERS > sum(1 for _ in tree.iter_images()):
        return "there are images outside the class folders"
    if label_file := next(label_files(tree), None):
        return f"it has a file that may hold labels, {label_file}"
    return ""


def _class_folder(image: str, has_splits: bool) -> str:
    """Return the class folder of an image, or "" if the image is outside of them."""
    parts = image.split("/")[:-1][int(has_splits) :]
    return parts[0] if parts else ""


def _infer_layout(tree: SourceTree) -> _Layout:
    """Infer whether there are splits: all top folders with images have names of splits, and subfolders."""
    top_folders = {image.partition("/")[0] for image in tree.iter_images() if "/" in image}
    is_nested = all(image.count("/") >= 2 for image in tree.iter_images() if "/" in image)
    return _Layout(bool(top_folders) and top_folders <= SPLIT_NAMES and is_nested)


def _class_folders(tree: SourceTree, has_splits: bool) -> list[str]:
    top_folders = tree.subfolders()
    folders = {name for top in top_folders for name in tree.subfolders(top)} if has_splits else set(top_folders)
    return sorted(folders - {UNLABELLED_FOLDER})


def _read_marker(tree: SourceTree) -> _Layout | None:
    """Return the layout that our own writer recorded, or None if there is none or it is damaged."""
    try:
        data = json.loads(tree.path(MARKER_FILE).read_bytes()) if MARKER_FILE in tree.files else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("format") != "folders":
        return None
    classes = data.get("classes")
    splits = data.get("splits")
    if not isinstance(classes, dict) or not all(isinstance(name, str) and name for name in classes.values()):
        return None
    if splits is not None and not isinstance(splits, dict):
        return None
    return _Layout(
        splits is not None,
        {folder: None if name is None else replace_surrogates(str(name)) for folder, name in (splits or {}).items()},
        {folder: replace_surrogates(name) for folder, name in classes.items()},
    )


class FoldersWriter(Writer):
    """Writes class folders.

    Raises:
        FormatError: if the schema has no column of kind label.
    """

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.LABEL)
        if self._columns.labels is None:
            kinds = ", ".join(f"{column.name} ({column.kind})" for column in schema.columns)
            raise FormatError(
                f"Class folders need a column of kind label; there is none among {kinds}.",
                hint="Use another format, such as coco.",
            )
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._destination = destination
        self._report = report
        self._file_names = FileNames(report)
        self._split_folders = FolderNames(report, SPLIT, reserved=(NO_SPLIT_FOLDER,))
        self._class_folders = FolderNames(report, "class", reserved=(UNLABELLED_FOLDER,))
        self._classes = ClassIndex(self._columns.labels)
        self._splits: dict[str, str | None] = {}

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        label = self._columns.labels_of(record)
        split = self._columns.split_of(record)
        split_folder = ""
        if self._columns.has_split:
            split_folder = NO_SPLIT_FOLDER if split is None else self._split_folders.get(split)
            self._splits[split_folder] = split
        if label is not None:
            self._classes.index_of(str(label))
        class_folder = UNLABELLED_FOLDER if label is None else self._class_folders.get(str(label))
        stem = self._file_names.claim(record.key)
        copy_media(record, self._destination / split_folder / class_folder / stem, self._report)

    def _finish(self) -> None:
        classes = {self._class_folders.get(name): name for name in self._classes.indices}
        # A class without images in a split has an empty folder there.
        for split_folder in self._splits or ("",):
            for class_folder in classes:
                (self._destination / split_folder / class_folder).mkdir(parents=True, exist_ok=True)
        splits = self._splits if self._columns.has_split else None
        data = {"format": "folders", "splits": splits, "classes": classes}
        (self._destination / MARKER_FILE).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        self._columns.report_dropped()


FORMAT = Folders()
