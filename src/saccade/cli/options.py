"""Command-line options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        "-w",
        help="Workspace folder; by default $SACCADE_WORKSPACE, else the nearest .saccade in or above this folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MessageOption = Annotated[str, typer.Option("--message", "-m", help="Message of the new version.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Do not show progress.")]
FormatOption = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", help="Format option as NAME=VALUE; repeatable.", show_default=False),
]
VarOption = Annotated[
    list[str] | None,
    typer.Option("--var", "-v", help="Value of a variable as NAME=VALUE; repeatable.", show_default=False),
]
CatalogOption = Annotated[
    str,
    typer.Option(
        "--catalog",
        help="Empty PostgreSQL database for the catalog: postgresql://host/database. By default a file.",
        show_default=False,
    ),
]
ObjectsOption = Annotated[
    str,
    typer.Option(
        "--objects",
        help="Storage of images and other files: s3://bucket/folder. By default a folder.",
        show_default=False,
    ),
]
PrivateWebhooksOption = Annotated[
    bool,
    typer.Option("--private-network", help="Allow webhooks to addresses of private networks."),
]


def parse_format_options(values: list[str] | None) -> dict[str, str]:
    """Parse ``--option`` values.

    Raises:
        typer.BadParameter: A value does not have the form NAME=VALUE.
    """
    options = {}
    for text in values or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"'{text}' does not have the form NAME=VALUE.", param_hint="--option")
        options[name] = value
    return options
