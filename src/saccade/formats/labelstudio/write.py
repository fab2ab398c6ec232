"""Writing Label Studio: tasks.json and images/."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from saccade.core.objects import Box, Ellipse, Geometry, Mask, Object, Points, Polygon, RotatedBox
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.geometry import held, is_simple, refuse
from saccade.formats._common.writing import ClassNames, Columns, FileNames, copy_media, size_wh_of
from saccade.formats.base import Reading, Record
from saccade.formats.labelstudio.regions import encode_rle, rectangle_value

LABELS, PREDICTIONS = "labels", "predictions"
Json = dict[str, Any]
Size = tuple[int, int]


def write_labelstudio(reading: Reading, destination: Path, report: Report) -> None:
    """Write the images, and the tasks one after another."""
    columns = Columns(reading, report, Kind.OBJECTS, kept={LABELS: Kind.LABELS, PREDICTIONS: Kind.OBJECTS})
    columns.report_class_details("parent", "color", "keypoints", "skeleton")
    columns.drop_split()
    writer = _Writer(columns, destination, report)
    (destination / "images").mkdir()
    with (destination / "tasks.json").open("x", encoding="utf-8") as out:
        out.write("[")
        between = "\n"
        for record in reading.records:
            columns.count(record)
            task = writer.task(record)
            if task is not None:
                out.write(between + json.dumps(task, ensure_ascii=False))
                between = ",\n"
        out.write("\n]\n")
    writer.finish()
    columns.finish()


class _Writer:
    def __init__(self, columns: Columns, destination: Path, report: Report) -> None:
        self._columns, self._destination, self._report = columns, destination, report
        self._files = FileNames(report)
        self._classes = ClassNames(columns.labels)
        self._count = 0

    def task(self, record: Record) -> Json | None:
        images = self._destination / "images"
        path = copy_media(record, images / self._files.take(record.key), self._report)
        if path is None:
            return None
        self._count += 1
        name = path.relative_to(images).as_posix()
        task: Json = {"id": self._count, "data": {"image": f"/data/local-files/?d=images/{name}"}, "annotations": []}
        size = size_wh_of(record)
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        labels = record.values.get(LABELS) if LABELS in self._columns.kept else None
        if objects is None:
            if labels:
                self._report.add(Action.DROPPED, "labels of an image without labelled objects", key=record.key)
        else:
            result = self._regions(record.key, objects, size)
            if labels:
                choices = {"value": {"choices": list(labels)}, "type": "choices", "from_name": "labels"}
                result.append({"id": "labels", "to_name": "image", **choices})
            task["annotations"] = [{"result": result, "was_cancelled": False}]
        drawn = record.values.get(PREDICTIONS) if PREDICTIONS in self._columns.kept else None
        task["predictions"] = [] if drawn is None else [{"result": self._regions(record.key, drawn, size)}]
        return task

    def _regions(self, key: str, objects: Any, size: Size | None) -> list[Json]:
        made = (self._region(key, found, size) for found in objects)
        return [region for region in made if region is not None]

    def _add(self, action: Action, reason: str, key: str, found: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def _region(self, key: str, found: Object, size: Size | None) -> Json | None:
        geometry = None if size is None else self._held(key, found, size)
        if geometry is None or size is None:
            if size is None:
                self._add(Action.DROPPED, "object of an image of unknown size", key, found)
            return None
        self._classes.number(found.class_name)
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
                self._add(Action.DROPPED, "attribute that is no finite number", key, found, name)
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
                wanted = "" if is_simple(geometry) else "mask"
            case Mask():
                wanted = "" if (geometry.width, geometry.height) == size else "mask"
            case Points() if len(geometry.points) == 1:
                wanted = ""
            case _:
                refuse(found, key, self._report, f"a {geometry.type}")
                return None
        return held(found, wanted, size, key, self._report)

    def finish(self) -> None:
        for name in self._classes.numbers.keys() - self._classes.used:
            self._report.add(Action.DROPPED, "class that no object has", detail=name)
        order = [name for name in self._classes.numbers if name in self._classes.used]
        if order != sorted(order):
            self._report.add(Action.DROPPED, "order of the classes", detail="tasks have no list of them")


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
