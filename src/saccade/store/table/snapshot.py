"""Snapshot: one version of a table, with its schema and row index."""

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
from saccade.store.table.key_index import KeyLookup, is_indexed_size, lookup_addresses
from saccade.store.table.lance_table import open_table, scan_rows, take_rows
from saccade.store.table.row_index import RowIndex, Rows

_INDEX_LOCK = threading.RLock()


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
        """Return picklable arguments for :meth:`from_reference`, to open the snapshot in another process."""
        return str(self.folder), self.version, self.schema.to_json()

    @classmethod
    def from_reference(cls, folder: str, version: str, schema: dict[str, Any]) -> Snapshot:
        return cls(Path(folder), version, Schema.from_json(schema))

    @cached_property
    def table(self) -> LanceDataset:
        return open_table(self.folder, self.version)

    @property
    def index(self) -> RowIndex:
        """The row index, read on first use; concurrent threads read it only once."""
        index: RowIndex | None = self.__dict__.get("_index")
        if index is None:
            with _INDEX_LOCK:  # not needed once the index exists, so readers of other snapshots do not wait
                index = self.__dict__.get("_index")
                if index is None:
                    index = RowIndex(self.table)
                    self.__dict__["_index"] = index
        return index

    def find_by_key(self, key: str, columns: Sequence[str]) -> pa.Table:
        """Return the row of a key, or an empty table. Does not load the row index.

        The first call searches the files; the next one builds the lookup in memory that all further calls use.
        """
        if "_has_searched" in self.__dict__:
            rows = self._row_at_addresses(self._key_lookup.addresses(key), key, columns)
            if len(rows):
                return rows
        self.__dict__["_has_searched"] = True
        fragments = self.table.get_fragments()
        indexed = [fragment for fragment in fragments if is_indexed_size(fragment)] if len(fragments) > 1 else []
        rows = self._row_at_addresses(lookup_addresses(self.folder, indexed, key), key, columns)
        if not len(rows) and len(indexed) < len(fragments):
            unindexed = [fragment for fragment in fragments if not (indexed and is_indexed_size(fragment))]
            rows = self._scan_key(key, columns, unindexed)
        if len(rows):
            return rows
        # A damaged index file may have hidden the key.
        return self._row_at_addresses(lookup_addresses(self.folder, indexed, key, verify=True), key, columns)

    @cached_property
    def _key_lookup(self) -> KeyLookup:
        return KeyLookup(self.table, self.folder)

    def _row_at_addresses(self, addresses: npt.NDArray[np.uint64], key: str, columns: Sequence[str]) -> pa.Table:
        if not len(addresses):
            return pa.schema([self.table.schema.field(name) for name in columns]).empty_table()
        rows = take_rows(self.table, addresses, columns)
        if len(rows) == 1:  # almost always; comparing one string in Python is faster than a filter
            return rows if rows.column(KEY)[0].as_py() == key else rows.slice(0, 0)
        return rows.filter(pc.equal(rows.column(KEY), key))

    def _scan_key(self, key: str, columns: Sequence[str], fragments: list[LanceFragment]) -> pa.Table:
        if "_index" in self.__dict__:
            row_numbers = self.index.rows_for_keys(pa.array([key], pa.string()))
            return self.index.take(row_numbers[row_numbers >= 0], columns)
        escaped_key = key.replace("'", "''")
        rows: pa.Table = self.table.scanner(
            columns=list(columns), filter=f"`{KEY}` = '{escaped_key}'", fragments=fragments
        ).to_table()
        return rows

    def batches(self, columns: Sequence[str], rows: Rows | None = None, batch_size: int = 4096) -> Iterator[pa.Table]:
        """Read rows in batches.

        Args:
            columns: names of the columns to read.
            rows: rows to read, in this order. Default: all rows in the order of the items.
            batch_size: maximum rows of each batch.
        """
        if rows is None and self.index.is_in_order:
            for batch in scan_rows(self._scan_table, columns, batch_size).to_batches():
                yield pa.table(batch)
            return
        requested = self.index.order if rows is None else rows
        for start in range(0, len(requested), batch_size):
            yield self.take(requested[start : start + batch_size], columns)

    def take(self, rows: Rows, columns: Sequence[str]) -> pa.Table:
        """Return these rows, in this order. For scans of many rows: nothing is cached for later reads."""
        return take_rows(self._scan_table, self.index.addresses[rows], columns)

    @cached_property
    def _scan_table(self) -> LanceDataset:
        return open_table(self.folder, self.version, low_memory=True)
