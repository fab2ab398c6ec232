"""Class folders: one folder for each class, the images inside it; optionally a folder for each split around them.

Read: ``<class>/*.jpg``, or ``train|val|test/<class>/*.jpg``, with folders inside a class's folder. Images in
``_unlabelled`` are not labelled yet. An image outside any class's folder is set aside.

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
from saccade.formats._common.names import NO_SPLIT_FOLDER, FileNames, FolderNames
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    replace_surrogates,
    source_tree,
    strip_extension,
)
from saccade.formats.base import Detection, Format, LocalFile, Reader, Record, RecordStream, Writer

UNLABELLED = "_unlabelled"
MARKER = "saccade.json"
_LABEL_FOLDERS = frozenset({"annotations", "labels", "Annotations", "ImageSets", "masks", "SegmentationClass"})
_LABEL_ENDINGS = (".json", ".yaml", ".yml", ".xml", ".data", ".names")


@dataclass
class _Layout:
    """What the folders mean: the split folder around classes, where there is one, and the class of each folder."""

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
        if _marker(tree) is not None:
            return Detection(True, f"{MARKER} says so")
        if reason := _refusal(tree):
            return Detection(False, reason)
        layout = _infer(tree)
        classes = sorted({_class_folder(image, layout.has_splits) for image in tree.iter_images()} - {""})
        if not layout.has_splits and set(classes) <= SPLIT_NAMES:
            return Detection(False, f"its folders are splits, without classes in them: {classes}")
        if len(classes) < 2 and UNLABELLED not in classes:
            return Detection(False, f"fewer than two folders hold images: {classes}")
        return Detection(True, f"{len(classes)} folders hold images: {', '.join(classes[:5])}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
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
        tree, report = self._tree, self._report
        if not any(tree.iter_images()):
            raise FormatError(f"There are no images below {tree.root}.", hint="Expected <class>/*.jpg.")
        tree.report_skipped(report)
        layout = _marker(tree) or _infer(tree)
        for folder in _folders_of_classes(tree, layout.has_splits):
            layout.classes.setdefault(folder, folder)
        infos = tuple(ClassInfo(name) for name in dict.fromkeys(layout.classes.values()))
        columns = [Column("image", Kind.IMAGE), Column("label", Kind.LABEL, infos)]
        if layout.has_splits:
            columns.append(Column("split", Kind.TEXT))
        count = sum(bool(_class_folder(image, layout.has_splits)) for image in tree.iter_images())
        return RecordStream(Schema(tuple(columns)), _entries(tree, layout, report), count)


def _refusal(tree: SourceTree) -> str:
    """What speaks against class folders, or nothing."""
    if named := next((name for name in tree.subfolders() if name in _LABEL_FOLDERS), None):
        return f"it has a folder '{named}' for labels"
    if frames := next((name for name in tree.folders if name.rpartition("/")[2] == "img1"), None):
        return f"'{frames}' holds the frames of a sequence"
    if any(is_image_name(file) for file in tree.files if "/" not in file):
        return "there are images outside any class's folder"
    if label := next((file for file in tree.files_below("", _LABEL_ENDINGS)), None):
        return f"it has a file of labels, {label}"
    return ""


def _class_folder(image: str, has_splits: bool) -> str:
    """The folder of the class, or nothing for an image outside any."""
    parts = image.split("/")[:-1][int(has_splits) :]
    return parts[0] if parts else ""


def _infer(tree: SourceTree) -> _Layout:
    """Splits are there where every top folder with images is called like one and has its images in folders."""
    tops = {image.partition("/")[0] for image in tree.iter_images() if "/" in image}
    nested = all(image.count("/") >= 2 for image in tree.iter_images())
    has_splits = bool(tops) and tops <= SPLIT_NAMES and nested
    return _Layout(has_splits)


def _folders_of_classes(tree: SourceTree, has_splits: bool) -> list[str]:
    tops = tree.subfolders()
    found = {name for top in tops for name in tree.subfolders(top)} if has_splits else set(tops)
    return sorted(found - {UNLABELLED})


def _marker(tree: SourceTree) -> _Layout | None:
    """The layout that our own writer noted, where it is there and sound."""
    try:
        data = json.loads(tree.path(MARKER).read_bytes()) if MARKER in tree.files else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("format") != "folders":
        return None
    classes, splits = data.get("classes"), data.get("splits")
    if not isinstance(classes, dict) or not all(isinstance(name, str) and name for name in classes.values()):
        return None
    if splits is not None and not isinstance(splits, dict):
        return None
    named = {folder: None if name is None else replace_surrogates(str(name)) for folder, name in (splits or {}).items()}
    return _Layout(splits is not None, named, {folder: replace_surrogates(name) for folder, name in classes.items()})


def _entries(tree: SourceTree, layout: _Layout, report: ConversionReport) -> Iterator[Record]:
    keys = UniqueKeys(report)
    for image in tree.iter_images():
        folder = _class_folder(image, layout.has_splits)
        if not folder:
            report.add(FindingType.SET_ASIDE, "image outside any class's folder", detail=image)
            continue
        parts = image.split("/")
        inner = strip_extension("/".join(parts[1 + layout.has_splits :]))
        values: dict[str, Any] = {"label": None if folder == UNLABELLED else layout.classes[folder]}
        split = layout.splits.get(parts[0], parts[0]) if layout.has_splits else None
        if split is not None:
            values["split"] = split
        yield Record(
            keys.claim(inner, f"{folder}/{inner}", strip_extension(image)), LocalFile(tree.path(image)), values
        )


class FoldersWriter(Writer):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.LABEL)
        if self._columns.labels is None:
            kinds = ", ".join(f"{column.name} ({column.kind})" for column in schema.columns)
            raise FormatError(
                f"Class folders hold a column of kind label, and there is none among {kinds}.",
                hint="Use another format, such as coco.",
            )
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._destination = destination
        self._report = report
        self._files = FileNames(report)
        self._splits = FolderNames(report, "split", reserved=(NO_SPLIT_FOLDER,))
        self._folders = FolderNames(report, "class", reserved=(UNLABELLED,))
        self._classes = ClassIndex(self._columns.labels)
        self._used_splits: dict[str, str | None] = {}

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        assert self._columns.labels is not None
        label = record.values.get(self._columns.labels.name)
        split = self._columns.split_of(record)
        top = ""
        if self._columns.has_split:
            top = NO_SPLIT_FOLDER if split is None else self._splits.get(split)
            self._used_splits[top] = split
        if label is not None:
            self._classes.index_of(str(label))
        folder = UNLABELLED if label is None else self._folders.get(str(label))
        copy_media(record, self._destination / top / folder / self._files.claim(record.key), self._report)

    def _finish(self) -> None:
        classes = {self._folders.get(name): name for name in self._classes.indices}
        for top in self._used_splits or ("",):
            for folder in classes:
                (self._destination / top / folder).mkdir(parents=True, exist_ok=True)
        splits = self._used_splits if self._columns.has_split else None
        data = {"format": "folders", "splits": splits, "classes": classes}
        (self._destination / MARKER).write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
        self._columns.report_dropped()


FORMAT = Folders()
