"""``saccade datasets list|show|stats|rm``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.datasets.app import NameArgument, RefArgument, datasets
from saccade.cli.options import JsonOption, WorkspaceOption
from saccade.core.text import format_count


@datasets.command("list")
def list_(workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """List all datasets, each at its latest version."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        infos = workspace.datasets.list()
    if as_json:
        print_json([asdict(info) for info in infos])
    elif not infos:
        print_message("There are no datasets yet. Next: [bold]saccade import SOURCE --dataset NAME[/]")
    else:
        rows = [
            [info.name, info.latest, info.items, ", ".join(info.columns), f"{info.updated:%Y-%m-%d %H:%M}"]
            for info in infos
        ]
        print_table(["Dataset", "Version", "Items", "Columns", "Updated"], rows)


@datasets.command("show")
def show(
    ref: RefArgument,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of items.")] = 10,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the columns and the first items of a version."""
    from itertools import islice

    from rich.markup import escape

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.cli.datasets.formatting import item_rows
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        items = list(islice(version.items(), limit))
        aliases = dict(workspace.datasets.aliases(version.name))
    if as_json:
        print_json(
            {
                "dataset": version.ref,
                "items": len(version),
                "schema": version.schema.to_json(),
                "aliases": aliases,
                "first": [item.key for item in items],
            }
        )
        return
    print_message(f"[bold]{version.ref}[/] {format_count(len(version), 'item')}; {escape(version.info.message)}")
    print_table(["Key", *version.schema.names], item_rows(items))


@datasets.command("stats")
def stats(ref: RefArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show the number of items by split, class and label state, and sizes."""
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        statistics = version.stats()
    if as_json:
        print_json({"dataset": version.ref, **statistics})
        return
    print_message(f"[bold]{version.ref}[/] {format_count(statistics['items'], 'item')}")
    if statistics.get("splits"):
        print_table(["Split", "Items"], [[name or "–", count] for name, count in statistics["splits"].items()])
    for name, column in statistics["columns"].items():
        if "classes" in column:
            labelled = statistics["items"] - column["unlabelled"]
            print_message(
                f"\n[bold]{name}[/] ({column['kind']}): {labelled:,} labelled, {column['unlabelled']:,} unlabelled, "
                f"{column['empty']:,} reviewed and empty"
            )
            items_with_class = column.get("items_with_class", {})
            rows = [[label, count, items_with_class.get(label)] for label, count in column["classes"].items()]
            print_table(["Class", "Count", "Items"], rows)


@datasets.command("rm")
def remove(
    name: NameArgument,
    force: Annotated[bool, typer.Option(help="Even if models or runs used it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Delete a dataset with all its versions."""
    from saccade.app.datasets.versions import delete_dataset
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        workspace.datasets.open(name)  # report a wrong name before asking
        if not yes:
            typer.confirm(f"Delete '{name}' and all its versions?", abort=True)
        delete_dataset(workspace, name, force=force)
    print_message(f"Deleted '{name}'.")
