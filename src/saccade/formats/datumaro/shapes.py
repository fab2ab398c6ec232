"""Annotations of Datumaro, in both directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import coco_string_to_counts, counts_to_coco_string
from saccade.core.objects import (
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
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, get_list, get_mapping, saccade_extra, to_float
from saccade.formats.base import SizeWH

_VISIBLE = 2


class ShapeReader:
    """Reads the objects of one image."""

    def __init__(self, report: ConversionReport, key: str, size_wh: SizeWH | None) -> None:
        self._report = report
        self._key = key
        self._size_wh = size_wh

    def read(self, annotation: Json, object_id: str, class_name: str) -> Object | None:
        """Return the object of an annotation; None, and reported, if it is unusable.

        Args:
            annotation: may have the points of several polygons as ``parts``.
            object_id: the object's id.
            class_name: "" if the annotation has no class.
        """
        if not class_name:
            self._drop("object without a class", object_id)
            return None
        read_geometry = self._geometry_readers.get(str(annotation.get("type")))
        if read_geometry is None:
            self._drop("shape of a kind that is not known", object_id, repr(annotation.get("type")))
            return None
        try:
            geometry = read_geometry(self, annotation, object_id)
        except (InvalidValueError, TypeError, ValueError, OverflowError) as error:
            self._drop("object without a usable shape", object_id, str(error))
            return None
        if geometry is None:
            return None
        attributes = scalar_attributes(
            get_mapping(annotation, "attributes"), self._report, key=self._key, object_id=object_id
        )
        score = to_float(attributes.get("score"))
        has_score = math.isfinite(score)
        if has_score:
            del attributes["score"]
        track = attributes.pop("track_id", "")
        return Object(
            object_id,
            class_name,
            geometry,
            score if has_score else None,
            None if track == "" else str(track),
            attributes,
        )

    def _drop(self, reason: str, object_id: str, detail: str = "") -> None:
        self._report.add(FindingType.DROPPED, reason, key=self._key, object_id=object_id, detail=detail[:200])

    def _read_box(self, annotation: Json, object_id: str) -> Geometry | None:
        x, y, width, height = (to_float(side) for side in get_list(annotation, "bbox"))
        xyxy = (x, y, x + width, y + height)
        return fit_box(xyxy, self._size_wh, self._report, key=self._key, object_id=object_id)

    def _read_rotated_box(self, annotation: Json, object_id: str) -> Geometry:
        cx, cy, width, height, angle = (to_float(side) for side in get_list(annotation, "rotated_bbox"))
        return RotatedBox(cx, cy, width, height, angle)

    def _read_polygon(self, annotation: Json, object_id: str) -> Geometry:
        parts = annotation.get("parts", [annotation.get("points")])
        return Polygon(tuple((_read_points(part),) for part in parts))

    def _read_mask(self, annotation: Json, object_id: str) -> Geometry:
        rle = get_mapping(annotation, "rle")
        height, width = (int(to_float(side)) for side in rle.get("size", (0, 0)))
        counts = rle.get("counts")
        return Mask(width, height, coco_string_to_counts(counts) if isinstance(counts, str) else tuple(counts or ()))

    def _read_polyline(self, annotation: Json, object_id: str) -> Geometry:
        return Polyline(_read_points(annotation.get("points")))

    def _read_points(self, annotation: Json, object_id: str) -> Geometry:
        points = _read_points(annotation.get("points"))
        visibility = annotation.get("visibility")
        # Datumaro has one type for both: points that are all visible could be either.
        has_hidden = isinstance(visibility, list) and set(visibility) - {_VISIBLE}
        if saccade_extra(annotation).get("keypoints") or has_hidden:
            return Keypoints(points, tuple(int(value) for value in visibility or [_VISIBLE] * len(points)))
        return Points(points)

    def _read_ellipse(self, annotation: Json, object_id: str) -> Geometry:
        x1, y1, x2, y2 = (to_float(side) for side in get_list(annotation, "points"))
        return Ellipse((x1 + x2) / 2, (y1 + y2) / 2, (x2 - x1) / 2, (y2 - y1) / 2, 0.0)

    _geometry_readers: ClassVar[Mapping[str, Callable[[ShapeReader, Json, str], Geometry | None]]] = {
        "bbox": _read_box,
        "rotated_bbox": _read_rotated_box,
        "polygon": _read_polygon,
        "mask": _read_mask,
        "polyline": _read_polyline,
        "points": _read_points,
        "ellipse": _read_ellipse,
    }


def _read_points(coordinates: Any) -> tuple[Point, ...]:
    if not isinstance(coordinates, list) or len(coordinates) % 2:
        raise InvalidValueError("Points need as many x as y.")
    return tuple((to_float(x), to_float(y)) for x, y in zip(coordinates[::2], coordinates[1::2], strict=True))


def target_type(geometry: Geometry) -> str:
    """Return the type that an unsupported geometry is converted to; "" if it is supported."""
    match geometry:
        case Polygon() if any(len(part) > 1 for part in geometry.parts):
            return "mask"
        case Ellipse() if geometry.angle != 0:
            return "polygon"
        case Keypoints() if geometry.box is not None or geometry.region_area is not None:
            return "points"
        case _:
            return ""


def encode_geometry(geometry: Geometry) -> tuple[str, list[Json]]:
    """Return the type of the annotations of a supported geometry, and the fields of each.

    Only polygons of several parts have several annotations.
    """
    if isinstance(geometry, Polygon):
        return "polygon", [{"points": _flatten(part[0])} for part in geometry.parts]
    type_name, fields = _encode_single(geometry)
    return type_name, [fields]


def _encode_single(geometry: Geometry) -> tuple[str, Json]:
    match geometry:
        case RotatedBox(cx, cy, width, height, angle):
            return "rotated_bbox", {"rotated_bbox": [cx, cy, width, height, angle]}
        case Mask():
            rle = {"counts": counts_to_coco_string(geometry.counts), "size": [geometry.height, geometry.width]}
            return "mask", {"rle": rle}
        case Polyline():
            return "polyline", {"points": _flatten(geometry.points)}
        case Points() | Keypoints():
            return "points", _encode_points(geometry)
        case Ellipse():
            return "ellipse", {"points": list(geometry.bounds_xyxy())}
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return "bbox", {"bbox": [x1, y1, x2 - x1, y2 - y1]}


def _encode_points(geometry: Points | Keypoints) -> Json:
    points = _flatten(geometry.points)
    if isinstance(geometry, Points):
        return {"points": points, "visibility": [_VISIBLE] * len(geometry.points)}
    return {"points": points, "visibility": list(geometry.visibility), "saccade": {"keypoints": True}}


def _flatten(points: Sequence[Point]) -> list[float]:
    return [coordinate for point in points for coordinate in point]
