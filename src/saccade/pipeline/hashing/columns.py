"""Columnar content hashes: 128 bits per row, equal for equal content on every machine.

A row's digest is two lanes of 64 bits, mixed as in SplitMix64 (Steele, Lea and Flood, 2014) from different seeds.
Numbers are hashed by their bits, strings by words of eight bytes, lists by their length and each element with its
position. The hash is not cryptographic: it distinguishes ordinary data, but does not resist forged collisions. The
digest of a whole column, over the digests of its rows, is SHA-256 (see :mod:`saccade.pipeline.cache.column`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Digests = npt.NDArray[np.uint64]
"""The digests of N rows, uint64 (N, 2)."""

_SEEDS = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], np.uint64)
_NULL_DIGEST = np.array([0x6A09E667F3BCC908, 0xBB67AE8584CAA73B], np.uint64)
_MULTIPLIERS = np.array([0xA24BAED4963EE407, 0x9FB21C651E98DF25], np.uint64)
_MAX_INLINE_BYTES = 256
"""Longer strings are hashed with SHA-256 instead of word by word."""
_IGNORED_FIELDS = frozenset({"uri"})
"""Struct fields that are not content: the location of a linked file."""


def _splitmix64(values: Digests) -> Digests:
    """Apply the finalizer of SplitMix64."""
    # The speed is bound by memory traffic, so everything after the first line works in place.
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    shifted = mixed >> np.uint64(27)
    mixed ^= shifted
    mixed *= np.uint64(0x94D049BB133111EB)
    np.right_shift(mixed, np.uint64(31), out=shifted)
    mixed ^= shifted
    return mixed


def _hash_bits(bits: npt.NDArray[np.uint64], tag: int) -> Digests:
    """Hash one 64-bit word per row; the tag separates the kinds of values."""
    return _splitmix64(_splitmix64(bits[:, None] + _SEEDS) + _MULTIPLIERS * np.uint64(tag))


def combine_digests(parts: Sequence[Digests]) -> Digests:
    """Combine the digests of several columns into one digest per row; the order of the columns matters."""
    combined = np.broadcast_to(_SEEDS * np.uint64(len(parts) + 1), parts[0].shape if parts else (0, 2))
    for part in parts:
        combined = _splitmix64(combined * _MULTIPLIERS ^ part)
    return combined


def digest_array(array: pa.Array | pa.ChunkedArray) -> Digests:
    """Hash each value of an Arrow array.

    Values of different types never have the same digest, not even null values.

    Raises:
        TypeError: the type is not supported.
    """
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    return _splitmix64(_hash_array(array) ^ _hash_bits(np.array([_type_seed(array.type)], np.uint64), 5))


@lru_cache(maxsize=256)
def _type_seed(arrow_type: pa.DataType) -> int:
    return int.from_bytes(hashlib.sha256(_type_name(arrow_type).encode()).digest()[:8], "little")


def _type_name(arrow_type: pa.DataType) -> str:
    """Spell a type in our own notation, which does not change with a release of Arrow."""
    if pa.types.is_struct(arrow_type):
        return "{" + ",".join(f"{field.name}:{_type_name(field.type)}" for field in arrow_type) + "}"
    if pa.types.is_list(arrow_type):
        return f"[{_type_name(arrow_type.value_type)}]"
    if pa.types.is_string(arrow_type):
        return "text"
    return "float" if pa.types.is_floating(arrow_type) else "whole"


def _hash_array(array: pa.Array) -> Digests:
    digests = _hash_values(array)
    if array.null_count:
        digests = np.where(np.asarray(array.is_null())[:, None], _NULL_DIGEST, digests)
    return digests


def _hash_values(array: pa.Array) -> Digests:
    arrow_type = array.type
    if pa.types.is_struct(arrow_type):
        names = [field.name for field in arrow_type]
        children = array.flatten()
        return combine_digests(
            [_hash_array(children[index]) for index, name in enumerate(names) if name not in _IGNORED_FIELDS]
        )
    if pa.types.is_list(arrow_type):
        return _hash_lists(array)
    if pa.types.is_string(arrow_type):
        return _hash_strings(array)
    if pa.types.is_floating(arrow_type):
        # Adding 0.0 turns -0.0 into 0.0, and every NaN becomes the same NaN: equal values have equal bits.
        numbers = np.asarray(array.cast(pa.float64()).fill_null(0), np.float64) + 0.0
        numbers = np.where(np.isnan(numbers), np.nan, numbers)
        return _hash_bits(numbers.view(np.uint64), 1)
    if pa.types.is_integer(arrow_type) or pa.types.is_boolean(arrow_type):
        return _hash_bits(np.asarray(array.cast(pa.int64()).fill_null(0), np.int64).view(np.uint64), 2)
    raise TypeError(f"no digest for {arrow_type}")


def _hash_lists(array: pa.Array) -> Digests:
    lengths = np.asarray(array.value_lengths().fill_null(0), np.int64)
    elements = _hash_array(array.flatten())
    starts = np.cumsum(lengths) - lengths
    positions = np.arange(len(elements)) - np.repeat(starts, lengths)
    mixed = _splitmix64(elements + positions.astype(np.uint64)[:, None] * _MULTIPLIERS)
    # Differences of prefix sums give the sum over each list, without a loop over the lists.
    sums = np.concatenate([np.zeros((1, 2), np.uint64), np.cumsum(mixed, axis=0, dtype=np.uint64)])
    return _splitmix64(sums[starts + lengths] - sums[starts] + _hash_bits(lengths.astype(np.uint64), 3))


def _hash_strings(array: pa.StringArray) -> Digests:
    offsets, data = _string_buffers(array)
    starts = offsets[:-1]
    lengths = np.diff(offsets)
    digests = _hash_bits(lengths.astype(np.uint64), 4)
    words = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    # All strings at once, one word of eight bytes per round; shorter strings drop out.
    active = np.flatnonzero((lengths > 0) & (lengths <= _MAX_INLINE_BYTES))
    position = 0
    while len(active):
        byte_count = np.minimum(lengths[active] - position, 8).astype(np.uint64)
        word = words[starts[active] + position] & (~np.uint64(0) >> (np.uint64(64) - np.uint64(8) * byte_count))
        digests[active] = _splitmix64(digests[active] * _MULTIPLIERS ^ _splitmix64(word[:, None] + _SEEDS))
        position += 8
        active = active[lengths[active] > position]
    for row in np.flatnonzero(lengths > _MAX_INLINE_BYTES).tolist():
        sha256 = hashlib.sha256(data[starts[row] : starts[row] + lengths[row]]).digest()
        digests[row] = np.frombuffer(sha256[:16], "<u8")
    return digests


def _string_buffers(array: pa.StringArray) -> tuple[npt.NDArray[np.int64], Any]:
    """Return the offsets (N + 1) of the strings, and their bytes, padded by eight bytes for reading whole words."""
    _, offset_buffer, data = array.buffers()
    count = len(array)
    if not count or offset_buffer is None:
        return np.zeros(count + 1, np.int64), bytes(8)
    offsets = np.frombuffer(offset_buffer, np.int32)[array.offset : array.offset + count + 1].astype(np.int64)
    low = int(offsets[0])
    high = int(offsets[-1])
    return offsets - low, (memoryview(data)[low:high].tobytes() if data is not None else b"") + bytes(8)
