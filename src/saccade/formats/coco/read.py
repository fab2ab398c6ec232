"""Reading COCO."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.objects import Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.frames import LabelFrame, read_image_size
from saccade.formats._common.json import Json, get_list, load_json, saccade_extra
from saccade.formats._common.json_stream import is_large
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import SourceTree, UniqueKeys, is_printable, normalize_path, strip_extension
from saccade.formats._common.spill import SpillNames, SpillSet
from saccade.formats.base import LocalFile, Reader, Record, RecordStream, SizeWH
from saccade.formats.coco.annotations import (
    DROPPED_IMAGE_FIELDS,
    READ_IMAGE_FIELDS,
    AnnotationReader,
    Categories,
    ImageNames,
    InMemoryNames,
    group_annotations,
    stated_size_wh,
    valid_images,
)
from saccade.formats.coco.files import AnnotationFile, ImageFinder, annotation_files
from saccade.formats.coco.image_entry import ImageEntry
from saccade.formats.coco.indexed_file import IndexedEntries, IndexedFile
from saccade.formats.coco.write import METADATA

_FILE_FIELDS = {"images", "annotations", "categories", "saccade", "type"}
# They describe the file, and hold no labels.
_DESCRIPTIVE_FILE_FIELDS = {"info", "licenses"}


@dataclass(frozen=True)
class CocoReadOptions:
    """Options of reading.

    Attributes:
        images_dir: folder of the images, if it is not beside the annotations.
        media: "required" skips images without a file, "optional" reads their labels.
        task: "auto", "instances" or "person_keypoints".
    """

    images_dir: str | Path | None = None
    media: str = "required"
    task: str = "auto"


@dataclass
class _LoadedFile:
    """One annotation file.

    Attributes:
        data: content of the file; of a large one, without its images and annotations.
        entries: images that become records.
        indexed: the file, if it is a large one.
        has_all_labels: whether the file has annotations, and each of them belongs to one of its images.
    """

    file: AnnotationFile
    data: Json
    categories: Categories
    entries: list[ImageEntry] | IndexedEntries
    indexed: IndexedFile | None = None
    has_all_labels: bool = True

    @property
    def split(self) -> str | None:
        split = saccade_extra(self.data).get("split", self.file.split)
        return None if split is None else str(split)

    def iter_images(self) -> Iterable[tuple[Any, int]]:
        """Iterate over the image entries with their positions."""
        if self.indexed is not None:
            return self.indexed.iter_images()
        return ((entry, position) for position, entry in enumerate(get_list(self.data, "images")))

    def add(self, entry: ImageEntry, position: int) -> None:
        if isinstance(self.entries, IndexedEntries):
            self.entries.append(entry, position)
        else:
            self.entries.append(entry)


class CocoReader(Reader):
    """Reads the annotation files of a source, one after another."""

    def __init__(self, source: Path, options: CocoReadOptions, report: ConversionReport) -> None:
        self._report = report
        self._options = options
        self._categories = Categories({})
        self._tree = SourceTree(_image_root(source, options))
        self._loaded_files = [self._load(file) for file in annotation_files(source, options.task, report)]
        self._keys = UniqueKeys(report)
        self._has_metadata = False

    def open(self) -> RecordStream:
        self._tree.report_skipped(self._report)
        found = SpillSet()
        for loaded in self._loaded_files:
            images = ImageFinder(self._tree, loaded.file, loaded.data, found)
            for entry, position in self._find_entries(loaded, images):
                loaded.add(entry, position)
        self._report_images_without_entry(found)
        classes = tuple(self._categories.classes.values())
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if any(loaded.split is not None or SPLIT in saccade_extra(loaded.data) for loaded in self._loaded_files):
            columns.append(Column(SPLIT, Kind.TEXT))
        if self._has_metadata or any(saccade_extra(loaded.data).get(METADATA) for loaded in self._loaded_files):
            columns.append(Column(METADATA, Kind.TABLE))
        total = sum(len(loaded.entries) for loaded in self._loaded_files)
        return RecordStream(Schema(tuple(columns)), self._records(), total)

    def _load(self, file: AnnotationFile) -> _LoadedFile:
        indexed = IndexedFile(file.path, self._report) if is_large(file.path) else None
        data = load_json(file.path, self._report) if indexed is None else indexed.rest
        if not isinstance(data, dict) or not isinstance(data.get("images"), list):
            raise FormatError(f"{file.path} has no list of images.", hint="Is it a COCO annotation file?")
        for name in data.keys() - _FILE_FIELDS:
            if data[name]:
                type = FindingType.WARNING if name in _DESCRIPTIVE_FILE_FIELDS else FindingType.DROPPED
                self._report.add(type, "field of the file", detail=f"'{name}' of {file.path.name}")
        categories = Categories(self._categories.classes)
        categories.load(get_list(data, "categories"), self._report)
        entries: list[ImageEntry] | IndexedEntries = [] if indexed is None else indexed.create_entries()
        return _LoadedFile(file, data, categories, entries, indexed, isinstance(data.get("annotations"), list))

    def _find_entries(self, loaded: _LoadedFile, images: ImageFinder) -> Iterator[tuple[ImageEntry, int]]:
        dropped_fields: Counter[str] = Counter()
        names: ImageNames = InMemoryNames() if loaded.indexed is None else SpillNames()
        for image, position in valid_images(loaded.iter_images(), names, self._report):
            name = image["file_name"]
            dropped_fields.update(image.keys() & DROPPED_IMAGE_FIELDS)
            if not is_printable(name):
                self._report.add(FindingType.SKIPPED, "name with control characters", detail=ascii(name))
                continue
            findings = len(self._report)
            paths = images.find(name, self._report)
            if paths is None and not self._accept_missing_file(name, is_reported=len(self._report) > findings):
                continue
            file, relative = paths or (None, normalize_path(name))
            stem = strip_extension(relative)
            key = self._keys.claim(stem, f"{loaded.split}/{stem}") if loaded.split else self._keys.claim(stem)
            self._has_metadata = self._has_metadata or bool(image.keys() - READ_IMAGE_FIELDS - DROPPED_IMAGE_FIELDS)
            yield ImageEntry(image["id"], image, key, file, loaded.split), position
        for field, count in dropped_fields.items():
            # Where an image is from is no label.
            self._report.add(FindingType.WARNING, "field of images", detail=f"'{field}' of {count}")

    def _accept_missing_file(self, name: str, *, is_reported: bool) -> bool:
        """Whether an image without a file becomes a record; reports that the file is missing."""
        if is_reported:
            return False
        is_optional = self._options.media == "optional"
        action = FindingType.WARNING if is_optional else FindingType.SKIPPED
        self._report.add(action, "image file missing", detail=repr(name))
        return is_optional

    def _report_images_without_entry(self, found: SpillSet) -> None:
        unused = (file for file in self._tree.iter_images() if file not in found)
        if (first := next(unused, None)) is not None:
            detail = f"{1 + sum(1 for _ in unused)} files, the first {first}"
            self._report.add(FindingType.WARNING, "image files without an entry", detail=detail)

    def _records(self) -> Iterator[Record]:
        for loaded in self._loaded_files:
            indexed = loaded.indexed
            duplicate_ids = None if indexed is None else indexed.duplicate_ids
            reader = AnnotationReader(loaded.categories.by_id, self._report, duplicate_ids)
            if indexed is not None:
                assert isinstance(loaded.entries, IndexedEntries)
                # No image id is known here, so all of these annotations are reported.
                count = len(self._report)
                group_annotations(indexed.orphan_annotations(loaded.entries), (), self._report)
                loaded.has_all_labels = loaded.has_all_labels and len(self._report) == count
                for entry in loaded.entries:
                    yield self._record(entry, loaded, indexed.annotations_of(entry.image_id), reader)
            else:
                image_ids = {entry.image_id for entry in loaded.entries}
                count = len(self._report)
                groups = group_annotations(get_list(loaded.data, "annotations"), image_ids, self._report)
                loaded.has_all_labels = loaded.has_all_labels and len(self._report) == count
                # Free the annotations of each image once it has been read.
                loaded.data = {"saccade": saccade_extra(loaded.data)}
                for entry in loaded.entries:
                    yield self._record(entry, loaded, groups.pop(entry.image_id, []), reader)
            reader.report_dropped()

    def _record(
        self, entry: ImageEntry, loaded: _LoadedFile, annotations: list[Json], reader: AnnotationReader
    ) -> Record:
        media = LocalFile(self._tree.path(entry.file)) if entry.file is not None else None
        image = read_image_size(media) if media is not None else None
        frame = LabelFrame.create(image, stated_size_wh(entry.image), self._report, entry.key)
        objects = frame.to_image(self._objects(entry, loaded, annotations, reader, frame.size_wh))
        values: dict[str, Any] = {"objects": objects}
        if entry.split is not None:
            values[SPLIT] = entry.split
        if self._has_metadata and (metadata := self._metadata(entry)):
            values[METADATA] = metadata
        return Record(entry.key, media, values, frame.image_wh)

    def _objects(
        self,
        entry: ImageEntry,
        loaded: _LoadedFile,
        annotations: list[Json],
        reader: AnnotationReader,
        size: SizeWH | None,
    ) -> Objects | None:
        if annotations:
            return reader.read(annotations, entry.key, size)
        labelled = saccade_extra(entry.image).get("labelled")
        if labelled is None and not loaded.has_all_labels:
            # Some annotations belong to no image: they may be those of this one.
            return None
        if labelled is None:
            reason = "image without annotations taken as reviewed and empty"
            self._report.add(FindingType.INFERRED, reason, key=entry.key)
        return None if labelled is False else ()

    def _metadata(self, entry: ImageEntry) -> Json:
        metadata = {}
        for name, value in entry.image.items():
            if name in READ_IMAGE_FIELDS or name in DROPPED_IMAGE_FIELDS:
                continue
            if _is_finite(value):
                metadata[name] = value
            else:
                self._report.add(FindingType.DROPPED, "metadata that is not finite", key=entry.key, detail=name)
        return metadata


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return all(map(_is_finite, value)) if isinstance(value, list) else True


def _image_root(source: Path, options: CocoReadOptions) -> Path:
    """The folder of the images, outside of which nothing is read."""
    if options.images_dir is not None:
        return Path(options.images_dir)
    if source.is_file():
        return source.parent.parent if source.parent.name == "annotations" else source.parent
    return source
