"""The shapes, attributes and score of COCO annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import coco_string_to_counts
from saccade.core.objects import AttributeValue, BoundsXYXY, Box, Geometry, Keypoints, Mask, Polygon, Ring
from saccade.core.report import Action, Report
from saccade.core.schema import ClassInfo
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, list_of, number, own


class ShapeReader:
    """Reads the annotations of one image."""

    def __init__(self, report: Report, key: str, size_wh: tuple[int, int] | None) -> None:
        self._report = report
        self._key = key
        self._size_wh = size_wh

    def _add(self, action: Action, reason: str, object_id: str, detail: str = "") -> None:
        self._report.add(action, reason, key=self._key, object_id=object_id, detail=detail)

    def geometry(self, entry: Json, object_id: str, info: ClassInfo) -> Geometry | None:
        segmentation = entry.get("segmentation")
        if entry.get("keypoints"):
            made = self._keypoints(entry, object_id, info)
            if made is not None:
                if segmentation:
                    self._add(Action.DROPPED, "segmentation of an object with keypoints", object_id)
                return made
        if segmentation:
            shape = self._shape(segmentation, object_id)
            if shape is not None:
                return self._checked(shape, entry, object_id)
            if "bbox" not in entry:
                self._add(Action.DROPPED, "object without a usable shape", object_id)
                return None
            self._add(Action.REPAIRED, "box taken in place of an unusable segmentation", object_id)
        return self._box(entry, object_id)

    def _box(self, entry: Json, object_id: str) -> Box | None:
        xyxy = _bbox_xyxy(entry)
        if xyxy is None:
            self._add(Action.DROPPED, "object without a usable shape", object_id, f"bbox {entry.get('bbox')!r}"[:200])
            return None
        box = fit_box(xyxy, self._size_wh, self._report, key=self._key, object_id=object_id)
        area = number(entry.get("area", 0))
        if area > 0 and box is not None and "keypoints" not in entry and abs(area - box.area()) > 0.01 * area + 1:
            self._add(Action.DROPPED, "area that is not that of the box", object_id, f"{area} for {box.area()}")
        return box

    def _checked(self, shape: Polygon | Mask, entry: Json, object_id: str) -> Polygon | Mask | None:
        bounds = shape.bounds_xyxy()
        if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
            self._add(Action.DROPPED, "shape without area", object_id, f"bounds {bounds}")
            return None
        if "bbox" in entry:
            stated = _bbox_xyxy(entry)
            if stated is None or any(not abs(a - b) <= 1 for a, b in zip(stated, bounds, strict=True)):
                self._add(Action.NOTICED, "box and shape disagree", object_id, f"bbox {stated}, shape {bounds}")
        if self._size_wh is not None:
            width, height = self._size_wh
            if isinstance(shape, Mask) and (shape.width, shape.height) != self._size_wh:
                self._add(Action.NOTICED, "mask of another size than the image", object_id)
            elif bounds[0] < 0 or bounds[1] < 0 or bounds[2] > width or bounds[3] > height:
                self._add(Action.NOTICED, "shape over the edge of the image", object_id, f"bounds {bounds}")
        return shape

    def _shape(self, segmentation: Any, object_id: str) -> Polygon | Mask | None:
        if isinstance(segmentation, dict):
            try:
                return _mask(segmentation)
            except InvalidValueError as error:
                self._add(Action.DROPPED, "mask that cannot be read", object_id, str(error)[:200])
                return None
        if not isinstance(segmentation, list):
            self._add(Action.DROPPED, "segmentation that is neither polygons nor a mask", object_id)
            return None
        parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
        rings = [ring for part in parts if (ring := self._ring(part, object_id))]
        return Polygon(tuple((ring,) for ring in rings)) if rings else None

    def _ring(self, part: Any, object_id: str) -> Ring | None:
        numbers = [number(value) for value in part] if isinstance(part, list) else []
        if len(numbers) % 2 or not all(map(math.isfinite, numbers)):
            self._add(Action.DROPPED, "polygon that cannot be read", object_id, repr(part)[:200])
            return None
        ring = tuple(zip(numbers[::2], numbers[1::2], strict=True))
        if len(ring) > 3 and ring[0] == ring[-1]:
            self._add(Action.REPAIRED, "closing point of a polygon left out", object_id)
            ring = ring[:-1]
        if len(ring) < 3:
            self._add(Action.DROPPED, "polygon of fewer than three points", object_id, repr(part)[:200])
            return None
        return ring

    def _keypoints(self, entry: Json, object_id: str, info: ClassInfo) -> Keypoints | None:
        given = entry["keypoints"]
        numbers = [number(value) for value in given] if isinstance(given, list) else []
        if not numbers or len(numbers) % 3 or not all(map(math.isfinite, numbers)):
            self._add(Action.DROPPED, "keypoints that cannot be read", object_id, repr(given)[:200])
            return None
        points, stated = tuple(zip(numbers[::3], numbers[1::3], strict=True)), numbers[2::3]
        if not set(stated) <= {0.0, 1.0, 2.0}:
            self._add(Action.REPAIRED, "visibility that is not 0, 1 or 2 taken as visible", object_id)
        visibility = tuple(int(seen) if seen in (0.0, 1.0) else 2 for seen in stated)
        if info.keypoints and len(info.keypoints) != len(points):
            detail = f"{len(points)} for {len(info.keypoints)} names"
            self._add(Action.NOTICED, "keypoints of another number than their class has", object_id, detail)
        derived = list_of(own(entry), "derived")
        xyxy = _bbox_xyxy(entry) if "bbox" in entry and "bbox" not in derived else None
        box = fit_box(xyxy, self._size_wh, self._report, key=self._key, object_id=object_id) if xyxy else None
        area = number(entry.get("area")) if "area" not in derived else math.nan
        return Keypoints(points, visibility, box, area if 0 <= area < math.inf else None)

    def attributes(self, entry: Json, object_id: str) -> tuple[Mapping[str, AttributeValue], str | None]:
        given = entry.get("attributes")
        if not given and not entry.get("iscrowd"):
            return {}, None
        kept: dict[str, AttributeValue] = {"crowd": True} if entry.get("iscrowd") else {}
        track: str | None = None
        for name, value in given.items() if isinstance(given, dict) else ():
            if name == "track_id" and isinstance(value, (str, int)):
                track = str(value)
            elif isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
                kept[name] = value
            else:
                self._add(Action.DROPPED, "attribute that is no text, number or truth value", object_id, name)
        return kept, track

    def score(self, entry: Json, object_id: str) -> float | None:
        score = number(entry["score"])
        if math.isfinite(score):
            return score
        self._add(Action.DROPPED, "score that is not a finite number", object_id, repr(entry["score"])[:200])
        return None


def _bbox_xyxy(entry: Json) -> BoundsXYXY | None:
    exact = own(entry).get("xyxy") if "saccade" in entry else None
    if isinstance(exact, list) and len(exact) == 4:
        return number(exact[0]), number(exact[1]), number(exact[2]), number(exact[3])
    bbox = entry.get("bbox")
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    x, y, width, height = bbox
    if type(x) is type(y) is type(width) is type(height) is float:
        return x, y, x + width, y + height
    x, y = number(x), number(y)
    return x, y, x + number(width), y + number(height)


def _mask(rle: Json) -> Mask:
    size, counts = rle.get("size"), rle.get("counts")
    if not (isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)):
        raise InvalidValueError(f"A mask needs a size of two whole numbers, not {size!r}.")
    if isinstance(counts, str) and counts.isascii():
        return Mask(size[1], size[0], coco_string_to_counts(counts))
    if not (isinstance(counts, list) and all(type(count) is int for count in counts)):
        raise InvalidValueError("A mask needs counts that are whole numbers or compressed text.")
    return Mask(size[1], size[0], tuple(counts))
