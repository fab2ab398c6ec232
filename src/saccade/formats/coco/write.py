"""Writing COCO as a stream: images and annotations are collected in temporary files and joined at the end."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from saccade.core.geometry import counts_to_coco_string, ellipse_to_polygon, polygon_to_mask
from saccade.core.objects import BoundsXYXY, Box, Ellipse, Keypoints, Mask, Object, Objects, Polygon, Ring, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Kind, Schema, is_hex_color
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.json import Json, JsonArrayWriter
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import NO_SPLIT_FOLDER, SPLIT, FileNames, FolderNames
from saccade.formats._common.spill import IntSet
from saccade.formats.base import Record, SizeWH, Writer
from saccade.formats.coco.annotations import DROPPED_IMAGE_FIELDS, READ_IMAGE_FIELDS
from saccade.media.colors import hex_to_rgb

METADATA = "metadata"
_RESERVED_FIELDS = READ_IMAGE_FIELDS | DROPPED_IMAGE_FIELDS
_encode = json.JSONEncoder(allow_nan=False).encode


class _SplitFile:
    """The annotation file of one split while it is written."""

    def __init__(self) -> None:
        self.images = JsonArrayWriter()
        self.annotations = JsonArrayWriter()

    def save(self, path: Path, extra: Json, categories: list[Json]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as out:
            out.write(f'{{"saccade": {_encode(extra)},\n"categories": {_encode(categories)}')
            for name, rows in (("images", self.images), ("annotations", self.annotations)):
                out.write(f',\n"{name}": ')
                rows.copy_to(out)
            out.write("}\n")


class CocoWriter(Writer):
    """Writes ``annotations.json`` or ``annotations/instances_<split>.json``, and the images."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS, extra={METADATA: Kind.TABLE})
        self._destination = destination
        self._report = report
        self._file_names = FileNames(report)
        self._classes = ClassIndex(self._columns.labels)
        self._annotations = _AnnotationBuilder(report)
        self._split_files: dict[str | None, _SplitFile] = {}

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        file_name = self._copy_image(record)
        if file_name is None:
            return
        split = self._columns.split_of(record)
        if split not in self._split_files:
            self._split_files[split] = _SplitFile()
        split_file = self._split_files[split]
        size = record_size_wh(record)
        # Ids are unique over the files of all splits.
        image_id = sum(len(file.images) for file in self._split_files.values()) + 1
        objects = self._columns.labels_of(record)
        split_file.images.add(_encode(self._image_row(record, image_id, file_name, size, objects)))
        for obj in objects or ():
            row = self._annotations.build(record.key, obj, size)
            if row is not None:
                row["image_id"] = image_id
                row["category_id"] = self._classes.index_of(obj.class_name) + 1
                split_file.annotations.add(_encode(row))

    def _copy_image(self, record: Record) -> str | None:
        stem = self._file_names.claim(record.key)
        if record.media is None:
            self._report.add(FindingType.WARNING, "item without an image file", key=record.key)
            return f"{stem}.jpg"
        target = copy_media(record, self._destination / "images" / stem, self._report)
        return None if target is None else target.relative_to(self._destination / "images").as_posix()

    def _image_row(
        self, record: Record, image_id: int, file_name: str, size: SizeWH | None, objects: Objects | None
    ) -> Json:
        row: Json = {"id": image_id, "file_name": file_name}
        if size is None:
            self._report.add(FindingType.WARNING, "image of unknown size", key=record.key)
        else:
            row["width"], row["height"] = size
        if not objects:
            row["saccade"] = {"labelled": objects is not None}
            if objects is None:
                reason = "'not labelled yet', which only Saccade reads back"
                self._report.add(FindingType.DROPPED, reason, key=record.key)
        metadata = record.values.get(METADATA) if METADATA in self._columns.extra else None
        if isinstance(metadata, Mapping):
            self._add_metadata(row, metadata, record.key)
        elif metadata is not None:
            self._report.add(FindingType.DROPPED, "metadata that is no table of names", key=record.key)
        return row

    def _add_metadata(self, row: Json, metadata: Mapping[Any, Any], key: str) -> None:
        for name, value in metadata.items():
            try:
                if name in _RESERVED_FIELDS or not isinstance(name, str):
                    raise ValueError(f"{name!r} is a field of the format")
                _encode(value)
                row[name] = value
            except (TypeError, ValueError, RecursionError) as error:
                detail = f"{name}: {error}"
                self._report.add(FindingType.DROPPED, "metadata that cannot be written", key=key, detail=detail)

    def _finish(self) -> None:
        self._write_files()
        self._columns.report_dropped()

    def _write_files(self) -> None:
        categories = self._categories()
        extra: Json = {"images": "images", METADATA: METADATA in self._columns.extra}
        if not self._split_files:
            self._split_files[None] = _SplitFile()
        if not self._columns.has_split:
            self._split_files[None].save(self._destination / "annotations.json", extra, categories)
            return
        names = FolderNames(self._report, SPLIT, reserved=(NO_SPLIT_FOLDER,))
        for split, split_file in self._split_files.items():
            stem = NO_SPLIT_FOLDER if split is None else names.get(split)
            path = self._destination / "annotations" / f"instances_{stem}.json"
            split_file.save(path, {**extra, SPLIT: split}, categories)

    def _categories(self) -> list[Json]:
        labels = self._columns.labels
        infos = {info.name: info for info in labels.classes} if labels else {}
        return [
            _category(infos.get(name, ClassInfo(name)), index + 1, self._report)
            for name, index in self._classes.indices.items()
        ]


def _category(info: ClassInfo, category_id: int, report: ConversionReport) -> Json:
    row: Json = {"id": category_id, "name": info.name, "supercategory": info.parent or ""}
    if info.parent == info.name:
        # Other writers repeat the name of classes without a parent; this tells ours apart.
        row["saccade"] = {"own_parent": True}
    if info.keypoints or info.skeleton:
        row["keypoints"] = list(info.keypoints)
        row["skeleton"] = [[first + 1, second + 1] for first, second in info.skeleton]
    if info.color and is_hex_color(info.color):
        row["color"] = list(hex_to_rgb(info.color))
    elif info.color:
        report.add(FindingType.DROPPED, "colour that is not #rrggbb", detail=f"'{info.name}': {info.color!r}")
    return row


class _AnnotationBuilder:
    """Builds the annotations of objects; their ids are integers, the object's own id if it is one and free."""

    def __init__(self, report: ConversionReport) -> None:
        self._report = report
        self._used_ids = IntSet()
        self._next_id = 1

    def build(self, key: str, obj: Object, size: SizeWH | None) -> Json | None:
        """Build an annotation without its image and category ids.

        Args:
            key: key of the item, for the report.
            size: size of the image, which polygons with holes need.

        Returns:
            None, and reported, if COCO cannot express the geometry.
        """
        row = self._geometry_fields(key, obj, size)
        if row is None:
            return None
        annotation_id = self._claim_id(obj.id)
        row = {"id": annotation_id, **row, "iscrowd": int(obj.is_crowd)}
        if str(annotation_id) != obj.id:
            row.setdefault("saccade", {})["id"] = obj.id
        if obj.score is not None:
            row["score"] = obj.score
        attributes = self._attributes(key, obj)
        if attributes:
            row["attributes"] = attributes
        return row

    def _claim_id(self, object_id: str) -> int:
        # Without leading zeros, so that the number gives the object's id again.
        annotation_id = int(object_id) if re.fullmatch("[1-9][0-9]{0,14}", object_id) else 0
        if not annotation_id or annotation_id in self._used_ids:
            while self._next_id in self._used_ids:
                self._next_id += 1
            annotation_id = self._next_id
        self._used_ids.add(annotation_id)
        return annotation_id

    def _attributes(self, key: str, obj: Object) -> Json:
        attributes: Json = {} if obj.track is None else {"track_id": obj.track}
        for name, value in obj.attributes.items():
            # It is written as `iscrowd`.
            if name == "crowd" and value is True:
                continue
            if name == "track_id" or (isinstance(value, float) and not math.isfinite(value)):
                reason = "attribute that cannot be written"
                detail = f"{name} = {value!r}"
                self._report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)
                continue
            attributes[name] = value
        return attributes

    def _geometry_fields(self, key: str, obj: Object, size: SizeWH | None) -> Json | None:
        geometry = obj.geometry
        add = partial(self._report.add, key=key, object_id=obj.id)
        fields: Json | None = None
        match geometry:
            case Box():
                fields = _box_fields(geometry)
            case Polygon():
                fields = _polygon_fields(geometry, size, add)
            case Mask():
                fields = _mask_fields(geometry)
            case Keypoints():
                fields = _keypoints_fields(geometry)
            case RotatedBox():
                add(FindingType.DROPPED, "angle of a rotated box, written as a polygon")
                fields = _ring_fields([geometry.corners()], geometry)
            case Ellipse():
                add(FindingType.DROPPED, "roundness of an ellipse, written as a polygon")
                fields = _ring_fields([ellipse_to_polygon(geometry).parts[0][0]], geometry)
            case _:
                add(FindingType.DROPPED, f"{geometry.type}, for which COCO has no field")
        return fields


def _bbox(bounds: BoundsXYXY) -> list[float]:
    x1, y1, x2, y2 = bounds
    return [x1, y1, _exact_length(x1, x2), _exact_length(y1, y2)]


def _exact_length(start: float, end: float) -> float:
    """Return a length whose sum with ``start`` is exactly ``end``, if a floating-point number has this property."""
    length = min(end - start, sys.float_info.max)
    for candidate in (length, math.nextafter(length, 0.0), math.nextafter(length, math.inf)):
        if start + candidate == end:
            return candidate
    return length


def _finite_area(geometry: Box | Polygon | RotatedBox | Ellipse | Keypoints) -> float:
    return min(geometry.area(), sys.float_info.max)


def _is_exact(bbox: list[float], box: Box) -> bool:
    return (bbox[0] + bbox[2], bbox[1] + bbox[3]) == (box.x2, box.y2)


def _box_fields(box: Box) -> Json:
    bbox = _bbox(box.bounds_xyxy())
    fields: Json = {"bbox": bbox, "area": _finite_area(box), "segmentation": []}
    if not _is_exact(bbox, box):
        fields["saccade"] = {"xyxy": list(box.bounds_xyxy())}
    return fields


def _polygon_fields(polygon: Polygon, size: SizeWH | None, add: Callable[[FindingType, str], None]) -> Json:
    if any(len(part) > 1 for part in polygon.parts):
        if size is not None:
            add(FindingType.REPAIRED, "polygon with holes written as a mask of whole pixels")
            return _mask_fields(polygon_to_mask(polygon, size))
        add(FindingType.DROPPED, "holes of a polygon in an image of unknown size")
    return _ring_fields([part[0] for part in polygon.parts], polygon)


def _ring_fields(rings: list[Ring], geometry: Polygon | RotatedBox | Ellipse) -> Json:
    segmentation = [[coordinate for point in ring for coordinate in point] for ring in rings]
    return {"bbox": _bbox(geometry.bounds_xyxy()), "area": _finite_area(geometry), "segmentation": segmentation}


def _mask_fields(mask: Mask) -> Json:
    rle = {"size": [mask.height, mask.width], "counts": counts_to_coco_string(mask.counts)}
    return {"bbox": _bbox(mask.bounds_xyxy()), "area": mask.area(), "segmentation": rle}


def _keypoints_fields(geometry: Keypoints) -> Json:
    triples = zip(geometry.points, geometry.visibility, strict=True)
    fields: Json = {
        "bbox": _bbox(geometry.bounds_xyxy()),
        "area": _finite_area(geometry),
        "keypoints": [value for (x, y), visibility in triples for value in (x, y, visibility)],
        "num_keypoints": sum(visibility > 0 for visibility in geometry.visibility),
    }
    extra: Json = {}
    if derived := [name for name, value in (("bbox", geometry.box), ("area", geometry.region_area)) if value is None]:
        extra["derived"] = derived
    if geometry.box is not None and not _is_exact(fields["bbox"], geometry.box):
        extra["xyxy"] = list(geometry.box.bounds_xyxy())
    if extra:
        fields["saccade"] = extra
    return fields
