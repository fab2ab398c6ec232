"""The XML files of Pascal VOC, and the statistics over all of them by which the pixel origin is inferred."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from pathlib import Path
from statistics import median
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from saccade.core.errors import FormatError
from saccade.core.objects import AttributeValue, BoundsXYXY, Box, Object, Objects
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.boxes import fit_box, report_duplicates
from saccade.formats._common.encoding import open_xml
from saccade.formats.base import SizeWH

DATABASE = "Saccade"
"""The ``source/database`` of our own files, whose ``source/annotation`` states the origin."""
FLAGS = ("difficult", "truncated", "occluded")
EXACT = Context(prec=800)
"""Decimal arithmetic that adds an origin to any float without losing a digit."""
# A box below this share of the image's area is reported.
_TINY_SHARE = 0.002
# So is a box below this share of the median area of its class, for classes of enough boxes.
_SMALL_SHARE_OF_MEDIAN = 0.05
_MIN_BOXES_FOR_MEDIAN = 20
_MAX_AREAS = 10_000
_OBJECT_FIELDS = {"name", "pose", "bndbox", "attributes", *FLAGS}


@dataclass(frozen=True)
class RawObject:
    """An object as it is in the file.

    Attributes:
        corners: texts of xmin, ymin, xmax and ymax.
    """

    class_name: str
    corners: tuple[str, ...]
    attributes: dict[str, AttributeValue]


@dataclass(frozen=True)
class Annotation:
    """One XML file.

    Attributes:
        origin: "0" or "1" in our own files, else None.
        tool: the tool that wrote the file, if it counts from 0 and can be recognised; else "".
        unread_fields: how often objects have fields that are not read.
    """

    file_name: str
    size_wh: SizeWH | None
    objects: tuple[RawObject, ...]
    origin: str | None = None
    tool: str = ""
    unread_fields: Counter[str] = field(default_factory=Counter)


def parse_annotation(path: Path) -> Annotation:
    """Parse an XML file.

    Raises:
        FormatError: if it cannot be parsed safely, or is no annotation.
    """
    try:
        with open_xml(path) as file:
            root = SafeTree.fromstring(file.read(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"{path.name} is not XML that can be read safely: {error or type(error).__name__}.") from None
    if root.tag != "annotation":
        raise FormatError(f"{path.name} is not a VOC annotation: its root is '{root.tag}'.")
    database = _text(root, "source/database")
    note = _text(root, "source/annotation")
    elements = root.findall("object")
    return Annotation(
        file_name=_text(root, "filename"),
        size_wh=_size_wh(root),
        objects=tuple(map(_raw_object, elements)),
        origin=note[-1] if database == DATABASE and note in ("origin 0", "origin 1") else None,
        tool=_tool_of(root),
        unread_fields=Counter(
            child.tag for element in elements for child in element if child.tag not in _OBJECT_FIELDS
        ),
    )


def _tool_of(root: Element) -> str:
    """Return the tool that wrote a file, of those that count from 0; "" if it is another or unknown."""
    # labelme2voc leaves out the element <source> around these.
    if root.find("source") is None and root.find("database") is not None and root.find("annotation") is not None:
        return "labelme2voc"
    if _text(root, "source/database") != "Unknown":
        return ""
    # labelImg always writes a path. CVAT exports by Datumaro, which writes none.
    if root.find("path") is not None:
        return "labelImg"
    is_datumaro = _text(root, "source/annotation") == "Unknown" and _text(root, "source/image") == "Unknown"
    return "CVAT or Datumaro" if is_datumaro else ""


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _size_wh(root: Element) -> SizeWH | None:
    sides = [parse_decimal(_text(root, f"size/{side}")) for side in ("width", "height")]
    if any(side is None or not 1 <= side < 10**9 for side in sides):
        return None
    return int(sides[0] or 0), int(sides[1] or 0)


def parse_decimal(text: str) -> Decimal | None:
    """Parse a finite number with all its digits; None for other texts."""
    try:
        number = float(text)
    except ValueError:
        return None
    return Decimal(text) if math.isfinite(number) else None


def _raw_object(element: Element) -> RawObject:
    attributes: dict[str, AttributeValue] = {
        flag: True for flag in FLAGS if _text(element, flag).lower() in ("1", "true", "yes")
    }
    if (pose := _text(element, "pose")) not in ("", "Unspecified"):
        attributes["pose"] = pose
    for attribute in element.iterfind("attributes/attribute"):
        if name := attribute.findtext("name"):
            attributes[name] = _attribute_value(attribute.find("value"))
    corners = tuple(_text(element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
    return RawObject(_text(element, "name"), corners, attributes)


def _attribute_value(value: Element | None) -> AttributeValue:
    if value is None:
        return ""
    text = value.text or ""
    try:
        match value.get("type"):
            case "bool":
                return text == "true"
            case "int":
                return int(text)
            case "float":
                return float(text)
    except ValueError:
        pass
    return text


def pack(annotation: Annotation) -> list[Any]:
    """Convert an annotation to JSON, without what only :class:`SetStatistics` uses."""
    objects = [[obj.class_name, obj.corners, obj.attributes] for obj in annotation.objects]
    return [annotation.file_name, annotation.size_wh, objects, annotation.origin]


def unpack(packed: list[Any]) -> Annotation:
    """Convert JSON from :func:`pack` back."""
    file_name, size_wh, raw_objects, origin = packed
    objects = tuple(RawObject(name, tuple(corners), attributes) for name, corners, attributes in raw_objects)
    return Annotation(file_name, tuple(size_wh) if size_wh else None, objects, origin)


class SetStatistics:
    """Statistics over the annotations of a set.

    Attributes:
        unread_fields: how often objects have fields that are not read.
        areas: areas of the first ten thousand boxes of each class.
    """

    def __init__(self) -> None:
        self.unread_fields: Counter[str] = Counter()
        self.areas: dict[str, array[float]] = {}
        self._origins: set[str | None] = set()
        self._tools: set[str] = set()
        self._has_below_1 = False
        self._coordinates = 0
        self._decimal_coordinates = 0

    def add(self, annotation: Annotation) -> None:
        self.unread_fields.update(annotation.unread_fields)
        for obj in annotation.objects:
            areas = self.areas.setdefault(obj.class_name, array("d"))
            xyxy = _corners_xyxy(obj.corners, 0)
            if xyxy is not None and len(areas) < _MAX_AREAS:
                areas.append(abs((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])))
            for text in obj.corners[:2]:
                coordinate = parse_decimal(text)
                if coordinate is not None:
                    self._coordinates += 1
                    self._decimal_coordinates += not text.lstrip("+-").isdecimal()
                    self._has_below_1 = self._has_below_1 or coordinate < 1
        if annotation.objects:
            self._origins.add(annotation.origin)
            self._tools.add(annotation.tool)

    def infer_origin(self) -> tuple[str, str, bool]:
        """Return the origin of the set, "0" or "1", the reason, and whether it is certain.

        The reason is "" if the files state the origin.

        The devkit's pixels count from 1, both ends included, so no coordinate can be less than 1, and its numbers are
        whole. Tools that count from 0 may write no 0 either: labelImg raises it to 1 when it saves. They are known by
        their elements ``source`` and ``path``.
        """
        stated = next(iter(self._origins), None)
        if stated is not None and len(self._origins) == 1:
            return stated, "", True
        if self._has_below_1:
            return "0", "a coordinate is below 1", True
        if self._tools and "" not in self._tools:
            return "0", f"the files are by {' and '.join(sorted(self._tools))}, which counts from 0", True
        if self._decimal_coordinates * 2 > self._coordinates:
            return "0", "most coordinates are written as decimals, and the devkit's are whole", False
        return "1", "no coordinate is below 1, as in the devkit", False

    def min_areas(self) -> dict[str, float]:
        """Return the areas, by class, below which a box is far smaller than the others of its class."""
        return {
            name: _SMALL_SHARE_OF_MEDIAN * median(areas)
            for name, areas in self.areas.items()
            if len(areas) >= _MIN_BOXES_FOR_MEDIAN
        }


def _corners_xyxy(texts: Sequence[str], origin: int) -> BoundsXYXY | None:
    """Subtract the origin from xmin and ymin, in decimal arithmetic, so that no digit is lost."""
    numbers = [number for text in texts if (number := parse_decimal(text)) is not None]
    if len(numbers) != len(texts):
        return None
    xmin, ymin, xmax, ymax = numbers
    offset = Decimal(origin)
    return float(EXACT.subtract(xmin, offset)), float(EXACT.subtract(ymin, offset)), float(xmax), float(ymax)


class ObjectReader:
    """Converts the objects of files; repairs and suspicious boxes are reported.

    Args:
        origin: number of the first pixel.
        min_areas: areas, by class, below which a box is suspicious.
    """

    def __init__(self, origin: int, min_areas: Mapping[str, float], report: ConversionReport) -> None:
        self._origin = origin
        self._min_areas = min_areas
        self._report = report

    def read(self, annotation: Annotation, key: str, size_wh: SizeWH | None) -> Objects:
        """Convert the objects of one image; their ids are their positions in the file, from 1.

        Args:
            key: key of the item, for the report.
            size_wh: size of the image, to which boxes are clipped; None skips this.
        """
        objects = []
        for position, raw in enumerate(annotation.objects, 1):
            box = self._box(raw, key, str(position), size_wh)
            if box is not None:
                objects.append(Object(str(position), raw.class_name, box, attributes=raw.attributes))
        report_duplicates(objects, key, self._report)
        return tuple(objects)

    def _box(self, raw: RawObject, key: str, object_id: str, size_wh: SizeWH | None) -> Box | None:
        def add(action: FindingType, reason: str, detail: str) -> None:
            self._report.add(action, reason, key=key, object_id=object_id, detail=detail)

        if not raw.class_name:
            add(FindingType.DROPPED, "object without a class", "")
            return None
        xyxy = _corners_xyxy(raw.corners, self._origin)
        if xyxy is None:
            add(FindingType.DROPPED, "box with numbers that are not finite", repr(raw.corners))
            return None
        box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, swap=True)
        if box is not None and size_wh and box.area() < _TINY_SHARE * size_wh[0] * size_wh[1]:
            add(FindingType.WARNING, "tiny box", f"{box.area():g} pixels, less than 0.2 % of the image")
        elif box is not None and box.area() < self._min_areas.get(raw.class_name, 0):
            add(FindingType.WARNING, "box far smaller than others of its class", f"{box.area():g} pixels")
        return box
