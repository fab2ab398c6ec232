"""The command group ``saccade datasets``, and arguments that its commands share."""

from __future__ import annotations

from typing import Annotated

import typer

datasets = typer.Typer(help="List, show and edit datasets and their versions.", no_args_is_help=True)
RefArgument = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, NAME@BRANCH or NAME@ALIAS.", show_default=False)]
BranchArgument = Annotated[
    str,
    typer.Argument(help="NAME (the main branch) or NAME@BRANCH.", show_default=False),
]
NameArgument = Annotated[str, typer.Argument(help="Name of the dataset.", show_default=False)]
