"""Reading Pascal VOC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.frames import LabelFrame, read_image_size
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import SourceTree, UniqueKeys, strip_extension
from saccade.formats._common.source_files import mark_read
from saccade.formats._common.spill import SpillDict, SpillSet, SpillTable, get_by_form, temporary_database
from saccade.formats.base import LocalFile, Reader, Record, RecordStream
from saccade.formats.voc.annotations import Annotation, ObjectReader, SetStatistics, pack, parse_annotation, unpack
from saccade.formats.voc.files import list_files, pick_image, read_splits
from saccade.formats.voc.segmentation import CLASSES, OBJECTS, apply_masks


@dataclass(frozen=True)
class VocReadOptions:
    """Options of reading.

    Attributes:
        origin: number of the first pixel: "0", "1" or "auto".
        shapes: "masks" reads masks if there are any, "boxes" never.
    """

    origin: str | int = "auto"
    shapes: str = "masks"


@dataclass(frozen=True)
class _ItemRow:
    key: str
    image: str
    split: str | None
    stem: str


class VocReader(Reader):
    """Reads a folder; all XML files are parsed first, for the classes and the origin.

    Args:
        root: folder with the annotations.
        origin: number of the first pixel: "0", "1" or "auto".
        read_masks: whether masks replace boxes.
    """

    def __init__(self, root: Path, origin: str, report: ConversionReport, *, read_masks: bool) -> None:
        self._report = report
        self._read_masks = read_masks
        self._tree = SourceTree(root)
        self._files = list_files(self._tree)
        if not self._files.annotations:
            raise FormatError(f"There is no VOC annotation in {root}.", hint="Expected Annotations/*.xml.")
        self._tree.report_skipped(report)
        self._annotations = SpillDict(pack, unpack)
        self._broken_stems = SpillSet()
        self._statistics = SetStatistics()
        self._parse_annotations()
        # On disk, because a source may have millions of items.
        self._items = SpillTable(temporary_database(self), "items", ("key", "image", "split", "stem"))
        for item in self._find_items():
            self._items.add(item.key, item.image, item.split, item.stem)
        self._report_unread()
        self._origin = self._choose_origin(origin)

    def open(self) -> RecordStream:
        classes = tuple(ClassInfo(name) for name in sorted(self._statistics.areas.keys() - {""}))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if self._has_splits:
            columns.append(Column(SPLIT, Kind.TEXT))
        reader = ObjectReader(self._origin, self._statistics.min_areas(), self._report)
        return RecordStream(Schema(tuple(columns)), self._records(reader), len(self._items))

    def _parse_annotations(self) -> None:
        for stem, file in self._files.annotations.items():
            try:
                annotation = parse_annotation(self._tree.path(file))
                self._annotations[stem] = annotation
                self._statistics.add(annotation)
            except (FormatError, OSError) as error:
                reason = "annotation that cannot be read"
                self._report.add(FindingType.SKIPPED, reason, key=stem, detail=str(error))
                self._broken_stems.add(stem)

    def _choose_origin(self, origin: str) -> int:
        inferred, reason, is_certain = self._statistics.infer_origin()
        if origin == "auto" and reason:
            detail = f"{inferred}, because {reason}"
            type = FindingType.WARNING if is_certain else FindingType.INFERRED
            self._report.add(type, "number of the first pixel", detail=detail)
        return int(inferred if origin == "auto" else origin)

    def _report_unread(self) -> None:
        for name, count in self._statistics.unread_fields.items():
            self._report.add(FindingType.DROPPED, "field of objects", detail=f"'{name}' of {count}")
        # Masks of classes alone do not tell objects apart.
        # The folders as a whole are reported instead of each file; lists of other tasks come with every set.
        for folder in (CLASSES, OBJECTS, "ImageSets"):
            for file in self._tree.files_below(folder, (".png", ".txt")):
                mark_read(self._tree.path(file))
        has_only_classes = CLASSES in self._tree.folders and OBJECTS not in self._tree.folders
        for folder in (OBJECTS, CLASSES):
            if folder in self._tree.folders and (has_only_classes or not self._read_masks):
                self._report.add(FindingType.DROPPED, "folder that is not read", detail=folder)

    def _find_items(self) -> Iterator[_ItemRow]:
        splits = read_splits(self._tree, self._files, self._report)
        self._has_splits = splits is not None or self._files.has_split_folders
        keys = UniqueKeys(self._report)
        used_images = SpillSet()
        for stem in self._files.iter_stems():
            if stem in self._broken_stems:
                # No other annotation may claim the images of this one.
                for image in self._files.images.get(stem) or ():
                    used_images.add(image)
                continue
            image_path = self._find_image(stem, self._annotations.get(stem), used_images)
            if image_path is not None:
                split = get_by_form(splits, stem) if splits is not None else self._folder_split(stem)
                if splits is not None and split is None:
                    self._report.add(FindingType.WARNING, "item in no split", key=stem)
                short = stem.partition("/")[2] if self._files.has_split_folders else stem
                yield _ItemRow(keys.claim(short, stem), image_path, split, stem)

    def _folder_split(self, stem: str) -> str | None:
        return stem.partition("/")[0] if self._files.has_split_folders and "/" in stem else None

    def _find_image(self, stem: str, annotation: Annotation | None, used_images: SpillSet) -> str | None:
        name = annotation.file_name if annotation else ""
        image = pick_image(self._files, stem, name)
        if image is None:
            reason = "link that leads outside the source" if self._links_outside(stem) else "image file missing"
            self._report.add(FindingType.SKIPPED, reason, key=stem, detail=repr(name))
            return None
        if image in used_images:
            if annotation is not None:
                self._report.add(FindingType.SKIPPED, "second annotation of an image", key=stem, detail=image)
            return None
        used_images.add(image)
        for other in self._files.images.get(stem) or ():
            if other not in used_images:
                self._report.add(FindingType.SKIPPED, "second image of the same name", key=stem, detail=other)
        if name and image.rsplit("/", 1)[-1].strip() != name:
            detail = f"{name!r} for {image}"
            self._report.add(FindingType.WARNING, "file name in the XML that differs", key=stem, detail=detail)
        return image

    def _links_outside(self, stem: str) -> bool:
        return any(f"/{strip_extension(file)}".endswith(f"/{stem}") for file in self._tree.outside_links)

    def _records(self, reader: ObjectReader) -> Iterator[Record]:
        for item in (_ItemRow(*row) for _, *row in self._items):
            path = self._tree.path(item.image)
            annotation = self._annotations.get(item.stem)
            frame = self._frame(item.key, annotation, path)
            objects = None if annotation is None else reader.read(annotation, item.key, frame.size_wh)
            if self._read_masks and objects is not None and (png := self._mask_png(item.image)) is not None:
                objects = apply_masks(objects, png, item.key, frame.size_wh, self._report)
            objects = frame.to_image(objects)
            values: dict[str, Any] = {"objects": objects}
            if item.split is not None:
                values[SPLIT] = item.split
            yield Record(item.key, LocalFile(path), values, frame.image_wh)

    def _mask_png(self, image: str) -> Path | None:
        name = f"{OBJECTS}/{strip_extension(image.removeprefix('JPEGImages/'))}.png"
        mask = self._tree.find_companion(image, name)
        return None if mask is None else self._tree.path(mask)

    def _frame(self, key: str, annotation: Annotation | None, path: Path) -> LabelFrame:
        image = read_image_size(LocalFile(path))
        if image is None:
            self._report.add(FindingType.WARNING, "image that cannot be opened", key=key, detail=path.name)
        return LabelFrame.create(image, annotation.size_wh if annotation else None, self._report, key)
