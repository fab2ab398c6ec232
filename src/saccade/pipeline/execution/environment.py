"""What every step of a pipeline works with."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.data.sources import Origins
from saccade.pipeline.data.table import Table, TableReader, Values, version_at
from saccade.store.workspace import Workspace


@dataclass(frozen=True)
class House:
    """What every step works with."""

    workspace: Workspace
    cache: Cache
    values: Values
    origins: Origins

    def reader(self, table: Table) -> TableReader:
        return TableReader(table, self.values, self.workspace.objects)


def house_of(workspace: Workspace, cache: Cache) -> House:
    """What steps work with in a workspace."""
    return House(workspace, cache, Values(cache, workspace.datasets), Origins(cache, workspace.datasets))


def cache_of(workspace: Workspace) -> Cache:
    """The cache of pipelines of a workspace."""
    there: dict[str, bool] = {}

    def is_version_there(place: str) -> bool:
        if place not in there:
            there[place] = version_at(workspace.datasets, place) is not None
        return there[place]

    return Cache(workspace.pipelines, is_version_there)
