"""Shapes of LabelMe, in both directions."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError, SaccadeError
from saccade.core.geometry import mask_from_array, mask_to_array, rotated_box_from_corners
from saccade.core.objects import (
    AttributeValue,
    Ellipse,
    Geometry,
    Mask,
    Object,
    Point,
    Points,
    Polygon,
    Polyline,
    Ring,
)
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.attributes import scalar_attributes
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, get_list, get_mapping, saccade_extra, to_float
from saccade.formats.base import SizeWH

_MAX_MASK_PIXELS = 1 << 28


def class_name_of(shape: Any) -> str:
    """Return the class of a shape, or "" if it has none."""
    label = shape.get("label") if isinstance(shape, dict) else None
    return label if isinstance(label, str) else ""


@dataclass(frozen=True)
class ShapeReader:
    """Reads one shape of one image; what is wrong with it goes to the report."""

    report: ConversionReport
    key: str
    object_id: str
    size_wh: SizeWH | None

    def _add(self, type: FindingType, reason: str, detail: str = "") -> None:
        self.report.add(type, reason, key=self.key, object_id=self.object_id, detail=detail[:200])

    def read(self, shape: Any) -> Object | None:
        """Return the object of a shape; None, and reported, if it is unusable."""
        class_name = class_name_of(shape)
        if not class_name:
            self._add(FindingType.DROPPED, "object without a class")
            return None
        try:
            geometry = self._geometry(shape)
        except SaccadeError as error:
            self._add(FindingType.DROPPED, "object without a usable shape", str(error))
            return None
        if geometry is None:
            return None
        score = to_float(shape.get("score"))
        track = saccade_extra(shape).get("track")
        return Object(
            self.object_id,
            class_name,
            geometry,
            score if math.isfinite(score) else None,
            track if isinstance(track, str) else None,
            self._attributes(shape),
        )

    def _geometry(self, shape: Json) -> Geometry | None:
        points = _read_points(shape)
        kind = shape.get("shape_type") or "polygon"
        match kind, len(points):
            case "rectangle", count if count >= 2:
                xs, ys = zip(*points, strict=True)
                xyxy = (min(xs), min(ys), max(xs), max(ys))
                return fit_box(xyxy, self.size_wh, self.report, key=self.key, object_id=self.object_id)
            case "circle", 2:
                radius = math.dist(*points)
                return Ellipse(*points[0], radius, radius, 0.0)
            case "rotation", 4:
                return rotated_box_from_corners(points)
            case "mask", 2:
                return self._mask(shape, points[0])
            case _:
                return self._geometry_of_points(kind, points)

    def _geometry_of_points(self, kind: Any, points: Sequence[Point]) -> Geometry | None:
        match kind:
            case "polygon":
                return Polygon.simple(points)
            case "line" | "linestrip":
                return Polyline(tuple(points))
            case "point" | "points":
                return Points(tuple(points))
            case _:
                detail = f"{kind!r} of {len(points)} points"
                self._add(FindingType.DROPPED, "shape of a kind that is not known", detail)
                return None

    def _mask(self, shape: Json, top_left: Point) -> Mask:
        if self.size_wh is None:
            raise InvalidValueError("A mask needs an image of known size.")
        crop = _decode_mask(shape.get("mask"))
        width, height = self.size_wh
        left = round(top_left[0])
        top = round(top_left[1])
        pixels = np.zeros((height, width), np.bool_)
        visible = crop[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
        y = max(0, top)
        x = max(0, left)
        pixels[y : y + visible.shape[0], x : x + visible.shape[1]] = visible
        if visible.sum() < crop.sum():
            self._add(FindingType.CLIPPED, "mask over the edge of the image")
        return mask_from_array(pixels)

    def _attributes(self, shape: Json) -> Mapping[str, AttributeValue]:
        attributes = {**get_mapping(shape, "flags"), **get_mapping(shape, "attributes")}
        for name in ("description", "group_id", "difficult"):
            # LabelMe writes these fields for every shape; None, "" and False are their defaults. The group 0 is none.
            value = shape.get(name)
            if value is not None and value is not False and value != "":
                attributes[name] = value
        return scalar_attributes(attributes, self.report, key=self.key, object_id=self.object_id)


def _read_points(shape: Json) -> list[Point]:
    points = []
    for pair in get_list(shape, "points"):
        if not isinstance(pair, list) or len(pair) != 2 or not all(math.isfinite(to_float(value)) for value in pair):
            raise InvalidValueError(f"A point must be two finite numbers, not {pair!r}.")
        points.append((to_float(pair[0]), to_float(pair[1])))
    return points


def _decode_mask(encoded: Any) -> npt.NDArray[np.bool_]:
    """Decode the pixels of a mask, a PNG in base64.

    Raises:
        InvalidValueError: if it is not a PNG, or too large.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(base64.b64decode(str(encoded), validate=True)), formats=["PNG"]) as image:
            if image.width * image.height > _MAX_MASK_PIXELS:
                raise InvalidValueError(f"A mask of {image.width} x {image.height} pixels is too large.")
            return np.asarray(image.convert("L")) > 0
    except UnidentifiedImageError:
        # The text of this error names an object in memory, which differs in every run.
        raise InvalidValueError("The mask is not a PNG in base64.") from None
    except (binascii.Error, ValueError, OSError, Image.DecompressionBombError) as error:
        raise InvalidValueError(f"The mask is not a PNG in base64: {error}.") from None


def encode_geometry(geometry: Geometry) -> Json:
    """Return the fields of a shape for a geometry that LabelMe supports."""
    if isinstance(geometry, Mask):
        return _encode_mask(geometry)
    kind, points = _kind_and_points(geometry)
    return {"shape_type": kind, "points": [list(point) for point in points]}


def _kind_and_points(geometry: Geometry) -> tuple[str, Ring]:
    match geometry:
        case Polygon():
            return "polygon", geometry.parts[0][0]
        case Polyline():
            return "linestrip", geometry.points
        case Points():
            return ("point" if len(geometry.points) == 1 else "points"), geometry.points
        case Ellipse():
            return "circle", ((geometry.cx, geometry.cy), (geometry.cx + geometry.rx, geometry.cy))
        case _:
            x1, y1, x2, y2 = geometry.bounds_xyxy()
            return "rectangle", ((x1, y1), (x2, y2))


def _encode_mask(mask: Mask) -> Json:
    """Encode a mask as a PNG of its bounding box; the points are the first and the last pixel of it."""
    from PIL import Image

    x1, y1, x2, y2 = (int(side) for side in mask.bounds_xyxy())
    out = BytesIO()
    Image.fromarray(mask_to_array(mask)[y1:y2, x1:x2].astype(np.uint8) * 255).save(out, "PNG")
    encoded = base64.b64encode(out.getvalue()).decode()
    return {"shape_type": "mask", "points": [[float(x1), float(y1)], [float(x2 - 1), float(y2 - 1)]], "mask": encoded}
