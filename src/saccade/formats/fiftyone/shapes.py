"""Shapes of FiftyOne, whose coordinates are shares of the image's sides, and its masks, in both directions."""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import BoundsXYXY, Geometry, Mask, Point, Points, Polygon, Polyline, Ring
from saccade.core.report import ConversionReport
from saccade.formats._common.boxes import fit_box
from saccade.formats._common.json import Json, get_list, to_float
from saccade.formats.base import SizeWH

# Shares of the sides round, so a box at the edge of the image may exceed it by this share.
_TOLERANCE = 1e-6
_MAX_MASK_BYTES = 1 << 26


def read_geometry(
    entry: Json, type_name: str, size_wh: SizeWH | None, report: ConversionReport, *, key: str, object_id: str
) -> Geometry | None:
    """Return the geometry of an object in pixels.

    Args:
        entry: the object.
        type_name: "Detection" or "Keypoint"; anything else is read as a Polyline.
        size_wh: size of the image.

    Returns:
        None, and reported, if a box has no area or lies outside the image.

    Raises:
        InvalidValueError: if the geometry is invalid, or the size is None.
        TypeError, ValueError: if coordinates are not lists of the right lengths.
    """
    if size_wh is None:
        raise InvalidValueError("The size of the image is unknown.")
    if type_name == "Detection":
        width, height = size_wh
        x, y, box_width, box_height = (to_float(side) for side in entry.get("bounding_box", ()))
        xyxy = (x * width, y * height, (x + box_width) * width, (y + box_height) * height)
        if isinstance(entry.get("mask"), dict | str):
            return _read_mask(entry["mask"], xyxy, size_wh)
        return fit_box(xyxy, size_wh, report, key=key, object_id=object_id, tolerance=_TOLERANCE)
    if type_name == "Keypoint":
        points = _scale(get_list(entry, "points"), size_wh)
        # FiftyOne writes NaN for the points of a skeleton that are missing.
        return Points(tuple((x, y) for x, y in points if isfinite(x) and isfinite(y)))
    return _read_polyline(entry, size_wh)


def _read_polyline(entry: Json, size_wh: SizeWH) -> Polygon | Polyline:
    rings: list[Ring] = [_scale(ring, size_wh) for ring in get_list(entry, "points")]
    if entry.get("closed") or entry.get("filled"):
        return Polygon(tuple((ring,) for ring in rings))
    if len(rings) != 1:
        raise InvalidValueError(f"A line must have one part, not {len(rings)}.")
    return Polyline(rings[0])


def _scale(points: Any, size_wh: SizeWH) -> tuple[Point, ...]:
    width, height = size_wh
    return tuple((to_float(x) * width, to_float(y) * height) for x, y in points)


def _read_mask(encoded: Any, xyxy: BoundsXYXY, size_wh: SizeWH) -> Mask:
    """Decode a mask, and scale it to fill its box."""
    import cv2

    crop = _decode_mask(encoded)
    left, top, right, bottom = (round(side) for side in xyxy)
    if not (0 <= left < right <= size_wh[0] and 0 <= top < bottom <= size_wh[1]):
        raise InvalidValueError(f"The box {xyxy} of the mask is not inside the image.")
    pixels = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    if crop.shape == (bottom - top, right - left):
        pixels[top:bottom, left:right] = crop
    else:
        scaled = cv2.resize(crop, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
        pixels[top:bottom, left:right] = scaled
    return mask_from_array(pixels > 0)


def _decode_mask(encoded: Any) -> npt.NDArray[np.uint8]:
    """Return the pixels, 0 or 1, of a mask: a NumPy file, compressed by zlib, in base64, which may be in BSON."""
    if isinstance(encoded, dict):
        binary = encoded.get("$binary", {})
        encoded = binary.get("base64") if isinstance(binary, dict) else binary
    try:
        decompressor = zlib.decompressobj()
        data = decompressor.decompress(base64.b64decode(str(encoded), validate=True), _MAX_MASK_BYTES)
        if decompressor.unconsumed_tail:
            raise InvalidValueError("The mask is too large.")
        # Unpickling a file of unknown origin could run code.
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (binascii.Error, zlib.error, ValueError, OSError, EOFError) as error:
        raise InvalidValueError(f"The mask is not a compressed array in base64: {error}.") from None
    if array.ndim != 2 or not array.size or array.dtype.kind not in "bui":
        raise InvalidValueError(f"The mask is an array of {array.shape}.")
    pixels: npt.NDArray[np.uint8] = (array > 0).astype(np.uint8)
    return pixels


def encode_mask(mask: Mask) -> Json:
    """Encode the part of a mask within its bounding box."""
    x1, y1, x2, y2 = map(int, mask.bounds_xyxy())
    out = io.BytesIO()
    np.save(out, mask_to_array(mask)[y1:y2, x1:x2], allow_pickle=False)
    encoded = base64.b64encode(zlib.compress(out.getvalue())).decode()
    return {"$binary": {"base64": encoded, "subType": "00"}}
