"""VGG Image Annotator (VIA): a JSON file with the regions of each image.

Read: projects and annotations of VIA 1 and 2, with rect, circle, ellipse, polygon, polyline and point. The class is
the region attribute that the option ``attribute`` names, else the one called class, label, name, type or category,
else the only one; the others become attributes, a checkbox by its names joined. Attributes of files are kept in a
column ``file_attributes``. An image without regions is reviewed and empty; one that no file names is not labelled.

Written: ``via_project.json``, which VIA 2 opens, with the images beside it and the class in the attribute ``class``.
Rotated boxes become polygons, as do masks and polygons with holes, of which VIA has none.

Source of the format: https://www.robots.ox.ac.uk/~vgg/software/via/.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
    RotatedBox,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import Column, Kind, Schema
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.geometry import coerce_geometry, drop_object, is_single_ring
from saccade.formats._common.json import Json, JsonArrayWriter, contains_tokens, to_float
from saccade.formats._common.json_stream import load_with_mapping
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.options import parse_options
from saccade.formats._common.paths import SourceTree, source_tree
from saccade.formats._common.per_image import PerImageReader, PerImageWriter, WrittenImage
from saccade.formats.base import Detection, Format, Reader, RecordStream, SizeWH, Writer

_encode = json.JSONEncoder(ensure_ascii=False).encode
_IMAGES = "_via_img_metadata"
_CLASS_NAMES = ("class", "label", "name", "type", "category", "class_name")
FILE_ATTRIBUTES = "file_attributes"


@dataclass(frozen=True)
class Options:
    """How to read.

    Attributes:
        attribute: the region attribute that is the class.
    """

    attribute: str = ""


class Via(Format):
    name: ClassVar[str] = "via"
    title: ClassVar[str] = "VGG Image Annotator"
    supports: ClassVar[str] = (
        "boxes, polygons of one ring, circles, ellipses, lines, single points; attributes; labelled or not"
    )

    def detect(self, source: Path) -> Detection:
        if source.is_file():
            return Detection(False, "it is a file, and VIA is read from a folder with its images")
        files = list(source_tree(source).files_below("", (".json",)))
        if not files:
            return Detection(False, "there is no JSON file in it")
        likely = (file for file in files if contains_tokens(source / file, '"regions"', '"filename"'))
        found = next((file for file in likely if any(_images_in(source / file, ConversionReport()))), None)
        if found is None:
            return Detection(False, f"{files[0]} has no images with regions")
        return Detection(True, f"{found} has files with regions")

    def reader(self, source: Path, report: ConversionReport, **options: Any) -> Reader:
        """Open a folder."""
        return ViaReader(source, report, parse_options(Options, options, "VIA").attribute)

    def writer(self, schema: Schema, destination: Path, report: ConversionReport, **options: Any) -> Writer:
        parse_options(Options, options, "VIA")
        return ViaWriter(schema, destination, report)


class ViaReader(PerImageReader):
    def __init__(self, source: Path, report: ConversionReport, attribute: str) -> None:
        super().__init__(source, report)
        self._attribute = attribute

    def open(self) -> RecordStream:
        count, has_more = 0, False
        for file in self.tree.files_below("", (".json",)):
            for data in _images_in(self.tree.path(file), self.report):
                entry = self.labels_for(str(data["filename"]), file.rpartition("/")[0], location=file)
                if entry is not None:
                    entry.raw = [*(entry.raw or []), *_regions(data)]
                    if given := {k: v for k, v in _mapping(data.get("file_attributes")).items() if v not in ("", {})}:
                        entry.values[FILE_ATTRIBUTES] = given
                        has_more = True
                    count += 1
        if not count and not _any_project(self.tree):
            raise FormatError(f"No JSON file below {self.tree.root} has images with regions.")
        attribute = _class_attribute(self._attribute, (one for _, entry in self.labels.items() for one in entry.raw))
        reader = _Regions(attribute, self.report)
        found = (reader.class_of(one) for _, entry in self.labels.items() for one in entry.raw)
        names = sorted(set(found) - {""})
        columns = [Column(FILE_ATTRIBUTES, Kind.TABLE)] if has_more else []
        return self.stream(names, reader.objects, columns=columns)


def _any_project(tree: SourceTree) -> bool:
    return any(
        "_via_settings" in _load(tree.path(file), ConversionReport())[0] for file in tree.files_below("", (".json",))
    )


def _load(path: Path, report: ConversionReport) -> tuple[Json, Collection[Any]]:
    """What a project says beside its images, and these; of annotations alone, these."""
    name = _IMAGES if contains_tokens(path, f'"{_IMAGES}"') else ""
    try:
        data, entries = load_with_mapping(path, name, report)
    except (FormatError, OSError) as error:
        report.add(FindingType.SET_ASIDE, "annotation that cannot be read", detail=str(error))
        return {}, ()
    if not isinstance(data, dict):
        return {}, ()
    return data, entries if not name or name in data else data.values()


def _images_in(path: Path, report: ConversionReport) -> Iterator[Json]:
    """The entries of images, from a project or from annotations alone."""
    for one in _load(path, report)[1]:
        if isinstance(one, dict) and "regions" in one and isinstance(one.get("filename"), str):
            yield one


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _regions(data: Json) -> list[Json]:
    found = data["regions"]
    listed = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    return [one if isinstance(one, dict) else {} for one in listed]


def _class_attribute(wish: str, regions: Iterable[Json]) -> str:
    names = dict.fromkeys(name for one in regions for name in _mapping(one.get("region_attributes")))
    if wish and wish not in names and names:
        raise FormatError(f"No region has the attribute '{wish}'.", hint=f"There are: {', '.join(names)}.")
    by_lower = {name.lower(): name for name in reversed(names)}
    found = next((by_lower[name] for name in _CLASS_NAMES if name in by_lower), None)
    return wish or found or (next(iter(names)) if len(names) == 1 else "class")


class _Regions:
    """Makes objects of regions."""

    def __init__(self, attribute: str, report: ConversionReport) -> None:
        self._attribute, self._report = attribute, report

    def class_of(self, region: Json) -> str:
        value = _mapping(region.get("region_attributes")).get(self._attribute)
        if isinstance(value, dict):
            return _checked(value)
        return value if isinstance(value, str) else ""

    def objects(self, regions: Sequence[Json], key: str, size_wh: SizeWH | None) -> Iterator[Object]:
        for position, region in enumerate(regions, 1):
            object_id, name = str(position), self.class_of(region)
            if not name:
                self._report.add(FindingType.DROPPED, "object without a class", key=key, object_id=object_id)
                continue
            try:
                geometry = self._geometry(_mapping(region.get("shape_attributes")), key, object_id, size_wh)
            except InvalidValueError as error:
                self._report.add(
                    FindingType.DROPPED,
                    "object without a usable shape",
                    key=key,
                    object_id=object_id,
                    detail=str(error)[:200],
                )
                continue
            if geometry is not None:
                yield Object(object_id, name, geometry, None, None, self._attributes(region, key, object_id))

    def _geometry(self, shape: Json, key: str, object_id: str, size_wh: SizeWH | None) -> Geometry | None:
        kind = shape.get("name")
        if kind == "rect":
            x, y, width, height = (to_float(shape.get(name)) for name in ("x", "y", "width", "height"))
            return fit_box((x, y, x + width, y + height), size_wh, self._report, key=key, object_id=object_id)
        if isinstance(kind, str) and kind in _SHAPES:
            return _SHAPES[kind](shape)
        reason = "shape of a kind that is not known"
        self._report.add(FindingType.DROPPED, reason, key=key, object_id=object_id, detail=repr(kind)[:100])
        return None

    def _attributes(self, region: Json, key: str, object_id: str) -> dict[str, AttributeValue]:
        given = {
            name: _checked(value) if isinstance(value, dict) else value
            for name, value in _mapping(region.get("region_attributes")).items()
            if name != self._attribute and value not in ("", None)
        }
        return scalar_attributes(given, self._report, key=key, object_id=object_id)


def _checked(boxes: Json) -> str:
    """The names of a group of checkboxes that are set."""
    return ", ".join(str(name) for name, is_set in boxes.items() if is_set)


def _points(shape: Json) -> list[tuple[float, float]]:
    xs, ys = shape.get("all_points_x"), shape.get("all_points_y")
    if not isinstance(xs, list) or not isinstance(ys, list) or len(xs) != len(ys):
        raise InvalidValueError("A line needs as many x as y.")
    return [(to_float(x), to_float(y)) for x, y in zip(xs, ys, strict=True)]


def _ellipse(shape: Json) -> Ellipse:
    cx, cy = to_float(shape.get("cx")), to_float(shape.get("cy"))
    if shape["name"] == "circle":
        return Ellipse(cx, cy, to_float(shape.get("r")), to_float(shape.get("r")), 0.0)
    turned = math.degrees(to_float(shape.get("theta", 0.0)))
    return Ellipse(cx, cy, to_float(shape.get("rx")), to_float(shape.get("ry")), turned)


_SHAPES: Mapping[str, Callable[[Json], Geometry]] = {
    "circle": _ellipse,
    "ellipse": _ellipse,
    "polygon": lambda shape: Polygon.simple(_points(shape)),
    "polyline": lambda shape: Polyline(tuple(_points(shape))),
    "point": lambda shape: Points(((to_float(shape.get("cx")), to_float(shape.get("cy"))),)),
}


class ViaWriter(PerImageWriter):
    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        super().__init__(schema, destination, report, extra={FILE_ATTRIBUTES: Kind.TABLE})
        self._lost_ids = 0
        self._listed = JsonArrayWriter()
        path = destination / "via_project.json"
        self._file = self._open_files.enter_context(path.open("w", encoding="utf-8"))
        settings = {"ui": {}, "core": {"filepath": {}, "default_filepath": "./"}, "project": {"name": "saccade"}}
        self._file.write(f'{{"_via_settings": {_encode(settings)},\n"_via_img_metadata": {{')

    def write_labels(self, one: WrittenImage) -> None:
        more = one.record.values.get(FILE_ATTRIBUTES) if FILE_ATTRIBUTES in self.columns.extra else None
        if one.objects is None:
            if more:
                self.report.add(FindingType.DROPPED, "attributes of a file that is not labelled", key=one.key)
            return
        size = (self.destination / one.image_path).stat().st_size
        regions = [made for found in one.objects if (made := self._region(one.key, found, one.size_wh)) is not None]
        self._lost_ids += sum(found.id != str(at) for at, found in enumerate(one.objects, 1))
        attributes = more if isinstance(more, dict) else {}
        entry = {"filename": one.image_path, "size": size, "regions": regions, "file_attributes": attributes}
        name = _encode(f"{one.image_path}{size}")
        self._file.write(f"{',' if self._listed else ''}\n{name}: {_encode(entry)}")
        self._listed.add(name)

    def _finish(self) -> None:
        super()._finish()
        options = dict.fromkeys(sorted(self.classes.used), "")
        named = {"type": "dropdown", "description": "", "options": options, "default_options": {}}
        self._file.write(f'}},\n"_via_attributes": {_encode({"region": {"class": named}, "file": {}})},\n')
        self._file.write('"_via_data_format_version": "2.0.10",\n"_via_image_id_list": ')
        self._listed.copy_to(self._file)
        self._file.write("}\n")
        report_renumbered(self.report, self._lost_ids)
        self.classes.report_unlisted(self.report)

    def _region(self, key: str, found: Object, size_wh: SizeWH | None) -> Json | None:
        geometry = coerce_geometry(found, _wanted(found.geometry), size_wh, key, self.report)
        if geometry is None:
            return None
        if not is_single_ring(geometry):
            drop_object(found, key, self.report, "a mask or polygon of several parts or with holes")
            return None
        self.classes.index_of(found.class_name)
        attributes: dict[str, Any] = {}
        for name, value in found.attributes.items():
            if name == "class" or value == "" or (isinstance(value, float) and not math.isfinite(value)):
                self._drop("attribute", key, found, f"{name} = {value!r}")
            elif name.lower() in _CLASS_NAMES:
                self._drop("attribute that would be taken for the class", key, found, f"{name} = {value!r}")
            else:
                attributes[name] = value
        if found.score is not None:
            self._drop("score", key, found, str(found.score))
        if found.track is not None:
            self._drop("track", key, found, found.track)
        return {"shape_attributes": _shape(geometry), "region_attributes": {"class": found.class_name, **attributes}}

    def _drop(self, reason: str, key: str, found: Object, detail: str) -> None:
        self.report.add(FindingType.DROPPED, reason, key=key, object_id=found.id, detail=detail)


def _wanted(geometry: Geometry) -> str:
    match geometry:
        case RotatedBox() | Mask():
            return "polygon"
        case Points():
            return "" if len(geometry.points) == 1 else "box"
        case Keypoints():
            return "box"
        case _:
            return ""


def _shape(geometry: Geometry) -> Mapping[str, Any]:
    match geometry:
        case Ellipse() if geometry.rx == geometry.ry and geometry.angle == 0:
            return {"name": "circle", "cx": geometry.cx, "cy": geometry.cy, "r": geometry.rx}
        case Ellipse():
            theta = math.radians(geometry.angle)
            return {
                "name": "ellipse",
                "cx": geometry.cx,
                "cy": geometry.cy,
                "rx": geometry.rx,
                "ry": geometry.ry,
                "theta": theta,
            }
        case Polygon():
            return _line("polygon", geometry.parts[0][0])
        case Polyline():
            return _line("polyline", geometry.points)
        case Points():
            (point,) = geometry.points
            return {"name": "point", "cx": point[0], "cy": point[1]}
        case _:
            assert isinstance(geometry, Box)
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return {"name": "rect", "x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}


def _line(name: str, points: Sequence[tuple[float, float]]) -> Json:
    return {"name": name, "all_points_x": [x for x, _ in points], "all_points_y": [y for _, y in points]}


FORMAT = Via()
