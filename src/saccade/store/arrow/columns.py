"""Moving whole columns between Python and Arrow."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence, Sized
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

T = TypeVar("T")


def build(cls: type[T], count: int, **columns: Iterable[Any]) -> list[T]:
    """Instances of a frozen slotted dataclass, filled field by field.

    Skips the validation of the constructor, and with it most of the time, so it is only for values that went
    through the constructor before they were stored. Every field must be given.
    """
    instances = list(map(object.__new__, repeat(cls, count)))
    for name, values in columns.items():
        deque(map(getattr(cls, name).__set__, instances, values), maxlen=0)
    return instances


def to_list(array: pa.Array) -> list[Any]:
    """The values of an Arrow array of strings or numbers, None where null; faster than ``to_pylist``."""
    if array.null_count == len(array):
        return [None] * len(array)
    if array.null_count and not pa.types.is_string(array.type):
        values: list[Any] = array.to_pylist()
        return values
    found: list[Any] = array.to_numpy(zero_copy_only=False).tolist()
    return found


def to_list_of_few(array: pa.Array) -> list[Any]:
    """As :func:`to_list`, for an array of strings that holds few different ones."""
    encoded = array.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    return [None if index is None else words[index] for index in to_list(encoded.indices)]


def offsets_of(lengths: Iterable[int], count: int) -> npt.NDArray[np.int32]:
    """Where each of ``count`` lists begins in their concatenation, and where the last one ends; shape (count + 1,)."""
    ends = np.cumsum(np.fromiter(lengths, np.int64, count))
    if count and ends[-1] > np.iinfo(np.int32).max:
        raise pa.ArrowInvalid("more than 2,147,483,647 numbers in one batch")
    return np.concatenate([[0], ends]).astype(np.int32)


def lists_from(values: Sequence[Sized | None], flat: pa.Array) -> pa.Array:
    """A list array with the lengths of ``values``, null where None, over the concatenation ``flat``."""
    offsets = offsets_of((0 if value is None else len(value) for value in values), len(values))
    missing = np.fromiter((value is None for value in values), bool, len(values))
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), flat, mask=pa.array(missing) if missing.any() else None
    )


def cut(flat: Sequence[T], lists: pa.Array) -> list[Sequence[T] | None]:
    """Cut the concatenation of a list array's lists into them again, None where null."""
    lengths = to_list(lists.value_lengths())
    found: list[Sequence[T] | None] = []
    start = 0
    for length in lengths:
        end = start + (length or 0)
        found.append(None if length is None else flat[start:end])
        start = end
    return found
