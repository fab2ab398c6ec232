"""One version of a table, as data: what reading, comparing and writing on top of it need."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance import LanceDataset
from lance.fragment import LanceFragment

from saccade.core.schema import KEY, Schema
from saccade.store.table.key_index import addresses_of, is_large
from saccade.store.table.lance_table import open_table, scan_rows, take_rows
from saccade.store.table.row_index import RowIndex, Rows

_READING = threading.RLock()


@dataclass(frozen=True)
class Snapshot:
    """A table at one version, with the schema of that version."""

    folder: Path
    version: str
    schema: Schema

    @property
    def table_id(self) -> str:
        return self.folder.stem

    def reference(self) -> tuple[str, str, dict[str, Any]]:
        """What :meth:`from_reference` makes the same snapshot of in another process."""
        return str(self.folder), self.version, self.schema.to_json()

    @classmethod
    def from_reference(cls, folder: str, version: str, schema: dict[str, Any]) -> Snapshot:
        return cls(Path(folder), version, Schema.from_json(schema))

    @cached_property
    def table(self) -> LanceDataset:
        return open_table(self.folder, self.version)

    @property
    def index(self) -> RowIndex:
        """Where the rows are; read once, also where many threads come at once."""
        kept: RowIndex | None = self.__dict__.get("_index")
        if kept is None:
            with _READING:  # which nobody waits for whose index is there
                kept = self.__dict__.get("_index")
                if kept is None:
                    kept = self.__dict__["_index"] = RowIndex(self.table)
        return kept

    def find(self, key: str, columns: Sequence[str]) -> pa.Table:
        """The row of a key, or none; builds no index of all rows where there is none yet."""
        fragments = self.table.get_fragments()
        large = [one for one in fragments if is_large(one)] if len(fragments) > 1 else []
        found = self._row_at(addresses_of(self.folder, large, key), key, columns)
        if not len(found) and len(large) < len(fragments):
            found = self._looked_for(key, columns, [one for one in fragments if not (large and is_large(one))])
        return found if len(found) else self._row_at(addresses_of(self.folder, large, key, checked=True), key, columns)

    def _row_at(self, addresses: npt.NDArray[np.uint64], key: str, columns: Sequence[str]) -> pa.Table:
        """The row of a key, where one of these addresses is its."""
        if not len(addresses):
            return pa.schema([self.table.schema.field(name) for name in columns]).empty_table()
        rows = take_rows(self.table, addresses, columns)
        return rows.filter(pc.equal(rows.column(KEY), key))

    def _looked_for(self, key: str, columns: Sequence[str], fragments: list[LanceFragment]) -> pa.Table:
        if "_index" in self.__dict__:
            rows = self.index.match(pa.array([key], pa.string()))
            return self.index.take(rows[rows >= 0], columns)
        text = key.replace("'", "''")
        found: pa.Table = self.table.scanner(
            columns=list(columns), filter=f"`{KEY}` = '{text}'", fragments=fragments
        ).to_table()
        return found

    def batches(self, columns: Sequence[str], rows: Rows | None = None, size: int = 4096) -> Iterator[pa.Table]:
        """Tables of up to ``size`` rows with these columns; all rows in the order of the items, or these."""
        if rows is None and self.index.is_in_order:
            for batch in scan_rows(self._looked_through, columns, size).to_batches():
                yield pa.table(batch)
            return
        wanted = self.index.order if rows is None else rows
        for start in range(0, len(wanted), size):
            yield self.take(wanted[start : start + size], columns)

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """These rows, in this order, for whoever goes through many: nothing is kept for the next look at them."""
        return take_rows(self._looked_through, self.index.addresses[rows], columns)

    @cached_property
    def _looked_through(self) -> LanceDataset:
        return open_table(self.folder, self.version, sparing=True)
