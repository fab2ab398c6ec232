"""Memos: the per-item results of an operation, looked up by the digest of the input item."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.io.atomic import atomic_write, make_private_dir
from saccade.pipeline.cache.column import Rows, ValueLocations
from saccade.pipeline.cache.segments import CorruptCacheError, Segment, SegmentBatch, serialize_batch
from saccade.pipeline.hashing.columns import Digests

SUFFIX = ".segment"
_SMALL_FRACTION = 8
"""A lookup of fewer than one in this many stored items counts as small."""
_MAX_LINEAR_LOOKUPS = 8
"""So few items are compared with all stored ones directly, without a hash table."""


class Memo:
    """The segments in a folder. The stored items are numbered consecutively over all segments, in order of time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.segments: list[Segment] = []
        names = sorted(path.name for path in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
        for name in names:
            self._register(Segment(folder / name))

    def _register(self, segment: Segment) -> None:
        try:
            len(segment)
        except CorruptCacheError:
            segment.path.unlink(missing_ok=True)  # its items will be computed again
            return
        self.segments.append(segment)

    def add(self, batch: SegmentBatch) -> SegmentBatch:
        """Store the results of some items durably."""
        return self.add_serialized(serialize_batch(batch))

    def add_serialized(self, content: bytes) -> SegmentBatch:
        """Store the content of a segment durably, and return the batch in it."""
        # Durable, unlike the rest of the cache, which can be derived from segments.
        make_private_dir(self.folder)
        # Names sort by time: of several results of an item, the last one counts.
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}{SUFFIX}"
        atomic_write(self.folder / name, content)
        segment = Segment(self.folder / name)
        self._register(segment)
        return segment.batch

    def delete_segments(self, segments: Iterable[Segment]) -> None:
        """Delete segments; their items will be computed again."""
        deleted = list(segments)
        for segment in deleted:
            segment.path.unlink(missing_ok=True)
        self.segments = [segment for segment in self.segments if segment not in deleted]

    @property
    def offsets(self) -> Rows:
        """The number of the first item of each segment, followed by the total number of items."""
        return np.cumsum([0, *map(len, self.segments)])

    def __len__(self) -> int:
        return int(self.offsets[-1])

    # Lookup

    def find(self, items: Digests, first_item: int = 0) -> Rows:
        """Look up items by digest; of an item that was retried, the last result counts.

        Args:
            items: the digests, uint64 (N, 2).
            first_item: search only from this item number on, which must be the start of a segment.

        Returns:
            The number of each item, or -1 if it is not stored, int64 (N,).
        """
        numbers = np.full(len(items), -1, np.int64)
        offsets = self.offsets
        segments = [
            (int(offset), segment)
            for offset, segment in zip(offsets, self.segments, strict=False)
            if offset >= first_item
        ]
        if _SMALL_FRACTION * len(items) > offsets[-1] - first_item:
            self._match_in_order(items, segments, numbers)
        for offset, segment in reversed(segments):  # latest first: a retry replaces an earlier result
            missing = np.flatnonzero(numbers < 0)
            if not len(missing):
                break
            if _SMALL_FRACTION * len(missing) > offsets[-1] - first_item and len(segments) > 1:
                # Many items are missing: look them up in all segments at once, the latest segment first.
                stored = np.concatenate([segment.items for _, segment in reversed(segments)])
                stored_numbers = np.concatenate(
                    [np.arange(start, start + len(segment)) for start, segment in reversed(segments)]
                )
                positions = _match_digests(items[missing], stored)
                numbers[missing] = np.where(positions >= 0, stored_numbers[positions], -1)
                break
            positions = _match_digests(items[missing], segment.items)
            numbers[missing] = np.where(positions >= 0, positions + offset, -1)
        return numbers

    def _match_in_order(self, items: Digests, segments: list[tuple[int, Segment]], numbers: Rows) -> None:
        """Find the items that were stored in the same order as they are requested in, and did not fail.

        A fast path: after a complete run all items match, without a hash lookup.
        """
        position = 0
        for offset, segment in segments:
            stored = segment.items[: len(items) - position]
            is_equal = np.all(items[position : position + len(stored)] == stored, axis=1)
            if segment.may_hold_failures:
                is_equal[[index for index in segment.batch.failures if index < len(is_equal)]] = False
            numbers[position : position + len(stored)][is_equal] = offset + np.flatnonzero(is_equal)
            position += len(stored)

    def computed_at_ns(self, number: int) -> int:
        """Return when the result of an item was stored, in nanoseconds since 1970."""
        segment_indices, _ = self._locate(np.array([number]))
        return int(self.segments[segment_indices[0]].path.name.partition("-")[0])

    def _locate(self, numbers: Rows) -> tuple[npt.NDArray[np.int32], Rows]:
        """Return the segment index of each item, and its index within the segment."""
        offsets = self.offsets
        segment_indices = np.searchsorted(offsets, numbers, "right") - 1
        return segment_indices.astype(np.int32), numbers - offsets[segment_indices]

    def failures(self, numbers: Rows) -> dict[int, str]:
        """Return the error text of each failed item, by its position in ``numbers``."""
        with_failures = [index for index, segment in enumerate(self.segments) if segment.may_hold_failures]
        if not with_failures:
            return {}
        segment_indices, item_indices = self._locate(numbers)
        failures = {}
        for position in np.flatnonzero(np.isin(segment_indices, with_failures)).tolist():
            text = self.segments[segment_indices[position]].batch.failures.get(int(item_indices[position]))
            if text is not None:
                failures[position] = text
        return failures

    # Results

    def result_rows(self, numbers: Rows) -> tuple[npt.NDArray[np.int32], Rows, Rows]:
        """Locate the output rows of items.

        Args:
            numbers: the numbers of the items.

        Returns:
            For each output row the segment index, the row within the segment, and the position of its item in
            ``numbers``.
        """
        segment_indices, item_indices = self._locate(numbers)
        used, offsets = self._used_segments(segment_indices, [len(segment) for segment in self.segments])
        positions = offsets[segment_indices] + item_indices
        empty = np.empty(0, np.int64)
        counts = np.concatenate([empty, *(self.segments[index].batch.counts for index in used)])[positions]
        starts = np.concatenate([empty, *(self.segments[index].row_offsets for index in used)])[positions]
        if bool(np.all(counts == 1)):
            return segment_indices, starts, np.arange(len(numbers))
        items = np.repeat(np.arange(len(numbers)), counts)
        within_item = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
        return segment_indices[items], starts[items] + within_item, items

    def _used_segments(self, segment_indices: npt.NDArray[np.int32], lengths: list[int]) -> tuple[list[int], Rows]:
        """Return the segments that occur, and the offset of each if only these are concatenated."""
        used = np.flatnonzero(np.bincount(segment_indices, minlength=len(self.segments)))
        offsets = np.zeros(len(self.segments), np.int64)
        offsets[used] = np.cumsum([0, *(lengths[index] for index in used.tolist())])[:-1]
        return used.tolist(), offsets

    def column(self, name: str, segment_indices: npt.NDArray[np.int32], rows: Rows) -> ValueLocations:
        """Return a column of output rows.

        Args:
            name: the column.
            segment_indices: the segment of each row.
            rows: each row's number within its segment.
        """
        used, offsets = self._used_segments(segment_indices, [0] * len(self.segments))
        batches = [self.segments[index].batch.rows for index in used]
        offsets[used] = np.cumsum([0, *map(len, batches)])[:-1]
        positions = offsets[segment_indices] + rows
        digests = np.empty((len(rows), 2), np.uint64)
        for lane in (0, 1):
            lanes = [batch.column(f"#{lane}{name}").to_numpy() for batch in batches]
            digests[:, lane] = np.concatenate([np.empty(0, np.uint64), *lanes])[positions]
        sources = tuple(f"segment:{self.name}/{self.segments[index].path.name}#{name}" for index in used)
        source_of_segment = np.zeros(len(self.segments), np.int32)
        source_of_segment[used] = np.arange(len(used))
        return ValueLocations(digests, sources, source_of_segment[segment_indices], rows)


def _match_digests(items: Digests, stored: Digests) -> Rows:
    """Return the position of each item among the stored digests, or -1; of duplicates, the first."""
    if len(items) <= _MAX_LINEAR_LOOKUPS:
        matches = [np.flatnonzero((stored[:, 0] == item[0]) & (stored[:, 1] == item[1])) for item in items]
        return np.array([match[0] if len(match) else -1 for match in matches], np.int64)
    # Usually few items are looked up among many: filter the many first, so that no hash table of them is built.
    first_lanes = pa.array(np.ascontiguousarray(items[:, 0]))
    candidates = np.flatnonzero(pc.is_in(pa.array(np.ascontiguousarray(stored[:, 0])), value_set=first_lanes))
    if not len(candidates):
        return np.full(len(items), -1, np.int64)
    indices = pc.index_in(first_lanes, value_set=pa.array(stored[candidates, 0]))
    first = np.asarray(pc.fill_null(indices, -1), np.int64)
    positions = np.where(first >= 0, candidates[first], -1)
    positions[(positions >= 0) & (stored[positions, 1] != items[:, 1])] = -1
    return positions
