"""Labelled objects of an image or frame and their geometries.

Coordinates are absolute pixels as floats, with the origin at the top-left corner of the top-left pixel; angles are
clockwise degrees. Every type is frozen and validates its values on construction.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

from saccade.core.errors import InvalidValueError

Point = tuple[float, float]
Ring = tuple[Point, ...]
AttributeValue = str | int | float | bool
BoundsXYXY = tuple[float, float, float, float]


def _finite(what: str, *numbers: float) -> None:
    if not all(map(math.isfinite, numbers)):
        raise InvalidValueError(f"{what} needs finite numbers, not {numbers}.")


def _coerce_floats(what: str, instance: object, *names: str) -> None:
    """Convert fields to plain floats, so that 1, 1.0 and numpy floats are equal and have the same JSON text."""
    for name in names:
        value = getattr(instance, name)
        if type(value) is not float:
            try:
                object.__setattr__(instance, name, float(value))
            except (TypeError, ValueError):
                raise InvalidValueError(f"{what} needs a number for {name}, not {value!r}.") from None


def _integers(what: str, values: Iterable[int]) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, values))
    except TypeError as error:
        raise InvalidValueError(f"{what} needs whole numbers: {error}.") from None


def _points(what: str, points: Iterable[Iterable[float]], at_least: int) -> tuple[Point, ...]:
    try:
        pairs = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(f"{what} needs pairs of numbers: {error}.") from None
    if len(pairs) < at_least:
        raise InvalidValueError(f"{what} needs at least {at_least} points, not {len(pairs)}.")
    _finite(what, *(number for pair in pairs for number in pair))
    return pairs


def _bounds(points: Iterable[Point]) -> BoundsXYXY:
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _ring_area(ring: Ring) -> float:
    following = (*ring[1:], ring[0])
    return abs(math.fsum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(ring, following, strict=True))) / 2


def _merged_runs(counts: list[int]) -> tuple[int, ...]:
    # A first run of background may be empty.
    if 0 not in counts[1:]:
        return () if counts == [0] else tuple(counts)
    merged: list[int] = []
    for index, count in enumerate(counts):
        if index and not count:
            continue
        if index % 2 == len(merged) % 2:
            merged.append(count)
        else:
            merged[-1] += count
    return tuple(merged) if merged != [0] else ()


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned box with ``x1 <= x2`` and ``y1 <= y2``."""

    type: ClassVar[str] = "box"
    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not (type(self.x1) is type(self.y1) is type(self.x2) is type(self.y2) is float):
            _coerce_floats("A box", self, "x1", "y1", "x2", "y2")
        if not (-math.inf < self.x1 <= self.x2 < math.inf and -math.inf < self.y1 <= self.y2 < math.inf):
            raise InvalidValueError(
                f"A box needs finite x1 <= x2 and y1 <= y2, not {(self.x1, self.y1, self.x2, self.y2)}."
            )

    def bounds_xyxy(self) -> BoundsXYXY:
        return self.x1, self.y1, self.x2, self.y2

    def area(self) -> float:
        return (self.x2 - self.x1) * (self.y2 - self.y1)


@dataclass(frozen=True, slots=True)
class RotatedBox:
    """A box of ``width`` x ``height`` around its centre, rotated clockwise by ``angle`` degrees."""

    type: ClassVar[str] = "rotated_box"
    cx: float
    cy: float
    width: float
    height: float
    angle: float

    def __post_init__(self) -> None:
        _coerce_floats("A rotated box", self, "cx", "cy", "width", "height", "angle")
        _finite("A rotated box", self.cx, self.cy, self.width, self.height, self.angle)
        if self.width < 0 or self.height < 0:
            raise InvalidValueError(f"A rotated box needs sides >= 0, not {self.width} x {self.height}.")

    def corners(self) -> Ring:
        """Return the four corners clockwise on screen, starting with the one that is top-left at angle 0."""
        cos = math.cos(math.radians(self.angle))
        sin = math.sin(math.radians(self.angle))
        half = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
        sides = [(fx * self.width, fy * self.height) for fx, fy in half]
        return tuple((self.cx + dx * cos - dy * sin, self.cy + dx * sin + dy * cos) for dx, dy in sides)

    def bounds_xyxy(self) -> BoundsXYXY:
        return _bounds(self.corners())

    def area(self) -> float:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Polygon:
    """One or several parts, each an outer ring followed by its holes; rings do not repeat their first point."""

    type: ClassVar[str] = "polygon"
    parts: tuple[tuple[Ring, ...], ...]

    def __post_init__(self) -> None:
        parts = tuple(tuple(_points("A ring of a polygon", ring, 3) for ring in part) for part in self.parts)
        if not parts or not all(parts):
            raise InvalidValueError("A polygon needs at least one part, and each part an outer ring.")
        object.__setattr__(self, "parts", parts)

    @classmethod
    def simple(cls, points: Iterable[Iterable[float]]) -> Polygon:
        """Create a polygon from one ring without holes."""
        return cls(((_points("A ring of a polygon", points, 3),),))

    def bounds_xyxy(self) -> BoundsXYXY:
        return _bounds(point for part in self.parts for point in part[0])

    def area(self) -> float:
        return math.fsum(max(0.0, _ring_area(part[0]) - math.fsum(map(_ring_area, part[1:]))) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Mask:
    """A binary mask of an image of ``width`` x ``height`` pixels.

    ``counts`` are run lengths in column-major order, starting with background, as in COCO's uncompressed RLE. Empty
    runs are merged (except a first run of background), so that equal pixels give equal masks.
    """

    type: ClassVar[str] = "mask"
    width: int
    height: int
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        width, height, *counts = _integers("A mask", (self.width, self.height, *self.counts))
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "height", height)
        object.__setattr__(self, "counts", _merged_runs(counts))
        if min(width, height, *counts, 0) < 0:
            raise InvalidValueError(
                f"A mask needs sizes and counts >= 0, not {width} x {height} with counts from {min(counts, default=0)}."
            )
        if sum(self.counts) != self.width * self.height:
            raise InvalidValueError(
                f"The counts of a mask of {self.width} x {self.height} must add up to "
                f"{self.width * self.height} pixels, not {sum(self.counts)}."
            )

    def bounds_xyxy(self) -> BoundsXYXY:
        x1, y1, x2, y2 = self.width, self.height, 0, 0
        start = 0
        for index, count in enumerate(self.counts):
            if index % 2 and count:
                last = start + count - 1
                first_column, last_column = start // self.height, last // self.height
                x1, x2 = min(x1, first_column), max(x2, last_column + 1)
                # A run that spans columns touches the bottom of one and the top of the next.
                spans_columns = first_column != last_column
                y1 = 0 if spans_columns else min(y1, start % self.height)
                y2 = self.height if spans_columns else max(y2, last % self.height + 1)
            start += count
        return (float(x1), float(y1), float(x2), float(y2)) if x2 else (0.0, 0.0, 0.0, 0.0)

    def area(self) -> float:
        return float(sum(self.counts[1::2]))


@dataclass(frozen=True, slots=True)
class Polyline:
    """An open line through two or more points."""

    type: ClassVar[str] = "polyline"
    points: Ring

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points("A polyline", self.points, 2))

    def bounds_xyxy(self) -> BoundsXYXY:
        return _bounds(self.points)

    def area(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Points:
    """One or more points that belong to one object."""

    type: ClassVar[str] = "points"
    points: Ring

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points("Points", self.points, 1))

    def bounds_xyxy(self) -> BoundsXYXY:
        return _bounds(self.points)

    def area(self) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The points of a skeleton, in the order of the class's keypoint names.

    Attributes:
        points: one point for each keypoint name.
        visibility: for each point 0 (not labelled), 1 (labelled but hidden) or 2 (visible), as in COCO.
        box: labelled extent of the whole object; if None, the labelled points give the bounds.
        region_area: area of the object in pixels if the source states it; COCO scales keypoint similarity by it.
    """

    type: ClassVar[str] = "keypoints"
    points: Ring
    visibility: tuple[int, ...]
    box: Box | None = None
    region_area: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _points("Keypoints", self.points, 1))
        object.__setattr__(self, "visibility", _integers("A visibility", self.visibility))
        if len(self.visibility) != len(self.points) or not set(self.visibility) <= {0, 1, 2}:
            raise InvalidValueError(
                f"Keypoints need a visibility of 0, 1 or 2 for each of {len(self.points)} points, "
                f"not {self.visibility}."
            )
        if self.region_area is not None:
            _coerce_floats("Keypoints", self, "region_area")
            if not 0 <= self.region_area < math.inf:
                raise InvalidValueError(f"Keypoints need a finite region_area >= 0, not {self.region_area}.")

    def bounds_xyxy(self) -> BoundsXYXY:
        if self.box is not None:
            return self.box.bounds_xyxy()
        labelled = [point for point, visible in zip(self.points, self.visibility, strict=True) if visible]
        return _bounds(labelled) if labelled else (0.0, 0.0, 0.0, 0.0)

    def area(self) -> float:
        if self.region_area is not None:
            return self.region_area
        x1, y1, x2, y2 = self.bounds_xyxy()
        return (x2 - x1) * (y2 - y1)


@dataclass(frozen=True, slots=True)
class Ellipse:
    """An ellipse with radii ``rx`` and ``ry`` around its centre, rotated clockwise by ``angle`` degrees."""

    type: ClassVar[str] = "ellipse"
    cx: float
    cy: float
    rx: float
    ry: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        _coerce_floats("An ellipse", self, "cx", "cy", "rx", "ry", "angle")
        _finite("An ellipse", self.cx, self.cy, self.rx, self.ry, self.angle)
        if self.rx < 0 or self.ry < 0:
            raise InvalidValueError(f"An ellipse needs radii >= 0, not {self.rx} and {self.ry}.")

    def bounds_xyxy(self) -> BoundsXYXY:
        cos = math.cos(math.radians(self.angle))
        sin = math.sin(math.radians(self.angle))
        dx = math.hypot(self.rx * cos, self.ry * sin)
        dy = math.hypot(self.rx * sin, self.ry * cos)
        return self.cx - dx, self.cy - dy, self.cx + dx, self.cy + dy

    def area(self) -> float:
        return math.pi * self.rx * self.ry


Geometry = Box | RotatedBox | Polygon | Mask | Polyline | Points | Keypoints | Ellipse
GEOMETRY_TYPES: Mapping[str, type[Geometry]] = MappingProxyType(
    {cls.type: cls for cls in (Box, RotatedBox, Polygon, Mask, Polyline, Points, Keypoints, Ellipse)}
)


@dataclass(frozen=True, slots=True)
class Object:
    """One labelled object: an id that is unique in its item, a class and one geometry.

    Some attributes have a fixed meaning: ``crowd`` (a region of many objects, ignored by evaluation), ``difficult``,
    ``truncated`` and ``occluded``, all bool.
    """

    id: str
    class_name: str
    geometry: Geometry
    score: float | None = None
    track: str | None = None
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.id or not self.class_name:
            raise InvalidValueError(f"An object needs an id and a class, not {self.id!r} and {self.class_name!r}.")
        if self.score is not None:
            _coerce_floats("An object", self, "score")
            if not math.isfinite(self.score):
                raise InvalidValueError(f"A score must be finite, not {self.score}.")
        # Copy: the caller's mapping may change later, and a mapping proxy cannot be sent to another process.
        object.__setattr__(self, "attributes", dict(self.attributes))

    @property
    def is_crowd(self) -> bool:
        return bool(self.attributes.get("crowd", False))


Objects = tuple[Object, ...]
"""The objects of one item: ``()`` is "reviewed and empty"; ``None`` in its place is "not labelled yet"."""
