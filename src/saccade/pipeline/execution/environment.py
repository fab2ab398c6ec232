"""The services that the steps of a pipeline share."""

from __future__ import annotations

from dataclasses import dataclass

from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.data.sources import DatasetSources
from saccade.pipeline.data.table import Table, TableReader, ValueLoader, open_version_if_same
from saccade.store.workspace import Workspace


@dataclass(frozen=True)
class StepEnvironment:
    """The services that the steps of a pipeline share."""

    workspace: Workspace
    cache: Cache
    loader: ValueLoader
    sources: DatasetSources

    def reader(self, table: Table) -> TableReader:
        return TableReader(table, self.loader, self.workspace.blobs)


def create_environment(workspace: Workspace, cache: Cache) -> StepEnvironment:
    """Create the services for a workspace and its cache."""
    loader = ValueLoader(cache, workspace.datasets)
    return StepEnvironment(workspace, cache, loader, DatasetSources(cache, workspace.datasets))


def open_cache(workspace: Workspace) -> Cache:
    """Open the pipeline cache of a workspace."""
    existing: dict[str, bool] = {}

    def version_exists(version_id: str) -> bool:
        if version_id not in existing:
            existing[version_id] = open_version_if_same(workspace.datasets, version_id) is not None
        return existing[version_id]

    return Cache(workspace.pipeline_cache, version_exists)
