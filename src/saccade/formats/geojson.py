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
from saccade.core.report import Action, Report
from saccade.formats._common.attributes import plain_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.geometry import held
from saccade.formats._common.json import Json, list_of, load_json, mentions, number, own
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import stem_of, tree_of
from saccade.formats._common.per_image import ByImage, ImagesOut, SizeWH
from saccade.formats.base import Detection, Reading

_ENDINGS = (".geojson", ".json")
_CLASS_NAMES = ("class", "label", "name", "type", "category")
_OWN_PROPERTIES = ("classification", "saccade", "objectType", "isLocked", "color")
_NO_CLASS = "object"


class GeoJson:
    name: ClassVar[str] = "geojson"
    title: ClassVar[str] = "GeoJSON"
    holds: ClassVar[str] = (
        "boxes, polygons with holes, lines, points, keypoints; attributes, scores, tracks; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and GeoJSON is read from a folder with its images")
        files = list(tree_of(source).below("", _ENDINGS))
        if not files:
            return Detection(False, "there is no GeoJSON file in it")
        likely = (file for file in files if mentions(source / file, '"Feature'))
        found = next((file for file in likely if _features(source / file, Report()) is not None), None)
        if found is None:
            return Detection(False, f"{files[0]} is no FeatureCollection")
        return Detection(True, f"{found} is a FeatureCollection")

    def read(self, source: Path, report: Report, **options: Any) -> Reading:
        """Open a folder."""
        parse_options(NoOptions, options, "GeoJSON")
        images = ByImage(source, report)
        names: set[str] = set()
        count = 0
        for file in images.tree.below("", _ENDINGS):
            features = _features(images.tree.path(file), report)
            if features is None:
                continue
            count += 1
            entry = images.entry(stem_of(file), place=file)
            if entry is None:
                continue
            if entry.raw is not None:
                report.add(Action.SET_ASIDE, "second annotation of an image", detail=file)
                continue
            entry.raw = features
            names.update(_class_of(one) for one in features)
        if not count:
            raise FormatError(f"No GeoJSON file below {source} is a FeatureCollection.")
        return images.reading(sorted(names), lambda raw, key, size: _objects(raw, key, size, report))

    def write(self, reading: Reading, destination: Path, report: Report, **options: Any) -> None:
        parse_options(NoOptions, options, "GeoJSON")
        out = ImagesOut(reading, destination, report, folder="images")
        for one in out:
            if one.objects is not None:
                features = [made for found in one.objects if (made := _feature(found, one.key, one.size_wh, report))]
                for found in one.objects:
                    out.classes.number(found.class_name)
                data = {"type": "FeatureCollection", "features": features}
                path = (destination / one.image).with_suffix(".geojson")
                path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
        if not any(destination.rglob("*.geojson")):
            (destination / "images").mkdir(exist_ok=True)
        out.report_unused_classes()


def _features(path: Path, report: Report) -> list[Json] | None:
    """The features of a file; None where it is no collection."""
    try:
        data = load_json(path, report)
    except (FormatError, OSError) as error:
        report.add(Action.SET_ASIDE, "annotation that cannot be read", key=path.name, detail=str(error))
        return None
    if isinstance(data, list) and data and all(_is_feature(one) for one in data):  # older QuPath
        return data
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection":
        return None
    return [one for one in list_of(data, "features") if isinstance(one, dict)]


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


def _objects(features: Sequence[Json], key: str, size_wh: SizeWH, report: Report) -> Iterator[Object]:
    used: set[str] = set()
    for position, feature in enumerate(features, 1):
        properties, wish = _properties(feature), feature.get("id")
        object_id = wish if isinstance(wish, str) and wish else str(position)
        while object_id in used:
            object_id += "'"
        used.add(object_id)
        try:
            geometry = _geometry(feature, own(properties), key, object_id, size_wh, report)
        except (InvalidValueError, TypeError, IndexError, KeyError, ValueError, OverflowError) as error:
            report.add(
                Action.DROPPED, "object without a usable shape", key=key, object_id=object_id, detail=str(error)[:200]
            )
            continue
        if geometry is not None:
            extra = own(properties)
            score, track = number(extra.get("score")), extra.get("track")
            yield Object(
                object_id,
                _class_of(feature),
                geometry,
                score if math.isfinite(score) else None,
                track if isinstance(track, str) else None,
                _attributes(properties, key, object_id, report),
            )


def _points(raw: Any) -> list[tuple[float, float]]:
    return [(number(point[0]), number(point[1])) for point in raw]


def _ring(raw: Any) -> tuple[tuple[float, float], ...]:
    points = _points(raw)
    return tuple(points[:-1] if len(points) > 3 and points[0] == points[-1] else points)


def _geometry(feature: Json, extra: Json, key: str, object_id: str, size_wh: SizeWH, report: Report) -> Geometry | None:
    shape = feature.get("geometry")
    shape = shape if isinstance(shape, dict) else {}
    raw = shape.get("coordinates")
    if isinstance(extra.get("keypoints"), dict):
        return _keypoints(extra["keypoints"])
    make = _SHAPES.get(str(shape.get("type")))
    if make is None:
        reason = "shape of a kind that is not known"
        report.add(Action.DROPPED, reason, key=key, object_id=object_id, detail=repr(shape.get("type"))[:100])
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
        Box(*(number(side) for side in box)) if box else None,
        raw.get("area"),
    )


def _attributes(properties: Json, key: str, object_id: str, report: Report) -> dict[str, AttributeValue]:
    taken = set(_OWN_PROPERTIES)
    if not isinstance(properties.get("classification"), dict):
        taken.update(_CLASS_NAMES)
    given = {name: value for name, value in properties.items() if name not in taken}
    return plain_attributes(given, report, key=key, object_id=object_id)


def _feature(found: Object, key: str, size_wh: SizeWH, report: Report) -> Json | None:
    wanted = "polygon" if isinstance(found.geometry, Mask | Rotated | Ellipse) else ""
    geometry = held(found, wanted, size_wh, key, report)
    if geometry is None:
        return None
    properties: Json = {"objectType": "annotation", "classification": {"name": found.class_name}}
    for name, value in found.attributes.items():
        is_number = not isinstance(value, float) or math.isfinite(value)
        if name in _OWN_PROPERTIES or not is_number:
            report.add(Action.DROPPED, "attribute", key=key, object_id=found.id, detail=f"{name} = {value!r}")
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
