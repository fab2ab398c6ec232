"""The group of commands ``saccade datasets``, and what its commands share."""

from __future__ import annotations

from typing import Annotated

import typer

datasets = typer.Typer(help="List, look into and manage datasets and their versions.", no_args_is_help=True)
Ref = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, NAME@BRANCH or NAME@ALIAS.", show_default=False)]
Name = Annotated[str, typer.Argument(help="The dataset's name.", show_default=False)]
