"""Datumaro: a JSON file for each subset, with the images beside it.

Read: ``annotations/SUBSET.json`` and ``images/SUBSET/``, with bbox, rotated_bbox, polygon, mask, polyline, points and
ellipse; polygons of one label that share a group are one object of several parts. ``label`` annotations become a
column ``labels``, captions a column ``caption``, attributes of items a column ``attributes``. A subset is a split,
but for ``default``. An item without annotations is reviewed and empty, unless Saccade wrote that it is not labelled;
so is not an image that no item names. Skeletons of ``points`` come from the categories.

Written: the same. Scores and tracks stand in the attributes ``score`` and ``track_id``, where Datumaro has them;
polygons with holes become masks.

Source of the format: https://github.com/open-edge-platform/datumaro.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from saccade.core.errors import FormatError, InvalidValueError
from saccade.core.geometry import coco_string_to_counts, counts_to_coco_string
from saccade.core.objects import (
    AttributeValue,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.geometry import coerce_geometry
from saccade.formats._common.json import Json, JsonArrayWriter, contains_tokens, get_list, saccade_extra, to_float
from saccade.formats._common.json_stream import load_with_list
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.options import NoOptions, parse_options
from saccade.formats._common.paths import SourceTree, source_tree
from saccade.formats._common.per_image import ImageLabels, PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_DEFAULT = "default"
_LABELS, _CAPTION, _ATTRIBUTES = "labels", "caption", "attributes"
_UNLABELLED = {"labelled": False}


class Datumaro(Format):
    name: ClassVar[str] = "datumaro"
    title: ClassVar[str] = "Datumaro"
    supports: ClassVar[str] = (
        "boxes, rotated boxes, polygons, masks, lines, points, keypoints, ellipses; attributes; labels of images"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and Datumaro is a folder")
        files = _files(source_tree(source))
        if not files:
            return Detection(False, "there is no JSON file in a folder annotations")
        likely = (file for file in files if contains_tokens(source / file, '"items"', '"categories"'))
        found = next((file for file in likely if _load(source / file, ConversionReport()) is not None), None)
        if found is None:
            return Detection(False, f"{files[0]} has no items and categories")
        return Detection(True, f"{found} has items and categories")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        parse_options(NoOptions, options, "Datumaro")
        return DatumaroReader(source, report)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(NoOptions, options, "Datumaro")
        return DatumaroWriter(schema, destination, report)


def _files(tree: SourceTree) -> list[str]:
    return [file for file in tree.files_below("", (".json",)) if "annotations" in file.split("/")[:-1]]


def _load(path: Path, report: ConversionReport) -> tuple[Json, Collection[Any]] | None:
    """The categories and the items of a file; None where it is none of ours."""
    try:
        data, items = load_with_list(path, "items", report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", detail=str(error))
        return None
    fits = isinstance(data, dict) and isinstance(data.get("items"), list) and isinstance(data.get("categories"), dict)
    return (data["categories"], items) if fits else None


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(values: Iterable[Any]) -> list[Json]:
    return [value for value in values if isinstance(value, dict)]


class DatumaroReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport) -> None:
        super().__init__(source, report, split_folders=False)
        self._classes: dict[str, ClassInfo] = {}
        self._extra: dict[str, Column] = {}
        self._names: list[list[str]] = []
        loaded = ((file, _load(self.tree.path(file), report)) for file in _files(self.tree))
        self._loaded = {file: data for file, data in loaded if data is not None}
        if not self._loaded:
            raise FormatError(f"No JSON file in a folder annotations below {source} has items and categories.")

    def open(self) -> RecordStream:
        for file, (categories, items) in self._loaded.items():
            self._names.append(self._categories(categories))
            subset = file.rpartition("/")[2].removesuffix(".json")
            for item in items:
                entry = self._entry(item, subset, file) if isinstance(item, dict) else None
                if entry is not None:
                    self._fill(entry, item, subset)
        columns = list(self._extra.values())
        return self.stream(self._classes.values(), self._objects, columns=columns)

    def _categories(self, categories: Json) -> list[str]:
        listed = _dicts(get_list(_dict(categories.get("label")), "labels"))
        labels = [str(one.get("name", "")) for one in listed]
        parents = {str(one.get("name", "")): str(one.get("parent") or "") for one in listed}
        for name in labels:
            if name:
                self._classes.setdefault(name, ClassInfo(name, parents[name] or None))
        for one in _dicts(get_list(_dict(categories.get("points")), "items")):
            at = one.get("label_id")
            if isinstance(at, int) and 0 <= at < len(labels) and labels[at]:
                self._classes[labels[at]] = replace(self._classes[labels[at]], **_skeleton(one))
        return labels

    def _entry(self, item: Json, subset: str, file: str) -> ImageLabels | None:
        image, key = _dict(item.get("image")), str(item.get("id", ""))
        folder = file.split("annotations/", maxsplit=1)[0] + f"images/{subset}"
        path = image.get("path")
        wishes = [str(path)] if isinstance(path, str) and path else []
        found = next((name for name in (*wishes, key) if self.index.find(name, folder)), None)
        return self.labels_for(found or key, folder, location=file)

    def _fill(self, entry: ImageLabels, item: Json, subset: str) -> None:
        entry.key = str(item.get("id")) or None
        entry.split = None if subset == _DEFAULT else subset
        annotations = _dicts(get_list(item, "annotations"))
        shapes = [one for one in annotations if one.get("type") not in ("label", "caption")]
        named = (_name(one, self._names[-1]) for one in annotations if one.get("type") == "label")
        labels = tuple(dict.fromkeys(name for name in named if name))
        captions = [str(one.get("caption", "")) for one in annotations if one.get("type") == "caption"]
        if labels:
            self._value(entry, Column(_LABELS, Kind.LABELS, tuple(self._classes.values())), labels)
        if captions:
            self._value(entry, Column(_CAPTION, Kind.TEXT), "\n".join(captions))
        if given := _dict(item.get("attr")):
            self._value(entry, Column(_ATTRIBUTES, Kind.TABLE), given)
        if saccade_extra(item) != _UNLABELLED:
            entry.raw = [shapes, len(self._names) - 1]

    def _value(self, entry: ImageLabels, column: Column, value: Any) -> None:
        self._extra.setdefault(column.name, column)
        entry.values[column.name] = value

    def _objects(self, raw: tuple[list[Json], int], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        annotations, names = raw[0], self._names[raw[1]]
        reader = _Shapes(self.report, key, size_wh, self._classes)
        used: set[str] = set()
        for position, entry in enumerate(_grouped(annotations), 1):
            wish = entry.get("id")
            object_id = str(wish) if isinstance(wish, int) and wish and str(wish) not in used else str(position)
            while object_id in used:
                object_id += "'"
            used.add(object_id)
            made = reader.read(entry, object_id, _name(entry, names))
            if made is not None:
                yield made


def _name(entry: Json, names: list[str]) -> str:
    at = entry.get("label_id")
    return names[at] if isinstance(at, int) and 0 <= at < len(names) else ""


def _skeleton(one: Json) -> dict[str, Any]:
    joints = [pair for pair in get_list(one, "joints") if isinstance(pair, list) and len(pair) == 2]
    names = tuple(str(name) for name in get_list(one, "labels"))
    pairs = tuple((int(a), int(b)) for a, b in joints if isinstance(a, int) and isinstance(b, int))
    return {"keypoints": names, "skeleton": tuple(pair for pair in pairs if max(pair) < len(names) and min(pair) >= 0)}


def _grouped(entries: list[Json]) -> list[Json]:
    """Polygons of one label and group as one entry with ``parts``."""
    found: list[Json] = []
    groups: dict[tuple[Any, Any], Json] = {}
    for entry in entries:
        what = entry.get("label_id"), entry.get("group")
        if entry.get("type") != "polygon" or not isinstance(what[1], int) or not what[1] or not _plain(what[0]):
            found.append(entry)
        elif what in groups:
            groups[what]["parts"].append(entry.get("points"))
        else:
            groups[what] = {**entry, "parts": [entry.get("points")]}
            found.append(groups[what])
    return found


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _pairs(flat: Any) -> list[tuple[float, float]]:
    if not isinstance(flat, list) or len(flat) % 2:
        raise InvalidValueError("Points need as many x as y.")
    return [(to_float(x), to_float(y)) for x, y in zip(flat[::2], flat[1::2], strict=True)]


class _Shapes:
    """Makes the objects of one image."""

    def __init__(
        self, report: ConversionReport, key: str, size_wh: SizeWH | None, classes: Mapping[str, ClassInfo]
    ) -> None:
        self._report, self._key, self._size_wh, self._classes = report, key, size_wh, classes

    def _add(self, reason: str, object_id: str, detail: str = "") -> None:
        self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=object_id, detail=detail[:200])

    def read(self, entry: Json, object_id: str, name: str) -> Object | None:
        if not name:
            self._add("object without a class", object_id)
            return None
        make = self._makers.get(str(entry.get("type")))
        if make is None:
            self._add("shape of a kind that is not known", object_id, repr(entry.get("type")))
            return None
        try:
            geometry = make(self, entry, object_id)
        except (InvalidValueError, TypeError, ValueError, OverflowError) as error:
            self._add("object without a usable shape", object_id, str(error))
            return None
        if geometry is None:
            return None
        attributes = self._attributes(entry, object_id)
        score, track = to_float(attributes.get("score")), attributes.get("track_id")
        if math.isfinite(score):
            del attributes["score"]
        if track is not None:
            del attributes["track_id"]
        has_track = track is not None and track != ""
        shown = score if math.isfinite(score) else None
        return Object(object_id, name, geometry, shown, str(track) if has_track else None, attributes)

    def _attributes(self, entry: Json, object_id: str) -> dict[str, AttributeValue]:
        given = _dict(entry.get("attributes"))
        return scalar_attributes(given, self._report, key=self._key, object_id=object_id)

    def _box(self, entry: Json, object_id: str) -> Geometry | None:
        x, y, width, height = (to_float(side) for side in get_list(entry, "bbox"))
        corners = (x, y, x + width, y + height)
        return fit_box(corners, self._size_wh, self._report, key=self._key, object_id=object_id)

    def _rotated(self, entry: Json, object_id: str) -> Geometry:
        cx, cy, width, height, angle = (to_float(side) for side in get_list(entry, "rotated_bbox"))
        return RotatedBox(cx, cy, width, height, angle)

    def _polygon(self, entry: Json, object_id: str) -> Geometry:
        parts = entry.get("parts", [entry.get("points")])
        return Polygon(tuple((tuple(_pairs(part)),) for part in parts))

    def _mask(self, entry: Json, object_id: str) -> Geometry:
        rle = _dict(entry.get("rle"))
        height, width = (int(to_float(side)) for side in rle.get("size", (0, 0)))
        if self._size_wh is not None and (width, height) != self._size_wh:
            raise InvalidValueError(f"The mask is for an image of {width} x {height}.")
        counts = rle.get("counts")
        return Mask(width, height, coco_string_to_counts(counts) if isinstance(counts, str) else tuple(counts or ()))

    def _line(self, entry: Json, object_id: str) -> Geometry:
        return Polyline(tuple(_pairs(entry.get("points"))))

    def _points(self, entry: Json, object_id: str) -> Geometry:
        points, seen = tuple(_pairs(entry.get("points"))), entry.get("visibility")
        if saccade_extra(entry).get("keypoints") or (isinstance(seen, list) and set(seen) - {2}):
            return Keypoints(points, tuple(int(one) for one in seen or [2] * len(points)))
        return Points(points)

    def _ellipse(self, entry: Json, object_id: str) -> Geometry:
        x1, y1, x2, y2 = (to_float(side) for side in get_list(entry, "points"))
        return Ellipse((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2, 0.0)

    _makers: ClassVar[Mapping[str, Callable[[_Shapes, Json, str], Geometry | None]]] = {
        "bbox": _box,
        "rotated_bbox": _rotated,
        "polygon": _polygon,
        "mask": _mask,
        "polyline": _line,
        "points": _points,
        "ellipse": _ellipse,
    }


class DatumaroWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        extra = {_CAPTION: Kind.TEXT, _ATTRIBUTES: Kind.TABLE, _LABELS: Kind.LABELS}
        super().__init__(schema, destination, report, split_folders="all", extra=extra, details=("color",))
        self._items: dict[str, JsonArrayWriter] = {}
        self._labels: dict[str, int] = self.classes.indices
        self._ids = 0

    def write_labels(self, one: WrittenImage) -> None:
        folder = one.image_path.split("/")[1] if self.columns.has_split else ""
        folder = "" if folder == "_no_split" else folder
        subset = folder or _DEFAULT
        if subset not in self._items:
            self._items[subset] = JsonArrayWriter()
        self._items[subset].add(json.dumps(self._item(one), ensure_ascii=False))

    def _finish(self) -> None:
        super()._finish()
        if not self._items:
            self._items[_DEFAULT] = JsonArrayWriter()
        report_renumbered(self.report, self._ids)
        annotations = self.destination / "annotations"
        annotations.mkdir()
        for subset, items in self._items.items():
            head = {"dm_format_version": "1.0", "media_type": 2, "infos": {}, "categories": self._categories()}
            with (annotations / f"{subset}.json").open("w", encoding="utf-8") as out:
                out.write(json.dumps(head, ensure_ascii=False).removesuffix("}") + ', "items": ')
                items.copy_to(out)
                out.write("}\n")
        self._move_images_without_split()

    def _move_images_without_split(self) -> None:
        """Datumaro looks for the images of its default subset in a folder of that name."""
        images = self.destination / "images"
        if not self.columns.has_split and images.is_dir():
            images.rename(self.destination / _DEFAULT)
            images.mkdir()
            (self.destination / _DEFAULT).rename(images / _DEFAULT)
        elif (images / "_no_split").is_dir():
            (images / "_no_split").rename(images / _DEFAULT)

    def _categories(self) -> Json:
        classes = {info.name: info for info in (self.columns.labels.classes if self.columns.labels else ())}
        labels = [
            {"name": name, "parent": (classes[name].parent or "") if name in classes else "", "attributes": []}
            for name in self._labels
        ]
        points = [
            {"label_id": at, "labels": classes[name].keypoints, "joints": classes[name].skeleton, "positions": []}
            for name, at in self._labels.items()
            if name in classes and classes[name].keypoints
        ]
        return {
            "label": {"labels": labels, "label_groups": [], "attributes": []},
            **({"points": {"items": points}} if points else {}),
        }

    def _item(self, one: WrittenImage) -> Json:
        annotations: list[Json] = []
        kept_count = 0
        for found in one.objects or ():
            made = self._annotations(found, kept_count + 1, one)
            kept_count += bool(made)
            annotations += made
        values = one.record.values
        kept = self.columns.extra
        if _LABELS in kept:
            annotations += [self._entry("label", self.classes.index_of(name)) for name in values.get(_LABELS) or ()]
        if _CAPTION in kept and values.get(_CAPTION):
            annotations.append({"id": 0, "type": "caption", "attributes": {}, "group": 0, "caption": values[_CAPTION]})
        image = one.image_path.split("/", 2 if self.columns.has_split else 1)[-1]
        item: Json = {"id": one.stem if not self.columns.has_split else one.stem.split("/", 1)[1]}
        item |= {"annotations": annotations, "image": {"path": image}}
        if one.size_wh:
            item["image"]["size"] = [one.size_wh[1], one.size_wh[0]]
        if _ATTRIBUTES in kept and isinstance(values.get(_ATTRIBUTES), dict):
            item["attr"] = values[_ATTRIBUTES]
        return item if one.objects is not None else {**item, "saccade": _UNLABELLED}

    def _entry(self, kind: str, label: int, **more: Any) -> Json:
        return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": label, **more}

    def _annotations(self, found: Object, position: int, one: WrittenImage) -> list[Json]:
        geometry = coerce_geometry(found, _wanted(found.geometry), one.size_wh, one.key, self.report)
        if geometry is None:
            return []
        self._ids += found.id != str(position)
        label = self.classes.index_of(found.class_name)
        common = {"id": position, "attributes": self._attributes(found, one.key), "z_order": 0}
        if isinstance(geometry, Polygon):
            group = position if len(geometry.parts) > 1 else 0
            return [
                self._entry("polygon", label, **{**common, "group": group, "points": _flat(part[0])})
                for part in geometry.parts
            ]
        kind, more = _shape(geometry)
        return [self._entry(kind, label, **{**common, **more})]

    def _attributes(self, found: Object, key: str) -> Json:
        kept: Json = {}
        for name, value in found.attributes.items():
            if name in ("score", "track_id") or (isinstance(value, float) and not math.isfinite(value)):
                detail = f"{name} = {value!r}"
                self.report.add(FindingType.DROPPED, "attribute", key=key, object_id=found.id, detail=detail)
            else:
                kept[name] = value
        if found.score is not None:
            kept["score"] = found.score
        if found.track is not None:
            kept["track_id"] = found.track
        return kept


def _wanted(geometry: Geometry) -> str:
    match geometry:
        case Polygon() if any(len(part) > 1 for part in geometry.parts):
            return "mask"
        case Ellipse() if geometry.angle != 0:
            return "polygon"
        case Keypoints() if geometry.box is not None or geometry.region_area is not None:
            return "points"
        case _:
            return ""


def _flat(points: Sequence[tuple[float, float]]) -> list[float]:
    return [side for point in points for side in point]


def _shape(geometry: Geometry) -> tuple[str, Json]:
    """The type of an annotation and what it holds."""
    if isinstance(geometry, RotatedBox):
        sides = [geometry.cx, geometry.cy, geometry.width, geometry.height, geometry.angle]
        return "rotated_bbox", {"rotated_bbox": sides}
    if isinstance(geometry, Mask):
        rle = {"counts": counts_to_coco_string(geometry.counts), "size": [geometry.height, geometry.width]}
        return "mask", {"rle": rle}
    if isinstance(geometry, Polyline | Points | Keypoints):
        more: Json = {"points": _flat(geometry.points)}
        if isinstance(geometry, Points):
            more["visibility"] = [2] * len(geometry.points)
        if isinstance(geometry, Keypoints):
            more |= {"visibility": list(geometry.visibility), "saccade": {"keypoints": True}}
        return ("polyline" if isinstance(geometry, Polyline) else "points"), more
    x1, y1, x2, y2 = geometry.bounds_xyxy()
    if isinstance(geometry, Ellipse):
        return "ellipse", {"points": [x1, y1, x2, y2]}
    return "bbox", {"bbox": [x1, y1, x2 - x1, y2 - y1]}


FORMAT = Datumaro()
