"""Writing COCO, as a stream: images and annotations are joined from two temporary files at the end."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from saccade.core.geometry import counts_to_coco_string, ellipse_to_polygon, polygon_to_mask
from saccade.core.objects import BoundsXYXY, Box, Ellipse, Keypoints, Mask, Object, Polygon, Ring, RotatedBox
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo, Kind
from saccade.formats._common.json import Json, ListOut
from saccade.formats._common.spill import NumberSet
from saccade.formats._common.writing import (
    NO_SPLIT_FOLDER,
    ClassNames,
    Columns,
    FileNames,
    Names,
    copy_media,
    size_wh_of,
)
from saccade.formats.base import Reading, Record
from saccade.formats.coco.annotations import DROPPED_FIELDS, STANDARD_FIELDS

METADATA = "metadata"
_RESERVED_FIELDS = STANDARD_FIELDS | DROPPED_FIELDS
_encode = json.JSONEncoder(allow_nan=False).encode


@dataclass(frozen=True)
class Options:
    """COCO is written in one way only."""


class _Part:
    """One annotation file while it is written."""

    def __init__(self, split: str | None) -> None:
        self.split = split
        self.images, self.annotations = ListOut(), ListOut()

    def save(self, path: Path, head: Json, categories: list[Json]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as out:
            out.write(f'{{"saccade": {_encode(head)},\n"categories": {_encode(categories)}')
            for name, rows in (("images", self.images), ("annotations", self.annotations)):
                out.write(f',\n"{name}": ')
                rows.copy_to(out)
            out.write("}\n")


def write_coco(reading: Reading, destination: Path, report: Report, options: Options) -> None:
    """Write ``annotations.json`` or ``annotations/instances_<split>.json``, and the images."""
    del options
    columns = Columns(reading, report, Kind.OBJECTS, kept={METADATA: Kind.TABLE})
    writer = _Writer(columns, destination, report)
    for record in reading.records:
        columns.count(record)
        writer.record(record)
    writer.save()
    columns.finish()


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report) -> None:
        self._columns = columns
        self._destination = destination
        self._report = report
        self._files = FileNames(report)
        self._classes = ClassNames(columns.labels)
        self._annotations = _AnnotationWriter(report)
        self._parts: dict[str | None, _Part] = {}

    def record(self, record: Record) -> None:
        file_name = self._image(record)
        if file_name is None:
            return
        split = self._columns.split_of(record)
        if split not in self._parts:
            self._parts[split] = _Part(split)
        part = self._parts[split]
        size = size_wh_of(record)
        image_id = sum(len(each.images) for each in self._parts.values()) + 1
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        part.images.add(_encode(self._image_row(record, image_id, file_name, size, objects)))
        for found in objects or ():
            row = self._annotations.row(record.key, found, size)
            if row is not None:
                row["image_id"], row["category_id"] = image_id, self._classes.number(found.class_name) + 1
                part.annotations.add(_encode(row))

    def _image(self, record: Record) -> str | None:
        stem = self._files.take(record.key)
        if record.media is None:
            self._report.add(Action.NOTICED, "item without an image file", key=record.key)
            return f"{stem}.jpg"
        target = copy_media(record, self._destination / "images" / stem, self._report)
        return None if target is None else target.relative_to(self._destination / "images").as_posix()

    def _image_row(
        self, record: Record, image_id: int, file_name: str, size: tuple[int, int] | None, objects: Any
    ) -> Json:
        row: Json = {"id": image_id, "file_name": file_name}
        if size is None:
            self._report.add(Action.NOTICED, "image of unknown size", key=record.key)
        else:
            row["width"], row["height"] = size
        if not objects:
            row["saccade"] = {"labelled": objects is not None}
            if objects is None:
                reason = "'not labelled yet', which only Saccade reads back"
                self._report.add(Action.DROPPED, reason, key=record.key)
        metadata = record.values.get(METADATA) if METADATA in self._columns.kept else None
        if isinstance(metadata, Mapping):
            self._add_metadata(row, metadata, record.key)
        elif metadata is not None:
            self._report.add(Action.DROPPED, "metadata that is no table of names", key=record.key)
        return row

    def _add_metadata(self, row: Json, metadata: Mapping[Any, Any], key: str) -> None:
        for name, value in metadata.items():
            try:
                if name in _RESERVED_FIELDS or not isinstance(name, str):
                    raise ValueError(f"{name!r} is a field of the format")
                _encode(value)
                row[name] = value
            except (TypeError, ValueError, RecursionError) as error:
                self._report.add(Action.DROPPED, "metadata that has no place", key=key, detail=f"{name}: {error}")

    def save(self) -> None:
        categories = self._categories()
        head: Json = {"images": "images", METADATA: METADATA in self._columns.kept}
        if not self._parts:
            self._parts[None] = _Part(None)
        if not self._columns.has_split:
            self._parts[None].save(self._destination / "annotations.json", head, categories)
            return
        names = Names(self._report, "split", reserved=(NO_SPLIT_FOLDER,))
        for split, part in self._parts.items():
            stem = NO_SPLIT_FOLDER if split is None else names.of(split)
            path = self._destination / "annotations" / f"instances_{stem}.json"
            part.save(path, {**head, "split": split}, categories)

    def _categories(self) -> list[Json]:
        labels = self._columns.labels
        infos = {info.name: info for info in labels.classes} if labels else {}
        return [
            _category(infos.get(name, ClassInfo(name)), number + 1, self._report)
            for name, number in self._classes.numbers.items()
        ]


def _category(info: ClassInfo, number: int, report: Report) -> Json:
    row: Json = {"id": number, "name": info.name, "supercategory": info.parent or ""}
    if info.parent == info.name:
        row["saccade"] = {"own_parent": True}
    if info.keypoints or info.skeleton:
        row["keypoints"] = list(info.keypoints)
        row["skeleton"] = [[first + 1, second + 1] for first, second in info.skeleton]
    if info.color and re.fullmatch("#[0-9a-fA-F]{6}", info.color):
        row["color"] = [int(info.color[at : at + 2], 16) for at in (1, 3, 5)]
    elif info.color:
        report.add(Action.DROPPED, "colour that is not #rrggbb", detail=f"'{info.name}': {info.color!r}")
    return row


class _AnnotationWriter:
    """Makes the annotation of an object; ids are numbers, the object's own where it is one and free."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._taken = NumberSet()
        self._next = 1

    def row(self, key: str, found: Object, size: tuple[int, int] | None) -> Json | None:
        """The annotation without its image and category, or None, reported, where COCO cannot hold the shape."""
        row = self._shape(key, found, size)
        if row is None:
            return None
        number = self._number(found.id)
        row = {"id": number, **row, "iscrowd": int(found.is_crowd)}
        if str(number) != found.id:
            row.setdefault("saccade", {})["id"] = found.id
        if found.score is not None:
            row["score"] = found.score
        attributes = self._attributes(key, found)
        if attributes:
            row["attributes"] = attributes
        return row

    def _number(self, object_id: str) -> int:
        wish = int(object_id) if re.fullmatch("[1-9][0-9]{0,14}", object_id) else 0
        if not wish or wish in self._taken:
            while self._next in self._taken:
                self._next += 1
            wish = self._next
        self._taken.add(wish)
        return wish

    def _attributes(self, key: str, found: Object) -> Json:
        kept: Json = {} if found.track is None else {"track_id": found.track}
        for name, value in found.attributes.items():
            if name == "crowd" and value is True:
                continue
            if name == "track_id" or (isinstance(value, float) and not math.isfinite(value)):
                reason = "attribute that has no place"
                self._report.add(Action.DROPPED, reason, key=key, object_id=found.id, detail=f"{name} = {value!r}")
                continue
            kept[name] = value
        return kept

    def _shape(self, key: str, found: Object, size: tuple[int, int] | None) -> Json | None:
        geometry = found.geometry
        add = partial(self._report.add, key=key, object_id=found.id)
        match geometry:
            case Box():
                row = _box_row(geometry)
            case Polygon():
                row = self._polygon(geometry, size, add)
            case Mask():
                row = _mask_row(geometry)
            case Keypoints():
                row = _keypoints_row(geometry)
            case RotatedBox():
                add(Action.DROPPED, "angle of a rotated box, written as a polygon")
                row = _polygon_row([geometry.corners()], geometry)
            case Ellipse():
                add(Action.DROPPED, "roundness of an ellipse, written as a polygon")
                row = _polygon_row([ellipse_to_polygon(geometry).parts[0][0]], geometry)
            case _:
                add(Action.DROPPED, f"{geometry.type}, for which COCO has no field")
                return None
        return row

    @staticmethod
    def _polygon(polygon: Polygon, size: tuple[int, int] | None, add: Callable[[Action, str], None]) -> Json:
        if any(len(part) > 1 for part in polygon.parts):
            if size is not None:
                add(Action.REPAIRED, "polygon with holes written as a mask of whole pixels")
                return _mask_row(polygon_to_mask(polygon, size))
            add(Action.DROPPED, "holes of a polygon in an image of unknown size")
        return _polygon_row([part[0] for part in polygon.parts], polygon)


def _bbox(bounds: BoundsXYXY) -> list[float]:
    x1, y1, x2, y2 = bounds
    return [x1, y1, _length(x1, x2), _length(y1, y2)]


def _length(start: float, end: float) -> float:
    """A length that gives ``end`` again when it is added to ``start``, where there is one in floating point."""
    length = min(end - start, sys.float_info.max)
    for near in (length, math.nextafter(length, 0.0), math.nextafter(length, math.inf)):
        if start + near == end:
            return near
    return length


def _area(geometry: Box | Polygon | RotatedBox | Ellipse | Keypoints) -> float:
    return min(geometry.area(), sys.float_info.max)


def _box_row(box: Box) -> Json:
    bbox = _bbox(box.bounds_xyxy())
    row: Json = {"bbox": bbox, "area": _area(box), "segmentation": []}
    if (bbox[0] + bbox[2], bbox[1] + bbox[3]) != (box.x2, box.y2):
        row["saccade"] = {"xyxy": list(box.bounds_xyxy())}
    return row


def _polygon_row(rings: list[Ring], geometry: Polygon | RotatedBox | Ellipse) -> Json:
    flat = [[number for point in ring for number in point] for ring in rings]
    return {"bbox": _bbox(geometry.bounds_xyxy()), "area": _area(geometry), "segmentation": flat}


def _mask_row(mask: Mask) -> Json:
    rle = {"size": [mask.height, mask.width], "counts": counts_to_coco_string(mask.counts)}
    return {"bbox": _bbox(mask.bounds_xyxy()), "area": mask.area(), "segmentation": rle}


def _keypoints_row(geometry: Keypoints) -> Json:
    flat = [value for (x, y), seen in zip(geometry.points, geometry.visibility, strict=True) for value in (x, y, seen)]
    row: Json = {
        "bbox": _bbox(geometry.bounds_xyxy()),
        "area": _area(geometry),
        "keypoints": flat,
        "num_keypoints": sum(seen > 0 for seen in geometry.visibility),
    }
    mine: Json = {}
    if derived := [name for name, value in (("bbox", geometry.box), ("area", geometry.region_area)) if value is None]:
        mine["derived"] = derived
    bbox = row["bbox"]
    if geometry.box is not None and (bbox[0] + bbox[2], bbox[1] + bbox[3]) != (geometry.box.x2, geometry.box.y2):
        mine["xyxy"] = list(geometry.box.bounds_xyxy())
    if mine:
        row["saccade"] = mine
    return row
