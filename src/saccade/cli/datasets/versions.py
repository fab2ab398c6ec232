"""``saccade datasets log|diff|alias|branch|restore``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from saccade.cli.datasets.group import Name, Ref, datasets
from saccade.cli.options import JsonOption, WorkspaceOption


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
