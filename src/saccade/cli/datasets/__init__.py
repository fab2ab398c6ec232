"""``saccade datasets``: a module for each group of commands."""

from __future__ import annotations

import typer

from saccade.cli.datasets import ask, classes, look, move, picture, versions  # noqa: F401 (each adds its commands to the group)
from saccade.cli.datasets.group import datasets


def register(app: typer.Typer) -> None:
    app.add_typer(datasets, name="datasets")
