"""Exact quantiles of numbers that do not fit in memory, by radix selection over a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
_MAX_BUFFERED = 1 << 18
"""Maximum numbers in memory, both while adding and while selecting."""
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SIGN = np.uint64(1 << 63)
_RADIX_BITS = 16


class StreamingQuantiles:
    """Five-number summary and mean of a stream of numbers; exact, with linear interpolation like ``np.quantile``."""

    def __init__(self) -> None:
        self._buffer: list[FloatArray] = []
        self._count = 0
        self._spilled = 0
        self._sum = 0.0
        self._file: IO[bytes] | None = None

    def add(self, numbers: FloatArray) -> None:
        self._buffer.append(np.array(numbers, np.float64))  # a copy: a view would keep the whole table in memory
        self._count += len(numbers)
        if self._count - self._spilled > _MAX_BUFFERED:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with this object)
            weakref.finalize(self, self._file.close)
        for numbers in self._buffer:
            self._sum += float(numbers.sum())
            self._file.write(numbers.data)
        self._buffer = []
        self._spilled = self._count

    def __len__(self) -> int:
        return self._count

    def result(self) -> dict[str, float] | None:
        """Return min, q1, median, q3, max and mean, or None if there are no numbers."""
        if not self._count:
            return None
        if self._file is None:
            numbers = np.concatenate(self._buffer)
            quantiles = np.quantile(numbers, _QUANTILES).tolist()
            mean = float(numbers.mean())
        else:
            self._spill()
            quantiles = self._quantiles()
            mean = self._sum / self._count
        return {**dict(zip(("min", "q1", "median", "q3", "max"), quantiles, strict=True)), "mean": mean}

    def _quantiles(self) -> list[float]:
        """Interpolate each quantile between the two numbers next to it in sorted order."""
        last = self._count - 1
        positions = [quantile * last for quantile in _QUANTILES]
        ranks = sorted({rank for position in positions for rank in (int(position), min(int(position) + 1, last))})
        number_at = dict(zip(ranks, self._select_ranks(ranks), strict=True))
        quantiles = []
        for position in positions:
            low = number_at[int(position)]
            high = number_at[min(int(position) + 1, last)]
            fraction = position - int(position)
            difference = high - low
            if not fraction or low == high:  # the difference of two equal infinities would be NaN
                quantiles.append(low)
            elif fraction < 0.5:  # from the nearer end, as np.quantile does
                quantiles.append(low + difference * fraction)
            else:
                quantiles.append(high - difference * (1 - fraction))
        return quantiles

    def _select_ranks(self, ranks: list[int]) -> list[float]:
        """Return the numbers at these ranks of the sorted order, by radix selection.

        The numbers are mapped to integer keys of the same order and counted by their leading bits. The buckets that
        contain a rank are refined until the keys in them fit in memory.
        """
        buckets = [(0, rank) for rank in ranks]  # smallest key of the bucket, and rank within the bucket
        bits = 64  # bits of a key that are not fixed by its bucket
        while True:
            firsts = sorted({first for first, _ in buckets})
            if not bits:
                return [_key_to_float(np.uint64(first)) for first, _ in buckets]
            keys_of_bucket = self._sorted_keys(firsts, bits) if bits < 64 else None
            if keys_of_bucket is not None:
                return [_key_to_float(keys_of_bucket[first][rank]) for first, rank in buckets]
            bits -= _RADIX_BITS
            counts = {first: np.zeros(1 << _RADIX_BITS, np.int64) for first in firsts}
            for keys in self._iter_keys():
                for first in firsts:
                    bucket_keys = _keys_with_prefix(keys, first, bits + _RADIX_BITS)
                    counts[first] += np.bincount(
                        ((bucket_keys - np.uint64(first)) >> np.uint64(bits)).astype(np.int64),
                        minlength=1 << _RADIX_BITS,
                    )
            buckets = [_narrow(counts[first], first, rank, bits) for first, rank in buckets]

    def _sorted_keys(self, firsts: list[int], bits: int) -> dict[int, npt.NDArray[np.uint64]] | None:
        """Return the sorted keys of each bucket, or None if they do not fit in memory."""
        parts: dict[int, list[npt.NDArray[np.uint64]]] = {first: [] for first in firsts}
        count = 0
        for keys in self._iter_keys():
            for first in firsts:
                bucket_keys = _keys_with_prefix(keys, first, bits)
                count += len(bucket_keys)
                parts[first].append(bucket_keys)
            if count > _MAX_BUFFERED:
                return None
        return {first: np.sort(np.concatenate(arrays)) for first, arrays in parts.items()}

    def _iter_keys(self) -> Iterator[npt.NDArray[np.uint64]]:
        """Yield all numbers as unsigned integers that sort like the numbers."""
        assert self._file is not None
        self._file.seek(0)
        while content := self._file.read(8 * max(1, _MAX_BUFFERED // 4)):
            bits = np.frombuffer(content, np.uint64)
            # IEEE 754: flip all bits of negative numbers, and the sign bit of the others.
            yield np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _keys_with_prefix(keys: npt.NDArray[np.uint64], first: int, bits: int) -> npt.NDArray[np.uint64]:
    if bits == 64:
        return keys
    matching: npt.NDArray[np.uint64] = keys[(keys >> np.uint64(bits)) == np.uint64(first >> bits)]
    return matching


def _narrow(counts: npt.NDArray[np.int64], first: int, rank: int, bits: int) -> tuple[int, int]:
    """Return the sub-bucket that contains a rank, and the rank within it."""
    ends = np.cumsum(counts)
    index = int(np.searchsorted(ends, rank, "right"))
    return first + (index << bits), rank - int(ends[index] - counts[index])


def _key_to_float(key: np.uint64) -> float:
    bits = key ^ _SIGN if key & _SIGN else ~key
    return float(np.array([bits], np.uint64).view(np.float64)[0])
