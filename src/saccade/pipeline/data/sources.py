"""Dataset versions as tables: the digests of their values, worked out once for each version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from saccade.core.schema import KEY
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import Cells, Places, Rows, joined, patched, used_only
from saccade.pipeline.data.table import Datasets, Table, identity_of, widened
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import ARROW_TYPES
from saccade.store.datasets.version import DatasetVersion

_BATCH = 4096
_ANCESTORS = 32
"""So many versions are gone back for one that has been looked at."""


def _name(version: DatasetVersion) -> str:
    return f"{version.ref}-{identity_of(version)}"


class Origins:
    """Makes tables of dataset versions."""

    def __init__(self, cache: Cache, datasets: Datasets) -> None:
        self._cache, self._datasets = cache, datasets

    def table(self, version: DatasetVersion) -> Table:
        """The items of a version. Rows that it shares with the version it was made from are not looked at again."""
        known = self._known(version)
        if known is not None:
            return known
        cells = self._of_ancestor(version) or self._of_all(version)
        for one in cells.values():
            self._cache.keep(one)
        noted = {name: one.id for name, one in cells.items()}
        self._cache.note("sources", _name(version), {"columns": noted, "items": len(version)})
        return Table(version.schema, cells.pop(KEY), cells)

    def _known(self, version: DatasetVersion) -> Table | None:
        noted = self._cache.record("sources", _name(version))
        if noted is None or noted["items"] != len(version):
            return None
        ids = noted["columns"]
        if not all(name in ids and self._cache.has_column(ids[name]) for name in (KEY, *version.schema.names)):
            return None
        cells = {name: self._cache.cells(ids[name], noted["items"]) for name in (KEY, *version.schema.names)}
        return Table(version.schema, cells.pop(KEY), cells)

    def _of_all(self, version: DatasetVersion) -> dict[str, Cells]:
        rows = np.arange(len(version))
        return {name: Cells.of(places) for name, places in self._read(version, rows).items()}

    def _of_ancestor(self, version: DatasetVersion) -> dict[str, Cells] | None:
        """The columns by those of the last version before it that has been looked at; None where none has been."""
        found = self._ancestor(version)
        if found is None:
            return None
        parent, noted = found
        names = [KEY, *version.schema.names]
        before = {name: self._cache.cells(id, noted["items"]) for name, id in noted["columns"].items()}
        if any(
            version.schema[name].kind != parent.schema[name].kind for name in names if name != KEY and name in before
        ):
            return None
        earlier = _earlier_rows(parent, version)
        left = np.flatnonzero(earlier < 0)
        new = self._read(version, left)
        is_in_place = len(parent) == len(version) and bool(np.all((earlier < 0) | (earlier == np.arange(len(version)))))
        cells = {}
        for name in names:
            if name not in before:
                cells[name] = Cells.of(self._read(version, np.arange(len(version)), [name])[name])
            elif is_in_place:
                cells[name] = patched(before[name], left, new[name])
            else:
                both = joined([before[name].places, new[name]])
                place = earlier.copy()
                place[left] = len(parent) + np.arange(len(left))
                cells[name] = Cells.of(used_only(both.take(place)))
        return cells

    def _ancestor(self, version: DatasetVersion) -> tuple[DatasetVersion, dict[str, Any]] | None:
        number = version.info.parent
        for _ in range(_ANCESTORS):
            if number is None:
                return None
            parent = self._datasets.open(f"{version.name}@{number}")
            noted = self._cache.record("sources", _name(parent))
            if noted is not None and noted["items"] and all(map(self._cache.has_column, noted["columns"].values())):
                return parent, noted
            number = parent.info.parent
        return None

    def _read(self, version: DatasetVersion, rows: Rows, names: Sequence[str] | None = None) -> dict[str, Places]:
        """The key and columns of some items, as they lie in this version."""
        names = [KEY, *version.schema.names] if names is None else names
        found = {name: np.empty((len(rows), 2), np.uint64) for name in names}
        index = version.snapshot.index
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            batch = version.snapshot.take(index.order[rows[part]], names)
            for name in names:
                values = batch.column(name).combine_chunks()
                if name != KEY:
                    values = widened(values, ARROW_TYPES[version.schema[name].kind])
                if len(values):
                    found[name][part] = digest_array(values)
        place = f"dataset:{version.ref}:{identity_of(version)}"
        nought = np.zeros(len(rows), np.int32)
        return {name: Places(digests, (f"{place}#{name}",), nought, rows) for name, digests in found.items()}


def _earlier_rows(parent: DatasetVersion, version: DatasetVersion) -> Rows:
    """For each item of a version its number in an earlier one that has just that row too, or -1."""
    before, after = parent.snapshot.index, version.snapshot.index
    same = after.rows_in(before)
    place = np.empty(len(before), np.int64)  # of each row of the table in the order of its items
    place[before.order] = np.arange(len(before))
    found: Rows = np.where(same < 0, -1, place[same])[after.order]
    return found
