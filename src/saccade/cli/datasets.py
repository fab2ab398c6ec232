"""``saccade datasets``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

datasets = typer.Typer(help="List, look into and manage datasets and their versions.", no_args_is_help=True)
Ref = Annotated[str, typer.Argument(help="NAME, NAME@VERSION, NAME@BRANCH or NAME@ALIAS.", show_default=False)]
Name = Annotated[str, typer.Argument(help="The dataset's name.", show_default=False)]


def register(app: typer.Typer) -> None:
    app.add_typer(datasets, name="datasets")


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
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        items = list(islice(version.items(), limit))
        aliases = dict(found.datasets.aliases(version.name))
    if json:
        print_json({"dataset": version.ref, "items": len(version), "schema": version.schema.to_json(),
                    "aliases": aliases, "first": [item.key for item in items]})  # fmt: skip
        return
    say(f"[bold]{version.ref}[/] {len(version):,} items; {escape(version.info.message)}")
    print_table(
        ["Key", *version.schema.names], [[item.key, *(_short(v) for v in item.values.values())] for item in items]
    )


def _short(value: Any) -> str:
    from saccade.core.schema import ImageRef

    if isinstance(value, ImageRef):
        return f"{value.width}x{value.height} {value.format}"
    if isinstance(value, tuple):
        return f"{len(value)} objects" if value and hasattr(value[0], "geometry") else f"{len(value)} values"
    return "–" if value is None else str(value)[:60]


@datasets.command("log")
def log(name: Name, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All versions, the newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        versions = found.datasets.log(name)
        aliases = found.datasets.aliases(name)
    if json:
        print_json([asdict(info) for info in versions])
        return
    named = {info.number: [alias for alias, number in aliases.items() if number == info.number] for info in versions}
    rows = [
        [i.number, i.branch, i.items, f"+{i.added} -{i.removed} ~{i.changed}", f"{i.created:%Y-%m-%d %H:%M}",
         ", ".join(named[i.number]), i.message]
        for i in versions
    ]  # fmt: skip
    print_table(["Version", "Branch", "Items", "Changes", "Made", "Aliases", "Message"], rows)


@datasets.command("diff")
def diff(first: Ref, second: Ref, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """What changed between two versions: items, columns and objects."""
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        changes = found.datasets.diff(first, second).to_json()
    if json:
        print_json(changes)
        return
    say(f"items: {len(changes['added'])} added, {len(changes['removed'])} removed, {len(changes['changed'])} changed")
    rows = [["+", key, ""] for key in changes["added"]] + [["-", key, ""] for key in changes["removed"]]
    rows += [["~", change["key"], _changed(change)] for change in changes["changed"]]
    if rows:
        print_table(["", "Item", "What"], rows[:50])
        if len(rows) > 50:
            say(f"… and {len(rows) - 50} more (--json gives all)")


def _changed(change: Any) -> str:
    parts = []
    for column in change["columns"]:
        found = change["objects"].get(column)
        parts.append(
            f"{column} (+{len(found['added'])} -{len(found['removed'])} ~{len(found['changed'])})" if found else column
        )
    return ", ".join(parts)


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
            say(f"\n[bold]{name}[/] ({column['kind']}): {labelled:,} labelled, {column['unlabelled']:,} not yet, "
                f"{column['empty']:,} reviewed and empty")  # fmt: skip
            items_with = column.get("items_with_class", {})
            rows = [[label, count, items_with.get(label)] for label, count in column["classes"].items()]
            print_table(["Class", "Count", "Items"], rows)


@datasets.command("query")
def query(
    ref: Ref,
    sql: Annotated[str, typer.Argument(help='DuckDB SQL over the table "items".', show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Ask a version a question in SQL, such as "select split, count(*) from items group by split"."""
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        table = found.datasets.open(ref).sql(sql)
    rows = table.to_pylist()
    if json:
        print_json(rows)
    else:
        print_table(table.column_names, [list(row.values()) for row in rows])


@datasets.command("alias")
def alias(
    ref: Ref,
    name: Annotated[str, typer.Argument(help="The alias.", show_default=False)],
    workspace: WorkspaceOption = None,
) -> None:
    """Let an alias name a version."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        found.datasets.alias(version.name, name, version.number)
    say(f"{version.name}@{name} is now {version.ref}.")


@datasets.command("branch")
def branch(
    ref: Ref,
    name: Annotated[str, typer.Argument(help="The branch.", show_default=False)],
    workspace: WorkspaceOption = None,
) -> None:
    """Begin a branch at a version."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        found.datasets.branch(version.name, name, version.ref)
    say(f"{version.name}@{name} begins at {version.ref}.")


@datasets.command("restore")
def restore(
    ref: Ref,
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    workspace: WorkspaceOption = None,
) -> None:
    """Make a new version that equals an old one."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        old = found.datasets.open(ref)
        new = found.datasets.restore(old.name, old.number, message or f"restore version {old.number}")
    say(f"{new.ref} equals {old.ref}.")


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
