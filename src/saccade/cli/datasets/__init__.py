"""``saccade datasets``: one module for each group of commands."""

from __future__ import annotations

import typer

from saccade.cli.datasets import (  # noqa: F401 - they register commands
    classes,
    edit_items,
    image,
    list_show,
    query,
    transfer,
    versions,
)
from saccade.cli.datasets.app import datasets


def register(app: typer.Typer) -> None:
    app.add_typer(datasets, name="datasets")
