"""Row index of one table version: the key, address and position of every row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceDataset

from saccade.core.errors import NotFoundError, suggest
from saccade.core.schema import KEY
from saccade.store.arrow.codec import POSITION
from saccade.store.arrow.columns import to_list
from saccade.store.table.lance_table import data_file_ids, scan_rows, take_rows

Rows = npt.NDArray[np.int64]
"""Row numbers in storage order, deleted rows left out, as Lance counts them."""
MAX_SUGGESTION_KEYS = 20_000
"""A version with more keys gets no "did you mean" hint for an unknown key: comparing all keys would take too long."""
_BATCH_SIZE = 1 << 16


class RowIndex:
    """Row index of one version, read once since a version never changes.

    Attributes:
        positions: int64 (N,), the position of each row in the order of the items.
        addresses: uint64 (N,), Lance row addresses (fragment << 32 | row offset in the fragment).
    """

    def __init__(self, table: LanceDataset) -> None:
        self._table = table
        count = table.count_rows()
        self.positions: Rows = np.empty(count, np.int64)
        self.addresses: npt.NDArray[np.uint64] = np.empty(count, np.uint64)
        start = 0
        for batch in scan_rows(table, [POSITION], _BATCH_SIZE, with_row_address=True).to_batches():
            end = start + len(batch)
            self.positions[start:end] = batch.column(POSITION)
            self.addresses[start:end] = batch.column("_rowaddr")
            start = end

    @cached_property
    def keys(self) -> pa.Array:
        """All keys as strings, in storage order."""
        keys = scan_rows(self._table, [KEY], _BATCH_SIZE).to_table()
        return pa.concat_arrays(keys.column(KEY).chunks) if len(keys) else pa.array([], pa.string())

    def keys_at(self, rows: Rows) -> pa.Array:
        """Return the keys of rows. A few rows are read on their own, without loading all keys."""
        if not len(rows):
            return pa.array([], pa.string())
        if len(rows) > len(self) // 4 or "keys" in self.__dict__:
            return self.keys.take(pa.array(rows))
        return self.take(rows, [KEY]).column(KEY).combine_chunks()

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def is_in_order(self) -> bool:
        """Whether the storage order is the order of the items."""
        return not np.any(self.positions[1:] < self.positions[:-1])

    @cached_property
    def order(self) -> Rows:
        """All rows in the order of the items."""
        return np.arange(len(self)) if self.is_in_order else np.argsort(self.positions, kind="stable")

    @property
    def next_position(self) -> int:
        return int(self.positions.max()) + 1 if len(self) else 0

    def rows_for_keys(self, keys: pa.Array) -> Rows:
        """Return the row of each key, -1 if it does not exist."""
        if len(keys) >= len(self):
            return np.asarray(pc.fill_null(pc.index_in(keys, value_set=self.keys), -1), np.int64)
        # Looking up all keys of the table among the few requested ones is ten times as fast as the other way round,
        # and takes hardly any memory.
        encoded = keys.dictionary_encode()
        codes = np.asarray(pc.fill_null(pc.index_in(self.keys, value_set=encoded.dictionary), -1))
        matched_rows = np.flatnonzero(codes >= 0)
        row_of_code: Rows = np.full(len(encoded.dictionary) + 1, -1, np.int64)  # the last one is for code -1
        row_of_code[codes[matched_rows]] = matched_rows
        rows: Rows = row_of_code[np.asarray(pc.fill_null(encoded.indices, -1))]
        return rows

    def require_rows(self, keys: Iterable[str]) -> Rows:
        """Return the rows of keys in the order of the items.

        Raises:
            NotFoundError: if a key does not exist.
        """
        unique_keys = list(dict.fromkeys(keys))
        rows = self.rows_for_keys(pa.array(unique_keys, pa.string())) if unique_keys else np.empty(0, np.int64)
        if np.any(rows < 0):
            key = unique_keys[int(np.argmax(rows < 0))]
            hint = suggest(key, to_list(self.keys)) if len(self) < MAX_SUGGESTION_KEYS else ""
            raise NotFoundError(f"There is no item '{key}'.", hint=hint)
        return self.sort_by_position(rows)

    def sort_by_position(self, rows: Rows) -> Rows:
        """Return the rows in the order of the items."""
        return rows[np.argsort(self.positions[rows], kind="stable")]

    def map_rows_to(self, other: RowIndex) -> Rows:
        """Return for each row the row of another version that is stored at the same address, -1 if there is none."""
        mapping = np.full(len(self), -1, np.int64)
        other_slices = other._slices_by_data_file()
        for data_file_id, rows in self._slices_by_data_file().items():
            other_rows = other_slices.get(data_file_id)
            if other_rows is not None:
                mapping[rows] = _searchsorted_match(
                    self._fragment_offsets(rows), other._fragment_offsets(other_rows), other_rows.start
                )
        return mapping

    def fragment_slices(self) -> dict[int, slice]:
        """Return the rows of each fragment, which are contiguous."""
        fragment_ids = (self.addresses >> np.uint64(32)).astype(np.uint32)
        bounds = [0, *(np.flatnonzero(fragment_ids[1:] != fragment_ids[:-1]) + 1).tolist(), len(fragment_ids)]
        return {int(fragment_ids[begin]): slice(begin, end) for begin, end in pairwise(bounds) if end > begin}

    def _slices_by_data_file(self) -> dict[str, slice]:
        ids = data_file_ids(self._table)
        return {ids[fragment_id]: rows for fragment_id, rows in self.fragment_slices().items()}

    def _fragment_offsets(self, rows: slice) -> npt.NDArray[np.uint32]:
        """Return the offset of each row in its fragment, which is the lower half of its address; they ascend."""
        return self.addresses[rows].astype(np.uint32)

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """Return these rows, in this order, with these columns."""
        return take_rows(self._table, self.addresses[rows], columns)


def _searchsorted_match(values: npt.NDArray[np.uint32], sorted_values: npt.NDArray[np.uint32], first: int) -> Rows:
    """Return ``first`` plus the index of each value among sorted values, -1 if it is not among them."""
    indices = np.minimum(np.searchsorted(sorted_values, values), len(sorted_values) - 1)
    return np.where(sorted_values[indices] == values, indices + first, -1)
