"""Reading LabelMe."""

from __future__ import annotations

import base64
import binascii
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.core.errors import FormatError
from saccade.core.objects import Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import claim_object_id
from saccade.formats._common.boxes import report_duplicates
from saccade.formats._common.frames import LabelFrame, read_image_size, to_size_wh
from saccade.formats._common.json import Json, get_list, get_mapping, load_json, saccade_extra
from saccade.formats._common.names import SPLIT
from saccade.formats._common.paths import (
    SPLIT_NAMES,
    SourceTree,
    UniqueKeys,
    is_image_name,
    normalize_path,
    replace_surrogates,
    strip_extension,
)
from saccade.formats._common.per_image import ImageGroups
from saccade.formats._common.source_files import mark_rejected
from saccade.formats._common.spill import SpillSet, SpillTable, temporary_database
from saccade.formats.base import InMemoryFile, LocalFile, MediaSource, Reader, Record, RecordStream
from saccade.formats.labelme.shapes import ShapeReader, class_name_of
from saccade.formats.labelme.write import FLAGS


@dataclass(frozen=True)
class _Entry:
    """An image and its label file.

    Attributes:
        image: "" if the image is embedded in the label file.
        label_file: "" if the image has none.
    """

    key: str
    image: str
    label_file: str
    split: str | None


class LabelMeReader(Reader):
    """Reads a folder; the label files are parsed once to find classes and images, and again for the records."""

    def __init__(self, source: Path, report: ConversionReport) -> None:
        self._report = report
        self._tree = SourceTree(source)
        self._tree.report_skipped(report)
        self._has_splits = any(folder in SPLIT_NAMES for folder in self._tree.subfolders())
        self._class_names: set[str] = set()
        self._has_flags = False
        self._images_by_stem = ImageGroups(self._tree.iter_images(), strip_extension)
        self._db = temporary_database(self)
        self._entries = SpillTable(self._db, "entries", ("key", "image", "label_file", "split"))
        for entry in self._find_entries():
            self._entries.add(entry.key, entry.image, entry.label_file, entry.split)

    def open(self) -> RecordStream:
        classes = tuple(map(ClassInfo, sorted(self._class_names)))
        columns = [Column("image", Kind.IMAGE), Column("objects", Kind.OBJECTS, classes)]
        if self._has_flags:
            columns.append(Column(FLAGS, Kind.TABLE))
        if self._has_splits:
            columns.append(Column(SPLIT, Kind.TEXT))
        return RecordStream(Schema(tuple(columns)), self._records(), len(self._entries))

    def _find_entries(self) -> Iterator[_Entry]:
        used = SpillSet()
        pairs = SpillTable(self._db, "pairs", ("image", "label_file"))
        for label_file in self._tree.files_below("", (".json",)):
            data = self._load(label_file)
            if data is None:
                continue
            self._class_names.update(name for shape in get_list(data, "shapes") if (name := class_name_of(shape)))
            self._has_flags = self._has_flags or bool(_set_flags(data))
            image = self._find_image(label_file, data)
            if image is None:
                detail = f"{data.get('imagePath')!r} of {label_file}"[:200]
                self._report.add(FindingType.SKIPPED, "image file missing", detail=detail)
            elif image and image in used:
                detail = f"{label_file} of {image}"
                self._report.add(FindingType.SKIPPED, "second annotation of an image", detail=detail)
            else:
                used.add(image)
                pairs.add(image, label_file)
        for image in self._tree.iter_images():
            if image not in used:
                pairs.add(image, "")
        pairs.flush()
        keys = UniqueKeys(self._report)
        by_path = "SELECT image, label_file FROM pairs ORDER BY CASE image WHEN '' THEN label_file ELSE image END"
        for image, label_file in self._db.execute(by_path):
            path_stem = strip_extension(image or label_file)
            stem = path_stem
            split = None
            if self._has_splits and stem.partition("/")[0] in SPLIT_NAMES:
                split, _, stem = stem.partition("/")
            yield _Entry(keys.claim(stem, path_stem), image, label_file, split)

    def _load(self, label_file: str) -> Json | None:
        """Load a label file; None, and reported, if it is not one of LabelMe."""
        try:
            data = load_json(self._tree.path(label_file), self._report)
        except (FormatError, OSError) as error:
            key = strip_extension(label_file)
            self._report.add(FindingType.SKIPPED, "annotation that cannot be read", key=key, detail=str(error))
            return None
        if isinstance(data, dict) and isinstance(data.get("shapes"), list):
            return data
        # Named in the report at the end, among the files that were not read.
        mark_rejected(self._tree.path(label_file))
        return None

    def _find_image(self, label_file: str, data: Json) -> str | None:
        """Return the image of a label file: "" if it is embedded, None if there is none."""
        folder = label_file.rpartition("/")[0]
        image_path = data.get("imagePath")
        candidates = []
        if isinstance(image_path, str):
            # A path that leads outside matches no image of the source.
            candidates.append(posixpath.normpath(f"{folder}/{image_path}".replace("\\", "/")).lstrip("/"))
        candidates += self._images_by_stem.get(strip_extension(label_file)) or []
        if isinstance(image_path, str):
            name = normalize_path(image_path).rpartition("/")[2]
            candidates.append(normalize_path(f"{folder}/{name}"))
        for image in candidates:
            file = self._tree.find(image)
            if file is not None and is_image_name(file):
                return file
        return "" if data.get("imageData") else None

    def _records(self) -> Iterator[Record]:
        for _, *row in self._entries:
            entry = _Entry(*row)
            data = self._load(entry.label_file) if entry.label_file else None
            media = self._media(entry, data or {})
            if media is None:
                continue
            stated_wh = to_size_wh(data.get("imageWidth"), data.get("imageHeight")) if data is not None else None
            frame = LabelFrame.create(read_image_size(media), stated_wh, self._report, entry.key)
            values: dict[str, Any] = {"objects": None if data is None else self._objects(data, entry.key, frame)}
            if self._has_flags and data is not None and (flags := _set_flags(data)):
                values[FLAGS] = flags
            if entry.split is not None:
                values[SPLIT] = entry.split
            yield Record(entry.key, media, values, frame.image_wh)

    def _media(self, entry: _Entry, data: Json) -> MediaSource | None:
        if entry.image:
            return LocalFile(self._tree.path(entry.image))
        try:
            content = base64.b64decode(str(data.get("imageData")), validate=True)
        except (binascii.Error, ValueError):
            self._report.add(FindingType.SKIPPED, "imageData that is not base64", key=entry.key)
            return None
        name = str(data.get("imagePath") or entry.key).replace("\\", "/").rpartition("/")[2]
        return InMemoryFile(replace_surrogates(name), content)

    def _objects(self, data: Json, key: str, frame: LabelFrame) -> Objects | None:
        objects: list[Object] = []
        used_ids: set[str] = set()
        for position, shape in enumerate(get_list(data, "shapes"), 1):
            preferred = saccade_extra(shape).get("id") if isinstance(shape, dict) else None
            if not isinstance(preferred, str) or not preferred or preferred in used_ids:
                preferred = str(position)
            object_id = claim_object_id(preferred, used_ids)
            obj = ShapeReader(self._report, key, object_id, frame.size_wh).read(shape)
            if obj is None:
                # The id of a dropped shape is free again.
                used_ids.remove(object_id)
            else:
                objects.append(obj)
        report_duplicates(objects, key, self._report)
        return frame.to_image(tuple(objects))


def _set_flags(data: Json) -> Json:
    return {name: value for name, value in get_mapping(data, "flags").items() if value}
