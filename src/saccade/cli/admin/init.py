"""``saccade init``: create a workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import CatalogOption, JsonOption, ObjectsOption


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="Folder in which .saccade is created.")] = Path(),
    catalog: CatalogOption = "",
    objects: ObjectsOption = "",
    as_json: JsonOption = False,
) -> None:
    """Create a workspace: the folder .saccade, which holds datasets, models and runs."""
    from rich.markup import escape

    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.create(folder, catalog, objects) as workspace:
        if as_json:
            print_json({"workspace": str(workspace.location)})
        else:
            print_message(f"Created the workspace {escape(str(workspace.location))}.")
            print_message("Next: [bold]saccade import SOURCE --dataset NAME[/]")
