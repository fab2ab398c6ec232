"""Writing CVAT for images; the base class has what CVAT for video shares."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np

from saccade.core.geometry import mask_to_array
from saccade.core.objects import (
    AttributeValue,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Point,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo, Kind, Schema
from saccade.formats._common.columns import ClassIndex, SupportedColumns
from saccade.formats._common.geometry import coerce_geometry, is_single_ring
from saccade.formats._common.losses import report_renumbered
from saccade.formats._common.media import copy_media, record_size_wh
from saccade.formats._common.names import DEFAULT_SUBSET, SPLIT, FileNames, FolderNames
from saccade.formats._common.paths import is_printable
from saccade.formats.base import Record, SizeWH, Writer

LABELS = "labels"
_SOURCES = ("auto", "semi-auto", "file", "consensus", "ground_truth")
_INPUT_TYPES: dict[type, str] = {bool: "checkbox", int: "number", float: "number", str: "text"}


@dataclass(frozen=True)
class CvatWriteOptions:
    """Options of writing.

    Attributes:
        layout: "images", or "video" for tracks through frames.
    """

    layout: str = "images"


@contextmanager
def annotations_file(destination: Path, meta: Element) -> Iterator[TextIO]:
    """Write ``annotations.xml``; the block writes what follows the header."""
    with (destination / "annotations.xml").open("x", encoding="utf-8") as out:
        header = tostring(meta, encoding="unicode")
        out.write(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{header}\n')
        yield out
        out.write("</annotations>\n")


class CvatWriter(Writer):
    """Base class that builds the elements of CVAT's XML.

    Args:
        of_video: whether shapes belong to tracks, and attributes may change from frame to frame.
    """

    def __init__(
        self, columns: SupportedColumns, destination: Path, report: ConversionReport, *, of_video: bool = False
    ) -> None:
        super().__init__()
        self._of_video = of_video
        self._columns = columns
        self._destination = destination
        self._report = report
        self._columns.report_class_details("parent", "skeleton")
        self._classes = ClassIndex(columns.labels)
        self._infos = {info.name: info for info in columns.labels.classes} if columns.labels else {}
        self._attribute_types: dict[tuple[str, str], str] = {}
        self._renumbered = 0
        # Names of the subsets, in order.
        self._subsets: dict[str, None] = {}
        (destination / "images").mkdir()

    def _add(self, action: FindingType, reason: str, key: str, obj: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=obj.id, detail=detail)

    def _xml_text(self, text: str, key: str, obj: Object | None = None) -> str:
        """Replace characters that XML cannot express; a change is reported."""
        xml_text = "".join(char if is_printable(char) and char not in "\ufffe\uffff" else "_" for char in text)
        if xml_text != text:
            object_id = obj.id if obj else ""
            detail = f"{text!r} to {xml_text!r}"
            reason = "text that XML cannot hold"
            self._report.add(FindingType.REPAIRED, reason, key=key, object_id=object_id, detail=detail)
        return xml_text

    def _shape(self, key: str, obj: Object, size: SizeWH | None) -> Element | None:
        """Build the element of an object; None, and reported, if it cannot be written."""
        geometry = self._supported_geometry(key, obj, size)
        if geometry is None:
            return None
        if obj.score is not None:
            self._add(FindingType.DROPPED, "score", key, obj, str(obj.score))
        if obj.track is not None and not self._of_video:
            self._add(FindingType.DROPPED, "track", key, obj, obj.track)
        label = self._xml_text(obj.class_name, key, obj)
        self._classes.index_of(label)
        shape = Element(*_tag_and_fields(geometry))
        shape.set("label", label)
        if isinstance(geometry, Keypoints):
            self._add_points(shape, geometry, obj)
        attributes = dict(obj.attributes)
        source = attributes.get("source")
        if isinstance(source, str) and source in _SOURCES:
            shape.set("source", source)
            del attributes["source"]
        else:
            shape.set("source", "manual")
        is_occluded = attributes.get("occluded") is True
        shape.set("occluded", str(int(is_occluded)))
        if is_occluded:
            del attributes["occluded"]
        for name in ("z_order", "group_id"):
            value = attributes.get(name)
            if type(value) is int and value:
                shape.set(name, str(value))
                del attributes[name]
        for name, value in attributes.items():
            self._add_attribute(shape, label, name, value, key, obj)
        return shape

    def _add_attribute(
        self, shape: Element, label: str, name: str, value: AttributeValue, key: str, obj: Object
    ) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            self._add(FindingType.DROPPED, "attribute that is no finite number", key, obj, name)
            return
        xml_name = self._xml_text(name, key, obj).strip()
        if not xml_name or xml_name != name:
            self._add(FindingType.REPAIRED, "name of an attribute that CVAT cannot hold", key, obj, repr(name))
        input_type = _INPUT_TYPES[type(value)]
        stated_type = self._attribute_types.setdefault((label, xml_name), input_type)
        text = repr(value) if input_type == "number" else str(value)
        if input_type == "checkbox":
            text = text.lower()
        if stated_type != input_type:
            detail = f"{name}: {input_type}, {stated_type}"
            self._add(FindingType.DROPPED, "type of an attribute that has several", key, obj, detail)
        SubElement(shape, "attribute", name=xml_name).text = self._xml_text(text, key, obj)

    def _supported_geometry(self, key: str, obj: Object, size: SizeWH | None) -> Geometry | None:
        """Return the geometry as one that CVAT supports; a change is reported."""
        geometry = obj.geometry
        target_type = ""
        if not is_single_ring(geometry):
            target_type = "mask"
        # The remainder of a tiny negative angle is 360.0.
        elif isinstance(geometry, RotatedBox) and geometry.angle % 360 in (0.0, 360.0):
            target_type = "box"
        supported = coerce_geometry(obj, target_type, size, key, self._report)
        if isinstance(supported, Keypoints) and (supported.box is not None or supported.region_area is not None):
            self._add(FindingType.DROPPED, "extent of keypoints", key, obj)
        return supported

    def _add_points(self, shape: Element, keypoints: Keypoints, obj: Object) -> None:
        info = self._infos.get(obj.class_name)
        names = info.keypoints if info and len(info.keypoints) == len(keypoints.points) else ()
        for index, (point, visibility) in enumerate(zip(keypoints.points, keypoints.visibility, strict=True)):
            SubElement(
                shape,
                "points",
                label=names[index] if names else str(index + 1),
                source="manual",
                outside=str(int(visibility == 0)),
                occluded=str(int(visibility == 1)),
                points=_format_points([point]),
            )

    def _meta(self) -> Element:
        """Build the header: the labels with their colours, attributes and keypoints.

        As in CVAT, several subsets are those of a project, each with a task.
        """
        report_renumbered(self._report, self._renumbered)
        meta = Element("meta")
        parent = SubElement(meta, "project" if self._subsets else "task")
        labels = SubElement(parent, "labels")
        for name in self._classes.indices:
            self._add_label(labels, name, self._infos.get(name, ClassInfo(name)))
        if self._subsets:
            SubElement(parent, "subsets").text = "\n".join(self._subsets)
            tasks = SubElement(parent, "tasks")
            for subset in self._subsets:
                SubElement(SubElement(tasks, "task"), "subset").text = subset
        return meta

    def _add_label(self, labels: Element, name: str, info: ClassInfo) -> None:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = self._xml_text(name, "")
        if info.color:
            SubElement(label, "color").text = info.color
        SubElement(label, "type").text = "skeleton" if info.keypoints else "any"
        attributes = SubElement(label, "attributes")
        for (owner, attribute_name), input_type in self._attribute_types.items():
            if owner == name:
                attribute = SubElement(attributes, "attribute")
                SubElement(attribute, "name").text = attribute_name
                SubElement(attribute, "mutable").text = str(self._of_video)
                SubElement(attribute, "input_type").text = input_type
        for keypoint in info.keypoints:
            part = SubElement(labels, "label")
            SubElement(part, "name").text = keypoint
            SubElement(part, "type").text = "points"
            SubElement(part, "parent").text = name


class CvatImagesWriter(CvatWriter):
    """Writes the images and one XML file, whose body is kept in a temporary file until its header is known."""

    def __init__(self, schema: Schema, destination: Path, report: ConversionReport) -> None:
        columns = SupportedColumns(schema, report, Kind.OBJECTS, extra={LABELS: Kind.LABELS})
        super().__init__(columns, destination, report)
        self._file_names = FileNames(report)
        self._subset_folders = FolderNames(report, SPLIT)
        self._image_count = 0
        self._body = self._open_files.enter_context(tempfile.TemporaryFile("w+", encoding="utf-8"))  # noqa: SIM115

    def add(self, record: Record) -> None:
        self._columns.count_dropped(record)
        objects = self._columns.labels_of(record)
        split = self._columns.split_of(record)
        folder = self._destination / "images"
        subset = ""
        # In a project, CVAT keeps the images of each subset in its folder. An image that is not labelled has no element
        # that would state its subset.
        if self._columns.has_split and objects is not None:
            subset = DEFAULT_SUBSET if split is None else self._xml_text(split, record.key)
            if split == DEFAULT_SUBSET:
                self._report.add(
                    FindingType.DROPPED, "split whose name means none in CVAT", key=record.key, detail=split
                )
            folder /= self._subset_folders.get(subset)
        path = copy_media(record, folder / self._file_names.claim(record.key), self._report)
        if path is None:
            return
        tags = record.values.get(LABELS) if LABELS in self._columns.extra else None
        if objects is None:
            # An image that is not labelled has no element.
            if split or tags:
                reason = "split or labels of an image without labelled objects"
                self._report.add(FindingType.DROPPED, reason, key=record.key)
            return
        element = Element("image", id=str(self._image_count), name=path.relative_to(folder).as_posix())
        self._image_count += 1
        if subset:
            element.set("subset", subset)
            self._subsets[subset] = None
        size = record_size_wh(record)
        if size is not None:
            element.set("width", str(size[0]))
            element.set("height", str(size[1]))
        for tag in tags or ():
            SubElement(element, "tag", label=self._xml_text(tag, record.key), source="manual")
        written = 0
        for obj in objects:
            shape = self._shape(record.key, obj, size)
            if shape is not None:
                written += 1
                self._renumbered += obj.id != str(written)
                element.append(shape)
        self._body.write(tostring(element, encoding="unicode") + "\n")

    def _finish(self) -> None:
        self._body.seek(0)
        with annotations_file(self._destination, self._meta()) as out:
            shutil.copyfileobj(self._body, out)
        self._columns.report_dropped()


def _format_numbers(**values: float) -> dict[str, str]:
    return {name: repr(value) for name, value in values.items()}


def _box_sides(geometry: Geometry) -> dict[str, str]:
    return _format_numbers(**dict(zip(("xtl", "ytl", "xbr", "ybr"), geometry.bounds_xyxy(), strict=True)))


def _format_points(points: Iterable[Point]) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in points)


def _tag_and_fields(geometry: Geometry) -> tuple[str, dict[str, str]]:
    """Return the tag and the XML attributes of a shape."""
    match geometry:
        case RotatedBox(cx, cy, width, height, angle):
            x = width / 2
            y = height / 2
            return "box", _format_numbers(xtl=cx - x, ytl=cy - y, xbr=cx + x, ybr=cy + y, rotation=angle % 360)
        case Ellipse(cx, cy, rx, ry, angle):
            return "ellipse", _format_numbers(cx=cx, cy=cy, rx=rx, ry=ry, rotation=angle % 360)
        case Polygon():
            return "polygon", {"points": _format_points(geometry.parts[0][0])}
        case Polyline() | Points():
            return geometry.type, {"points": _format_points(geometry.points)}
        case Mask():
            return "mask", _mask_fields(geometry)
        case _:
            return ("skeleton", {}) if isinstance(geometry, Keypoints) else ("box", _box_sides(geometry))


def _mask_fields(mask: Mask) -> dict[str, str]:
    """Encode a mask as run lengths, row by row, of the part within its bounds."""
    x1, y1, x2, y2 = (int(side) for side in mask.bounds_xyxy())
    pixels = mask_to_array(mask)[y1:y2, x1:x2].reshape(-1)
    changes = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff(np.concatenate([[0], changes, [pixels.size]])).tolist()
    # The first run is always one of background.
    runs = [0, *runs] if pixels[0] else runs
    bounds = {"left": str(x1), "top": str(y1), "width": str(x2 - x1), "height": str(y2 - y1)}
    return {"rle": ", ".join(map(str, runs)), **bounds}
