"""An import."""

from __future__ import annotations

from pathlib import Path

from saccade.app import taking_ahead
from saccade.app.importing import import_dataset
from saccade.store.workspace import Workspace

taking_ahead.MANY = 100  # so that processes help


def task(location: str, source: str) -> None:
    """Import a folder under the next free name."""
    with Workspace.open(location) as workspace:
        number = len(workspace.datasets.list())
        import_dataset(workspace, Path(source), f"d{number}")
