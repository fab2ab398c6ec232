"""The shapes of CVAT's XML."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_from_array
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
from saccade.formats._common.boxes import fit_box

SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "skeleton", "cuboid"})
_MAX_PIXELS = 1 << 28


@dataclass
class Labels:
    """What the head of a file says of the labels: their order, colours, attribute types and the points of skeletons."""

    classes: list[str] = field(default_factory=list)
    colors: dict[str, str] = field(default_factory=dict)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    parts: dict[str, list[str]] = field(default_factory=dict)
    source: str = ""
    """The name of the video that was labelled."""
    of_video: bool = False

    @classmethod
    def of(cls, meta: Element) -> Labels:
        """The labels under any task, job or project of the head."""
        source, mode = (
            next((found.text or "" for found in meta.iter(name)), "").strip() for name in ("source", "mode")
        )
        made = cls(source=source, of_video=mode == "interpolation")
        for label in meta.iter("label"):
            name, parent = (label.findtext("name") or "").strip(), (label.findtext("parent") or "").strip()
            if name and parent:
                made.parts.setdefault(parent, []).append(name)
            elif name and name not in made.classes:
                made.classes.append(name)
                color = (label.findtext("color") or "").strip().lower()
                if len(color) == 7 and color.startswith("#"):
                    made.colors[name] = color
            for attribute in label.iter("attribute"):
                made.types[name, (attribute.findtext("name") or "").strip()] = attribute.findtext("input_type") or ""
        return made

    def points_of(self, name: str) -> tuple[str, ...]:
        return tuple(self.parts.get(name, ()))


@dataclass(frozen=True)
class ShapeReader:
    """Reads the shapes of one image."""

    report: Report
    key: str
    size_wh: tuple[int, int] | None
    labels: Labels

    def read(self, shape: Element, object_id: str, track: str | None = None) -> Object | None:
        """An object, or None, reported, where the shape cannot be used."""
        name = shape.get("label") or ""
        if not name:
            self._add(Action.DROPPED, "object without a class", object_id)
            return None
        try:
            geometry = self._geometry(shape, object_id, name)
        except (InvalidValueError, ValueError) as error:
            self._add(Action.DROPPED, "object without a usable shape", object_id, f"{shape.tag}: {error}")
            return None
        if geometry is None:
            return None
        return Object(object_id, name, geometry, None, track, self._attributes(shape, name, object_id))

    def _add(self, action: Action, reason: str, object_id: str, detail: str = "") -> None:
        self.report.add(action, reason, key=self.key, object_id=object_id, detail=detail[:200])

    def _geometry(self, shape: Element, object_id: str, name: str) -> Geometry | None:
        match shape.tag:
            case "box":
                return self._box(shape, object_id)
            case "mask":
                return self._mask(shape)
            case "skeleton":
                return self._skeleton(shape, self.labels.points_of(name))
            case "cuboid":
                self._add(Action.DROPPED, "shape of a kind that is not known", object_id, shape.tag)
                return None
            case _:
                return _plain_geometry(shape)

    def _box(self, shape: Element, object_id: str) -> Geometry | None:
        x1, y1, x2, y2 = (number(shape, side) for side in ("xtl", "ytl", "xbr", "ybr"))
        angle = number(shape, "rotation", 0.0)
        if angle:
            return RotatedBox((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, angle)
        return fit_box((x1, y1, x2, y2), self.size_wh, self.report, key=self.key, object_id=object_id, swap=True)

    def _mask(self, shape: Element) -> Mask:
        if self.size_wh is None:
            raise InvalidValueError("A mask needs an image of known size.")
        left, top, width, height = (int(number(shape, side)) for side in ("left", "top", "width", "height"))
        runs = [int(run) for run in (shape.get("rle") or "").split(",")]
        if width <= 0 or height <= 0 or width * height > _MAX_PIXELS or min(runs) < 0 or sum(runs) != width * height:
            raise InvalidValueError(f"Its runs do not fill {width} x {height} pixels.")
        part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        whole_width, whole_height = self.size_wh
        if left < 0 or top < 0 or left + width > whole_width or top + height > whole_height:
            raise InvalidValueError("It reaches over the edge of the image.")
        pixels = np.zeros((whole_height, whole_width), np.bool_)
        pixels[top : top + height, left : left + width] = part
        return mask_from_array(pixels)

    def _skeleton(self, shape: Element, names: Sequence[str]) -> Keypoints:
        found = {point.get("label") or str(at): point for at, point in enumerate(shape.iter("points"), 1)}
        where: list[Point] = []
        seen: list[int] = []
        for name in names or found:
            point = found.get(name)
            pairs = points_of(point) if point is not None else []
            hidden = point is None or point.get("outside") == "1" or not pairs
            where.append(pairs[0] if pairs else (0.0, 0.0))
            seen.append(0 if hidden else 1 if point is not None and point.get("occluded") == "1" else 2)
        return Keypoints(tuple(where), tuple(seen))

    def _attributes(self, shape: Element, name: str, object_id: str) -> Mapping[str, AttributeValue]:
        made: dict[str, AttributeValue] = {}
        if shape.get("occluded") == "1":
            made["occluded"] = True
        for whole in ("z_order", "group_id"):
            text = shape.get(whole) or "0"
            if text.lstrip("-").isdecimal() and int(text):
                made[whole] = int(text)
        if (source := shape.get("source") or "manual") != "manual":
            made["source"] = source
        for attribute in shape.findall("attribute"):
            what = attribute.get("name") or ""
            made[what] = typed(attribute.text or "", self.labels.types.get((name, what), ""))
        return made


def _plain_geometry(shape: Element) -> Geometry:
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (number(shape, side) for side in ("cx", "cy", "rx", "ry"))
        return Ellipse(cx, cy, rx, ry, number(shape, "rotation", 0.0))
    points = points_of(shape)
    if shape.tag == "polygon":
        return Polygon.simple(points)
    return Polyline(tuple(points)) if shape.tag == "polyline" else Points(tuple(points))


def typed(text: str, input_type: str) -> AttributeValue:
    """The value of an attribute by the type that the head states; text where it does not fit.

    >>> typed("true", "checkbox"), typed("2", "number"), typed("2", "select")
    (True, 2, '2')
    """
    if input_type == "checkbox" and text in ("true", "false"):
        return text == "true"
    if input_type == "number":
        try:
            value = float(text)
        except ValueError:
            return text
        if math.isfinite(value):
            return int(text) if text.lstrip("-").isdecimal() else value
    return text


def number(shape: Element, name: str, default: float | None = None) -> float:
    """A finite number of an XML attribute; InvalidValueError where it is none."""
    text = shape.get(name)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidValueError(f"'{name}' is {text!r}, which is no finite number.")
    return value


def points_of(shape: Element) -> list[Point]:
    """The points of ``points="x,y;x,y"``."""
    made = []
    for pair in (shape.get("points") or "").split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise InvalidValueError(f"A point is 'x,y', not {pair[:40]!r}.")
        made.append((float(x), float(y)))
    return made


@dataclass(frozen=True)
class Track:
    """The shapes of one thing through a video, by frame in order; those that end it are ``outside``."""

    id: str
    label: str
    frames: tuple[int, ...]
    shapes: tuple[Element, ...]

    @property
    def last(self) -> int:
        return self.frames[-1] if self.frames else -1

    def at(self, frame: int) -> Element | None:
        """The shape in a frame, in a straight line between those that the file names; None where it is outside."""
        place = bisect_right(self.frames, frame) - 1
        if place < 0 or self.shapes[place].get("outside") == "1":
            return None
        before = self.shapes[place]
        if self.frames[place] == frame:
            return before
        if place + 1 == len(self.shapes):
            return None if before.get("keyframe") == "0" else before
        after = self.shapes[place + 1]
        share = (frame - self.frames[place]) / (self.frames[place + 1] - self.frames[place])
        return _between(before, after, share) if after.get("outside") != "1" else before


def read_track(element: Element, report: Report) -> Track:
    """A track with its shapes in the order of their frames."""
    track, label = element.get("id") or "", element.get("label") or ""
    found: dict[int, Element] = {}
    for shape in element:
        frame = shape.get("frame") or ""
        if shape.tag in SHAPES and frame.isdecimal():
            shape.set("label", label)
            found[int(frame)] = shape
        else:
            report.add(Action.DROPPED, "shape of a track without a frame", object_id=track, detail=shape.tag)
    frames = tuple(sorted(found))
    return Track(track, label, frames, tuple(found[frame] for frame in frames))


_MOVED = ("xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry")


def _between(before: Element, after: Element, share: float) -> Element:
    """A shape part of the way from one to another; of those that cannot be mixed, the first."""
    made = Element(before.tag, dict(before.attrib))
    made.extend(list(before))
    try:
        for name in _MOVED:
            if name in before.attrib and name in after.attrib:
                made.set(name, repr(number(before, name) * (1 - share) + number(after, name) * share))
        if "points" in before.attrib and "points" in after.attrib:
            pairs = list(zip(points_of(before), points_of(after), strict=True))
            mixed = [(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share) for a, b in pairs]
            made.set("points", ";".join(f"{x!r},{y!r}" for x, y in mixed))
    except (InvalidValueError, ValueError):
        return before
    return made
