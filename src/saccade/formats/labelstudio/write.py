"""Writing Label Studio."""

from __future__ import annotations

import json
import math
from pathlib import Path
from urllib.parse import quote

from saccade.core.objects import Box, Ellipse, Geometry, Mask, Object, Objects, Points, Polygon, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.json import Json
from saccade.formats._common.losses import report_unsized_objects
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import FileNames
from saccade.formats.base import Record, SizeWH, Writer
from saccade.formats.labelstudio.regions import encode_geometry

LABELS = "labels"
PREDICTIONS = "predictions"


class LabelStudioWriter(Writer):
    """Writes ``tasks.json`` and ``images/``."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        extra = {LABELS: Kind.LABELS, PREDICTIONS: Kind.OBJECTS}
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS, extra=extra)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._columns.drop_split()
        self._image_folder = destination / "images"
        self._report = report
        self._file_names = FileNames(report)
        self._classes = ClassIndex(self._columns.labels)
        self._task_count = 0
        self._image_folder.mkdir()
        self._file = self._open_files.enter_context((destination / "tasks.json").open("x", encoding="utf-8"))
        self._file.write("[")

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        path = copy_media(record, self._image_folder / self._file_names.claim(record.key), self._report)
        if path is None:
            return
        task = self._task(record, path.relative_to(self._image_folder).as_posix())
        self._file.write((",\n" if self._task_count else "\n") + json.dumps(task, ensure_ascii=False))
        self._task_count += 1

    def _task(self, record: Record, image: str) -> Json:
        size_wh = record_size_wh(record)
        objects = self._columns.labels_of(record)
        labels = record.values.get(LABELS) if LABELS in self._columns.extra else None
        predictions = record.values.get(PREDICTIONS) if PREDICTIONS in self._columns.extra else None
        task: Json = {
            "id": self._task_count + 1,
            "data": {"image": f"/data/local-files/?d=images/{quote(image)}"},
            "annotations": [],
            "predictions": [],
        }
        if objects is not None:
            regions = self._regions(record.key, objects, size_wh)
            if labels:
                value = {"choices": list(labels)}
                choices = {"id": "labels", "to_name": "image", "value": value, "type": "choices", "from_name": "labels"}
                regions.append(choices)
            task["annotations"] = [{"result": regions, "was_cancelled": False}]
        elif labels:
            self._report.add(FindingType.DROPPED, "labels of an image without labelled objects", key=record.key)
        if predictions is not None:
            task["predictions"] = [{"result": self._regions(record.key, predictions, size_wh)}]
        return task

    def _regions(self, key: str, objects: Objects, size_wh: SizeWH | None) -> list[Json]:
        regions = (self._region(key, obj, size_wh) for obj in objects)
        return [region for region in regions if region is not None]

    def _region(self, key: str, obj: Object, size_wh: SizeWH | None) -> Json | None:
        if size_wh is None:
            report_unsized_objects([obj], key, self._report)
            return None
        geometry = self._geometry(key, obj, size_wh)
        if geometry is None:
            return None
        self._classes.index_of(obj.class_name)
        type_name, value = encode_geometry(geometry, size_wh)
        region: Json = {
            "id": obj.id,
            "type": type_name,
            "from_name": type_name.removesuffix("labels"),
            "to_name": "image",
            "original_width": size_wh[0],
            "original_height": size_wh[1],
            "image_rotation": 0,
            "value": {**value, type_name: [obj.class_name]},
        }
        if obj.score is not None:
            region["score"] = obj.score
        attributes: Json = {}
        for name, attribute in obj.attributes.items():
            if isinstance(attribute, float) and not math.isfinite(attribute):
                self._drop("attribute that is no finite number", key, obj, name)
            else:
                attributes[name] = attribute
        extra: Json = {}
        if attributes:
            extra["attributes"] = attributes
        if obj.track:
            extra["track"] = obj.track
        if extra:
            region["meta"] = {"saccade": extra}
        return region

    def _geometry(self, key: str, obj: Object, size_wh: SizeWH) -> Geometry | None:
        """Convert an object's geometry to a type that Label Studio supports; changes are reported."""
        geometry = obj.geometry
        match geometry:
            case Box() | Ellipse():
                return geometry
            case RotatedBox():
                target_type = "" if geometry.angle else "box"
            case Polygon():
                target_type = "" if is_single_ring(geometry) else "mask"
            case Mask():
                target_type = "" if (geometry.width, geometry.height) == size_wh else "mask"
            case Points() if len(geometry.points) == 1:
                target_type = ""
            case _:
                drop_object(obj, key, self._report, f"a {geometry.type}")
                return None
        return coerce_geometry(obj, target_type, size_wh, key, self._report)

    def _drop(self, reason: str, key: str, obj: Object, detail: str = "") -> None:
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=obj.id, detail=detail)

    def _finish(self) -> None:
        self._file.write("\n]\n")
        self._classes.report_unlisted(self._report, "tasks have no list of them")
        self._columns.report_dropped()
