"""The labels, shapes and tracks of CVAT's XML, read."""

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
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.frames import to_size_wh
from saccade.formats.base import SizeWH

SHAPES = frozenset({"box", "polygon", "polyline", "points", "ellipse", "mask", "skeleton", "cuboid"})
_MAX_PIXELS = 1 << 28
_BOX_SIDES = ("xtl", "ytl", "xbr", "ybr")
# XML attributes that are interpolated between key frames.
_INTERPOLATED = (*_BOX_SIDES, "cx", "cy", "rx", "ry")


@dataclass
class CvatLabels:
    """The labels in the header of a file.

    Attributes:
        classes: names, in order.
        colors: ``#rrggbb`` by class.
        types: CVAT's input types, by class and attribute.
        keypoints: names of the points of skeletons, by class.
        source: file name of the video that was labelled.
        of_video: whether the task was made for a video.
        stated_wh: size of the frames of a video.
    """

    classes: list[str] = field(default_factory=list)
    colors: dict[str, str] = field(default_factory=dict)
    types: dict[tuple[str, str], str] = field(default_factory=dict)
    keypoints: dict[str, list[str]] = field(default_factory=dict)
    source: str = ""
    of_video: bool = False
    stated_wh: SizeWH | None = None

    @classmethod
    def from_meta(cls, meta: Element) -> CvatLabels:
        """Read the labels of any task, job or project in the header."""
        source = _first_text(meta, "source")
        result = cls(source=source, of_video=_first_text(meta, "mode") == "interpolation")
        for size in meta.iter("original_size"):
            result.stated_wh = to_size_wh(size.findtext("width"), size.findtext("height"))
        for label in meta.iter("label"):
            name = (label.findtext("name") or "").strip()
            parent = (label.findtext("parent") or "").strip()
            if name and parent:
                result.keypoints.setdefault(parent, []).append(name)
            elif name and name not in result.classes:
                result.classes.append(name)
                color = (label.findtext("color") or "").strip().lower()
                if len(color) == 7 and color.startswith("#"):
                    result.colors[name] = color
            for attribute in label.iter("attribute"):
                attribute_name = (attribute.findtext("name") or "").strip()
                result.types[name, attribute_name] = attribute.findtext("input_type") or ""
        return result

    def keypoints_of(self, name: str) -> tuple[str, ...]:
        return tuple(self.keypoints.get(name, ()))


def _first_text(element: Element, tag: str) -> str:
    return next((child.text or "" for child in element.iter(tag)), "").strip()


@dataclass(frozen=True)
class ShapeReader:
    """Converts the shapes of one image to objects."""

    report: ConversionReport
    key: str
    size_wh: SizeWH | None
    labels: CvatLabels

    def read(self, shape: Element, object_id: str, track: str | None = None) -> Object | None:
        """Convert a shape.

        Args:
            track: name of the shape's track, if it belongs to one.

        Returns:
            None, and reported, if the shape cannot be used.
        """
        name = shape.get("label") or ""
        if not name:
            self._add(FindingType.DROPPED, "object without a class", object_id)
            return None
        try:
            geometry = self._geometry(shape, object_id, name)
        except (InvalidValueError, ValueError) as error:
            self._add(FindingType.DROPPED, "object without a usable shape", object_id, f"{shape.tag}: {error}")
            return None
        if geometry is None:
            return None
        return Object(object_id, name, geometry, None, track, self._attributes(shape, name))

    def _add(self, action: FindingType, reason: str, object_id: str, detail: str = "") -> None:
        self.report.add(action, reason, key=self.key, object_id=object_id, detail=detail[:200])

    def _geometry(self, shape: Element, object_id: str, name: str) -> Geometry | None:
        match shape.tag:
            case "box":
                return self._box(shape, object_id)
            case "mask":
                return self._mask(shape)
            case "skeleton":
                return _skeleton(shape, self.labels.keypoints_of(name))
            case "cuboid":
                self._add(FindingType.DROPPED, "shape of a kind that is not known", object_id, shape.tag)
                return None
            case _:
                return _plain_geometry(shape)

    def _box(self, shape: Element, object_id: str) -> Geometry | None:
        x1, y1, x2, y2 = (get_float(shape, side) for side in _BOX_SIDES)
        angle = get_float(shape, "rotation", 0.0)
        if angle:
            return RotatedBox((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, angle)
        return fit_box((x1, y1, x2, y2), self.size_wh, self.report, key=self.key, object_id=object_id, swap=True)

    def _mask(self, shape: Element) -> Mask:
        if self.size_wh is None:
            raise InvalidValueError("A mask needs an image of known size.")
        left, top, width, height = (int(get_float(shape, side)) for side in ("left", "top", "width", "height"))
        runs = [int(run) for run in (shape.get("rle") or "").split(",")]
        if width <= 0 or height <= 0 or width * height > _MAX_PIXELS or min(runs) < 0 or sum(runs) != width * height:
            raise InvalidValueError(f"Its runs do not fill {width} x {height} pixels.")
        # The run lengths are of the part within the bounds, row by row, and begin with the background.
        part = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
        image_width, image_height = self.size_wh
        if left < 0 or top < 0 or left + width > image_width or top + height > image_height:
            raise InvalidValueError("It reaches over the edge of the image.")
        pixels = np.zeros((image_height, image_width), np.bool_)
        pixels[top : top + height, left : left + width] = part
        return mask_from_array(pixels)

    def _attributes(self, shape: Element, name: str) -> Mapping[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {}
        if shape.get("occluded") == "1":
            attributes["occluded"] = True
        for integer in ("z_order", "group_id"):
            text = shape.get(integer) or "0"
            if text.lstrip("-").isdecimal() and int(text):
                attributes[integer] = int(text)
        if (source := shape.get("source") or "manual") != "manual":
            attributes["source"] = source
        for element in shape.findall("attribute"):
            attribute = element.get("name") or ""
            attributes[attribute] = parse_attribute(element.text or "", self.labels.types.get((name, attribute), ""))
        return attributes


def _skeleton(shape: Element, names: Sequence[str]) -> Keypoints:
    elements = {point.get("label") or str(position): point for position, point in enumerate(shape.iter("points"), 1)}
    if not elements:
        # Without elements, the places are those of all points, in the order of their names.
        flat = parse_points(shape)
        if names and len(flat) != len(names):
            raise InvalidValueError(f"It has {len(flat)} points for {len(names)} names.")
        return Keypoints(tuple(flat), (1 if shape.get("occluded") == "1" else 2,) * len(flat))
    if not any(parse_points(element) for element in elements.values() if element.get("points")):
        raise InvalidValueError("None of its points has a place.")
    points: list[Point] = []
    visibility: list[int] = []
    for name in names or elements:
        element = elements.get(name)
        coordinates = parse_points(element) if element is not None and element.get("points") else []
        points.append(coordinates[0] if coordinates else (0.0, 0.0))
        if element is None or element.get("outside") == "1" or not coordinates:
            visibility.append(0)
        else:
            visibility.append(1 if element.get("occluded") == "1" else 2)
    return Keypoints(tuple(points), tuple(visibility))


def _plain_geometry(shape: Element) -> Geometry:
    if shape.tag == "ellipse":
        cx, cy, rx, ry = (get_float(shape, name) for name in ("cx", "cy", "rx", "ry"))
        return Ellipse(cx, cy, rx, ry, get_float(shape, "rotation", 0.0))
    points = parse_points(shape)
    if shape.tag == "polygon":
        return Polygon.simple(points)
    return Polyline(tuple(points)) if shape.tag == "polyline" else Points(tuple(points))


def parse_attribute(text: str, input_type: str) -> AttributeValue:
    """Parse an attribute's value by the type that the header states; text that does not fit remains text.

    >>> parse_attribute("true", "checkbox"), parse_attribute("2", "number"), parse_attribute("2", "select")
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


def get_float(shape: Element, name: str, default: float | None = None) -> float:
    """Return an XML attribute as a number.

    Raises:
        InvalidValueError: if it is no finite number, or missing without a default.
    """
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


def parse_points(shape: Element) -> list[Point]:
    """Parse ``points="x,y;x,y"``.

    Raises:
        InvalidValueError: if a point has no comma.
        ValueError: if a coordinate is no number.
    """
    points = []
    for pair in (shape.get("points") or "").split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise InvalidValueError(f"A point is 'x,y', not {pair[:40]!r}.")
        points.append((float(x), float(y)))
    return points


@dataclass(frozen=True)
class Track:
    """The shapes of an object in the key frames of a video.

    Attributes:
        frames: numbers of the key frames, ascending.
        shapes: the shape in each; a shape that is ``outside`` ends the track, or a part of it.
    """

    id: str
    label: str
    frames: tuple[int, ...]
    shapes: tuple[Element, ...]

    @property
    def last(self) -> int:
        return self.frames[-1] if self.frames else -1

    def shape_at(self, frame: int) -> Element | None:
        """Return the shape in a frame, linearly interpolated between key frames; None if the object is outside."""
        index = bisect_right(self.frames, frame) - 1
        if index < 0 or self.shapes[index].get("outside") == "1":
            return None
        before = self.shapes[index]
        if self.frames[index] == frame:
            return before
        if index + 1 == len(self.shapes):
            return None if before.get("keyframe") == "0" else before
        after = self.shapes[index + 1]
        if after.get("outside") == "1":
            return before
        return _interpolate(before, after, (frame - self.frames[index]) / (self.frames[index + 1] - self.frames[index]))


def read_track(element: Element, report: ConversionReport) -> Track:
    """Read a track; shapes without a frame are reported."""
    track_id = element.get("id") or ""
    label = element.get("label") or ""
    shapes = _skeleton_shapes(element)
    for shape in shapes.values():
        shape.set("label", label)
    for shape in element if not shapes else ():
        frame = shape.get("frame") or ""
        if shape.tag in SHAPES and frame.isdecimal():
            shape.set("label", label)
            shapes[int(frame)] = shape
        else:
            reason = "shape of a track without a frame"
            report.add(FindingType.DROPPED, reason, object_id=track_id, detail=shape.tag)
    frames = tuple(sorted(shapes))
    return Track(track_id, label, frames, tuple(shapes[frame] for frame in frames))


def _interpolate_skeleton(before: Element, after: Element, fraction: float) -> list[Element]:
    """Interpolate the points of a skeleton that are in both key frames; the others remain as in the first."""
    later = {point.get("label"): point for point in after.iter("points")}
    return [
        _interpolate(point, later[point.get("label")], fraction)
        if point.tag == "points" and point.get("label") in later and later[point.get("label")].get("outside") != "1"
        else point
        for point in before
    ]


def _skeleton_shapes(element: Element) -> dict[int, Element]:
    """Return the shapes of a skeleton whose points are tracks of their own, by key frame; empty if they are not.

    Each key frame of a point is one of the skeleton, with all points as they are in it.
    """
    tracks = [_point_track(child) for child in element if child.tag == "track"]
    if not tracks:
        return {}
    stated = {int(shape.get("frame") or 0): shape for shape in element if _has_frame(shape)}
    shapes: dict[int, Element] = {}
    latest = Element("skeleton", {"keyframe": "1"})
    for frame in sorted({*stated, *(frame for track in tracks for frame in track.frames)}):
        latest = stated.get(frame, latest)
        skeleton = Element("skeleton", {name: value for name, value in latest.attrib.items() if name != "points"})
        skeleton.set("frame", str(frame))
        skeleton.extend(latest.findall("attribute"))
        skeleton.extend(point for track in tracks if (point := _point_at(track, frame)) is not None)
        if "outside" not in latest.attrib:
            is_outside = all(point.get("outside") == "1" for point in skeleton.iter("points"))
            skeleton.set("outside", str(int(is_outside)))
        shapes[frame] = skeleton
    return shapes


def _has_frame(shape: Element) -> bool:
    return shape.tag in SHAPES and (shape.get("frame") or "").isdecimal()


def _point_at(track: Track, frame: int) -> Element | None:
    """Return the point of a skeleton in a frame; one that is outside keeps its last place. None before the first."""
    shape = track.shape_at(frame)
    index = bisect_right(track.frames, frame) - 1
    if shape is None and index < 0:
        return None
    attributes = dict(track.shapes[index].attrib, outside="1") if shape is None else dict(shape.attrib)
    return Element("points", {**attributes, "label": track.label})


def _point_track(element: Element) -> Track:
    points = {int(shape.get("frame") or 0): shape for shape in element if _has_frame(shape)}
    frames = tuple(sorted(points))
    return Track(element.get("id") or "", element.get("label") or "", frames, tuple(points[frame] for frame in frames))


def _interpolate(before: Element, after: Element, fraction: float) -> Element:
    """Interpolate between two shapes; shapes that differ in their points, and masks, remain as the first."""
    shape = Element(before.tag, dict(before.attrib))
    shape.extend(list(before))
    try:
        for name in _INTERPOLATED:
            if name in before.attrib and name in after.attrib:
                shape.set(name, repr(get_float(before, name) * (1 - fraction) + get_float(after, name) * fraction))
        if "points" in before.attrib and "points" in after.attrib:
            pairs = list(zip(parse_points(before), parse_points(after), strict=True))
            points = [(a[0] + (b[0] - a[0]) * fraction, a[1] + (b[1] - a[1]) * fraction) for a, b in pairs]
            shape.set("points", ";".join(f"{x!r},{y!r}" for x, y in points))
        if before.tag == "skeleton":
            shape[:] = _interpolate_skeleton(before, after, fraction)
    except (InvalidValueError, ValueError):
        return before
    return shape
