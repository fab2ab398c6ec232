"""The run-length code of Label Studio's brush masks, that of the library ``@thi.ng/rle-pack``.

A header gives the number of values, the bits of a value less one, and four sizes of counts in bits, each less one. Then
each block has one bit (repeated or literal), two bits for the size of its count, the count less one, and the value or
the values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from saccade.core.errors import InvalidValueError
from saccade.core.geometry import mask_to_array
from saccade.core.objects import Mask

_COUNT_BITS = (3, 4, 8, 16)
"""Sizes of counts that are written."""


class _BitReader:
    """Reads numbers of any number of bits, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(data, np.uint8))
        self._position = 0

    def read(self, bit_count: int) -> int:
        value = 0
        for bit in self._next_bits(bit_count).tolist():
            value = value << 1 | bit
        return value

    def read_many(self, count: int, bit_count: int) -> npt.NDArray[np.uint8]:
        """Read numbers of up to 8 bits each."""
        bits = self._next_bits(count * bit_count)
        weights = 1 << np.arange(bit_count - 1, -1, -1)
        return (bits.reshape(count, bit_count) @ weights).astype(np.uint8)

    def _next_bits(self, count: int) -> npt.NDArray[np.uint8]:
        bits = self._bits[self._position : self._position + count]
        if len(bits) < count:
            raise InvalidValueError("The mask ends too early.")
        self._position += count
        return bits


def decode_rle(data: bytes, expected: int) -> npt.NDArray[np.uint8]:
    """Decode values of up to 8 bits.

    Args:
        expected: the number of values that the data must have.

    Raises:
        InvalidValueError: if the data has another number of values, larger ones, or ends too early.
    """
    reader = _BitReader(data)
    total = reader.read(32)
    value_bits = reader.read(5) + 1
    count_bits = [reader.read(4) + 1 for _ in range(4)]
    if total != expected or value_bits > 8:
        raise InvalidValueError(f"The mask has {total} values of {value_bits} bits, where {expected} of 8 are needed.")
    values = np.zeros(total, np.uint8)
    start = 0
    while start < total:
        is_repeated = reader.read(1)
        count = reader.read(count_bits[reader.read(2)]) + 1
        if start + count > total:
            raise InvalidValueError("The mask has more values than its header states.")
        values[start : start + count] = reader.read(value_bits) if is_repeated else reader.read_many(count, value_bits)
        start += count
    return values


def encode_rle(mask: Mask) -> list[int]:
    """Encode a mask as bytes; each pixel is four equal values of 0 or 255."""
    flat = mask_to_array(mask).reshape(-1)
    changes = np.flatnonzero(np.diff(flat)) + 1
    edges = np.concatenate([[0], changes, [flat.size]])
    groups = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _COUNT_BITS)]
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        value = 255 if flat[start] else 0
        groups += [f"1{_format_count(count)}{value:08b}" for count in _split_run(4 * (end - start))]
    bits = "".join(groups)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[start : start + 8], 2) for start in range(0, len(bits), 8)]


def _split_run(count: int) -> Iterator[int]:
    """Split a run into counts that fit the largest size."""
    largest = 1 << _COUNT_BITS[-1]
    while count > largest:
        yield largest
        count -= largest
    if count:
        yield count


def _format_count(count: int) -> str:
    index = next(index for index, bits in enumerate(_COUNT_BITS) if count <= 1 << bits)
    return f"{index:02b}{count - 1:0{_COUNT_BITS[index]}b}"
