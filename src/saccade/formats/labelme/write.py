"""Writing LabelMe."""

from __future__ import annotations

import json
import math
from pathlib import Path

from saccade.core.objects import Ellipse, Geometry, Keypoints, Object, Polygon, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.geometry import coerce_geometry, is_single_ring
from saccade.formats._common.json import Json
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import FileNames
from saccade.formats._common.paths import SPLIT_NAMES
from saccade.formats.base import Record, SizeWH, Writer
from saccade.formats.labelme.shapes import encode_geometry

FLAGS = "flags"
_FIELD_TYPES = {"description": str, "group_id": int}
"""Attributes that have a field of their own in LabelMe, and the type of that field."""


class LabelMeWriter(Writer):
    """Writes the images, and a JSON file beside each that is labelled."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS, extra={FLAGS: Kind.TABLE})
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._destination = destination
        self._report = report
        self._file_names = FileNames(report, reserved=SPLIT_NAMES)
        self._classes = ClassIndex(self._columns.labels)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        split = self._columns.split_of(record)
        if split is not None and split not in SPLIT_NAMES:
            self._report.add(FindingType.DROPPED, "split that is not train, val or test", key=record.key, detail=split)
            split = None
        stem = self._file_names.claim(record.key)
        stem = f"{split}/{stem}" if split else stem
        image = copy_media(record, self._destination / stem, self._report)
        if image is None:
            return
        objects = self._columns.labels_of(record)
        flags = record.values.get(FLAGS) if FLAGS in self._columns.extra else None
        if objects is None:
            if flags:
                self._report.add(FindingType.DROPPED, "flags of an image that is not labelled", key=record.key)
            return
        size_wh = record_size_wh(record)
        shapes: list[Json] = []
        for obj in objects:
            shape = self._shape(record.key, obj, len(shapes) + 1, size_wh)
            if shape is not None:
                shapes.append(shape)
        data = {
            "version": "5.5.0",
            "flags": flags if isinstance(flags, dict) else {},
            "shapes": shapes,
            "imagePath": image.name,
            "imageData": None,
            "imageHeight": size_wh[1] if size_wh else None,
            "imageWidth": size_wh[0] if size_wh else None,
        }
        text = json.dumps(data, ensure_ascii=False, indent=2)
        (self._destination / f"{stem}.json").write_text(text, encoding="utf-8")

    def _shape(self, key: str, obj: Object, position: int, size_wh: SizeWH | None) -> Json | None:
        geometry = coerce_geometry(obj, _target_type(obj.geometry), size_wh, key, self._report)
        if geometry is None:
            return None
        self._classes.index_of(obj.class_name)
        fields = encode_geometry(geometry)
        shape: Json = {"label": obj.class_name, **fields, "group_id": None, "description": "", "flags": {}}
        attributes: Json = {}
        for name, value in obj.attributes.items():
            # An empty description is LabelMe's default, which is read back as no attribute.
            if name in _FIELD_TYPES and type(value) is _FIELD_TYPES[name] and value != "":
                shape[name] = value
            elif isinstance(value, bool):
                shape["flags"][name] = value
            elif isinstance(value, float) and not math.isfinite(value):
                reason = "attribute that is no finite number"
                self._report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=name)
            else:
                attributes[name] = value
        if attributes:
            shape["attributes"] = attributes
        if obj.score is not None:
            shape["score"] = obj.score
        extra = {} if obj.id == str(position) else {"id": obj.id}
        if obj.track is not None:
            extra["track"] = obj.track
        if extra:
            shape["saccade"] = extra
        return shape

    def _finish(self) -> None:
        self._classes.report_unlisted(self._report, "LabelMe has no list of them")
        self._columns.report_dropped()


def _target_type(geometry: Geometry) -> str:
    """Return the type that an unsupported geometry is converted to; "" if it is supported."""
    match geometry:
        case RotatedBox():
            return "polygon"
        case Ellipse():
            return "" if geometry.rx == geometry.ry else "polygon"
        case Polygon():
            return "" if is_single_ring(geometry) else "mask"
        case Keypoints():
            return "points"
        case _:
            return ""
