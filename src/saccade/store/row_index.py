"""The keys of one version of a table: where each row is, and the order of the items."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceDataset

from saccade.core.errors import NotFoundError, nearest
from saccade.core.schema import KEY
from saccade.store.codec import POSITION
from saccade.store.columns import to_list
from saccade.store.lance_table import data_names, take_rows

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
        found = table.scanner(
            columns=[POSITION], with_row_address=True, scan_in_order=True, batch_size=_BATCH
        ).to_table()
        self.positions: Rows = found.column(POSITION).to_numpy()
        self.addresses: npt.NDArray[np.uint64] = found.column("_rowaddr").to_numpy()

    @cached_property
    def keys(self) -> pa.Array:
        """All keys as strings, in the order of the table."""
        found = self._table.scanner(columns=[KEY], scan_in_order=True).to_table()
        return pa.concat_arrays(found.column(KEY).chunks) if len(found) else pa.array([], pa.string())

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def order(self) -> Rows:
        """The rows in the order of the items."""
        if np.any(self.positions[1:] < self.positions[:-1]):
            return np.argsort(self.positions, kind="stable")
        return np.arange(len(self))

    @property
    def next_position(self) -> int:
        return int(self.positions.max()) + 1 if len(self) else 0

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {key: row for row, key in enumerate(to_list(self.keys))}

    def match(self, keys: pa.Array) -> Rows:
        """The row of each key, -1 where there is none."""
        return np.asarray(pc.fill_null(pc.index_in(keys, value_set=self.keys), -1), np.int64)

    def rows_of(self, keys: Iterable[str]) -> Rows:
        """The rows of some keys in the order of the items; NotFoundError for a key that is not there."""
        row_of = self._row_of
        try:
            rows = np.array(sorted({row_of[key] for key in keys}), np.int64)
        except KeyError as error:
            key = error.args[0]
            hint = nearest(str(key), row_of) if len(row_of) < HINTED else ""
            raise NotFoundError(f"There is no item '{key}'.", hint=hint) from None
        return rows[np.argsort(self.positions[rows], kind="stable")]

    def origins(self, codes: dict[str, int]) -> npt.NDArray[np.int64]:
        """Where the data of each row lies, as int64 (N, 2): a number for its data's name, and a place in it.

        Rows of two versions with equal origins are the same row. ``codes`` numbers the names, and is added to.
        """
        names = data_names(self._table)
        owners = (self.addresses >> np.uint64(32)).astype(np.int64)
        code_of = {owner: codes.setdefault(name, len(codes)) for owner, name in names.items()}
        made: list[int] = [code_of[owner] for owner in np.unique(owners).tolist()]
        _, inverse = np.unique(owners, return_inverse=True)
        places = (self.addresses & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return np.stack([np.array(made, np.int64)[inverse], places], axis=1)

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """These rows, in this order, with these columns."""
        return take_rows(self._table, self.addresses[rows], columns)
