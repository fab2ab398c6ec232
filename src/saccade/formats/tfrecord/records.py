"""TFRecord files and the ``tf.train.Example`` messages in them, without TensorFlow.

Sources: https://www.tensorflow.org/tutorials/load_data/tfrecord; protobuf's encoding,
https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import google_crc32c
import numpy as np

from saccade.core.errors import FormatError

MOST_BYTES = 1 << 30
_MASK = 0xA282EAD8
Feature = Sequence[bytes] | Sequence[float] | Sequence[int]
Example = dict[str, list[bytes] | list[float] | list[int]]


def masked_crc(data: bytes) -> int:
    """CRC-32C as TFRecord writes it."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF


def write_record(file: IO[bytes], data: bytes) -> None:
    head = struct.pack("<Q", len(data))
    file.write(head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data)))


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """The records of a file with the places of their data; FormatError where the file is damaged."""
    with path.open("rb") as file:
        while head := file.read(12):
            length, crc = struct.unpack("<QI", head) if len(head) == 12 else (MOST_BYTES + 1, 0)
            if length > MOST_BYTES or masked_crc(head[:8]) != crc:
                raise FormatError(f"{path.name} is damaged at byte {file.tell() - len(head)}.")
            place = file.tell()
            data, end = file.read(length), file.read(4)
            if len(data) != length or len(end) != 4 or struct.unpack("<I", end)[0] != masked_crc(data):
                raise FormatError(f"{path.name} is damaged at byte {place}.")
            yield place, data


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with a record, or has none and says by its name that it could."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    if not head:
        return path.suffix in (".record", ".tfrecord")
    return len(head) == 12 and masked_crc(head[:8]) == struct.unpack("<I", head[8:])[0]


def _varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _feature(values: Feature) -> bytes:
    if values and isinstance(values[0], bytes):
        return _field(1, b"".join(_field(1, bytes(value)) for value in values))  # type: ignore[arg-type]
    if values and isinstance(values[0], float):
        return _field(2, _field(1, np.asarray(values, "<f4").tobytes()))
    return _field(3, _field(1, b"".join(_varint(int(value)) for value in values)))


def encode_example(features: Mapping[str, Feature]) -> bytes:
    """A ``tf.train.Example``; a list of bytes, floats or integers under each name."""
    entries = (_field(1, _field(1, name.encode()) + _field(2, _feature(values))) for name, values in features.items())
    return _field(1, b"".join(entries))


class _Wire:
    """Reads the fields of a message; FormatError where there is none."""

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data, self._at, self._end = data, start, end

    def varint(self) -> int:
        value = shift = 0
        while True:
            if self._at >= self._end or shift > 63:
                raise FormatError("A message ends in the middle of a number.")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def fields(self) -> Iterator[tuple[int, int, int, int]]:
        """Number, type, start and end of each field; for a varint the start is its value."""
        while self._at < self._end:
            tag = self.varint()
            number, kind = tag >> 3, tag & 7
            if kind == 0:
                yield number, kind, self.varint(), 0
                continue
            sizes = {1: 8, 5: 4}
            length = self.varint() if kind == 2 else sizes.get(kind, -1)
            if length < 0 or self._at + length > self._end:
                raise FormatError("A message has a field that is longer than it.")
            yield number, kind, self._at, self._at + length
            self._at += length


def decode_example(data: bytes) -> tuple[Example, dict[str, list[tuple[int, int]]]]:
    """The features of a ``tf.train.Example``, and for lists of bytes where each begins and ends."""
    found: Example = {}
    places: dict[str, list[tuple[int, int]]] = {}
    for number, kind, start, end in _Wire(data, 0, len(data)).fields():
        if (number, kind) == (1, 2):
            for inner, inner_kind, first, last in _Wire(data, start, end).fields():
                if (inner, inner_kind) == (1, 2):
                    _entry(data, first, last, found, places)
    return found, places


def _entry(data: bytes, start: int, end: int, found: Example, places: dict[str, list[tuple[int, int]]]) -> None:
    name, value = "", (0, 0)
    for number, kind, first, last in _Wire(data, start, end).fields():
        if (number, kind) == (1, 2):
            name = data[first:last].decode(errors="replace")
        elif (number, kind) == (2, 2):
            value = first, last
    for number, kind, first, last in _Wire(data, *value).fields():
        if kind != 2:
            continue
        if number == 1:
            places[name] = [(at, to) for one, how, at, to in _Wire(data, first, last).fields() if (one, how) == (1, 2)]
            found[name] = [data[at:to] if to - at < 1 << 16 else b"" for at, to in places[name]]
        elif number == 2:
            found[name] = _floats(data, first, last)
        elif number == 3:
            found[name] = _integers(data, first, last)


def _floats(data: bytes, start: int, end: int) -> list[float]:
    found: list[float] = []
    for number, kind, first, last in _Wire(data, start, end).fields():
        if number == 1 and kind in (2, 5) and (last - first) % 4 == 0:
            found += np.frombuffer(data[first:last], "<f4").astype(float).tolist()
    return found


def _integers(data: bytes, start: int, end: int) -> list[int]:
    found: list[int] = []
    for number, kind, first, last in _Wire(data, start, end).fields():
        if (number, kind) == (1, 0):
            found.append(_signed(first))
        elif (number, kind) == (1, 2):
            wire = _Wire(data, first, last)
            while wire._at < last:
                found.append(_signed(wire.varint()))
    return found


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
