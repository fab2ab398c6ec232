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
from saccade.formats._common.source_files import mark_read

Features = dict[str, list[bytes] | list[float] | list[int]]
"""Features of an example by name."""
ByteRange = tuple[int, int]
"""First byte, and the one after the last."""

FeatureValues = Sequence[bytes] | Sequence[float] | Sequence[int]

_MAX_RECORD_BYTES = 1 << 30
# Longer values, which are images, are not copied by decode_example.
_MAX_COPIED_BYTES = 1 << 16
# TFRecord masks checksums, since the CRC of data that contains CRCs is problematic (LevelDB, util/crc32c.h).
_CRC_MASK = 0xA282EAD8
# Length of the data (8 bytes) and its checksum (4 bytes).
_HEADER_BYTES = 12

# Types of fields in protobuf.
_VARINT = 0
_FIXED_64 = 1
_LENGTH_DELIMITED = 2
_FIXED_32 = 5

# Numbers of the fields of tf.train.Feature.
_BYTES_LIST = 1
_FLOAT_LIST = 2
_INT64_LIST = 3


def _masked_crc(data: bytes) -> int:
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + _CRC_MASK) & 0xFFFFFFFF


def write_record(file: IO[bytes], data: bytes) -> None:
    length = struct.pack("<Q", len(data))
    file.write(length + struct.pack("<I", _masked_crc(length)) + data + struct.pack("<I", _masked_crc(data)))


def read_records(path: Path) -> Iterator[tuple[int, bytes]]:
    """Iterate over the records of a file: the offset of the data in the file, and the data.

    Raises:
        FormatError: if the file is damaged.
    """
    mark_read(path)
    with path.open("rb") as file:
        while header := file.read(_HEADER_BYTES):
            offset = file.tell()
            if not _is_header(header):
                raise FormatError(f"{path.name} is damaged at byte {offset - len(header)}.")
            (length,) = struct.unpack("<Q", header[:8])
            # Checked before reading, since a damaged length could be enormous.
            if length > _MAX_RECORD_BYTES:
                raise FormatError(f"{path.name} is damaged at byte {offset - len(header)}.")
            data = file.read(length)
            checksum = file.read(4)
            is_complete = len(data) == length and len(checksum) == 4
            if not is_complete or struct.unpack("<I", checksum)[0] != _masked_crc(data):
                raise FormatError(f"{path.name} is damaged at byte {offset}.")
            yield offset, data


def is_tfrecord(path: Path) -> bool:
    """Whether a file begins with a record, or is empty and has the extension of a TFRecord."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except OSError:
        return False
    if not header:
        return path.suffix in (".record", ".tfrecord")
    return _is_header(header)


def _is_header(header: bytes) -> bool:
    return len(header) == _HEADER_BYTES and struct.unpack("<I", header[8:])[0] == _masked_crc(header[:8])


def encode_example(features: Mapping[str, FeatureValues]) -> bytes:
    """Encode a ``tf.train.Example`` with a list of bytes, floats or integers for each feature."""
    entries = (
        _encode_field(1, _encode_field(1, name.encode()) + _encode_field(2, _encode_feature(values)))
        for name, values in features.items()
    )
    return _encode_field(1, b"".join(entries))


def _encode_feature(values: FeatureValues) -> bytes:
    if values and isinstance(values[0], bytes):
        elements = b"".join(_encode_field(1, bytes(value)) for value in values)  # type: ignore[arg-type]
        return _encode_field(_BYTES_LIST, elements)
    if values and isinstance(values[0], float):
        return _encode_field(_FLOAT_LIST, _encode_field(1, np.asarray(values, "<f4").tobytes()))
    integers = b"".join(_encode_varint(int(value)) for value in values)
    return _encode_field(_INT64_LIST, _encode_field(1, integers))


def _encode_field(number: int, data: bytes) -> bytes:
    return _encode_varint(number << 3 | _LENGTH_DELIMITED) + _encode_varint(len(data)) + data


def _encode_varint(value: int) -> bytes:
    value &= 0xFFFFFFFFFFFFFFFF
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class _MessageReader:
    """Reads a protobuf message, which is a range of bytes.

    Raises:
        FormatError: by all methods, if the bytes are not a message.
    """

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data = data
        self._position = start
        self._end = end

    def varint(self) -> int:
        value = 0
        shift = 0
        while True:
            # A varint has at most 64 bits.
            if self._position >= self._end or shift > 63:
                raise FormatError("A message ends in the middle of a number.")
            byte = self._data[self._position]
            self._position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def varints(self) -> Iterator[int]:
        """Iterate over a packed list of varints."""
        while self._position < self._end:
            yield self.varint()

    def fields(self) -> Iterator[tuple[int, int, int, int]]:
        """Iterate over the fields: number, type, start and end. A varint has its value as the start."""
        while self._position < self._end:
            tag = self.varint()
            number = tag >> 3
            field_type = tag & 7
            if field_type == _VARINT:
                yield number, field_type, self.varint(), 0
                continue
            if field_type == _LENGTH_DELIMITED:
                length = self.varint()
            else:
                length = {_FIXED_64: 8, _FIXED_32: 4}.get(field_type, -1)
            if length < 0 or self._position + length > self._end:
                raise FormatError("A field of a message has an unknown type, or is longer than the message.")
            yield number, field_type, self._position, self._position + length
            self._position += length

    def submessages(self, number: int) -> Iterator[ByteRange]:
        """Iterate over the ranges of the length-delimited fields with this number."""
        for field_number, field_type, start, end in self.fields():
            if (field_number, field_type) == (number, _LENGTH_DELIMITED):
                yield start, end


def decode_example(data: bytes) -> tuple[Features, dict[str, list[ByteRange]]]:
    """Decode a ``tf.train.Example``.

    Returns:
        The features, and for lists of bytes the ranges of their values in ``data``. Values of 64 KiB or more are empty
        in the features.

    Raises:
        FormatError: if the data are not such a message.
    """
    features: Features = {}
    byte_ranges: dict[str, list[ByteRange]] = {}
    for start, end in _MessageReader(data, 0, len(data)).submessages(1):
        for entry_start, entry_end in _MessageReader(data, start, end).submessages(1):
            _decode_entry(data, entry_start, entry_end, features, byte_ranges)
    return features, byte_ranges


def _decode_entry(
    data: bytes, start: int, end: int, features: Features, byte_ranges: dict[str, list[ByteRange]]
) -> None:
    name = ""
    feature_range = (0, 0)
    for number, field_type, first, last in _MessageReader(data, start, end).fields():
        if (number, field_type) == (1, _LENGTH_DELIMITED):
            name = data[first:last].decode(errors="replace")
        elif (number, field_type) == (2, _LENGTH_DELIMITED):
            feature_range = (first, last)
    for number, field_type, first, last in _MessageReader(data, *feature_range).fields():
        if field_type != _LENGTH_DELIMITED:
            continue
        if number == _BYTES_LIST:
            ranges = list(_MessageReader(data, first, last).submessages(1))
            byte_ranges[name] = ranges
            features[name] = [data[low:high] if high - low < _MAX_COPIED_BYTES else b"" for low, high in ranges]
        elif number == _FLOAT_LIST:
            features[name] = _decode_floats(data, first, last)
        elif number == _INT64_LIST:
            features[name] = _decode_integers(data, first, last)


def _decode_floats(data: bytes, start: int, end: int) -> list[float]:
    """Decode a list of floats, packed or as single fields."""
    floats: list[float] = []
    for number, field_type, first, last in _MessageReader(data, start, end).fields():
        if number == 1 and field_type in (_LENGTH_DELIMITED, _FIXED_32) and (last - first) % 4 == 0:
            floats += np.frombuffer(data[first:last], "<f4").astype(float).tolist()
    return floats


def _decode_integers(data: bytes, start: int, end: int) -> list[int]:
    """Decode a list of integers, packed or as single fields."""
    integers: list[int] = []
    for number, field_type, first, last in _MessageReader(data, start, end).fields():
        if (number, field_type) == (1, _VARINT):
            integers.append(_to_signed(first))
        elif (number, field_type) == (1, _LENGTH_DELIMITED):
            integers += map(_to_signed, _MessageReader(data, first, last).varints())
    return integers


def _to_signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
