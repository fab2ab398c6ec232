"""Reading Pascal VOC: what one XML file says, and what the whole set says about its pixel convention."""

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
from saccade.core.report import Action, Report
from saccade.formats._common.boxes import fit_box, notice_duplicates

DATABASE = "Saccade"
"""The ``source/database`` of files that we wrote, whose ``source/annotation`` states the origin."""
FLAGS = ("difficult", "truncated", "occluded")
EXACT = Context(prec=800)
"""Arithmetic that takes an origin off a number, or adds it, without losing a digit of any float."""
TINY_SHARE = 0.002
_SMALL_FOR_CLASS = 0.05
_MOST_AREAS = 10_000
_OBJECT_FIELDS = {"name", "pose", "bndbox", "attributes", *FLAGS}


@dataclass(frozen=True)
class RawObject:
    """An object as the file has it; coordinates in the order xmin, ymin, xmax, ymax."""

    class_name: str
    corners: tuple[str, ...]
    attributes: dict[str, AttributeValue]


@dataclass(frozen=True)
class Annotation:
    """One XML file. ``origin`` is stated by files that we wrote."""

    file_name: str
    size_wh: tuple[int, int] | None
    objects: tuple[RawObject, ...]
    origin: str | None = None
    is_labelimg: bool = False
    lost: Counter[str] = field(default_factory=Counter)


def parse_annotation(path: Path) -> Annotation:
    """The content of an XML file; FormatError where it cannot be read safely or is no annotation."""
    try:
        root = SafeTree.fromstring(path.read_bytes(), forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise FormatError(f"{path.name} is not XML that can be read safely: {error or type(error).__name__}.") from None
    if root.tag != "annotation":
        raise FormatError(f"{path.name} is not a VOC annotation: its root is '{root.tag}'.")
    database, note = _text(root, "source/database"), _text(root, "source/annotation")
    lost = Counter(child.tag for entry in root.iterfind("object") for child in entry if child.tag not in _OBJECT_FIELDS)
    return Annotation(
        file_name=_text(root, "filename"),
        size_wh=_size_wh(root),
        objects=tuple(_raw_object(entry) for entry in root.iterfind("object")),
        origin=note[-1] if database == DATABASE and note in ("origin 0", "origin 1") else None,
        is_labelimg=database == "Unknown" and root.find("path") is not None,
        lost=lost,
    )


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _size_wh(root: Element) -> tuple[int, int] | None:
    numbers = [to_decimal(_text(root, f"size/{side}")) for side in ("width", "height")]
    if any(number is None or not 1 <= number < 10**9 for number in numbers):
        return None
    return int(numbers[0] or 0), int(numbers[1] or 0)


def to_decimal(text: str) -> Decimal | None:
    """A number as it is written, or None for what is no finite number."""
    try:
        number = float(text)
    except ValueError:
        return None
    return Decimal(text) if math.isfinite(number) else None


def _raw_object(entry: Element) -> RawObject:
    attributes: dict[str, AttributeValue] = {
        flag: True for flag in FLAGS if _text(entry, flag).lower() in ("1", "true", "yes")
    }
    if (pose := _text(entry, "pose")) not in ("", "Unspecified"):
        attributes["pose"] = pose
    for pair in entry.iterfind("attributes/attribute"):
        if name := pair.findtext("name"):
            attributes[name] = _attribute(pair.find("value"))
    corners = tuple(_text(entry, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax"))
    return RawObject(_text(entry, "name"), corners, attributes)


def _attribute(value: Element | None) -> AttributeValue:
    text = (value.text or "") if value is not None else ""
    try:
        match value.get("type") if value is not None else None:
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
    """An annotation as JSON holds it."""
    objects = [[found.class_name, found.corners, found.attributes] for found in annotation.objects]
    return [annotation.file_name, annotation.size_wh, objects, annotation.origin]


def unpack(packed: list[Any]) -> Annotation:
    """What was packed, but for what only the set as a whole is asked for."""
    file_name, size_wh, objects, origin = packed
    made = tuple(RawObject(name, tuple(corners), attributes) for name, corners, attributes in objects)
    return Annotation(file_name, tuple(size_wh) if size_wh else None, made, origin)


class Seen:
    """What the annotations of a set, which come one after another, say together.

    Attributes:
        lost: how often there are fields that are not read.
        areas: of boxes, by class; of the first ten thousand of each.
    """

    def __init__(self) -> None:
        self.lost: Counter[str] = Counter()
        self.areas: dict[str, array[float]] = {}
        self._origins: set[str | None] = set()
        self._all_labelimg, self._below_1 = True, False
        self._numbers = self._fractions = 0

    def add(self, annotation: Annotation) -> None:
        self.lost.update(annotation.lost)
        for found in annotation.objects:
            areas, xyxy = self.areas.setdefault(found.class_name, array("d")), _corners(found.corners, 0)
            if xyxy is not None and len(areas) < _MOST_AREAS:
                areas.append(abs((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])))
            for number in (one for one in map(to_decimal, found.corners[:2]) if one is not None):
                self._numbers += 1
                self._fractions += number != number.to_integral_value()
                self._below_1 = self._below_1 or number < 1
        if annotation.objects:
            self._origins.add(annotation.origin)
            self._all_labelimg = self._all_labelimg and annotation.is_labelimg

    def origin(self) -> tuple[str, str]:
        """The origin of the set, 0 or 1, and the reason in words.

        The devkit's pixels count from 1, both ends included, so no coordinate can be less than 1. labelImg counts from
        0 but raises 0 to 1 when it saves, so its sets show no 0 either; it is known by its ``path`` element and its
        database 'Unknown'.
        """
        stated = next(iter(self._origins), None)
        if stated is not None and len(self._origins) == 1:
            return stated, ""
        if self._below_1:
            return "0", "a coordinate is below 1"
        if self._origins and self._all_labelimg:
            return "0", "the files are by labelImg, which counts from 0 and writes 1 for 0"
        if self._fractions * 2 > self._numbers:
            return "0", "most coordinates have fractions, and the devkit's are whole"
        return "1", "no coordinate is below 1, as in the devkit"

    def small(self) -> dict[str, float]:
        """For each class of enough objects the area below which a box is far smaller than the others."""
        return {name: _SMALL_FOR_CLASS * median(found) for name, found in self.areas.items() if len(found) >= 20}


def _corners(texts: Sequence[str], origin: int) -> BoundsXYXY | None:
    """Corners with the origin taken off xmin and ymin; exact, because it is done on the decimal digits."""
    numbers = [number for text in texts if (number := to_decimal(text)) is not None]
    if len(numbers) != len(texts):
        return None
    xmin, ymin, xmax, ymax = numbers
    first = Decimal(origin)
    return float(EXACT.subtract(xmin, first)), float(EXACT.subtract(ymin, first)), float(xmax), float(ymax)


class ObjectReader:
    """Turns the objects of a file into ours; repairs and suspicions go to the report."""

    def __init__(self, origin: int, small: Mapping[str, float], report: Report) -> None:
        self._origin = origin
        self._small = small
        self._report = report

    def objects(self, annotation: Annotation, key: str, size_wh: tuple[int, int] | None) -> Objects:
        """The objects of one image; their ids are their places in the file, from 1."""
        made = []
        for position, raw in enumerate(annotation.objects, 1):
            box = self._box(raw, key, str(position), size_wh)
            if box is not None:
                made.append(Object(str(position), raw.class_name, box, attributes=raw.attributes))
        notice_duplicates(made, key, self._report)
        return tuple(made)

    def _box(self, raw: RawObject, key: str, object_id: str, size_wh: tuple[int, int] | None) -> Box | None:
        def add(action: Action, reason: str, detail: str) -> None:
            self._report.add(action, reason, key=key, object_id=object_id, detail=detail)

        if not raw.class_name:
            add(Action.DROPPED, "object without a class", "")
            return None
        xyxy = _corners(raw.corners, self._origin)
        if xyxy is None:
            add(Action.DROPPED, "box with numbers that are not finite", repr(raw.corners))
            return None
        box = fit_box(xyxy, size_wh, self._report, key=key, object_id=object_id, swap=True)
        if box is not None and size_wh and box.area() < TINY_SHARE * size_wh[0] * size_wh[1]:
            add(Action.NOTICED, "tiny box", f"{box.area():g} pixels, less than 0.2 % of the image")
        elif box is not None and box.area() < self._small.get(raw.class_name, 0):
            add(Action.NOTICED, "box far smaller than others of its class", f"{box.area():g} pixels")
        return box
