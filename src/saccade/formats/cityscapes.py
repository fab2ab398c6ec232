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
from saccade.core.report import Action, Report
from saccade.formats._common.geometry import held, is_simple, refuse
from saccade.formats._common.json import Json, list_of, load_json, number
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import stem_of, tree_of
from saccade.formats._common.per_image import ByImage, ImagesOut, SizeWH
from saccade.formats.base import Detection, Reading

_IMAGES, _IMAGE_END = "leftImg8bit", "_leftImg8bit"
_TRUTHS = (("gtFine", "_gtFine_polygons.json"), ("gtCoarse", "_gtCoarse_polygons.json"))
_NO_SPLIT = "all"


class Cityscapes:
    name: ClassVar[str] = "cityscapes"
    title: ClassVar[str] = "Cityscapes"
    holds: ClassVar[str] = "polygons of one ring; crowd; labelled or not"

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Cityscapes is a folder")
        tree = tree_of(source)
        found = next((file for _, ending in _TRUTHS for file in tree.below("", (ending.lower(),))), None)
        if found is None:
            return Detection(False, "there is no file that ends in _gtFine_polygons.json")
        return Detection(True, f"there is {found}")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "Cityscapes")
        images = ByImage(source, report, splits=False)
        truths = {
            file.rpartition("/")[2]: file for _, end in _TRUTHS[::-1] for file in images.tree.below("", (end.lower(),))
        }
        if not truths:
            raise FormatError(f"There is no file that ends in _gtFine_polygons.json below {source}.")
        names: set[str] = set()
        for image in filter(_is_picture, images.index):
            entry = images.entry(image)
            assert entry is not None
            stem = stem_of(image.rpartition("/")[2]).removesuffix(_IMAGE_END)
            entry.key, entry.split = _key_of(image)
            truth = next((truths[stem + ending] for _, ending in _TRUTHS if stem + ending in truths), None)
            if truth is not None:
                entry.raw = _load(images.tree.path(truth), report)
                names.update(_class_of(one)[0] for one in entry.raw or () if _class_of(one)[0])
        return images.reading(sorted(names), lambda raw, key, size: _objects(raw, key, report), wanted=_is_picture)

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "Cityscapes")
        _Writer(reading, destination, report).write()


def _is_picture(image: str) -> bool:
    return image.partition("/")[0] not in ("gtFine", "gtCoarse")


def _key_of(image: str) -> tuple[str, str | None]:
    parts = image.split("/")
    if _IMAGES in parts[:-1]:
        parts = parts[parts.index(_IMAGES) + 1 :]
    split = parts.pop(0) if len(parts) > 1 else None
    key = stem_of("/".join(parts)).removesuffix(_IMAGE_END)
    return key, None if split == _NO_SPLIT else split


def _load(path: Path, report: Report) -> list[Json] | None:
    try:
        data = load_json(path, report)
    except (FormatError, OSError) as error:
        report.add(Action.SET_ASIDE, "annotation that cannot be read", key=path.name, detail=str(error))
        return None
    found = list_of(data, "objects") if isinstance(data, dict) else []
    return [one for one in found if isinstance(one, dict) and not one.get("deleted")]


def _class_of(one: Json) -> tuple[str, bool]:
    """The class and whether it is a group; a name that ends in 'group' and nothing else is a class."""
    label = one.get("label")
    if not isinstance(label, str):
        return "", False
    return (label.removesuffix("group"), True) if label.endswith("group") and label != "group" else (label, False)


def _objects(raw: Sequence[Json], key: str, report: Report) -> Iterator[Object]:
    for position, one in enumerate(raw, 1):
        name, is_group = _class_of(one)
        try:
            points = [(number(point[0]), number(point[1])) for point in list_of(one, "polygon")]
            geometry = Polygon.simple(points)
        except (InvalidValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            report.add(
                Action.DROPPED,
                "object without a usable shape",
                key=key,
                object_id=str(position),
                detail=str(error)[:200],
            )
            continue
        if not name:
            report.add(Action.DROPPED, "object without a class", key=key, object_id=str(position))
            continue
        attributes: dict[str, AttributeValue] = {"crowd": True} if is_group else {}
        yield Object(str(position), name, geometry, None, None, attributes)


class _Writer:
    def __init__(self, reading: Reading, destination: Path, report: Report) -> None:
        self._out = ImagesOut(reading, destination, report, folder="written", splits="kept")
        self._destination, self._report = destination, report
        self._ids = 0

    def write(self) -> None:
        for one in self._out:
            written = self._destination / one.image
            split = one.split if one.split in ("train", "val", "test") else None
            if one.split is not None and split is None:
                self._report.add(Action.DROPPED, "split that is not train, val or test", key=one.key, detail=one.split)
            stem = f"{split or _NO_SPLIT}/{one.stem}"
            image = self._destination / _IMAGES / f"{stem}{_IMAGE_END}{written.suffix}"
            image.parent.mkdir(parents=True, exist_ok=True)
            written.replace(image)
            if one.objects is None:
                continue
            path = self._destination / "gtFine" / f"{stem}_gtFine_polygons.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            objects = [
                made
                for at, found in enumerate(one.objects, 1)
                if (made := self._object(one.key, found, at, one.size_wh)) is not None
            ]
            width, height = one.size_wh or (0, 0)
            data = {"imgHeight": height, "imgWidth": width, "objects": objects}
            path.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
        for folder in sorted((self._destination / "written").rglob("*"), reverse=True):
            folder.rmdir()
        if (self._destination / "written").is_dir():
            (self._destination / "written").rmdir()
        (self._destination / "gtFine").mkdir(exist_ok=True)
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")
        self._out.report_unused_classes()

    def _object(self, key: str, found: Object, position: int, size_wh: SizeWH) -> Json | None:
        self._ids += found.id != str(position)
        geometry: Geometry | None = held(
            found, "" if isinstance(found.geometry, Polygon) else "polygon", size_wh, key, self._report
        )
        if geometry is None:
            return None
        if not is_simple(geometry) or not isinstance(geometry, Polygon):
            refuse(found, key, self._report, "a polygon of several parts or with holes")
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
        self._out.classes.number(label)
        label = f"{label}group" if crowd and label else label
        return {"label": label, "polygon": [list(point) for point in geometry.parts[0][0]]}

    def _drop(self, reason: str, key: str, found: Object, detail: str) -> None:
        self._report.add(Action.DROPPED, reason, key=key, object_id=found.id, detail=detail)


FORMAT = Cityscapes()
