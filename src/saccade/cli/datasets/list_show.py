"""``saccade datasets list|show|stats|rm``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.datasets.app import Name, Ref, datasets
from saccade.cli.options import JsonOption, WorkspaceOption


@datasets.command("list")
def list_(workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All datasets, each at its latest version."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        infos = found.datasets.list()
    if json:
        print_json([asdict(info) for info in infos])
    elif not infos:
        say("There are no datasets yet. Next: [bold]saccade import SOURCE --dataset NAME[/]")
    else:
        rows = [[i.name, i.latest, i.items, ", ".join(i.columns), f"{i.updated:%Y-%m-%d %H:%M}"] for i in infos]
        print_table(["Dataset", "Version", "Items", "Columns", "Updated"], rows)


@datasets.command("show")
def show(
    ref: Ref,
    limit: Annotated[int, typer.Option(min=1, help="How many items.")] = 10,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """A version: its columns and its first items."""
    from itertools import islice

    from rich.markup import escape

    from saccade.cli.console import print_json, print_table, say
    from saccade.cli.datasets.formatting import rows_of_items
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        items = list(islice(version.items(), limit))
        aliases = dict(found.datasets.aliases(version.name))
    if json:
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
    say(f"[bold]{version.ref}[/] {len(version):,} items; {escape(version.info.message)}")
    print_table(["Key", *version.schema.names], rows_of_items(items))


@datasets.command("stats")
def stats(ref: Ref, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Counts by split and class, sizes, and what is not labelled."""
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        numbers = version.stats()
    if json:
        print_json({"dataset": version.ref, **numbers})
        return
    say(f"[bold]{version.ref}[/] {numbers['items']:,} items")
    if numbers.get("splits"):
        print_table(["Split", "Items"], [[name or "–", count] for name, count in numbers["splits"].items()])
    for name, column in numbers["columns"].items():
        if "classes" in column:
            labelled = numbers["items"] - column["unlabelled"]
            say(
                f"\n[bold]{name}[/] ({column['kind']}): {labelled:,} labelled, {column['unlabelled']:,} not yet, "
                f"{column['empty']:,} reviewed and empty"
            )
            items_with = column.get("items_with_class", {})
            rows = [[label, count, items_with.get(label)] for label, count in column["classes"].items()]
            print_table(["Class", "Count", "Items"], rows)


@datasets.command("rm")
def rm(
    name: Name,
    force: Annotated[bool, typer.Option(help="Also where models or runs were made from it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Remove a dataset with all its versions."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        found.datasets.open(name)
        if not yes:
            typer.confirm(f"Remove '{name}' and all its versions?", abort=True)
        found.datasets.remove(name, force=force)
    say(f"'{name}' is removed.")
