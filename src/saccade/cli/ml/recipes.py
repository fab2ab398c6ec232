"""``saccade recipes``: example recipes, and recipes for your datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="List and copy example recipes, and create recipes for your datasets.", no_args_is_help=True)
NameArgument = Annotated[str, typer.Argument(help="Name of an example: see saccade recipes list.", show_default=False)]
FileArgument = Annotated[
    Path | None, typer.Argument(help="The file to write; by default NAME.yaml in this folder.", show_default=False)
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="recipes")


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the recipes that come with Saccade."""
    from saccade.cli.console import print_json, print_table
    from saccade.training.example_recipes import list_example_recipes

    recipes = list_example_recipes()
    if as_json:
        print_json([{"name": recipe.name, "description": recipe.description} for recipe in recipes])
        return
    print_table(["Recipe", "Description"], [[recipe.name, recipe.description] for recipe in recipes])


@app.command("show")
def show(name: NameArgument, as_json: JsonOption = False) -> None:
    """Print a recipe that comes with Saccade."""
    from saccade.cli.console import out, print_json
    from saccade.training.example_recipes import open_example_recipe

    recipe = open_example_recipe(name)
    if as_json:
        print_json({"name": recipe.name, "description": recipe.description, "text": recipe.text})
        return
    out.print(recipe.text, markup=False, highlight=False, end="", soft_wrap=True)


@app.command("copy")
def copy(
    name: NameArgument,
    file: FileArgument = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset to train on instead of the example's.", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Copy a recipe that comes with Saccade, to train with it or to edit it."""
    from saccade.app.ml.recipe_files import copy_example_recipe

    _print_file(copy_example_recipe(name, file, dataset, overwrite), as_json)


@app.command("suggest")
def suggest(
    dataset: Annotated[str, typer.Argument(help="NAME, NAME@VERSION, NAME@BRANCH or NAME@ALIAS.", show_default=False)],
    file: Annotated[
        Path | None, typer.Argument(help="The file to write; by default the name of the model.", show_default=False)
    ] = None,
    overwrite: OverwriteOption = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a recipe for a dataset: a detector for objects, a classifier for labels."""
    from saccade.app.ml.recipe_files import write_suggested_recipe
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        written = write_suggested_recipe(workspace.datasets.open(dataset), file, overwrite)
    _print_file(written, as_json)


def _print_file(file: Path, as_json: bool) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_json, print_message

    if as_json:
        print_json({"file": str(file)})
        return
    print_message(f"Created {escape(str(file))}. Train with it: saccade train {escape(str(file))}")
