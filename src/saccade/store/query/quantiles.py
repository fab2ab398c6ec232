"""How many numbers are spread: those that memory should not hold are put into a temporary file."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator
from typing import IO

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
_HELD = 1 << 18
"""So many numbers are held; also while the rest is looked through."""
_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
_SIGN = np.uint64(1 << 63)
_BITS = 16


class Spread:
    """Least, quartiles, greatest and mean of numbers that come bit by bit; exact, with linear interpolation."""

    def __init__(self) -> None:
        self._held: list[Numbers] = []
        self._count, self._in_file, self._sum = 0, 0, 0.0
        self._file: IO[bytes] | None = None

    def add(self, numbers: Numbers) -> None:
        self._held.append(np.array(numbers, np.float64))  # a copy: a part of a table would keep all of it in memory
        self._count += len(numbers)
        if self._count - self._in_file > _HELD:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (it goes with this object)
            weakref.finalize(self, self._file.close)
        for numbers in self._held:
            self._sum += float(numbers.sum())
            self._file.write(numbers.data)
        self._held, self._in_file = [], self._count

    def __len__(self) -> int:
        return self._count

    def result(self) -> dict[str, float] | None:
        """min, q1, median, q3, max and mean; None where there are no numbers."""
        if not self._count:
            return None
        if self._file is None:
            numbers = np.concatenate(self._held)
            found, mean = np.quantile(numbers, _QUANTILES).tolist(), float(numbers.mean())
        else:
            self._spill()
            found, mean = self._quantiles(), self._sum / self._count
        return {**dict(zip(("min", "q1", "median", "q3", "max"), found, strict=True)), "mean": mean}

    def _quantiles(self) -> list[float]:
        """Each quantile between the two numbers that stand beside its place when all are in order."""
        places = [share * (self._count - 1) for share in _QUANTILES]
        ranks = sorted({rank for place in places for rank in (int(place), min(int(place) + 1, self._count - 1))})
        value = dict(zip(ranks, self._ranked(ranks), strict=True))
        made = []
        for place in places:
            low, high = value[int(place)], value[min(int(place) + 1, self._count - 1)]
            share = place - int(place)
            apart = high - low
            if not share or low == high:  # infinite ones too
                made.append(low)
            else:
                made.append(low + apart * share if share < 0.5 else high - apart * (1 - share))
        return made

    def _ranked(self, ranks: list[int]) -> list[float]:
        """The numbers at these places of the order.

        Keys in the order of the numbers are counted by their first bits, and looked at closer where a rank falls, until
        what is left of them can be held (a radix selection).
        """
        spans = [(0, rank) for rank in ranks]  # the first key of the span in which it lies, its place there
        bits = 64
        while True:
            firsts = sorted({first for first, _ in spans})
            if not bits:
                return [_number(np.uint64(first)) for first, _ in spans]
            held = self._keys_in(firsts, bits) if bits < 64 else None
            if held is not None:
                return [_number(held[first][place]) for first, place in spans]
            bits -= _BITS
            counts = {first: np.zeros(1 << _BITS, np.int64) for first in firsts}
            for keys in self._keys():
                for first in firsts:
                    inside = _inside(keys, first, bits + _BITS)
                    counts[first] += np.bincount(
                        ((inside - np.uint64(first)) >> np.uint64(bits)).astype(np.int64), minlength=1 << _BITS
                    )
            spans = [_narrowed(counts[first], first, place, bits) for first, place in spans]

    def _keys_in(self, firsts: list[int], bits: int) -> dict[int, npt.NDArray[np.uint64]] | None:
        """The keys of these spans in order; None where they are too many to be held."""
        parts: dict[int, list[npt.NDArray[np.uint64]]] = {first: [] for first in firsts}
        count = 0
        for keys in self._keys():
            for first in firsts:
                inside = _inside(keys, first, bits)
                count += len(inside)
                parts[first].append(inside)
            if count > _HELD:
                return None
        return {first: np.sort(np.concatenate(found)) for first, found in parts.items()}

    def _keys(self) -> Iterator[npt.NDArray[np.uint64]]:
        """All numbers as whole ones that have the same order."""
        assert self._file is not None
        self._file.seek(0)
        while content := self._file.read(8 * max(1, _HELD // 4)):
            keys = np.frombuffer(content, np.uint64)
            yield np.where(keys & _SIGN, ~keys, keys | _SIGN)


def _inside(keys: npt.NDArray[np.uint64], first: int, bits: int) -> npt.NDArray[np.uint64]:
    if bits == 64:
        return keys
    found: npt.NDArray[np.uint64] = keys[(keys >> np.uint64(bits)) == np.uint64(first >> bits)]
    return found


def _narrowed(counts: npt.NDArray[np.int64], first: int, place: int, bits: int) -> tuple[int, int]:
    ends = np.cumsum(counts)
    at = int(np.searchsorted(ends, place, "right"))
    return first + (at << bits), place - int(ends[at] - counts[at])


def _number(key: np.uint64) -> float:
    bits = key ^ _SIGN if key & _SIGN else ~key
    return float(np.array([bits], np.uint64).view(np.float64)[0])
