"""Dataset versions as source tables: the digests of their values, computed once per version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.core.schema import KEY
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import (
    LazyColumn,
    Rows,
    ValueLocations,
    concat_locations,
    prune_sources,
    with_changes,
)
from saccade.pipeline.data.table import DatasetOpener, Table, add_missing_fields, version_identity
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES
from saccade.store.datasets.version import DatasetVersion

_BATCH = 4096
_MAX_ANCESTORS = 32
"""The number of earlier versions that are searched for one with cached digests."""


def _entry_key(version: DatasetVersion) -> str:
    return f"{version.ref}-{version_identity(version)}"


class DatasetSources:
    """Converts dataset versions to tables."""

    def __init__(self, cache: Cache, datasets: DatasetOpener) -> None:
        self._cache = cache
        self._datasets = datasets

    def table(self, version: DatasetVersion) -> Table:
        """Return the items of a version. Rows that it shares with an earlier, cached version are not hashed again."""
        cached = self._load_cached(version)
        if cached is not None:
            return cached
        columns = self._from_parent(version) or self._from_scratch(version)
        for column in columns.values():
            self._cache.put_column(column)
        ids = {name: column.id for name, column in columns.items()}
        self._cache.put_entry("sources", _entry_key(version), {"columns": ids, "items": len(version)})
        return Table(version.schema, columns.pop(KEY), columns)

    def _load_cached(self, version: DatasetVersion) -> Table | None:
        entry = self._cache.get_entry("sources", _entry_key(version))
        if entry is None or entry["items"] != len(version):
            return None
        ids = entry["columns"]
        names = (KEY, *version.schema.names)
        if not all(name in ids and self._cache.has_column(ids[name]) for name in names):
            return None
        columns = {name: self._cache.column(ids[name], entry["items"]) for name in names}
        return Table(version.schema, columns.pop(KEY), columns)

    def _from_scratch(self, version: DatasetVersion) -> dict[str, LazyColumn]:
        rows = np.arange(len(version))
        hashed = self._hash_columns(version, rows)
        return {name: LazyColumn.from_locations(locations) for name, locations in hashed.items()}

    def _from_parent(self, version: DatasetVersion) -> dict[str, LazyColumn] | None:
        """Derive the columns from the latest cached ancestor; None if there is none."""
        ancestor = self._cached_ancestor(version)
        if ancestor is None:
            return None
        parent, entry = ancestor
        names = [KEY, *version.schema.names]
        before = {name: self._cache.column(id, entry["items"]) for name, id in entry["columns"].items()}
        # A digest includes the type: if the kind of a column changed, nothing can be reused.
        if any(
            version.schema[name].kind != parent.schema[name].kind for name in names if name != KEY and name in before
        ):
            return None
        parent_rows = _parent_rows(parent, version)
        new_rows = np.flatnonzero(parent_rows < 0)
        new = self._hash_columns(version, new_rows)
        # If all items keep their positions, changed columns can be stored as deltas.
        is_in_place = len(parent) == len(version) and bool(
            np.all((parent_rows < 0) | (parent_rows == np.arange(len(version))))
        )
        columns = {}
        for name in names:
            if name not in before:
                hashed = self._hash_columns(version, np.arange(len(version)), [name])
                columns[name] = LazyColumn.from_locations(hashed[name])
            elif is_in_place:
                columns[name] = with_changes(before[name], new_rows, new[name])
            else:
                combined = concat_locations([before[name].locations, new[name]])
                positions = parent_rows.copy()
                positions[new_rows] = len(parent) + np.arange(len(new_rows))
                columns[name] = LazyColumn.from_locations(prune_sources(combined.take(positions)))
        return columns

    def _cached_ancestor(self, version: DatasetVersion) -> tuple[DatasetVersion, dict[str, Any]] | None:
        number = version.info.parent
        for _ in range(_MAX_ANCESTORS):
            if number is None:
                return None
            parent = self._datasets.open(f"{version.name}@{number}")
            entry = self._cache.get_entry("sources", _entry_key(parent))
            if entry is not None and entry["items"] and all(map(self._cache.has_column, entry["columns"].values())):
                return parent, entry
            number = parent.info.parent
        return None

    def _hash_columns(
        self, version: DatasetVersion, rows: Rows, names: Sequence[str] | None = None
    ) -> dict[str, ValueLocations]:
        """Read and hash some items of a version; by default the key and all columns."""
        names = [KEY, *version.schema.names] if names is None else names
        digests = {name: np.empty((len(rows), 2), np.uint64) for name in names}
        index = version.snapshot.index
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            batch = version.snapshot.take(index.order[rows[part]], names)
            for name in names:
                values = batch.column(name).combine_chunks()
                if name != KEY:
                    values = add_missing_fields(values, ARROW_TYPES[version.schema[name].kind])
                if len(values):
                    digests[name][part] = digest_array(values)
        source = f"dataset:{version.ref}:{version_identity(version)}"
        source_indices = np.zeros(len(rows), np.int32)
        return {
            name: ValueLocations(column_digests, (f"{source}#{name}",), source_indices, rows)
            for name, column_digests in digests.items()
        }


def _parent_rows(parent: DatasetVersion, version: DatasetVersion) -> Rows:
    """Return for each item of a version the item number of the identical row in an earlier version, or -1."""
    before = parent.snapshot.index
    after = version.snapshot.index
    same = after.map_rows_to(before)
    item_of_row = np.empty(len(before), np.int64)  # table row -> item number
    item_of_row[before.order] = np.arange(len(before))
    items: Rows = np.where(same < 0, -1, item_of_row[same])[after.order]
    return items
