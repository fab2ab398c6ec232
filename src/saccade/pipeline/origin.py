"""Dataset versions as tables: the digests of their values, worked out once for each version."""

from __future__ import annotations

import numpy as np

from saccade.core.schema import KEY
from saccade.pipeline.cache import Cache
from saccade.pipeline.cells import Cells, Places, Rows
from saccade.pipeline.digests import Digests, digest_array
from saccade.pipeline.table import Datasets, Table, identity_of, widened
from saccade.store.codec import ARROW_TYPES
from saccade.store.version import DatasetVersion

_BATCH = 4096


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
        digests = self._digests(version)
        count = len(version)
        cells = {}
        for name, found in digests.items():
            source = f"dataset:{version.ref}:{identity_of(version)}#{name}"
            cells[name] = Cells.of(Places(found, (source,), np.zeros(count, np.int32), np.arange(count)))
            self._cache.keep(cells[name])
        noted = {name: one.id for name, one in cells.items()}
        self._cache.note("sources", _name(version), {"columns": noted, "items": count})
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

    def _digests(self, version: DatasetVersion) -> dict[str, Digests]:
        names = [KEY, *version.schema.names]
        found = {name: np.empty((len(version), 2), np.uint64) for name in names}
        rest = dict.fromkeys(names, np.arange(len(version)))
        if version.info.parent is not None:
            self._take_over(version, f"{version.name}@{version.info.parent}", found, rest)
        for rows in {id(rows): rows for rows in rest.values()}.values():
            self._fill(version, [name for name, mine in rest.items() if mine is rows], rows, found)
        return found

    def _take_over(self, version: DatasetVersion, ref: str, found: dict[str, Digests], rest: dict[str, Rows]) -> None:
        """The digests of rows that an earlier version has too; ``rest`` keeps what is left to do."""
        parent = self._datasets.open(ref)
        noted = self._cache.record("sources", _name(parent))
        if noted is None:
            return
        before, after = parent.snapshot.index, version.snapshot.index
        row_before = before.match(after.keys)
        codes: dict[str, int] = {}
        one, two = before.origins(codes), after.origins(codes)
        shared = (row_before >= 0) & np.all(one[row_before] == two, axis=1)
        place = np.empty(len(before), np.int64)  # of each row of the table in the order of its items
        place[before.order] = np.arange(len(before))
        shared, row_before = shared[after.order], row_before[after.order]
        rows = np.flatnonzero(shared)
        left = np.flatnonzero(~shared)
        for name, digests in found.items():
            id = noted["columns"].get(name)
            if id is not None and self._cache.has_column(id):
                old = self._cache.cells(id, noted["items"]).digests
                digests[rows] = old[place[row_before[rows]]]
                rest[name] = left

    def _fill(self, version: DatasetVersion, names: list[str], rows: Rows, found: dict[str, Digests]) -> None:
        index = version.snapshot.index
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            batch = index.take(index.order[part], names)
            for name in names:
                values = batch.column(name).combine_chunks()
                if name != KEY:
                    values = widened(values, ARROW_TYPES[version.schema[name].kind])
                found[name][part] = digest_array(values) if len(values) else np.empty((0, 2), np.uint64)
