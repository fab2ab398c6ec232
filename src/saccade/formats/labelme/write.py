"""Writing LabelMe: a JSON file beside each image that is labelled."""

from __future__ import annotations

import base64
import json
import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.geometry import mask_to_array
from saccade.core.objects import Ellipse, Geometry, Keypoints, Mask, Object, Points, Polygon, Polyline, Ring, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.geometry import coerce_geometry, is_single_ring
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import FileNames
from saccade.formats._common.paths import SPLIT_NAMES
from saccade.formats.base import Record, Writer

FLAGS = "flags"
Json = dict[str, Any]
_PLACES = {"description": str, "group_id": int}
"""Attributes that LabelMe has a place for, and the type that they must then have."""


class LabelMeWriter(Writer):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS, extra={FLAGS: Kind.TABLE})
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._destination = destination
        self._report = report
        self._files = FileNames(report, reserved=SPLIT_NAMES)
        self._classes = ClassIndex(self._columns.labels)

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        split = self._columns.split_of(record)
        if split is not None and split not in SPLIT_NAMES:
            self._report.add(FindingType.DROPPED, "split that is not train, val or test", key=record.key, detail=split)
            split = None
        stem = self._files.claim(record.key)
        stem = f"{split}/{stem}" if split else stem
        image = copy_media(record, self._destination / stem, self._report)
        objects = self._columns.labels_of(record)
        if image is None:
            return
        flags = record.values.get(FLAGS) if FLAGS in self._columns.extra else None
        if objects is None:
            if flags:
                self._report.add(FindingType.DROPPED, "flags of an image that is not labelled", key=record.key)
            return
        size = record_size_wh(record)
        shapes: list[Json] = []
        for found in objects:
            shape = self._shape(record.key, found, len(shapes) + 1, size)
            shapes += [shape] if shape else []
        data = {
            "version": "5.5.0",
            "flags": flags if isinstance(flags, dict) else {},
            "shapes": shapes,
            "imagePath": image.name,
            "imageData": None,
            "imageHeight": size[1] if size else None,
            "imageWidth": size[0] if size else None,
        }
        text = json.dumps(data, ensure_ascii=False, indent=2)
        (self._destination / f"{stem}.json").write_text(text, encoding="utf-8")

    def _shape(self, key: str, found: Object, position: int, size: tuple[int, int] | None) -> Json | None:
        made = self._geometry(key, found, size)
        if made is None:
            return None
        self._classes.index_of(found.class_name)
        shape: Json = {"label": found.class_name, **made, "group_id": None, "description": "", "flags": {}}
        further: Json = {}
        for name, value in found.attributes.items():
            if name in _PLACES and type(value) is _PLACES[name] and value != "":
                shape[name] = value
            elif isinstance(value, bool):
                shape["flags"][name] = value
            elif isinstance(value, float) and not math.isfinite(value):
                self._add(FindingType.DROPPED, "attribute that is no finite number", key, found, name)
            else:
                further[name] = value
        if further:
            shape["attributes"] = further
        if found.score is not None:
            shape["score"] = found.score
        extra = {} if found.id == str(position) else {"id": found.id}
        if found.track is not None:
            extra["track"] = found.track
        return {**shape, **({"saccade": extra} if extra else {})}

    def _add(self, action: FindingType, reason: str, key: str, found: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def _geometry(self, key: str, found: Object, size: tuple[int, int] | None) -> Json | None:
        geometry = coerce_geometry(found, _wanted(found.geometry), size, key, self._report)
        if geometry is None or isinstance(geometry, Mask):
            return None if geometry is None else _mask(geometry)
        kind, points = _points(geometry)
        return {"shape_type": kind, "points": [list(point) for point in points]}

    def _finish(self) -> None:
        self._classes.report_unlisted(self._report, "LabelMe has no list of them")
        self._columns.report_dropped()


def _wanted(geometry: Geometry) -> str:
    """What a geometry that LabelMe does not have is written as; nothing for those that it has."""
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


def _points(geometry: Geometry) -> tuple[str, Ring]:
    """The kind of a shape and its points."""
    match geometry:
        case Polygon():
            return "polygon", geometry.parts[0][0]
        case Polyline():
            return "linestrip", geometry.points
        case Points():
            return ("point" if len(geometry.points) == 1 else "points"), geometry.points
        case Ellipse():
            return "circle", ((geometry.cx, geometry.cy), (geometry.cx + geometry.rx, geometry.cy))
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return "rectangle", ((x1, y1), (x2, y2))


def _mask(mask: Mask) -> Json:
    """A mask as a PNG of the part that it covers; the corners are its first and last pixel."""
    from PIL import Image

    x1, y1, x2, y2 = (int(side) for side in mask.bounds_xyxy())
    out = BytesIO()
    Image.fromarray(mask_to_array(mask)[y1:y2, x1:x2].astype(np.uint8) * 255).save(out, "PNG")
    encoded = base64.b64encode(out.getvalue()).decode()
    return {"shape_type": "mask", "points": [[float(x1), float(y1)], [float(x2 - 1), float(y2 - 1)]], "mask": encoded}
