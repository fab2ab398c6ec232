"""GeoJSON in pixels: a file of features beside each image, as QuPath and other tools for large images write it.

Read: ``NAME.geojson`` beside the image of that name (also ``NAME.json`` that holds a FeatureCollection), y downward,
with Polygon, MultiPolygon, LineString, Point and MultiPoint; of a GeometryCollection nothing. The class is
``properties.classification.name`` (QuPath), else the property class, label, name or type; the other properties become
attributes. A feature with the property ``saccade`` is the geometry that it says. An image without a file is not
labelled; an empty collection means reviewed and empty.

Written: the images with a ``.geojson`` beside each that is labelled. Masks, rotated boxes and ellipses become
polygons; boxes stay boxes, and keypoints stay keypoints, by what stands in ``saccade``.

Source of the format: RFC 7946; https://qupath.readthedocs.io (exporting annotations).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.objects import (
    AttributeValue,
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Points,
    Polygon,
    Polyline,
)
from saccade.core.objects import RotatedBox as Rotated
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.geometry import coerce_geometry
from saccade.formats._common.json import Json, contains_tokens, get_list, load_json, saccade_extra, to_float
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import source_tree, strip_extension
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_ENDINGS = (".geojson", ".json")
_CLASS_NAMES = ("class", "label", "name", "type", "category")
_OWN_PROPERTIES = ("classification", "saccade", "objectType", "isLocked", "color")
_NO_CLASS = "object"


class GeoJson(Format):
    name: ClassVar[str] = "geojson"
    title: ClassVar[str] = "GeoJSON"
    supports: ClassVar[str] = (
        "boxes, polygons with holes, lines, points, keypoints; attributes, scores, tracks; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and GeoJSON is read from a folder with its images")
        files = list(source_tree(source).files_below("", _ENDINGS))
        if not files:
            return Detection(False, "there is no GeoJSON file in it")
        likely = (file for file in files if contains_tokens(source / file, '"Feature'))
        found = next((file for file in likely if _features(source / file, ConversionReport()) is not None), None)
        if found is None:
            return Detection(False, f"{files[0]} is no FeatureCollection")
        return Detection(True, f"{found} is a FeatureCollection")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "GeoJSON")
        return GeoJsonReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "GeoJSON")
        return GeoJsonWriter(schema, destination, report)


class GeoJsonReader(PerImageReader):
    def open(self) -> RecordStream:
        names: set[str] = set()
        count = 0
        for file in self.tree.files_below("", _ENDINGS):
            features = _features(self.tree.path(file), self.report)
            if features is None:
                continue
            count += 1
            entry = self.labels_for(strip_extension(file), location=file)
            if entry is None:
                continue
            if entry.raw is not None:
                self.report.add(FindingType.SET_ASIDE, "second annotation of an image", detail=file)
                continue
            entry.raw = features
            names.update(_class_of(one) for one in features)
        if not count:
            raise FormatError(f"No GeoJSON file below {self.tree.root} is a FeatureCollection.")
        return self.stream(sorted(names), lambda raw, key, size: _objects(raw, key, size, self.report))


class GeoJsonWriter(PerImageWriter):
    def write_labels(self, one: WrittenImage) -> None:
        if one.objects is None:
            return
        features = [made for found in one.objects if (made := _feature(found, one.key, one.size_wh, self.report))]
        for found in one.objects:
            self.classes.index_of(found.class_name)
        data = {"type": "FeatureCollection", "features": features}
        path = (self.destination / one.image_path).with_suffix(".geojson")
        path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")

    def _finish(self) -> None:
        super()._finish()
        if not any(self.destination.rglob("*.geojson")):
            (self.destination / "images").mkdir(exist_ok=True)
        self.classes.report_unlisted(self.report)


def _features(path: Path, report: ConversionReport) -> list[Json] | None:
    """The features of a file; None where it is no collection."""
    try:
        data = load_json(path, report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", key=path.name, detail=str(error))
        return None
    if isinstance(data, list) and data and all(_is_feature(one) for one in data):  # older QuPath
        return data
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection":
        return None
    return [one for one in get_list(data, "features") if isinstance(one, dict)]


def _is_feature(one: Any) -> bool:
    return isinstance(one, dict) and one.get("type") == "Feature"


def _properties(feature: Json) -> Json:
    found = feature.get("properties")
    return found if isinstance(found, dict) else {}


def _class_of(feature: Json) -> str:
    properties = _properties(feature)
    classification = properties.get("classification")
    if isinstance(classification, dict) and isinstance(classification.get("name"), str) and classification["name"]:
        return str(classification["name"])
    found = (properties.get(name) for name in _CLASS_NAMES)
    return next((value for value in found if isinstance(value, str) and value), _NO_CLASS)


def _objects(features: Sequence[Json], key: str, size_wh: SizeWH | None, report: ConversionReport) -> Iterator[Object]:
    used: set[str] = set()
    for position, feature in enumerate(features, 1):
        properties, wish = _properties(feature), feature.get("id")
        object_id = wish if isinstance(wish, str) and wish else str(position)
        while object_id in used:
            object_id += "'"
        used.add(object_id)
        try:
            geometry = _geometry(feature, saccade_extra(properties), key, object_id, size_wh, report)
        except (InvalidValueError, TypeError, IndexError, KeyError, ValueError, OverflowError) as error:
            report.add(
                FindingType.DROPPED,
                "object without a usable shape",
                key=key,
                object_id=object_id,
                detail=str(error)[:200],
            )
            continue
        if geometry is not None:
            extra = saccade_extra(properties)
            score, track = to_float(extra.get("score")), extra.get("track")
            yield Object(
                object_id,
                _class_of(feature),
                geometry,
                score if math.isfinite(score) else None,
                track if isinstance(track, str) else None,
                _attributes(properties, key, object_id, report),
            )


def _points(raw: Any) -> list[tuple[float, float]]:
    return [(to_float(point[0]), to_float(point[1])) for point in raw]


def _ring(raw: Any) -> tuple[tuple[float, float], ...]:
    points = _points(raw)
    return tuple(points[:-1] if len(points) > 3 and points[0] == points[-1] else points)


def _geometry(
    feature: Json, extra: Json, key: str, object_id: str, size_wh: SizeWH | None, report: ConversionReport
) -> Geometry | None:
    shape = feature.get("geometry")
    shape = shape if isinstance(shape, dict) else {}
    raw = shape.get("coordinates")
    if isinstance(extra.get("keypoints"), dict):
        return _keypoints(extra["keypoints"])
    make = _SHAPES.get(str(shape.get("type")))
    if make is None:
        reason = "shape of a kind that is not known"
        report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=repr(shape.get("type"))[:100])
        return None
    made = make(raw)
    if extra.get("box"):
        return fit_box(made.bounds_xyxy(), size_wh, report, key=key, object_id=object_id)
    return made


_SHAPES: Mapping[str, Callable[[Any], Geometry]] = {
    "Polygon": lambda raw: Polygon((tuple(_ring(ring) for ring in raw),)),
    "MultiPolygon": lambda raw: Polygon(tuple(tuple(_ring(ring) for ring in part) for part in raw)),
    "LineString": lambda raw: Polyline(tuple(_points(raw))),
    "Point": lambda raw: Points(tuple(_points([raw]))),
    "MultiPoint": lambda raw: Points(tuple(_points(raw))),
}


def _keypoints(raw: Json) -> Keypoints:
    box = raw.get("box")
    return Keypoints(
        tuple(_points(raw["points"])),
        tuple(int(seen) for seen in raw["visibility"]),
        Box(*(to_float(side) for side in box)) if box else None,
        raw.get("area"),
    )


def _attributes(properties: Json, key: str, object_id: str, report: ConversionReport) -> dict[str, AttributeValue]:
    taken = set(_OWN_PROPERTIES)
    if not isinstance(properties.get("classification"), dict):
        taken.update(_CLASS_NAMES)
    given = {name: value for name, value in properties.items() if name not in taken}
    return scalar_attributes(given, report, key=key, object_id=object_id)


def _feature(found: Object, key: str, size_wh: SizeWH | None, report: ConversionReport) -> Json | None:
    wanted = "polygon" if isinstance(found.geometry, Mask | Rotated | Ellipse) else ""
    geometry = coerce_geometry(found, wanted, size_wh, key, report)
    if geometry is None:
        return None
    properties: Json = {"objectType": "annotation", "classification": {"name": found.class_name}}
    for name, value in found.attributes.items():
        is_number = not isinstance(value, float) or math.isfinite(value)
        if name in _OWN_PROPERTIES or not is_number:
            report.add(FindingType.DROPPED, "attribute", key=key, object_id=found.id, detail=f"{name} = {value!r}")
        else:
            properties[name] = value
    extra: Json = {}
    if isinstance(geometry, Box):
        extra["box"] = True
    if isinstance(geometry, Keypoints):
        extra["keypoints"] = {
            "points": geometry.points,
            "visibility": geometry.visibility,
            "area": geometry.region_area,
            "box": geometry.box.bounds_xyxy() if geometry.box else None,
        }
    extra |= {name: value for name in ("score", "track") if (value := getattr(found, name)) is not None}
    if extra:
        properties["saccade"] = extra
    return {"type": "Feature", "id": found.id, "geometry": _shape(geometry), "properties": properties}


def _closed(ring: Sequence[tuple[float, float]]) -> list[list[float]]:
    return [list(point) for point in (*ring, ring[0])]


def _shape(geometry: Geometry) -> Json:
    match geometry:
        case Polygon():
            parts = [[_closed(ring) for ring in part] for part in geometry.parts]
            if len(parts) == 1:
                return {"type": "Polygon", "coordinates": parts[0]}
            return {"type": "MultiPolygon", "coordinates": parts}
        case Polyline():
            return {"type": "LineString", "coordinates": [list(point) for point in geometry.points]}
        case Points() | Keypoints():
            points = [list(point) for point in geometry.points]
            if len(points) == 1:
                return {"type": "Point", "coordinates": points[0]}
            return {"type": "MultiPoint", "coordinates": points}
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return {"type": "Polygon", "coordinates": [_closed(((x1, y1), (x2, y1), (x2, y2), (x1, y2)))]}


FORMAT = GeoJson()
