"""Writing CVAT for images: annotations.xml and images/; and the elements that CVAT for video has in common with it."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
from saccade.core.report import Action, Report
from saccade.core.schema import Kind
from saccade.formats._common.geometry import held, is_simple
from saccade.formats._common.paths import is_plain_name
from saccade.formats._common.writing import ClassNames, Columns, FileNames, copy_media, size_wh_of
from saccade.formats.base import Reading, Record

LABELS = "labels"
_SOURCES = ("auto", "semi-auto", "file", "consensus", "ground_truth")
_TYPES: dict[type, str] = {bool: "checkbox", int: "number", float: "number", str: "text"}


def write_cvat(reading: Reading, destination: Path, report: Report) -> None:
    """Write the images and one XML file, whose body is kept in a temporary file until its head is known."""
    columns = Columns(reading, report, Kind.OBJECTS, kept={LABELS: Kind.LABELS})
    columns.report_class_details("parent", "skeleton")
    with tempfile.TemporaryFile("w+", encoding="utf-8") as body:
        writer = Writer(columns, destination, report)
        for record in reading.records:
            columns.count(record)
            element = writer.image(record)
            if element is not None:
                body.write(tostring(element, encoding="unicode") + "\n")
        body.seek(0)
        with annotations_file(destination, writer.meta()) as out:
            shutil.copyfileobj(body, out)
    columns.finish()


@contextmanager
def annotations_file(destination: Path, meta: Element) -> Iterator[TextIO]:
    """The XML file with its head written, open for its body."""
    with (destination / "annotations.xml").open("x", encoding="utf-8") as out:
        head = tostring(meta, encoding="unicode")
        out.write(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{head}\n')
        yield out
        out.write("</annotations>\n")


class Writer:
    """Makes the elements of CVAT's XML, of images by :meth:`image`.

    Args:
        of_video: shapes belong to tracks, and what they say may change from frame to frame.
    """

    def __init__(self, columns: Columns, destination: Path, report: Report, *, of_video: bool = False) -> None:
        self._of_video = of_video
        self._columns, self._destination, self._report = columns, destination, report
        self._files = FileNames(report)
        self._classes = ClassNames(columns.labels)
        self._infos = {info.name: info for info in columns.labels.classes} if columns.labels else {}
        self._types: dict[tuple[str, str], str] = {}
        self._tags: dict[str, None] = {}
        self._count = self._ids = 0
        (destination / "images").mkdir()

    def image(self, record: Record) -> Element | None:
        """Copy an image and make its element; None where it is not labelled or cannot be copied."""
        images = self._destination / "images"
        path = copy_media(record, images / self._files.take(record.key), self._report)
        split = self._columns.split_of(record)
        objects = record.values.get(self._columns.labels.name) if self._columns.labels else None
        tags = record.values.get(LABELS) if LABELS in self._columns.kept else None
        if path is None or objects is None:
            if path is not None and (split or tags):
                reason = "split or labels of an image without labelled objects"
                self._report.add(Action.DROPPED, reason, key=record.key)
            return None
        element = Element("image", id=str(self._count), name=path.relative_to(images).as_posix())
        self._count += 1
        if split:
            element.set("subset", self._plain(split, record.key))
        size = size_wh_of(record)
        if size is not None:
            element.set("width", str(size[0]))
            element.set("height", str(size[1]))
        for tag in tags or ():
            name = self._plain(tag, record.key)
            self._tags[name] = None
            SubElement(element, "tag", label=name, source="manual")
        written = 0
        for found in objects:
            shape = self.shape(record.key, found, size)
            if shape is not None:
                written += 1
                self._ids += found.id != str(written)
                element.append(shape)
        return element

    def _add(self, action: Action, reason: str, key: str, found: Object, detail: str = "") -> None:
        self._report.add(action, reason, key=key, object_id=found.id, detail=detail)

    def _plain(self, text: str, key: str, found: Object | None = None) -> str:
        """Text that XML can hold; what had to change is reported."""
        plain = "".join(char if is_plain_name(char) and char not in "\ufffe\uffff" else "_" for char in text)
        if plain != text:
            object_id = found.id if found else ""
            detail = f"{text!r} to {plain!r}"
            self._report.add(Action.REPAIRED, "text that XML cannot hold", key=key, object_id=object_id, detail=detail)
        return plain

    def shape(self, key: str, found: Object, size: tuple[int, int] | None) -> Element | None:
        """The element of an object, or None, reported, where it cannot be written."""
        geometry = self._held(key, found, size)
        if geometry is None:
            return None
        if found.score is not None:
            self._add(Action.DROPPED, "score", key, found, str(found.score))
        if found.track is not None and not self._of_video:
            self._add(Action.DROPPED, "track", key, found, found.track)
        name = self._plain(found.class_name, key, found)
        self._classes.number(name)
        shape = Element(*_drawn(geometry))
        shape.set("label", name)
        if isinstance(geometry, Keypoints):
            self._add_points(shape, geometry, found)
        attributes = dict(found.attributes)
        shape.set("source", self._taken(attributes, "source", _SOURCES) or "manual")
        shape.set("occluded", "1" if attributes.get("occluded") is True and attributes.pop("occluded") else "0")
        for whole in ("z_order", "group_id"):
            value = attributes.get(whole)
            if type(value) is int and value:
                shape.set(whole, str(attributes.pop(whole)))
        for what, value in attributes.items():
            self._add_attribute(shape, name, what, value, key, found)
        return shape

    def _taken(self, attributes: dict[str, AttributeValue], name: str, known: tuple[str, ...]) -> str | None:
        value = attributes.get(name)
        return str(attributes.pop(name)) if isinstance(value, str) and value in known else None

    def _add_attribute(
        self, shape: Element, label: str, name: str, value: AttributeValue, key: str, found: Object
    ) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            self._add(Action.DROPPED, "attribute that is no finite number", key, found, name)
            return
        plain = self._plain(name, key, found).strip()
        if not plain or plain != name:
            self._add(Action.REPAIRED, "name of an attribute that CVAT cannot hold", key, found, repr(name))
        kind = _TYPES[type(value)]
        known = self._types.setdefault((label, plain), kind)
        text = str(value).lower() if isinstance(value, bool) else repr(value) if kind == "number" else str(value)
        if known != kind:
            self._add(Action.DROPPED, "type of an attribute that has several", key, found, f"{name}: {kind}, {known}")
        SubElement(shape, "attribute", name=plain).text = self._plain(text, key, found)

    def _held(self, key: str, found: Object, size: tuple[int, int] | None) -> Geometry | None:
        """The geometry as one that CVAT has; a change is reported."""
        geometry, wanted = found.geometry, ""
        if not is_simple(geometry):
            wanted = "mask"
        elif isinstance(geometry, RotatedBox) and geometry.angle % 360 in (0.0, 360.0):
            wanted = "box"
        made = held(found, wanted, size, key, self._report)
        if isinstance(made, Keypoints) and (made.box is not None or made.region_area is not None):
            self._add(Action.DROPPED, "extent of keypoints", key, found)
        return made

    def _add_points(self, shape: Element, keypoints: Keypoints, found: Object) -> None:
        info = self._infos.get(found.class_name)
        names = info.keypoints if info and len(info.keypoints) == len(keypoints.points) else ()
        for at, (point, seen) in enumerate(zip(keypoints.points, keypoints.visibility, strict=True)):
            name = names[at] if names else str(at + 1)
            SubElement(
                shape,
                "points",
                label=name,
                source="manual",
                outside=str(int(seen == 0)),
                occluded=str(int(seen == 1)),
                points=_pairs([point]),
            )

    def meta(self) -> Element:
        """The head: the labels with their colours, attributes and points."""
        if self._ids:
            self._report.add(Action.DROPPED, "ids of objects", detail=f"{self._ids} objects are numbered anew")
        meta = Element("meta")
        labels = SubElement(SubElement(meta, "task"), "labels")
        for name in self._classes.numbers:
            info = self._infos.get(name)
            label = SubElement(labels, "label")
            SubElement(label, "name").text = self._plain(name, "")
            if info and info.color:
                SubElement(label, "color").text = info.color
            SubElement(label, "type").text = "skeleton" if info and info.keypoints else "any"
            attributes = SubElement(label, "attributes")
            for (owner, what), kind in self._types.items():
                if owner == name:
                    attribute = SubElement(attributes, "attribute")
                    SubElement(attribute, "name").text = what
                    SubElement(attribute, "mutable").text = str(self._of_video)
                    SubElement(attribute, "input_type").text = kind
            for part in info.keypoints if info else ():
                inner = SubElement(labels, "label")
                SubElement(inner, "name").text = part
                SubElement(inner, "type").text = "points"
                SubElement(inner, "parent").text = name
        return meta


def _numbers(**values: float) -> dict[str, str]:
    return {name: repr(value) for name, value in values.items()}


def _corners(geometry: Geometry) -> dict[str, str]:
    return _numbers(**dict(zip(("xtl", "ytl", "xbr", "ybr"), geometry.bounds_xyxy(), strict=True)))


def _pairs(points: Iterable[Point]) -> str:
    return ";".join(f"{x!r},{y!r}" for x, y in points)


def _drawn(geometry: Geometry) -> tuple[str, dict[str, str]]:
    """The tag and the XML attributes of a shape."""
    match geometry:
        case RotatedBox(cx, cy, width, height, angle):
            x, y = width / 2, height / 2
            return "box", _numbers(xtl=cx - x, ytl=cy - y, xbr=cx + x, ybr=cy + y, rotation=angle % 360)
        case Ellipse(cx, cy, rx, ry, angle):
            return "ellipse", _numbers(cx=cx, cy=cy, rx=rx, ry=ry, rotation=angle % 360)
        case Polygon():
            return "polygon", {"points": _pairs(geometry.parts[0][0])}
        case Polyline() | Points():
            return geometry.type, {"points": _pairs(geometry.points)}
        case Mask():
            return _mask(geometry)
        case _:
            return ("skeleton", {}) if isinstance(geometry, Keypoints) else ("box", _corners(geometry))


def _mask(mask: Mask) -> tuple[str, dict[str, str]]:
    """A mask as run lengths, row by row, of the part that it covers."""
    x1, y1, x2, y2 = (int(side) for side in mask.bounds_xyxy())
    flat = mask_to_array(mask)[y1:y2, x1:x2].reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    runs = [0, *runs] if flat[0] else runs
    place = {"left": str(x1), "top": str(y1), "width": str(x2 - x1), "height": str(y2 - y1)}
    return "mask", {"rle": ", ".join(map(str, runs)), **place}
