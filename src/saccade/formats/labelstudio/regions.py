"""Regions of Label Studio, in both directions: their coordinates are percentages of the image's sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_from_array
from saccade.core.objects import Box, Ellipse, Geometry, Mask, Points, Polygon, RotatedBox
from saccade.formats._common.json import Json, get_list, to_float
from saccade.formats.base import SizeWH
from saccade.formats.labelstudio.rle import decode_rle, encode_rle

REGION_TYPES = frozenset({"rectanglelabels", "polygonlabels", "ellipselabels", "keypointlabels", "brushlabels"})
"""Types of region that are supported; the value of a region has its class names under the name of its type."""
_MAX_PIXELS = 1 << 26


def read_geometry(region: Json, size_wh: SizeWH | None) -> Geometry:
    """Return the geometry of a region in pixels.

    Args:
        region: of one of :data:`REGION_TYPES`.
        size_wh: size of the image; None takes the size that the region states.

    Raises:
        InvalidValueError: if the region has no valid geometry, or the size is unknown.
    """
    value = region.get("value")
    if not isinstance(value, dict):
        raise InvalidValueError("The region has no value.")
    width, height = size_wh or _stated_size_wh(region)
    scale_x = width / 100
    scale_y = height / 100
    match region["type"]:
        case "rectanglelabels":
            return _read_rectangle(value, scale_x, scale_y)
        case "polygonlabels":
            pairs = [pair for pair in get_list(value, "points") if isinstance(pair, list) and len(pair) == 2]
            return Polygon.simple((_number(x) * width / 100, _number(y) * height / 100) for x, y in pairs)
        case "ellipselabels":
            x, y, rx, ry = (_number(value.get(name)) for name in ("x", "y", "radiusX", "radiusY"))
            angle = _number(value.get("rotation", 0))
            return Ellipse(x * width / 100, y * height / 100, rx * width / 100, ry * height / 100, angle)
        case "keypointlabels":
            return Points(((_number(value.get("x")) * width / 100, _number(value.get("y")) * height / 100),))
        case _:
            return _read_brush(get_list(value, "rle"), (width, height))


def _stated_size_wh(region: Json) -> SizeWH:
    width = region.get("original_width")
    height = region.get("original_height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise InvalidValueError("The size of the region's image is unknown.")
    return width, height


def _number(value: Any) -> float:
    number = to_float(value)
    if not math.isfinite(number):
        raise InvalidValueError(f"{value!r} is not a finite number.")
    return number


def _read_rectangle(value: Json, scale_x: float, scale_y: float) -> Box | RotatedBox:
    x, y, width, height = (_number(value.get(name)) for name in ("x", "y", "width", "height"))
    x, y, width, height = x * scale_x, y * scale_y, width * scale_x, height * scale_y
    angle = _number(value.get("rotation", 0))
    if not angle:
        # A rectangle that is drawn to the left or upwards may have a negative width or height.
        return Box(min(x, x + width), min(y, y + height), max(x, x + width), max(y, y + height))
    if width < 0:
        dx, dy = _rotate(width, 0.0, angle)
        x, y, width = x + dx, y + dy, -width
    if height < 0:
        dx, dy = _rotate(0.0, height, angle)
        x, y, height = x + dx, y + dy, -height
    dx, dy = _rotate(width / 2, height / 2, angle)
    return RotatedBox(x + dx, y + dy, width, height, angle)


def _rotate(x: float, y: float, degrees: float) -> tuple[float, float]:
    cos = math.cos(math.radians(degrees))
    sin = math.sin(math.radians(degrees))
    return x * cos - y * sin, x * sin + y * cos


def _read_brush(rle: Sequence[Any], size_wh: SizeWH) -> Mask:
    width, height = size_wh
    if width * height > _MAX_PIXELS or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in rle) or not rle:
        raise InvalidValueError("The mask is too large, or not a list of bytes.")
    # The values are RGBA pixels, of which only the opacity matters.
    alpha = decode_rle(bytes(rle), 4 * width * height)[3::4]
    return mask_from_array(alpha.reshape(height, width) > 0)


def encode_geometry(geometry: Geometry, size_wh: SizeWH) -> tuple[str, Json]:
    """Return the type of a region and its value without the class, the inverse of :func:`read_geometry`."""
    scale_x = 100 / size_wh[0]
    scale_y = 100 / size_wh[1]
    match geometry:
        case Box() | RotatedBox():
            return "rectanglelabels", _encode_rectangle(geometry, scale_x, scale_y)
        case Polygon():
            points = [[x * scale_x, y * scale_y] for x, y in geometry.parts[0][0]]
            return "polygonlabels", {"points": points, "closed": True}
        case Ellipse(cx, cy, rx, ry, angle):
            center = {"x": cx * scale_x, "y": cy * scale_y}
            radii = {"radiusX": rx * scale_x, "radiusY": ry * scale_y}
            return "ellipselabels", {**center, **radii, "rotation": angle}
        case Points():
            ((x, y),) = geometry.points
            return "keypointlabels", {"x": x * scale_x, "y": y * scale_y, "width": 0.5}
        case _:
            assert isinstance(geometry, Mask)
            return "brushlabels", {"format": "rle", "rle": encode_rle(geometry)}


def _encode_rectangle(box: Box | RotatedBox, scale_x: float, scale_y: float) -> Json:
    if isinstance(box, Box):
        x, y, width, height, angle = box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, 0.0
    else:
        # Label Studio rotates a rectangle about its top-left corner, not about its centre.
        dx, dy = _rotate(box.width / 2, box.height / 2, box.angle)
        x, y, width, height, angle = box.cx - dx, box.cy - dy, box.width, box.height, box.angle
    corner = {"x": x * scale_x, "y": y * scale_y}
    return {**corner, "width": width * scale_x, "height": height * scale_y, "rotation": angle}
