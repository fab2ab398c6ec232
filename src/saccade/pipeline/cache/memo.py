"""The results of items under one operation: found by the digest of what an item was."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.pipeline.cache.column import Places, Rows
from saccade.pipeline.cache.segments import Batch, DamagedError, Segment, packed
from saccade.pipeline.hashing.columns import Digests
from saccade.store.io.atomic import write_whole

SUFFIX = ".segment"
_FEW = 8


class Memo:
    """The segments of a folder. Items are known by number, from the first of the first segment on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.segments: list[Segment] = []
        names = sorted(path.name for path in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
        for name in names:
            self._adopt(Segment(folder / name))

    def _adopt(self, segment: Segment) -> None:
        try:
            len(segment)
        except DamagedError:
            segment.path.unlink(missing_ok=True)  # what it held is worked out again
            return
        self.segments.append(segment)

    def add(self, batch: Batch) -> Batch:
        """Keep the results of some items, durably."""
        return self.add_packed(packed(batch))

    def add_packed(self, content: bytes) -> Batch:
        """Keep the content of a segment, durably; returns what is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}{SUFFIX}"
        write_whole(self.folder / name, content)
        segment = Segment(self.folder / name)
        self._adopt(segment)
        return segment.batch

    def drop(self, segments: Iterable[Segment]) -> None:
        """Remove segments; their items are worked on again."""
        gone = list(segments)
        for segment in gone:
            segment.path.unlink(missing_ok=True)
        self.segments = [segment for segment in self.segments if segment not in gone]

    @property
    def starts(self) -> Rows:
        """The number of the first item of each segment, and of all."""
        return np.cumsum([0, *map(len, self.segments)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    # Finding

    def find(self, items: Digests, since: int = 0) -> Rows:
        """For each item its number among all that are known, or -1; of one that was tried again, the last try.

        Args:
            since: look only among those from this number on, where a segment begins.
        """
        found = np.full(len(items), -1, np.int64)
        starts = self.starts
        later = [(int(start), one) for start, one in zip(starts, self.segments, strict=False) if start >= since]
        if _FEW * len(items) > starts[-1] - since:
            self._find_in_order(items, later, found)
        for start, segment in reversed(later):
            missing = np.flatnonzero(found < 0)
            if not len(missing):
                break
            if _FEW * len(missing) > starts[-1] - since and len(later) > 1:
                known = np.concatenate([one.items for _, one in reversed(later)])
                order = np.concatenate([np.arange(first, first + len(one)) for first, one in reversed(later)])
                there = _looked_up(items[missing], known)
                found[missing] = np.where(there >= 0, order[there], -1)
                break
            there = _looked_up(items[missing], segment.items)
            found[missing] = np.where(there >= 0, there + start, -1)
        return found

    def _find_in_order(self, items: Digests, later: list[tuple[int, Segment]], found: Rows) -> None:
        """Find the items that are known in the order in which they are asked for, and did not fail."""
        at = 0
        for start, segment in later:
            known = segment.items[: len(items) - at]
            same = np.all(items[at : at + len(known)] == known, axis=1)
            if segment.may_hold_failures:
                same[[number for number in segment.batch.failures if number < len(same)]] = False
            found[at : at + len(known)][same] = start + np.flatnonzero(same)
            at += len(known)

    def since(self, number: int) -> int:
        """When the result of a known item was worked out, in nanoseconds since 1970."""
        which, _ = self._of(np.array([number]))
        return int(self.segments[which[0]].path.name.partition("-")[0])

    def _of(self, numbers: Rows) -> tuple[npt.NDArray[np.int32], Rows]:
        """The segment of each known item, and its number there."""
        starts = self.starts
        which = np.searchsorted(starts, numbers, "right") - 1
        return which.astype(np.int32), numbers - starts[which]

    def failures(self, numbers: Rows) -> dict[int, str]:
        """Which of these known items failed, by their place in ``numbers``, and why."""
        failing = [number for number, segment in enumerate(self.segments) if segment.may_hold_failures]
        if not failing:
            return {}
        which, places = self._of(numbers)
        found = {}
        for at in np.flatnonzero(np.isin(which, failing)).tolist():
            why = self.segments[which[at]].batch.failures.get(int(places[at]))
            if why is not None:
                found[at] = why
        return found

    # What is known of items

    def rows(self, numbers: Rows) -> tuple[npt.NDArray[np.int32], Rows, Rows]:
        """Every row that came of these known items: its segment, its row there, and the place of its item."""
        which, places = self._of(numbers)
        used, offsets = self._used(which, [len(one) for one in self.segments])
        at = offsets[which] + places
        counts = np.concatenate([np.empty(0, np.int64), *(self.segments[one].batch.counts for one in used)])[at]
        starts = np.concatenate([np.empty(0, np.int64), *(self.segments[one].starts for one in used)])[at]
        if bool(np.all(counts == 1)):
            return which, starts, np.arange(len(numbers))
        items = np.repeat(np.arange(len(numbers)), counts)
        within = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
        return which[items], starts[items] + within, items

    def _used(self, which: npt.NDArray[np.int32], lengths: list[int]) -> tuple[list[int], Rows]:
        """The segments that are used, and for each where it begins when these lie one after another."""
        used = np.flatnonzero(np.bincount(which, minlength=len(self.segments)))
        offsets = np.zeros(len(self.segments), np.int64)
        offsets[used] = np.cumsum([0, *(lengths[one] for one in used.tolist())])[:-1]
        return used.tolist(), offsets

    def column(self, name: str, which: npt.NDArray[np.int32], rows: Rows) -> Places:
        """A column of these rows."""
        used, offsets = self._used(which, [0] * len(self.segments))
        batches = [self.segments[one].batch.rows for one in used]
        offsets[used] = np.cumsum([0, *map(len, batches)])[:-1]
        places = offsets[which] + rows
        digests = np.empty((len(rows), 2), np.uint64)
        for lane in (0, 1):
            every = [batch.column(f"#{lane}{name}").to_numpy() for batch in batches]
            digests[:, lane] = np.concatenate([np.empty(0, np.uint64), *every])[places]
        sources = tuple(f"segment:{self.name}/{self.segments[one].path.name}#{name}" for one in used)
        numbers = np.zeros(len(self.segments), np.int32)
        numbers[used] = np.arange(len(used))
        return Places(digests, sources, numbers[which], rows)


def _looked_up(items: Digests, known: Digests) -> Rows:
    """The place of each item among those that are known, in any order, or -1; of several the first."""
    if len(items) <= _FEW:
        places = [np.flatnonzero((known[:, 0] == one[0]) & (known[:, 1] == one[1])) for one in items]
        return np.array([place[0] if len(place) else -1 for place in places], np.int64)
    # Few are looked for among many: what cannot be one of them goes first, without a table of the many.
    wanted = pa.array(np.ascontiguousarray(items[:, 0]))
    likely = np.flatnonzero(pc.is_in(pa.array(np.ascontiguousarray(known[:, 0])), value_set=wanted))
    if not len(likely):
        return np.full(len(items), -1, np.int64)
    first = np.asarray(pc.fill_null(pc.index_in(wanted, value_set=pa.array(known[likely, 0])), -1), np.int64)
    there = np.where(first >= 0, likely[first], -1)
    there[(there >= 0) & (known[there, 1] != items[:, 1])] = -1
    return there
