"""COCO panoptic: a PNG for each image, in which every pixel belongs to one segment, and a JSON file about the segments.

Read: ``annotations/panoptic_SPLIT.json`` with the PNGs in the folder of that name, or beside; a segment's number is
red + 256 green + 65,536 blue. ``iscrowd`` becomes the attribute ``crowd``, the supercategory a class's parent, its
colour its colour. A segment that is not in the JSON file is reported and dropped. An image without an annotation is
not labelled.

Written: the same, with ``isthing`` true for every class. Every shape becomes a mask; if objects overlap, the later one
is visible, and the hidden parts are reported.

Source of the format: Kirillov et al., "Panoptic Segmentation" (2019), and https://cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from saccade.core.errors import FormatError, MediaError
from saccade.core.geometry import masks_from_labels
from saccade.core.objects import AttributeValue, Object
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Schema, is_hex_color
from saccade.formats._common.index_mask import IndexMaskPainter, read_index_png, report_dropped_fields
from saccade.formats._common.json import Json, JsonArrayWriter, contains_tokens, get_list, load_json
from saccade.formats._common.json_stream import is_large
from saccade.formats._common.losses import report_renumbered, report_unsized_objects
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SPLIT_NAMES, source_tree, strip_extension
from saccade.formats._common.per_image import ImageIndex, PerImageReader, PerImageWriter, WrittenImage
from saccade.formats._common.spill import SpillSet
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer
from saccade.formats.coco.indexed_file import IndexedFile
from saccade.media.colors import hex_to_rgb

_NO_SPLIT = "all"
_encode = json.JSONEncoder(ensure_ascii=False).encode

Segments = dict[int, tuple[str, bool]]
"""Class and crowd flag of each segment of an image, by its number."""


class Panoptic(Format):
    name: ClassVar[str] = "panoptic"
    title: ClassVar[str] = "COCO panoptic"
    supports: ClassVar[str] = "masks that do not overlap; crowd; parents and colours of classes; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and COCO panoptic is a folder")
        files = source_tree(source).files_below("", (".json",))
        first = next((file for file in files if _mentions_segments(source / file)), None)
        if first is None:
            return Detection(False, "there is no JSON file with segments_info")
        return Detection(True, f"{first} has segments_info")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Return a reader of a folder."""
        parse_options(NoOptions, options, "COCO panoptic")
        return PanopticReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "COCO panoptic")
        return PanopticWriter(schema, destination, report)


def _mentions_segments(path: Path) -> bool:
    return contains_tokens(path, '"segments_info"')


class PanopticReader(PerImageReader):
    def open(self) -> RecordStream:
        files = [file for file in self.tree.files_below("", (".json",)) if _mentions_segments(self.tree.path(file))]
        if not files:
            raise FormatError(f"There is no JSON file with segments_info below {self.tree.root}.")
        # The PNGs of segments are no images of the dataset.
        mask_folders = tuple(f"{strip_extension(file)}/" for file in files)
        self.index = ImageIndex(self.tree, lambda image: not image.startswith(mask_folders))
        classes: dict[str, ClassInfo] = {}
        masks = SpillSet()
        for file in files:
            _AnnotationFile(self, file, classes, masks).fill_labels()
        return self.stream(classes.values(), self._objects, include=lambda image: image not in masks)

    def _objects(self, raw: Any, key: str, _size_wh: SizeWH | None) -> Iterator[Object]:
        file, rows = raw
        segments = {number: (name, is_crowd) for number, name, is_crowd in rows}
        return _read_objects(self.tree.path(file), segments, key, self.report)


class _AnnotationFile:
    """One JSON file.

    Args:
        classes: receives the classes.
        masks: receives the PNGs that the file names.
    """

    def __init__(self, reader: PanopticReader, file: str, classes: dict[str, ClassInfo], masks: SpillSet) -> None:
        self._reader = reader
        self._file = file
        self._classes = classes
        self._masks = masks
        path = reader.tree.path(file)
        self._indexed = IndexedFile(path, reader.report) if is_large(path) else None
        data = self._indexed.rest if self._indexed else load_json(path, reader.report)
        self._data: Json = data if isinstance(data, dict) else {}
        annotations = _dicts(self._data, "annotations")
        self._by_image_id = {entry.get("image_id"): entry for entry in annotations if _is_id(entry.get("image_id"))}
        words = re.findall("[a-z]+", file.rpartition("/")[2].lower())
        self._split = next((word for word in words if word in SPLIT_NAMES), None)

    def fill_labels(self) -> None:
        """Add the classes and the labels of the images of this file to the reader."""
        names: dict[Any, str] = {}
        # Of several categories with one id, the last counts.
        categories = {entry["id"]: entry for entry in _dicts(self._data, "categories") if _is_id(entry.get("id"))}
        for category_id, category in categories.items():
            if (info := _class_info(category)) is not None:
                names[category_id] = info.name
                self._classes.setdefault(info.name, info)
        for image in self._iter_images():
            file_name = str(image.get("file_name"))
            labels = self._reader.labels_for(file_name, "images", location=self._file)
            if labels is None:
                continue
            labels.split = labels.split or self._split
            annotation = self._annotation_of(image.get("id"))
            if annotation is not None:
                labels.raw = self._raw_labels(annotation, names, strip_extension(file_name))

    def _iter_images(self) -> Iterator[Json]:
        if self._indexed is None:
            yield from _dicts(self._data, "images")
        else:
            yield from (entry for entry, _ in self._indexed.iter_images() if isinstance(entry, dict))

    def _annotation_of(self, image_id: Any) -> Json | None:
        """Return the last annotation of an image."""
        if not _is_id(image_id):
            return None
        if self._indexed is None:
            return self._by_image_id.get(image_id)
        entries = self._indexed.annotations_of(image_id)
        return next((entry for entry in reversed(entries) if isinstance(entry, dict)), None)

    def _raw_labels(self, annotation: Json, names: Mapping[Any, str], key: str) -> list[Any] | None:
        """Return the PNG of an image and its segments as JSON; None, and reported, if the PNG is missing."""
        name = str(annotation.get("file_name"))
        mask_folder = strip_extension(self._file)
        folders = (mask_folder, mask_folder.rpartition("/")[0], "")
        paths = (f"{folder}/{name}".lstrip("/") for folder in folders)
        path = next((file for path in paths if (file := self._reader.tree.find(path)) is not None), None)
        if path is None:
            self._reader.report.add(FindingType.SKIPPED, "mask file missing", key=key, detail=name[:200])
            return None
        self._masks.add(path)
        segments: Segments = {}
        for segment in _dicts(annotation, "segments_info"):
            category_id = segment.get("category_id")
            if isinstance(segment.get("id"), int) and _is_id(category_id):
                segments[segment["id"]] = names.get(category_id, ""), bool(segment.get("iscrowd"))
        return [path, [[number, class_name, is_crowd] for number, (class_name, is_crowd) in segments.items()]]


def _dicts(data: Json, name: str) -> list[Json]:
    return [entry for entry in get_list(data, name) if isinstance(entry, dict)]


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str)


def _class_info(category: Json) -> ClassInfo | None:
    name = category.get("name")
    parent = category.get("supercategory")
    color = category.get("color")
    if not isinstance(name, str) or not name:
        return None
    is_color = isinstance(color, list) and len(color) == 3 and all(isinstance(c, int) and 0 <= c < 256 for c in color)
    has_parent = isinstance(parent, str) and parent not in ("", name)
    hex_color = "#{:02x}{:02x}{:02x}".format(*color) if is_color and color else None
    return ClassInfo(name, parent if has_parent else None, hex_color)


def _read_objects(path: Path, segments: Segments, key: str, report: ConversionReport) -> Iterator[Object]:
    try:
        numbers, is_color = read_index_png(path)
    except MediaError as error:
        report.add(FindingType.DROPPED, "mask that cannot be read", key=key, detail=str(error))
        return
    if is_color:  # red is the lowest byte here
        numbers = (numbers & 0xFF) << 16 | (numbers & 0xFF00) | numbers >> 16
    for (number,), mask in masks_from_labels(numbers):
        if number == 0:
            continue
        class_name, is_crowd = segments.get(number, ("", False))
        if not class_name:
            report.add(FindingType.DROPPED, "segment without a class", key=key, object_id=str(number))
            continue
        attributes: dict[str, AttributeValue] = {"crowd": True} if is_crowd else {}
        yield Object(str(number), class_name, mask, None, None, attributes)


class PanopticWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, details=("keypoints", "skeleton"))
        self._arrays_by_split: dict[str, tuple[JsonArrayWriter, JsonArrayWriter]] = {}
        """Images and annotations of each split."""
        self._image_id = 0
        self._renumbered = 0

    def write_labels(self, image: WrittenImage) -> None:
        self._image_id += 1
        split = image.split or _NO_SPLIT
        if split not in self._arrays_by_split:
            self._arrays_by_split[split] = JsonArrayWriter(), JsonArrayWriter()
        images, annotations = self._arrays_by_split[split]
        width, height = image.size_wh or (0, 0)
        file_name = image.image_path.removeprefix("images/")
        images.add(_encode({"id": self._image_id, "file_name": file_name, "width": width, "height": height}))
        if image.objects is not None and image.size_wh is None:
            report_unsized_objects(image.objects, image.key, self.report)
        elif image.objects is not None and image.size_wh is not None:
            annotations.add(_encode(self._write_segments(image, image.size_wh)))

    def _write_segments(self, image: WrittenImage, size_wh: SizeWH) -> Json:
        """Write the PNG of an image; return its annotation."""
        from PIL import Image

        painter = IndexMaskPainter(size_wh, image.key, self.report)
        for obj in image.objects or ():
            painter.add(obj)
        numbers = np.zeros_like(painter.object_numbers)
        segments = []
        for position, (number, obj) in enumerate(painter.visible_objects(), 1):
            self._renumbered += obj.id != str(position)
            report_dropped_fields(obj, image.key, self.report, supported=("crowd",))
            pixels = painter.object_numbers == number
            numbers[pixels] = position
            ys, xs = np.nonzero(pixels)
            x = int(xs.min())
            y = int(ys.min())
            segments.append(
                {
                    "id": position,
                    "category_id": self.classes.index_of(obj.class_name) + 1,
                    "area": len(xs),
                    "bbox": [x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y],
                    "iscrowd": int(obj.attributes.get("crowd") is True),
                }
            )
        colors = np.stack([numbers & 0xFF, numbers >> 8 & 0xFF, numbers >> 16 & 0xFF], axis=-1).astype(np.uint8)
        folder = self.destination / "annotations" / f"panoptic_{image.split or _NO_SPLIT}"
        path = folder / f"{image.stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(colors).save(path)
        file_name = path.relative_to(folder).as_posix()
        return {"image_id": self._image_id, "file_name": file_name, "segments_info": segments}

    def _finish(self) -> None:
        super()._finish()
        categories = _encode([self._category(name, index) for name, index in self.classes.indices.items()])
        folder = self.destination / "annotations"
        folder.mkdir(exist_ok=True)
        if not self._arrays_by_split:
            self._arrays_by_split[_NO_SPLIT] = JsonArrayWriter(), JsonArrayWriter()
        for split, (images, segments) in self._arrays_by_split.items():
            with (folder / f"panoptic_{split}.json").open("w", encoding="utf-8") as out:
                # A file without annotations is detected by this word too.
                out.write('{"info": {"description": "segments_info"}, "segments_info": [], ')
                out.write(f'"categories": {categories}, "images": ')
                images.copy_to(out)
                out.write(', "annotations": ')
                segments.copy_to(out)
                out.write("}\n")
        report_renumbered(self.report, self._renumbered)

    def _category(self, name: str, index: int) -> Json:
        labels = self.columns.labels
        info = next((info for info in (labels.classes if labels else ()) if info.name == name), ClassInfo(name))
        category: Json = {"id": index + 1, "name": name, "supercategory": info.parent or "", "isthing": 1}
        if info.color and is_hex_color(info.color):
            category["color"] = list(hex_to_rgb(info.color))
        return category


FORMAT = Panoptic()
