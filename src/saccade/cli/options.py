"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="The workspace; else $SACCADE_WORKSPACE, else the nearest .saccade upward.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
FormatOption = Annotated[
    list[str] | None, typer.Option("--option", "-o", help="An option of the format, as name=value.", show_default=False)
]

VarOption = Annotated[
    list[str] | None,
    typer.Option("--var", "-v", help="The value of a variable, as NAME=VALUE.", show_default=False),
]


def format_options(given: list[str] | None) -> dict[str, str]:
    """``--option`` values as a mapping; BadParameter where one is not of the form name=value."""
    options = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' is not of the form name=value.", param_hint="--option")
        options[name] = value
    return options


CatalogOption = Annotated[
    str,
    typer.Option(
        "--catalog",
        help="An empty database of PostgreSQL for the catalog, as postgresql://host/database; else a file.",
        show_default=False,
    ),
]
ObjectsOption = Annotated[
    str,
    typer.Option(
        "--objects",
        help="A place for images and other files, as s3://bucket/folder; else a folder.",
        show_default=False,
    ),
]
PrivateWebhooksOption = Annotated[
    bool,
    typer.Option("--private-network", help="Webhooks may lead to addresses that are not public, too."),
]
