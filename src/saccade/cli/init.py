"""``saccade init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption


def register(app: typer.Typer) -> None:
    app.command("init")(init)


def init(
    folder: Annotated[Path, typer.Argument(help="The folder that gets a .saccade.")] = Path(),
    catalog: Annotated[
        str,
        typer.Option(
            help="A database of PostgreSQL for the catalog, as postgresql://host/database; else a file.",
            show_default=False,
        ),
    ] = "",
    objects: Annotated[
        str,
        typer.Option(
            help="A place for images and other files, as s3://bucket/folder; else a folder.", show_default=False
        ),
    ] = "",
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
