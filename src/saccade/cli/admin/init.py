"""``saccade init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import CatalogOption, JsonOption, ObjectsOption


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder that gets a .saccade.")] = Path(),
    catalog: CatalogOption = "",
    objects: ObjectsOption = "",
    json: JsonOption = False,
) -> None:
    """Make a workspace: the folder .saccade that holds datasets, models and runs."""
    from rich.markup import escape

    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.create(folder, catalog, objects) as workspace:
        if json:
            print_json({"workspace": str(workspace.location)})
        else:
            say(f"The workspace is {escape(str(workspace.location))}.")
            say("Next: [bold]saccade import SOURCE --dataset NAME[/]")
