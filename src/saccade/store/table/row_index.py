"""The keys of one version of a table: where each row is, and the order of the items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceDataset

from saccade.core.errors import NotFoundError, nearest
from saccade.core.schema import KEY
from saccade.store.arrow.codec import POSITION
from saccade.store.arrow.columns import to_list
from saccade.store.table.lance_table import data_names, scan_rows, take_rows

Rows = npt.NDArray[np.int64]
"""Numbers of rows as Lance counts them, deleted ones left out."""
HINTED = 20_000
"""Among fewer keys than these the nearest are looked for when one is not there."""
_BATCH = 1 << 16


class RowIndex:
    """Read once for a version, which never changes.

    Attributes:
        positions: int64 (N,), the place of each row in the order of the items.
        addresses: uint64 (N,), what Lance calls row addresses.
    """

    def __init__(self, table: LanceDataset) -> None:
        self._table = table
        count = table.count_rows()
        self.positions: Rows = np.empty(count, np.int64)
        self.addresses: npt.NDArray[np.uint64] = np.empty(count, np.uint64)
        start = 0
        for batch in scan_rows(table, [POSITION], _BATCH, with_row_address=True).to_batches():
            part = slice(start, start := start + len(batch))
            self.positions[part], self.addresses[part] = batch.column(POSITION), batch.column("_rowaddr")

    @cached_property
    def keys(self) -> pa.Array:
        """All keys as strings, in the order of the table."""
        found = scan_rows(self._table, [KEY], _BATCH).to_table()
        return pa.concat_arrays(found.column(KEY).chunks) if len(found) else pa.array([], pa.string())

    def keys_of(self, rows: Rows) -> pa.Array:
        """The keys of some rows; those of all are not read for the sake of a few."""
        if not len(rows):
            return pa.array([], pa.string())
        if len(rows) > len(self) // 4 or "keys" in self.__dict__:
            return self.keys.take(pa.array(rows))
        return self.take(rows, [KEY]).column(KEY).combine_chunks()

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def is_in_order(self) -> bool:
        """Whether the rows lie in the order of the items."""
        return not np.any(self.positions[1:] < self.positions[:-1])

    @cached_property
    def order(self) -> Rows:
        """The rows in the order of the items."""
        return np.arange(len(self)) if self.is_in_order else np.argsort(self.positions, kind="stable")

    @property
    def next_position(self) -> int:
        return int(self.positions.max()) + 1 if len(self) else 0

    def match(self, keys: pa.Array) -> Rows:
        """The row of each key, -1 where there is none."""
        if len(keys) >= len(self):
            return np.asarray(pc.fill_null(pc.index_in(keys, value_set=self.keys), -1), np.int64)
        # To look all keys up among the few is ten times as fast as the other way round, and takes hardly any memory.
        coded = keys.dictionary_encode()
        number = np.asarray(pc.fill_null(pc.index_in(self.keys, value_set=coded.dictionary), -1))
        rows = np.flatnonzero(number >= 0)
        row_of: Rows = np.full(len(coded.dictionary) + 1, -1, np.int64)
        row_of[number[rows]] = rows
        found: Rows = row_of[np.asarray(pc.fill_null(coded.indices, -1))]
        return found

    def rows_of(self, keys: Iterable[str]) -> Rows:
        """The rows of some keys in the order of the items; NotFoundError for a key that is not there."""
        wanted = list(dict.fromkeys(keys))
        rows = self.match(pa.array(wanted, pa.string())) if wanted else np.empty(0, np.int64)
        if np.any(rows < 0):
            key = wanted[int(np.argmax(rows < 0))]
            hint = nearest(key, to_list(self.keys)) if len(self) < HINTED else ""
            raise NotFoundError(f"There is no item '{key}'.", hint=hint)
        return self.in_order(rows)

    def in_order(self, rows: Rows) -> Rows:
        """Some rows in the order of the items."""
        return rows[np.argsort(self.positions[rows], kind="stable")]

    def rows_in(self, other: RowIndex) -> Rows:
        """For each row the row of another version that is the same row of the same data, -1 where there is none."""
        found = np.full(len(self), -1, np.int64)
        theirs = other._by_data()
        for name, mine in self._by_data().items():
            if name in theirs:
                first = theirs[name].start
                found[mine] = _places_in(self._places(mine), other._places(theirs[name]), first)
        return found

    def fragments(self) -> dict[int, slice]:
        """The rows of each fragment, which lie together."""
        owners = (self.addresses >> np.uint64(32)).astype(np.uint32)
        cuts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist(), len(owners)]
        return {int(owners[begin]): slice(begin, end) for begin, end in pairwise(cuts) if end > begin}

    def _by_data(self) -> dict[str, slice]:
        """The rows of each fragment by the name of its data."""
        names = data_names(self._table)
        return {names[fragment]: rows for fragment, rows in self.fragments().items()}

    def _places(self, rows: slice) -> npt.NDArray[np.uint32]:
        """Where in its data each of some rows is; these grow."""
        return self.addresses[rows].astype(np.uint32)  # the lower half

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """These rows, in this order, with these columns."""
        return take_rows(self._table, self.addresses[rows], columns)


def _places_in(wanted: npt.NDArray[np.uint32], there: npt.NDArray[np.uint32], first: int) -> Rows:
    """Where each of some growing numbers is among others that grow, counted from ``first``; -1 where it is not."""
    at = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return np.where(there[at] == wanted, at + first, -1)
