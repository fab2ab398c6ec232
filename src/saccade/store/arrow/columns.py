"""Fast conversion of whole columns between Python lists and Arrow arrays."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence, Sized
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

T = TypeVar("T")


def fast_init(cls: type[T], count: int, **columns: Iterable[Any]) -> list[T]:
    """Create instances of a frozen, slotted dataclass from columns, without calling the constructor.

    The constructor takes most of the time of decoding. Use this only for values that were validated by the constructor
    before they were stored.

    Args:
        cls: the dataclass.
        count: number of instances.
        **columns: the values of every field of the dataclass.
    """
    instances = list(map(object.__new__, repeat(cls, count)))
    for name, values in columns.items():
        deque(map(getattr(cls, name).__set__, instances, values), maxlen=0)
    return instances


def to_list(array: pa.Array) -> list[Any]:
    """Convert an Arrow array of strings or numbers to a list, None for null. Faster than ``to_pylist``."""
    if array.null_count == len(array):
        return [None] * len(array)
    if array.null_count and not pa.types.is_string(array.type):
        values: list[Any] = array.to_pylist()
        return values
    converted: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return converted


def to_list_dictionary(array: pa.Array) -> list[Any]:
    """Convert an Arrow array of low-cardinality strings to a list whose equal values are one Python object."""
    encoded = array.dictionary_encode()
    categories = encoded.dictionary.to_pylist()
    return [None if code is None else categories[code] for code in to_list(encoded.indices)]


def single_chunk(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a column as one array; copies only if it has several chunks."""
    if isinstance(array, pa.Array):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()


def list_lengths(array: pa.Array) -> npt.NDArray[np.int64]:
    """Return the length of each list in a list array, 0 for null."""
    return np.asarray(array.value_lengths().fill_null(0), np.int64)


def list_offsets(lengths: Iterable[int], count: int) -> npt.NDArray[np.int32]:
    """Return the Arrow offsets of ``count`` lists, int32 (count + 1,).

    Raises:
        pa.ArrowInvalid: if the lists have too many elements for 32-bit offsets.
    """
    ends = np.cumsum(np.fromiter(lengths, np.int64, count))
    if count and ends[-1] > np.iinfo(np.int32).max:
        raise pa.ArrowInvalid("more than 2,147,483,647 list elements in one batch")
    return np.concatenate([[0], ends]).astype(np.int32)


def list_array(values: Sequence[Sized | None], flat: pa.Array) -> pa.Array:
    """Build a list array from ``flat``, the concatenated elements, and the lengths of ``values``; None becomes null."""
    offsets = list_offsets((0 if value is None else len(value) for value in values), len(values))
    missing = np.fromiter((value is None for value in values), bool, len(values))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), flat, mask=pa.array(missing) if missing.any() else None
    )


def split_by_offsets(flat: Sequence[T], lists: pa.Array) -> list[Sequence[T] | None]:
    """Split concatenated elements into the lists of a list array, None for null."""
    parts: list[Sequence[T] | None] = []
    start = 0
    for length in to_list(lists.value_lengths()):
        end = start + (length or 0)
        parts.append(None if length is None else flat[start:end])
        start = end
    return parts
