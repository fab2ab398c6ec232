"""Digests of values, a column at a time: 128 bits for each row, equal for equal content on every machine.

Each row's digest is two lanes of 64 bits, mixed as in SplitMix64 (Steele, Lea and Flood, 2014) from different seeds.
Numbers are taken by their bits, texts by words of eight bytes, lists by their length and every element with its place.
It is no cryptographic digest: it tells apart what people make, not what is forged to be alike. The digest of a whole
column, over those of its rows, is of SHA-256 (``cells``).
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
"""Digests of rows, as uint64 (N, 2)."""

_SEEDS = np.array([0x9E3779B97F4A7C15, 0xD1B54A32D192ED03], np.uint64)
_NULL = np.array([0x6A09E667F3BCC908, 0xBB67AE8584CAA73B], np.uint64)
_ODD = np.array([0xA24BAED4963EE407, 0x9FB21C651E98DF25], np.uint64)
_LONG = 256
"""Texts of more bytes are taken by their SHA-256."""
_UNSEEN = frozenset({"uri"})
"""Where a file lies is no part of what it is."""


def _mix(values: Digests) -> Digests:
    """SplitMix64's finalizer; in place as far as can be, since it is a matter of memory alone."""
    found = values ^ (values >> np.uint64(30))
    found *= np.uint64(0xBF58476D1CE4E5B9)
    moved = found >> np.uint64(27)
    found ^= moved
    found *= np.uint64(0x94D049BB133111EB)
    np.right_shift(found, np.uint64(31), out=moved)
    found ^= moved
    return found


def _of_bits(bits: npt.NDArray[np.uint64], kind: int) -> Digests:
    return _mix(_mix(bits[:, None] + _SEEDS) + _ODD * np.uint64(kind))


def combined(parts: Sequence[Digests]) -> Digests:
    """The digest of several values of each row together, in order."""
    found = np.broadcast_to(_SEEDS * np.uint64(len(parts) + 1), parts[0].shape if parts else (0, 2))
    for part in parts:
        found = _mix(found * _ODD ^ part)
    return found


def digest_array(array: pa.Array | pa.ChunkedArray) -> Digests:
    """The digest of every value of an Arrow array; values of two types are never alike, not even missing ones."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    return _mix(_of_array(array) ^ _of_bits(np.array([_number_of(array.type)], np.uint64), 5))


@lru_cache(maxsize=256)
def _number_of(kind: pa.DataType) -> int:
    return int.from_bytes(hashlib.sha256(_spelled(kind).encode()).digest()[:8], "little")


def _spelled(kind: pa.DataType) -> str:
    """A type in words of our own, which no release of Arrow changes."""
    if pa.types.is_struct(kind):
        return "{" + ",".join(f"{field.name}:{_spelled(field.type)}" for field in kind) + "}"
    if pa.types.is_list(kind):
        return f"[{_spelled(kind.value_type)}]"
    if pa.types.is_string(kind):
        return "text"
    return "float" if pa.types.is_floating(kind) else "whole"


def _of_array(array: pa.Array) -> Digests:
    found = _of_type(array)
    if array.null_count:
        found = np.where(np.asarray(array.is_null())[:, None], _NULL, found)
    return found


def _of_type(array: pa.Array) -> Digests:
    kind = array.type
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        children = array.flatten()
        return combined([_of_array(children[at]) for at, name in enumerate(names) if name not in _UNSEEN])
    if pa.types.is_list(kind):
        return _of_lists(array)
    if pa.types.is_string(kind):
        return _of_texts(array)
    if pa.types.is_floating(kind):
        numbers = np.asarray(array.cast(pa.float64()).fill_null(0), np.float64) + 0.0
        numbers = np.where(np.isnan(numbers), np.nan, numbers)
        return _of_bits(numbers.view(np.uint64), 1)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind):
        return _of_bits(np.asarray(array.cast(pa.int64()).fill_null(0), np.int64).view(np.uint64), 2)
    raise TypeError(f"no digest for {kind}")


def _of_lists(array: pa.Array) -> Digests:
    lengths = np.asarray(array.value_lengths().fill_null(0), np.int64)
    elements = _of_array(array.flatten())
    starts = np.cumsum(lengths) - lengths
    places = np.arange(len(elements)) - np.repeat(starts, lengths)
    mixed = _mix(elements + places.astype(np.uint64)[:, None] * _ODD)
    sums = np.concatenate([np.zeros((1, 2), np.uint64), np.cumsum(mixed, axis=0, dtype=np.uint64)])
    return _mix(sums[starts + lengths] - sums[starts] + _of_bits(lengths.astype(np.uint64), 3))


def _of_texts(array: pa.StringArray) -> Digests:
    offsets, data = _text_buffers(array)
    starts, lengths = offsets[:-1], np.diff(offsets)
    found = _of_bits(lengths.astype(np.uint64), 4)
    words = np.ndarray((len(data) - 7,), "<u8", data, strides=(1,))
    active = np.flatnonzero((lengths > 0) & (lengths <= _LONG))
    at = 0
    while len(active):
        rest = np.minimum(lengths[active] - at, 8).astype(np.uint64)
        word = words[starts[active] + at] & (~np.uint64(0) >> (np.uint64(64) - np.uint64(8) * rest))
        found[active] = _mix(found[active] * _ODD ^ _mix(word[:, None] + _SEEDS))
        at += 8
        active = active[lengths[active] > at]
    for row in np.flatnonzero(lengths > _LONG).tolist():
        digest = hashlib.sha256(data[starts[row] : starts[row] + lengths[row]]).digest()
        found[row] = np.frombuffer(digest[:16], "<u8")
    return found


def _text_buffers(array: pa.StringArray) -> tuple[npt.NDArray[np.int64], Any]:
    """Where each text begins and the last one ends, and the bytes of all with eight to spare."""
    _, places, data = array.buffers()
    count = len(array)
    if not count or places is None:
        return np.zeros(count + 1, np.int64), bytes(8)
    offsets = np.frombuffer(places, np.int32)[array.offset : array.offset + count + 1].astype(np.int64)
    low, high = int(offsets[0]), int(offsets[-1])
    return offsets - low, (memoryview(data)[low:high].tobytes() if data is not None else b"") + bytes(8)
