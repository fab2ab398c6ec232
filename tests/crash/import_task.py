"""An import."""

from __future__ import annotations

from pathlib import Path

from saccade.app.ingest import prefetch
from saccade.app.ingest.importing import import_dataset
from saccade.store.workspace import Workspace

prefetch.MANY = 100  # so that processes help


def task(location: str, source: str) -> None:
    """Import a folder under the next free name."""
    with Workspace.open(location) as workspace:
        number = len(workspace.datasets.list())
        import_dataset(workspace, Path(source), f"d{number}")
