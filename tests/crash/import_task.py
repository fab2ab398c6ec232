"""The task of the import crash test."""

from __future__ import annotations

from pathlib import Path

from saccade.app.ingest import prefetch
from saccade.app.ingest.importing import import_dataset
from saccade.store.workspace import Workspace

prefetch.MIN_ITEMS_FOR_PROCESSES = 100  # so that worker processes are used


def task(location: str, source: str) -> None:
    """Import a folder under the next unused dataset name."""
    with Workspace.open(location) as workspace:
        number = len(workspace.datasets.list())
        import_dataset(workspace, Path(source), f"d{number}")
