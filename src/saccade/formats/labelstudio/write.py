"""Writing Label Studio: tasks.json and images/."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from saccade.core.objects import Box, Ellipse, Geometry, Mask, Object, Points, Polygon, RotatedBox
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import FileNames
from saccade.formats.base import Record, Writer
from saccade.formats.labelstudio.regions import encode_rle, rectangle_value

LABELS, PREDICTIONS = "labels", "predictions"
Json = dict[str, Any]
Size = tuple[int, int]


class LabelStudioWriter(Writer):
    """Writes the images, and the tasks one after another."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__()
        extra = {LABELS: Kind.LABELS, PREDICTIONS: Kind.OBJECTS}
        self._columns = SupportedColumns(schema, report, Kind.OBJECTS, extra=extra)
        self._columns.report_class_details("parent", "color", "keypoints", "skeleton")
        self._columns.drop_split()
        self._destination = destination
        self._report = report
        self._files = FileNames(report)
        self._classes = ClassIndex(self._columns.labels)
        self._count = 0
        (destination / "images").mkdir()
        self._out = self._open_files.enter_context((destination / "tasks.json").open("x", encoding="utf-8"))
        self._out.write("[")
        self._separator = "\n"

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        task = self._task(record)
        if task is not None:
            self._out.write(self._separator + json.dumps(task, ensure_ascii=False))
            self._separator = ",\n"

    def _task(self, record: Record) -> Json | None:
        images = self._destination / "images"
        path = copy_media(record, images / self._files.claim(record.key), self._report)
        if path is None:
            return None
        self._count += 1
        name = path.relative_to(images).as_posix()
        task: Json = {"id": self._count, "data": {"image": f"/data/local-files/?d=images/{name}"}, "annotations": []}
        size = record_size_wh(record)
        objects = self._columns.labels_of(record)
        labels = record.values.get(LABELS) if LABELS in self._columns.extra else None
        if objects is None:
            if labels:
                self._report.add(FindingType.DROPPED, "labels of an image without labelled objects", key=record.key)
        else:
            result = self._regions(record.key, objects, size)
            if labels:
                choices = {"value": {"choices": list(labels)}, "type": "choices", "from_name": "labels"}
                result.append({"id": "labels", "to_name": "image", **choices})
            task["annotations"] = [{"result": result, "was_cancelled": False}]
        drawn = record.values.get(PREDICTIONS) if PREDICTIONS in self._columns.extra else None
        task["predictions"] = [] if drawn is None else [{"result": self._regions(record.key, drawn, size)}]
        return task

    def _regions(self, key: str, objects: Any, size: Size | None) -> list[Json]:
        made = (self._region(key, found, size) for found in objects)
        return [region for region in made if region is not None]

    def _add(self, action: FindingType, reason: str, key: str, found: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def _region(self, key: str, found: Object, size: Size | None) -> Json | None:
        geometry = None if size is None else self._held(key, found, size)
        if geometry is None or size is None:
            if size is None:
                self._add(FindingType.DROPPED, "object of an image of unknown size", key, found)
            return None
        self._classes.index_of(found.class_name)
        kind, value = _value(geometry, size)
        region: Json = {
            "id": found.id,
            "type": kind,
            "from_name": kind.removesuffix("labels"),
            "to_name": "image",
            "original_width": size[0],
            "original_height": size[1],
            "image_rotation": 0,
            "value": {**value, kind: [found.class_name]},
        }
        if found.score is not None:
            region["score"] = found.score
        attributes = {}
        for name, one in found.attributes.items():
            if isinstance(one, float) and not math.isfinite(one):
                self._add(FindingType.DROPPED, "attribute that is no finite number", key, found, name)
            else:
                attributes[name] = one
        extra = {
            **({"attributes": attributes} if attributes else {}),
            **({"track": found.track} if found.track else {}),
        }
        return {**region, "meta": {"saccade": extra}} if extra else region

    def _held(self, key: str, found: Object, size: Size) -> Geometry | None:
        """The geometry as one that Label Studio has; a change is reported."""
        geometry = found.geometry
        match geometry:
            case Box() | Ellipse():
                return geometry
            case RotatedBox():
                wanted = "" if geometry.angle else "box"
            case Polygon():
                wanted = "" if is_single_ring(geometry) else "mask"
            case Mask():
                wanted = "" if (geometry.width, geometry.height) == size else "mask"
            case Points() if len(geometry.points) == 1:
                wanted = ""
            case _:
                drop_object(found, key, self._report, f"a {geometry.type}")
                return None
        return coerce_geometry(found, wanted, size, key, self._report)

    def _finish(self) -> None:
        self._out.write("\n]\n")
        self._classes.report_unlisted(self._report, "tasks have no list of them")
        self._columns.report_dropped()


def _value(geometry: Geometry, size: Size) -> tuple[str, Json]:
    """The type of a region, and its place."""
    across, down = 100 / size[0], 100 / size[1]
    match geometry:
        case Box() | RotatedBox():
            return "rectanglelabels", rectangle_value(geometry, size)
        case Polygon():
            points = [[x * across, y * down] for x, y in geometry.parts[0][0]]
            return "polygonlabels", {"points": points, "closed": True}
        case Ellipse(cx, cy, rx, ry, angle):
            place = {"x": cx * across, "y": cy * down, "radiusX": rx * across, "radiusY": ry * down}
            return "ellipselabels", {**place, "rotation": angle}
        case Points():
            ((x, y),) = geometry.points
            return "keypointlabels", {"x": x * across, "y": y * down, "width": 0.5}
        case _:
            assert isinstance(geometry, Mask)
            return "brushlabels", {"format": "rle", "rle": encode_rle(geometry)}
