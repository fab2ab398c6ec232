"""Geometry, attributes and scores of COCO annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import coco_string_to_counts
from saccade.core.objects import AttributeValue, BoundsXYXY, Box, Geometry, Keypoints, Mask, Polygon, Ring
from saccade.core.report import ConversionReport, FindingType
from saccade.core.schema import ClassInfo
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, get_list, is_id, saccade_extra, to_float
from saccade.formats.base import SizeWH

# A stated area may differ from the box's by a hundredth and a pixel; a stated box from its shape's by a pixel.
_AREA_TOLERANCE = 0.01
_BOX_TOLERANCE = 1


class ShapeReader:
    """Reads the annotations of one image."""

    def __init__(self, report: ConversionReport, key: str, size_wh: SizeWH | None) -> None:
        self._report = report
        self._key = key
        self._size_wh = size_wh

    def _add(self, action: FindingType, reason: str, object_id: str, detail: str = "") -> None:
        self._report.add(action, reason, key=self._key, object_id=object_id, detail=detail)

    def geometry(self, entry: Json, object_id: str, info: ClassInfo) -> Geometry | None:
        """Return the geometry of an annotation: keypoints, else the segmentation, else the box.

        Args:
            entry: the annotation.
            object_id: id of the object, for the report.
            info: class of the object, with the names of its keypoints.

        Returns:
            None, and reported, if there is no usable one.
        """
        segmentation = entry.get("segmentation")
        if entry.get("keypoints"):
            keypoints = self._keypoints(entry, object_id, info)
            if keypoints is not None:
                if segmentation:
                    self._add(FindingType.DROPPED, "segmentation of an object with keypoints", object_id)
                return keypoints
        if segmentation:
            shape = self._segmentation(segmentation, object_id)
            if shape is not None:
                return self._check_shape(shape, entry, object_id)
            if "bbox" not in entry:
                self._add(FindingType.DROPPED, "object without a usable shape", object_id)
                return None
            self._add(FindingType.REPAIRED, "box taken in place of an unusable segmentation", object_id)
        return self._box(entry, object_id)

    def _box(self, entry: Json, object_id: str) -> Box | None:
        xyxy = _bbox_xyxy(entry)
        if xyxy is None:
            detail = f"bbox {entry.get('bbox')!r}"[:200]
            self._add(FindingType.DROPPED, "object without a usable shape", object_id, detail)
            return None
        box = fit_box(xyxy, self._size_wh, self._report, key=self._key, object_id=object_id)
        area = to_float(entry.get("area", 0))
        if box is None or "keypoints" in entry or not area > 0:
            return box
        if abs(area - box.area()) > _AREA_TOLERANCE * area + 1:
            detail = f"{area} for {box.area()}"
            self._add(FindingType.DROPPED, "area that is not that of the box", object_id, detail)
        return box

    def _check_shape(self, shape: Polygon | Mask, entry: Json, object_id: str) -> Polygon | Mask | None:
        """Report what is wrong with a shape; return None if it has no area."""
        bounds = shape.bounds_xyxy()
        if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            self._add(FindingType.DROPPED, "shape without area", object_id, f"bounds {bounds}")
            return None
        if "bbox" in entry:
            stated = _bbox_xyxy(entry)
            # Written so that NaN counts as a difference.
            if stated is None or any(not abs(a - b) <= _BOX_TOLERANCE for a, b in zip(stated, bounds, strict=True)):
                detail = f"bbox {stated}, shape {bounds}"
                self._add(FindingType.WARNING, "box and shape disagree", object_id, detail)
        if self._size_wh is not None:
            width, height = self._size_wh
            # A mask of another size is mapped, or dropped, when the labels are mapped to the image.
            is_polygon = isinstance(shape, Polygon)
            if is_polygon and (bounds[0] < 0 or bounds[1] < 0 or bounds[2] > width or bounds[3] > height):
                self._add(FindingType.WARNING, "shape over the edge of the image", object_id, f"bounds {bounds}")
        return shape

    def _segmentation(self, segmentation: Any, object_id: str) -> Polygon | Mask | None:
        if isinstance(segmentation, dict):
            try:
                return _mask(segmentation)
            except InvalidValueError as error:
                self._add(FindingType.DROPPED, "mask that cannot be read", object_id, str(error)[:200])
                return None
        if not isinstance(segmentation, list):
            self._add(FindingType.DROPPED, "segmentation that is neither polygons nor a mask", object_id)
            return None
        # Some writers leave out the outer list of a single ring.
        parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
        rings = [ring for part in parts if (ring := self._ring(part, object_id))]
        return Polygon(tuple((ring,) for ring in rings)) if rings else None

    def _ring(self, part: Any, object_id: str) -> Ring | None:
        numbers = [to_float(value) for value in part] if isinstance(part, list) else []
        if len(numbers) % 2 or not all(map(math.isfinite, numbers)):
            self._add(FindingType.DROPPED, "polygon that cannot be read", object_id, repr(part)[:200])
            return None
        ring = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if len(ring) > 3 and ring[0] == ring[-1]:
            self._add(FindingType.REPAIRED, "closing point of a polygon left out", object_id)
            ring = ring[:-1]
        if len(ring) < 3:
            self._add(FindingType.DROPPED, "polygon of fewer than three points", object_id, repr(part)[:200])
            return None
        return ring

    def _keypoints(self, entry: Json, object_id: str, info: ClassInfo) -> Keypoints | None:
        raw = entry["keypoints"]
        numbers = [to_float(value) for value in raw] if isinstance(raw, list) else []
        if not numbers or len(numbers) % 3 or not all(map(math.isfinite, numbers)):
            self._add(FindingType.DROPPED, "keypoints that cannot be read", object_id, repr(raw)[:200])
            return None
        points = tuple(zip(numbers[::3], numbers[1::3], strict=True))
        stated_visibility = numbers[2::3]
        if not set(stated_visibility) <= {0.0, 1.0, 2.0}:
            self._add(FindingType.REPAIRED, "visibility that is not 0, 1 or 2 taken as visible", object_id)
        visibility = tuple(int(value) if value in (0.0, 1.0) else 2 for value in stated_visibility)
        if info.keypoints and len(info.keypoints) != len(points):
            detail = f"{len(points)} for {len(info.keypoints)} names"
            self._add(FindingType.WARNING, "keypoints of another number than their class has", object_id, detail)
        # Our own writer names the fields that it derived from the points.
        derived = get_list(saccade_extra(entry), "derived")
        xyxy = _bbox_xyxy(entry) if "bbox" in entry and "bbox" not in derived else None
        box = fit_box(xyxy, self._size_wh, self._report, key=self._key, object_id=object_id) if xyxy else None
        area = to_float(entry.get("area")) if "area" not in derived else math.nan
        return Keypoints(points, visibility, box, area if 0 <= area < math.inf else None)

    def attributes(self, entry: Json, object_id: str) -> tuple[Mapping[str, AttributeValue], str | None]:
        """Return the attributes and the track of an annotation."""
        raw = entry.get("attributes")
        stated_track = entry.get("track_id")
        if not raw and not entry.get("iscrowd") and stated_track is None:
            return {}, None
        attributes: dict[str, AttributeValue] = {"crowd": True} if entry.get("iscrowd") else {}
        track: str | None = None
        # Video datasets state the track as a field of its own; CVAT, and our writer, as an attribute.
        if is_id(stated_track) and stated_track != "":
            track = str(stated_track)
        elif stated_track is not None:
            self._add(
                FindingType.DROPPED, "track that is neither text nor an integer", object_id, repr(stated_track)[:200]
            )
        for name, value in raw.items() if isinstance(raw, dict) else ():
            if name == "track_id" and isinstance(value, (str, int)):
                track = str(value)
            elif isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
                attributes[name] = value
            else:
                reason = "attribute that is not text, a number or a boolean"
                self._add(FindingType.DROPPED, reason, object_id, name)
        return attributes, track

    def score(self, entry: Json, object_id: str) -> float | None:
        """Return the score of an annotation; None, and reported, if it is no finite number."""
        score = to_float(entry["score"])
        if math.isfinite(score):
            return score
        self._add(FindingType.DROPPED, "score that is not a finite number", object_id, repr(entry["score"])[:200])
        return None


def _bbox_xyxy(entry: Json) -> BoundsXYXY | None:
    exact = saccade_extra(entry).get("xyxy") if "saccade" in entry else None
    if isinstance(exact, list) and len(exact) == 4:
        return to_float(exact[0]), to_float(exact[1]), to_float(exact[2]), to_float(exact[3])
    bbox = entry.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    x, y, width, height = bbox
    # The usual case, without the conversions.
    if type(x) is type(y) is type(width) is type(height) is float:
        return x, y, x + width, y + height
    x = to_float(x)
    y = to_float(y)
    return x, y, x + to_float(width), y + to_float(height)


def _mask(rle: Json) -> Mask:
    size = rle.get("size")
    counts = rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise InvalidValueError(f"A mask needs a size of two integers, not {size!r}.")
    if isinstance(counts, str) and counts.isascii():
        return Mask(size[1], size[0], coco_string_to_counts(counts))
    if not (isinstance(counts, list) and all(type(count) is int for count in counts)):
        raise InvalidValueError("A mask needs counts that are integers or compressed text.")
    return Mask(size[1], size[0], tuple(counts))
