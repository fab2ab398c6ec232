"""The regions of Label Studio: geometry in shares of 100, and masks in its own run-length code."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_from_array, mask_to_array
from saccade.core.objects import Box, Ellipse, Geometry, Mask, Points, Polygon, RotatedBox
from saccade.formats._common.json import Json, get_list, to_float

KINDS = {
    "rectanglelabels": "rectanglelabels",
    "polygonlabels": "polygonlabels",
    "ellipselabels": "ellipselabels",
    "keypointlabels": "keypointlabels",
    "brushlabels": "brushlabels",
}
"""The types of region that are read, and where their value has the names of classes."""
_MAX_PIXELS = 1 << 26


def geometry_of(region: Json, size_wh: tuple[int, int] | None) -> Geometry:
    """The geometry of a region in pixels; InvalidValueError where it has none."""
    value = region.get("value")
    if not isinstance(value, dict):
        raise InvalidValueError("The region has no value.")
    width, height = size_wh or _stated(region)
    match region["type"]:
        case "rectanglelabels":
            return _rectangle(value, width / 100, height / 100)
        case "polygonlabels":
            pairs = [pair for pair in get_list(value, "points") if isinstance(pair, list) and len(pair) == 2]
            return Polygon.simple((_number(x) * width / 100, _number(y) * height / 100) for x, y in pairs)
        case "ellipselabels":
            x, y, rx, ry = (_number(value.get(name)) for name in ("x", "y", "radiusX", "radiusY"))
            turn = _number(value.get("rotation", 0))
            return Ellipse(x * width / 100, y * height / 100, rx * width / 100, ry * height / 100, turn)
        case "keypointlabels":
            return Points(((_number(value.get("x")) * width / 100, _number(value.get("y")) * height / 100),))
        case _:
            return _brush(get_list(value, "rle"), (width, height))


def _stated(region: Json) -> tuple[int, int]:
    width, height = region.get("original_width"), region.get("original_height")
    if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
        raise InvalidValueError("The size of its image is not known.")
    return width, height


def _number(value: Any) -> float:
    found = to_float(value)
    if not math.isfinite(found):
        raise InvalidValueError(f"{value!r} is no finite number.")
    return found


def _rectangle(value: Json, across: float, down: float) -> Box | RotatedBox:
    """A box, which Label Studio turns clockwise about its top-left corner."""
    x, y, width, height = (_number(value.get(name)) for name in ("x", "y", "width", "height"))
    x, y, width, height = x * across, y * down, width * across, height * down
    angle = _number(value.get("rotation", 0))
    if not angle:
        return Box(x, y, x + width, y + height)
    dx, dy = _turned(width / 2, height / 2, angle)
    return RotatedBox(x + dx, y + dy, width, height, angle)


def _turned(x: float, y: float, degrees: float) -> tuple[float, float]:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return x * cos - y * sin, x * sin + y * cos


def rectangle_value(box: Box | RotatedBox, size_wh: tuple[int, int]) -> dict[str, float]:
    """A box as Label Studio has it, the inverse of what is read."""
    if isinstance(box, Box):
        x, y, width, height, angle = box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1, 0.0
    else:
        dx, dy = _turned(box.width / 2, box.height / 2, box.angle)
        x, y, width, height, angle = box.cx - dx, box.cy - dy, box.width, box.height, box.angle
    across, down = 100 / size_wh[0], 100 / size_wh[1]
    return {"x": x * across, "y": y * down, "width": width * across, "height": height * down, "rotation": angle}


def _brush(code: Sequence[Any], size_wh: tuple[int, int]) -> Mask:
    width, height = size_wh
    if width * height > _MAX_PIXELS or not all(isinstance(byte, int) and 0 <= byte < 256 for byte in code) or not code:
        raise InvalidValueError("The mask is too large or no list of bytes.")
    alpha = decode_rle(bytes(code), 4 * width * height)[3::4]
    return mask_from_array(alpha.reshape(height, width) > 0)


class _Bits:
    """Reads numbers of any count of bits, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._at = 0

    def read(self, count: int) -> int:
        part = self._bits[self._at : self._at + count]
        if len(part) < count:
            raise InvalidValueError("The mask ends too early.")
        self._at += count
        value = 0
        for bit in part.tolist():
            value = value << 1 | bit
        return value

    def read_many(self, count: int, bits: int) -> npt.NDArray[np.uint8]:
        part = self._bits[self._at : self._at + count * bits]
        if len(part) < count * bits:
            raise InvalidValueError("The mask ends too early.")
        self._at += count * bits
        weights = 1 << np.arange(bits - 1, -1, -1)
        return (part.reshape(count, bits) @ weights).astype(np.uint8)


def decode_rle(data: bytes, expected: int) -> npt.NDArray[np.uint8]:
    """The values of Label Studio's run-length code (that of its library ``@thi.ng/rle-pack``).

    A header gives the count of values, the bits of a value and four sizes of counts; then each block is one bit
    (repeated or literal), two bits for the size of its count, the count less one, and the value or values.
    """
    bits = _Bits(data)
    total, word = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    if total != expected or word > 8:
        raise InvalidValueError(f"The mask has {total} values of {word} bits, where {expected} of 8 are needed.")
    values = np.zeros(total, np.uint8)
    at = 0
    while at < total:
        repeated = bits.read(1)
        count = bits.read(sizes[bits.read(2)]) + 1
        if at + count > total:
            raise InvalidValueError("The mask has more values than it says.")
        values[at : at + count] = bits.read(word) if repeated else bits.read_many(count, word)
        at += count
    return values


_SIZES = (3, 4, 8, 16)


def encode_rle(mask: Mask) -> list[int]:
    """A mask in Label Studio's run-length code, each pixel four equal values of 0 or 255."""
    flat = mask_to_array(mask).reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    text = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in _SIZES)]
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        value = 255 if flat[start] else 0
        text += [f"1{_count(count)}{value:08b}" for count in _pieces(4 * (end - start))]
    joined = "".join(text)
    joined += "0" * (-len(joined) % 8)
    return [int(joined[at : at + 8], 2) for at in range(0, len(joined), 8)]


def _pieces(count: int) -> Iterator[int]:
    largest = 1 << _SIZES[-1]
    while count > largest:
        yield largest
        count -= largest
    if count:
        yield count


def _count(count: int) -> str:
    which = next(at for at, size in enumerate(_SIZES) if count <= 1 << size)
    return f"{which:02b}{count - 1:0{_SIZES[which]}b}"
