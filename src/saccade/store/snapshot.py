"""One version of a table, as data: what reading, comparing and writing on top of it need."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from lance import LanceDataset

from saccade.core.schema import KEY, Schema
from saccade.store.key_files import that_may_hold
from saccade.store.lance_table import open_table
from saccade.store.row_index import RowIndex, Rows

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
        with _READING:
            kept: RowIndex | None = self.__dict__.get("_index")
            if kept is None:
                kept = self.__dict__["_index"] = RowIndex(self.table)
            return kept

    def find(self, key: str, columns: Sequence[str]) -> pa.Table:
        """The row of a key, or none; builds no index of all rows where there is none yet."""
        if "_index" in self.__dict__:
            rows = self.index.match(pa.array([key], pa.string()))
            return self.index.take(rows[rows >= 0], columns)
        text = key.replace("'", "''")
        fragments = self.table.get_fragments()
        if len(fragments) > 1:
            fragments = that_may_hold(self.folder, fragments, key)
        if not fragments:
            return pa.schema([self.table.schema.field(name) for name in columns]).empty_table()
        found: pa.Table = self.table.scanner(
            columns=list(columns), filter=f"`{KEY}` = '{text}'", fragments=fragments
        ).to_table()
        return found

    def batches(self, columns: Sequence[str], rows: Rows | None = None, size: int = 4096) -> Iterator[pa.Table]:
        """Tables of up to ``size`` rows with these columns; all rows in the order of the items, or these."""
        wanted = self.index.order if rows is None else rows
        for start in range(0, len(wanted), size):
            yield self.index.take(np.asarray(wanted[start : start + size]), columns)
