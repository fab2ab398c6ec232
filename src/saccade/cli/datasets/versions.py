"""``saccade datasets log|diff|merge|tag|alias|unalias|branch|unbranch|restore``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from saccade.cli.datasets.app import Name, Ref, datasets
from saccade.cli.options import JsonOption, WorkspaceOption

_MOST_ROWS = 50


@datasets.command("log")
def log(name: Name, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """All versions, the newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        versions = found.datasets.log(name)
        aliases, tags = found.datasets.aliases(name), found.datasets.tags(name)
    if json:
        print_json([asdict(info) for info in versions])
        return
    named = {
        info.number: [
            f"{alias} (tag)" if alias in tags else alias for alias, at in aliases.items() if at == info.number
        ]
        for info in versions
    }
    rows = [
        [
            i.number,
            i.branch,
            i.items,
            f"+{i.added} -{i.removed} ~{i.changed}",
            f"{i.created:%Y-%m-%d %H:%M}",
            ", ".join(named[i.number]),
            i.message,
        ]
        for i in versions
    ]
    print_table(["Version", "Branch", "Items", "Changes", "Made", "Aliases", "Message"], rows)


@datasets.command("diff")
def diff(
    first: Ref,
    second: Ref,
    html: Annotated[
        Path | None, typer.Option(help="Also write a page with pictures into this file.", show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What changed between two versions: items, columns and objects."""
    from rich.markup import escape

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        difference = found.datasets.diff(first, second)
        changes = difference.to_json()
        if html is not None:
            from saccade.app.datasets.diff_report import difference_page

            before, after = (found.datasets.open(ref) for ref in (first, second))
            html.write_text(difference_page(before, after, difference), encoding="utf-8")
            if not json:
                say(f"The page is {escape(str(html))}.")
    if json:
        print_json(changes)
        return
    say("items: " + ", ".join(f"{len(changes[name]):,} {name}" for name in ("added", "removed", "changed")))
    rows = [["+", key, ""] for key in changes["added"]] + [["-", key, ""] for key in changes["removed"]]
    rows += [["~", change["key"], _changed(change)] for change in changes["changed"]]
    if rows:
        print_table(["", "Item", "What"], rows[:_MOST_ROWS])
        if len(rows) > _MOST_ROWS:
            say(f"… and {len(rows) - _MOST_ROWS} more (--json gives all)")


def _changed(change: Any) -> str:
    parts = []
    for column in change["columns"]:
        found = change["objects"].get(column)
        parts.append(
            f"{column} (+{len(found['added'])} -{len(found['removed'])} ~{len(found['changed'])})" if found else column
        )
    return ", ".join(parts)


@datasets.command("merge")
def merge(
    ref: Ref,
    into: Annotated[str, typer.Option(help="The branch that is to have both.")] = "main",
    take: Annotated[
        str | None, typer.Option(help="In every conflict 'ours' (of --into) or 'theirs'.", show_default=False)
    ] = None,
    resolve: Annotated[
        Path | None,
        typer.Option(help="A file with the conflicts as --json prints them, each with its 'take'.", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Merge a branch or version into a branch; conflicts are listed, and nothing is done while one is open."""
    from saccade.app.datasets.conflict_resolution import chooser
    from saccade.cli.console import print_json, progress, say
    from saccade.core.merge import MergeConflictError
    from saccade.store.workspace import Workspace

    choose = chooser(take, resolve)
    with Workspace.find(workspace) as found:
        try:
            with progress(json) as shown:
                done = found.datasets.merge(
                    ref, into=into, choose=choose, message=message, dry_run=dry_run, progress=shown
                )
        except MergeConflictError as error:
            _refuse(error, json)
    if json:
        print_json(
            {
                "base": done.base,
                "ours": done.ours,
                "theirs": done.theirs,
                "added": done.added,
                "removed": done.removed,
                "changed": done.changed,
                "version": None if done.version is None else done.version.ref,
                "conflicts": [conflict.to_json() for conflict in done.conflicts],
            }
        )
        return
    _print_conflicts(done.conflicts)
    what = f"{done.added:,} added, {done.removed:,} removed, {done.changed:,} changed"
    if done.version is None:
        say(f"Merging {done.theirs} into {done.ours} would make: {what}, {len(done.conflicts)} conflicts.")
    elif done.version.ref == done.ours:
        say(f"{done.ours} has everything of {done.theirs} already.")
    else:
        say(f"{done.version.ref} is {done.ours} with {done.theirs}: {what}.")


def _print_conflicts(conflicts: Any) -> None:
    from saccade.cli.console import print_table, say

    rows = [
        [one.key, one.column, one.object_id or one.class_name, one.ours, one.theirs, one.taken]
        for one in conflicts[:_MOST_ROWS]
    ]
    if rows:
        print_table(["Item", "Column", "Object or class", "Ours", "Theirs", "Taken"], rows)
        if len(conflicts) > len(rows):
            say(f"… and {len(conflicts) - len(rows):,} more (--json gives all)")


def _refuse(error: Any, json: bool) -> NoReturn:
    """Show the conflicts and end."""
    from saccade.cli.console import print_json

    if not json:
        _print_conflicts(error.conflicts)
        raise error
    told = {"code": error.code, "message": error.message, "hint": error.hint}
    print_json({"error": told, "conflicts": [conflict.to_json() for conflict in error.conflicts]})
    raise typer.Exit(1)


@datasets.command("tag")
def tag(
    ref: Ref,
    name: Annotated[str, typer.Argument(help="The tag.", show_default=False)],
    workspace: WorkspaceOption = None,
) -> None:
    """Name a version for good: an alias that never moves."""
    from saccade.cli.console import say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        version = found.datasets.open(ref)
        found.datasets.alias(version.name, name, version.number, fixed=True)
    say(f"{version.name}@{name} is {version.ref}, for good.")


@datasets.command("unalias")
def unalias(
    ref: Annotated[str, typer.Argument(help="NAME@ALIAS or NAME@TAG.", show_default=False)],
    workspace: WorkspaceOption = None,
) -> None:
    """Take an alias or a tag away; the version stays."""
    from saccade.cli.console import say
    from saccade.store.catalog.names import split_ref
    from saccade.store.workspace import Workspace

    name, alias = split_ref(ref)
    with Workspace.find(workspace) as found:
        number = found.datasets.aliases(name).get(alias)
        found.datasets.unalias(name, alias)
    say(f"{name}@{alias} is gone; it named {name}@{number}.")


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


@datasets.command("unbranch")
def unbranch(
    ref: Annotated[str, typer.Argument(help="NAME@BRANCH.", show_default=False)], workspace: WorkspaceOption = None
) -> None:
    """Take a branch away; its versions stay, by their numbers."""
    from saccade.cli.console import say
    from saccade.store.catalog.names import split_ref
    from saccade.store.workspace import Workspace

    name, branch = split_ref(ref)
    with Workspace.find(workspace) as found:
        number = found.datasets.branches(name).get(branch)
        found.datasets.remove_branch(name, branch)
    say(f"{name}@{branch} is gone; it ended at {name}@{number}.")


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
