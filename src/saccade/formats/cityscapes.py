"""Cityscapes: a JSON file with the polygons of the objects for each image.

Read: ``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png`` with ``gtFine/SPLIT/CITY/NAME_gtFine_polygons.json`` (or
gtCoarse); the key is ``CITY/NAME``. Objects marked as deleted are left out; ``group`` at the end of a class name
becomes the attribute ``crowd``. Later polygons lie over earlier ones; they are read unchanged, and may overlap. An
image without a JSON file is not labelled yet.

Written: the same, without the PNGs that the Cityscapes scripts create from it. Every shape becomes polygons of one
ring, one object each; holes cannot be written.

Source of the format: Cordts et al., "The Cityscapes Dataset" (2016), and the cityscapesScripts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Object, Polygon
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.frames import to_size_wh
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.index_mask import report_dropped_fields
from saccade.formats._common.json import Json, get_list, load_json, to_float
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import normal_form, source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_IMAGES_FOLDER = "leftImg8bit"
_IMAGE_SUFFIX = "_leftImg8bit"
_LABEL_SUFFIXES = ("_gtFine_polygons.json", "_gtCoarse_polygons.json")
_LABEL_EXTENSIONS = tuple(suffix.lower() for suffix in _LABEL_SUFFIXES)
_NO_SPLIT_FOLDER = "all"
# Where the base class writes the images, before they are moved to their city's folder.
_STAGING_FOLDER = "written"


class Cityscapes(Format):
    name: ClassVar[str] = "cityscapes"
    title: ClassVar[str] = "Cityscapes"
    supports: ClassVar[str] = "polygons of one ring; crowd; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Cityscapes is a folder")
        tree = source_tree(source)
        files = (file for suffix in _LABEL_SUFFIXES for file in tree.files_below("", (suffix.lower(),)))
        first = next(files, None)
        if first is None:
            return Detection(False, "there is no file that ends in _gtFine_polygons.json")
        return Detection(True, f"there is {first}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        parse_options(NoOptions, options, "Cityscapes")
        return CityscapesReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Cityscapes")
        return CityscapesWriter(schema, destination, report)


class CityscapesReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, split_folders=False)

    def open(self) -> RecordStream:
        label_files = _LabelFiles(self.tree.files_below("", _LABEL_EXTENSIONS), filter(_is_photo, self.index))
        if not label_files:
            raise FormatError(f"There is no file that ends in _gtFine_polygons.json below {self.tree.root}.")
        names: set[str] = set()
        for image in filter(_is_photo, self.index):
            labels = self.labels_for(image)
            assert labels is not None
            labels.key, labels.split = _key_and_split(image)
            label_file = label_files.find(image)
            if label_file is not None:
                labels.raw, labels.stated_wh = self._load(label_file)
                names.update(name for entry in labels.raw or () if (name := _class_and_crowd(entry)[0]))
        return self.stream(sorted(names), self._objects, include=_is_photo)

    def _load(self, file: str) -> tuple[list[Json] | None, SizeWH | None]:
        """Return the entries of a file, or None if it cannot be read, and the size that it states."""
        path = self.tree.path(file)
        try:
            data = load_json(path, self.report)
        except (FormatError, OSError) as error:
            reason = "annotation that cannot be read"
            self.report.add(FindingType.SKIPPED, reason, key=path.name, detail=str(error))
            return None, None
        if not isinstance(data, dict):
            return [], None
        entries = [entry for entry in get_list(data, "objects") if isinstance(entry, dict)]
        stated_wh = to_size_wh(data.get("imgWidth"), data.get("imgHeight"))
        return [entry for entry in entries if not entry.get("deleted")], stated_wh

    def _objects(self, entries: Sequence[Json], key: str, _size_wh: SizeWH | None) -> Iterator[Object]:
        for position, entry in enumerate(entries, 1):
            object_id = str(position)
            name, is_crowd = _class_and_crowd(entry)
            try:
                points = [(to_float(point[0]), to_float(point[1])) for point in get_list(entry, "polygon")]
                geometry = Polygon.simple(points)
            except (InvalidValueError, TypeError, IndexError, KeyError, OverflowError) as error:
                reason = "object without a usable shape"
                detail = str(error)[:200]
                self.report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=detail)
                continue
            if not name:
                self.report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            attributes: dict[str, AttributeValue] = {"crowd": True} if is_crowd else {}
            yield Object(object_id, name, geometry, None, None, attributes)


class _LabelFiles:
    """Finds the label file of an image.

    Args:
        files: the label files.
        images: the images.
    """

    def __init__(self, files: Iterable[str], images: Iterable[str]) -> None:
        self._by_name: dict[str, list[str]] = {}
        for file in files:
            self._by_name.setdefault(normal_form(file.rpartition("/")[2]), []).append(file)
        self._image_names = Counter(map(_image_name, images))

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, image: str) -> str | None:
        """Return the label file in the same folder below gtFine or gtCoarse, or None.

        If no other image has the name, a file in any folder is found, if there is only one.
        """
        name = _image_name(image)
        folder = "/".join(_parts_below_images(image)[:-1])
        for suffix in _LABEL_SUFFIXES:
            files = self._by_name.get(name + suffix, [])
            ending = normal_form(f"/{folder}/{name}{suffix}" if folder else f"/{name}{suffix}")
            matching = [file for file in files if normal_form(f"/{file}").endswith(ending)]
            candidates = matching or (files if self._image_names[name] == 1 else [])
            if len(candidates) == 1:
                return candidates[0]
        return None


def _image_name(image: str) -> str:
    return normal_form(strip_extension(image.rpartition("/")[2]).removesuffix(_IMAGE_SUFFIX))


def _parts_below_images(image: str) -> list[str]:
    parts = image.split("/")
    return parts[parts.index(_IMAGES_FOLDER) + 1 :] if _IMAGES_FOLDER in parts[:-1] else parts


def _is_photo(image: str) -> bool:
    """Whether an image is not one of the label PNGs beside the JSON files."""
    return image.partition("/")[0] not in ("gtFine", "gtCoarse")


def _key_and_split(image: str) -> tuple[str, str | None]:
    parts = _parts_below_images(image)
    split = parts.pop(0) if len(parts) > 1 else None
    key = strip_extension("/".join(parts)).removesuffix(_IMAGE_SUFFIX)
    return key, None if split == _NO_SPLIT_FOLDER else split


def _has_crowd_suffix(label: str) -> bool:
    # "group" alone is a class.
    return label.endswith("group") and label != "group"


def _class_and_crowd(entry: Json) -> tuple[str, bool]:
    """Return the class, "" if there is none, and whether the object is a crowd."""
    label = entry.get("label")
    if not isinstance(label, str):
        return "", False
    return (label.removesuffix("group"), True) if _has_crowd_suffix(label) else (label, False)


class CityscapesWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, folder=_STAGING_FOLDER, split_folders="custom")
        self._renumbered = 0

    def write_labels(self, image: WrittenImage) -> None:
        split = image.split if image.split in ("train", "val", "test") else None
        if image.split is not None and split is None:
            reason = "split that is not train, val or test"
            self.report.add(FindingType.DROPPED, reason, key=image.key, detail=image.split)
        stem = f"{split or _NO_SPLIT_FOLDER}/{image.stem}"
        staged_file = self.destination / image.image_path
        image_file = self.destination / _IMAGES_FOLDER / f"{stem}{_IMAGE_SUFFIX}{staged_file.suffix}"
        image_file.parent.mkdir(parents=True, exist_ok=True)
        staged_file.replace(image_file)
        if image.objects is None:
            return
        label_file = self.destination / "gtFine" / f"{stem}_gtFine_polygons.json"
        label_file.parent.mkdir(parents=True, exist_ok=True)
        entries = [
            entry
            for position, obj in enumerate(image.objects, 1)
            if (entry := self._entry(image.key, obj, position, image.size_wh)) is not None
        ]
        width, height = image.size_wh or (0, 0)
        data = {"imgHeight": height, "imgWidth": width, "objects": entries}
        label_file.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        staging_folder = self.destination / _STAGING_FOLDER
        for folder in sorted(staging_folder.rglob("*"), reverse=True):
            folder.rmdir()
        if staging_folder.is_dir():
            staging_folder.rmdir()
        (self.destination / "gtFine").mkdir(exist_ok=True)
        report_renumbered(self.report, self._renumbered)
        self.classes.report_unlisted(self.report)

    def _entry(self, key: str, obj: Object, position: int, size_wh: SizeWH | None) -> Json | None:
        self._renumbered += obj.id != str(position)
        target_type = "" if isinstance(obj.geometry, Polygon) else "polygon"
        geometry = coerce_geometry(obj, target_type, size_wh, key, self.report)
        if geometry is None:
            return None
        if not is_single_ring(geometry) or not isinstance(geometry, Polygon):
            drop_object(obj, key, self.report, "a polygon of several parts or with holes")
            return None
        label = obj.class_name
        if _has_crowd_suffix(label):
            reason = "class that would be read as a crowd"
            self.report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=label)
        report_dropped_fields(obj, key, self.report, supported=("crowd",))
        self.classes.index_of(label)
        if label and obj.attributes.get("crowd") is True:
            label += "group"
        return {"label": label, "polygon": [list(point) for point in geometry.parts[0][0]]}


FORMAT = Cityscapes()
