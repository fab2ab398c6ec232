"""Cityscapes: the polygons of every object in an image, as JSON.

Read: ``leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png`` with ``gtFine/SPLIT/CITY/NAME_gtFine_polygons.json`` (or
gtCoarse); the key is ``CITY/NAME``. Objects marked as deleted are left out; ``group`` at the end of a class name
becomes the attribute ``crowd``. Later polygons lie over earlier ones; they are read as they stand, and may overlap.
An image without a JSON file is not labelled.

Written: the same, without the PNGs that the Cityscapes scripts make of it. Every shape becomes polygons of one ring,
one object each; holes have no place.

Source of the format: Cordts et al., "The Cityscapes Dataset" (2016), and the cityscapesScripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import AttributeValue, Geometry, Object, Polygon
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.json import Json, get_list, load_json, to_float
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_IMAGES, _IMAGE_END = "leftImg8bit", "_leftImg8bit"
_TRUTHS = (("gtFine", "_gtFine_polygons.json"), ("gtCoarse", "_gtCoarse_polygons.json"))
_NO_SPLIT = "all"


class Cityscapes(Format):
    name: ClassVar[str] = "cityscapes"
    title: ClassVar[str] = "Cityscapes"
    supports: ClassVar[str] = "polygons of one ring; crowd; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Cityscapes is a folder")
        tree = source_tree(source)
        found = next((file for _, ending in _TRUTHS for file in tree.files_below("", (ending.lower(),))), None)
        if found is None:
            return Detection(False, "there is no file that ends in _gtFine_polygons.json")
        return Detection(True, f"there is {found}")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "Cityscapes")
        return CityscapesReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Cityscapes")
        return CityscapesWriter(schema, destination, report)


class CityscapesReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, split_folders=False)

    def open(self) -> RecordStream:
        truths = {
            file.rpartition("/")[2]: file
            for _, end in _TRUTHS[::-1]
            for file in self.tree.files_below("", (end.lower(),))
        }
        if not truths:
            raise FormatError(f"There is no file that ends in _gtFine_polygons.json below {self.tree.root}.")
        names: set[str] = set()
        for image in filter(_is_picture, self.index):
            entry = self.labels_for(image)
            assert entry is not None
            stem = strip_extension(image.rpartition("/")[2]).removesuffix(_IMAGE_END)
            entry.key, entry.split = _key_of(image)
            truth = next((truths[stem + ending] for _, ending in _TRUTHS if stem + ending in truths), None)
            if truth is not None:
                entry.raw = _load(self.tree.path(truth), self.report)
                names.update(_class_of(one)[0] for one in entry.raw or () if _class_of(one)[0])
        return self.stream(sorted(names), lambda raw, key, size: _objects(raw, key, self.report), include=_is_picture)


def _is_picture(image: str) -> bool:
    return image.partition("/")[0] not in ("gtFine", "gtCoarse")


def _key_of(image: str) -> tuple[str, str | None]:
    parts = image.split("/")
    if _IMAGES in parts[:-1]:
        parts = parts[parts.index(_IMAGES) + 1 :]
    split = parts.pop(0) if len(parts) > 1 else None
    key = strip_extension("/".join(parts)).removesuffix(_IMAGE_END)
    return key, None if split == _NO_SPLIT else split


def _load(path: Path, report: ConversionReport) -> list[Json] | None:
    try:
        data = load_json(path, report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", key=path.name, detail=str(error))
        return None
    found = get_list(data, "objects") if isinstance(data, dict) else []
    return [one for one in found if isinstance(one, dict) and not one.get("deleted")]


def _class_of(one: Json) -> tuple[str, bool]:
    """The class and whether it is a group; a name that ends in 'group' and nothing else is a class."""
    label = one.get("label")
    if not isinstance(label, str):
        return "", False
    return (label.removesuffix("group"), True) if label.endswith("group") and label != "group" else (label, False)


def _objects(raw: Sequence[Json], key: str, report: ConversionReport) -> Iterator[Object]:
    for position, one in enumerate(raw, 1):
        name, is_group = _class_of(one)
        try:
            points = [(to_float(point[0]), to_float(point[1])) for point in get_list(one, "polygon")]
            geometry = Polygon.simple(points)
        except (InvalidValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            report.add(
                FindingType.DROPPED,
                "object without a usable shape",
                key=key,
                object_id=str(position),
                detail=str(error)[:200],
            )
            continue
        if not name:
            report.add(FindingType.DROPPED, "object without a class", key=key, object_id=str(position))
            continue
        attributes: dict[str, AttributeValue] = {"crowd": True} if is_group else {}
        yield Object(str(position), name, geometry, None, None, attributes)


class CityscapesWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, folder="written", split_folders="custom")
        self._ids = 0

    def write_labels(self, one: WrittenImage) -> None:
        written = self.destination / one.image_path
        split = one.split if one.split in ("train", "val", "test") else None
        if one.split is not None and split is None:
            self.report.add(FindingType.DROPPED, "split that is not train, val or test", key=one.key, detail=one.split)
        stem = f"{split or _NO_SPLIT}/{one.stem}"
        image = self.destination / _IMAGES / f"{stem}{_IMAGE_END}{written.suffix}"
        image.parent.mkdir(parents=True, exist_ok=True)
        written.replace(image)
        if one.objects is None:
            return
        path = self.destination / "gtFine" / f"{stem}_gtFine_polygons.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        objects = [
            made
            for at, found in enumerate(one.objects, 1)
            if (made := self._object(one.key, found, at, one.size_wh)) is not None
        ]
        width, height = one.size_wh or (0, 0)
        data = {"imgHeight": height, "imgWidth": width, "objects": objects}
        path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        for folder in sorted((self.destination / "written").rglob("*"), reverse=True):
            folder.rmdir()
        if (self.destination / "written").is_dir():
            (self.destination / "written").rmdir()
        (self.destination / "gtFine").mkdir(exist_ok=True)
        report_renumbered(self.report, self._ids)
        self.classes.report_unlisted(self.report)

    def _object(self, key: str, found: Object, position: int, size_wh: SizeWH | None) -> Json | None:
        self._ids += found.id != str(position)
        geometry: Geometry | None = coerce_geometry(
            found, "" if isinstance(found.geometry, Polygon) else "polygon", size_wh, key, self.report
        )
        if geometry is None:
            return None
        if not is_single_ring(geometry) or not isinstance(geometry, Polygon):
            drop_object(found, key, self.report, "a polygon of several parts or with holes")
            return None
        label = found.class_name
        if label.endswith("group") and label != "group":
            self._drop("class that says it is a group", key, found, label)
        crowd = found.attributes.get("crowd") is True
        for name, value in found.attributes.items():
            if name != "crowd" or value is not True:
                self._drop("attribute", key, found, f"{name} = {value!r}")
        for what, stated in (("score", found.score), ("track", found.track)):
            if stated is not None:
                self._drop(what, key, found, str(stated))
        self.classes.index_of(label)
        label = f"{label}group" if crowd and label else label
        return {"label": label, "polygon": [list(point) for point in geometry.parts[0][0]]}

    def _drop(self, reason: str, key: str, found: Object, detail: str) -> None:
        self.report.add(FindingType.DROPPED, reason, key=key, object_id=found.id, detail=detail)


FORMAT = Cityscapes()
