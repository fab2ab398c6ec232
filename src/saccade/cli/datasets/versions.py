"""``saccade datasets log|diff|merge|tag|alias|delete-alias|branch|delete-branch|restore``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from saccade.cli.datasets.app import RefArgument, datasets
from saccade.cli.options import JsonOption, MessageOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.core.records.datasets import SchemaChange
    from saccade.store.datasets.version import DatasetVersion

_MAX_ROWS = 50


@datasets.command("log")
def log(
    ref: Annotated[str, typer.Argument(help="NAME, or NAME@BRANCH for the history of a branch.", show_default=False)],
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List all versions, newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table
    from saccade.core.refs import split_branch_ref
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        name, branch = (ref, None) if "@" not in ref else split_branch_ref(ref)
        versions = workspace.datasets.log(name, branch)
        aliases = workspace.datasets.aliases(name)
        tags = workspace.datasets.tags(name)
    if as_json:
        print_json([asdict(version) for version in versions])
        return
    names: dict[int, list[str]] = {version.number: [] for version in versions}
    for alias, number in aliases.items():
        if number in names:
            names[number].append(f"{alias} (tag)" if alias in tags else alias)
    rows = [
        [
            version.number,
            version.branch,
            version.items,
            f"+{version.added} -{version.removed} ~{version.changed}",
            f"{version.created:%Y-%m-%d %H:%M}",
            ", ".join(names[version.number]),
            version.message,
        ]
        for version in versions
    ]
    print_table(["Version", "Branch", "Items", "Changes", "Created", "Aliases", "Message"], rows)


@datasets.command("diff")
def diff(
    first: RefArgument,
    second: RefArgument,
    html: Annotated[
        Path | None, typer.Option(help="Also write an HTML report with images to this file.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --html: replace an existing file.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed between two versions: items, columns, classes and objects.

    Renamed and merged classes are followed through the versions.
    """
    from rich.markup import escape

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.io.atomic import check_output_file, write_output_file
    from saccade.store.workspace import Workspace

    if html is not None:
        check_output_file(html, overwrite=overwrite)
    with Workspace.find(workspace_path) as workspace:
        difference = workspace.datasets.diff(first, second)
        changes = difference.to_json()
        schema = difference.schema
        if html is not None:
            from saccade.app.datasets.diff_report import render_diff_report

            before = workspace.datasets.open(first)
            after = workspace.datasets.open(second)
            write_output_file(html, render_diff_report(before, after, difference), overwrite=overwrite)
            if not as_json:
                print_message(f"Report: {escape(str(html))}")
    if as_json:
        print_json(changes)
        return
    _print_schema_change(schema)
    print_message("Items: " + ", ".join(f"{len(changes[name]):,} {name}" for name in ("added", "removed", "changed")))
    rows = [["+", key, ""] for key in changes["added"]]
    rows += [["-", key, ""] for key in changes["removed"]]
    rows += [["~", change["key"], _changed_columns(change)] for change in changes["changed"]]
    if rows:
        print_table(["", "Item", "Changes"], rows[:_MAX_ROWS])
        if len(rows) > _MAX_ROWS:
            print_message(f"… and {len(rows) - _MAX_ROWS} more (--json shows all)")


def _print_schema_change(schema: SchemaChange) -> None:
    from saccade.cli.console import print_table

    rows = [
        *([name, "column", "added", ""] for name in schema.columns_added),
        *([name, "column", "removed", ""] for name in schema.columns_removed),
        *([name, "column", "changed", " → ".join(kinds)] for name, kinds in schema.kinds_changed.items()),
        *(
            [name, "class", change.action, str(change)]
            for name, changes in schema.classes_renamed.items()
            for change in changes
        ),
        *([name, "class", "added", entry] for name, classes in schema.classes_added.items() for entry in classes),
        *([name, "class", "removed", entry] for name, classes in schema.classes_removed.items() for entry in classes),
    ]
    if rows:
        print_table(["Column", "Of", "Change", "Names"], rows)


def _changed_columns(change: Any) -> str:
    parts = []
    for column in change["columns"]:
        objects = change["objects"].get(column)
        if objects:
            counts = f"+{len(objects['added'])} -{len(objects['removed'])} ~{len(objects['changed'])}"
            parts.append(f"{column} ({counts})")
        else:
            parts.append(column)
    return ", ".join(parts)


@datasets.command("merge")
def merge(
    ref: RefArgument,
    into: Annotated[str, typer.Option(help="Target branch.")] = "main",
    take: Annotated[
        str | None,
        typer.Option(help="Resolve all conflicts with 'ours' (--into) or 'theirs'.", show_default=False),
    ] = None,
    resolve: Annotated[
        Path | None,
        typer.Option(
            help="JSON file with the conflicts as --json prints them, each with a 'resolution'.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")] = False,
    message: MessageOption = "",
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Merge a branch or version into a branch. If conflicts are unresolved, they are listed and nothing is merged."""
    from saccade.app.datasets.conflict_resolution import resolver_from_file
    from saccade.app.datasets.versions import merge_branch
    from saccade.cli.console import print_json, print_message, progress_bar
    from saccade.core.merge import MergeConflictError
    from saccade.store.workspace import Workspace

    resolver = resolver_from_file(take, resolve)
    with Workspace.find(workspace_path) as workspace:
        try:
            with progress_bar(as_json) as progress:
                merged = merge_branch(
                    workspace,
                    ref,
                    into=into,
                    resolver=resolver,
                    message=message,
                    dry_run=dry_run,
                    progress=progress,
                )
        except MergeConflictError as error:
            _fail_with_conflicts(error, as_json)
    if as_json:
        print_json(
            {
                "base": merged.base,
                "ours": merged.ours,
                "theirs": merged.theirs,
                "added": merged.added,
                "removed": merged.removed,
                "changed": merged.changed,
                "version": None if merged.version is None else merged.version.ref,
                "conflicts": [conflict.to_json() for conflict in merged.conflicts],
            }
        )
        return
    _print_conflicts(merged.conflicts)
    counts = f"{merged.added:,} added, {merged.removed:,} removed, {merged.changed:,} changed"
    if merged.version is None:
        print_message(
            f"Merging {merged.theirs} into {merged.ours} would change: {counts}, "
            f"{format_count(len(merged.conflicts), 'conflict')}."
        )
    elif merged.version.ref == merged.ours:
        print_message(f"Already up to date: {merged.ours} contains {merged.theirs}.")
    else:
        print_message(f"Merged {merged.theirs} into {merged.ours} as {merged.version.ref}: {counts}.")


def _print_conflicts(conflicts: Any) -> None:
    from saccade.cli.console import print_message, print_table

    rows = [
        [
            conflict.key,
            conflict.column,
            conflict.object_id or conflict.class_name,
            conflict.ours,
            conflict.theirs,
            conflict.resolution,
        ]
        for conflict in conflicts[:_MAX_ROWS]
    ]
    if rows:
        print_table(["Item", "Column", "Object or class", "Ours", "Theirs", "Resolution"], rows)
        if len(conflicts) > len(rows):
            print_message(f"… and {len(conflicts) - len(rows):,} more (--json shows all)")


def _fail_with_conflicts(error: Any, as_json: bool) -> NoReturn:
    """Print the unresolved conflicts and exit with an error."""
    from saccade.cli.console import print_json

    if not as_json:
        _print_conflicts(error.conflicts)
        raise error
    details = {"code": error.code, "message": error.message, "hint": error.hint}
    print_json({"error": details, "conflicts": [conflict.to_json() for conflict in error.conflicts]})
    raise typer.Exit(1)


@datasets.command("tag")
def tag(
    ref: RefArgument,
    name: Annotated[str, typer.Argument(help="Name of the tag.", show_default=False)],
    workspace_path: WorkspaceOption = None,
) -> None:
    """Create a tag for a version: an alias that cannot be moved."""
    from saccade.cli.console import print_message

    version = _set_alias(workspace_path, ref, name, fixed=True)
    print_message(f"Tagged {version.ref} as {version.name}@{name}.")


@datasets.command("delete-alias")
def delete_alias(
    ref: Annotated[str, typer.Argument(help="NAME@ALIAS or NAME@TAG.", show_default=False)],
    workspace_path: WorkspaceOption = None,
) -> None:
    """Delete an alias or a tag. The version is kept."""
    from saccade.app.datasets import refs
    from saccade.cli.console import print_message
    from saccade.core.refs import split_ref
    from saccade.store.workspace import Workspace

    name, alias = split_ref(ref)
    with Workspace.find(workspace_path) as workspace:
        number = workspace.datasets.aliases(name).get(alias)
        refs.delete_alias(workspace, name, alias)
    print_message(f"Deleted {name}@{alias} (was {name}@{number}).")


@datasets.command("alias")
def alias(
    ref: RefArgument,
    name: Annotated[str, typer.Argument(help="Name of the alias.", show_default=False)],
    workspace_path: WorkspaceOption = None,
) -> None:
    """Create an alias for a version, or move it."""
    from saccade.cli.console import print_message

    version = _set_alias(workspace_path, ref, name, fixed=False)
    print_message(f"{version.name}@{name} is now {version.ref}.")


def _set_alias(workspace_path: Path | None, ref: str, name: str, *, fixed: bool) -> DatasetVersion:
    from saccade.app.datasets import refs
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        if fixed:
            refs.create_tag(workspace, version.name, name, version.number)
        else:
            refs.set_alias(workspace, version.name, name, version.number)
    return version


@datasets.command("branch")
def branch(
    ref: RefArgument,
    name: Annotated[str, typer.Argument(help="Name of the branch.", show_default=False)],
    workspace_path: WorkspaceOption = None,
) -> None:
    """Create a branch that starts at a version."""
    from saccade.app.datasets.refs import create_branch
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        version = workspace.datasets.open(ref)
        create_branch(workspace, version.name, name, version.number)
    print_message(f"Created the branch {version.name}@{name} at {version.ref}.")


@datasets.command("delete-branch")
def delete_branch(
    ref: Annotated[str, typer.Argument(help="NAME@BRANCH.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Also if no other branch has its changes.")] = False,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Delete a branch. Its versions are kept, under their numbers."""
    from saccade.app.datasets import refs
    from saccade.cli.console import print_message
    from saccade.core.refs import split_ref
    from saccade.store.workspace import Workspace

    name, branch = split_ref(ref)
    with Workspace.find(workspace_path) as workspace:
        number = workspace.datasets.branches(name).get(branch)
        refs.delete_branch(workspace, name, branch, force=force)
    print_message(f"Deleted the branch {name}@{branch} (head was {name}@{number}).")


@datasets.command("restore")
def restore(
    ref: RefArgument,
    into: Annotated[str, typer.Option(help="Branch that gets the new version.")] = "main",
    message: MessageOption = "",
    workspace_path: WorkspaceOption = None,
) -> None:
    """Restore an old version: create a new version with the same content."""
    from saccade.app.datasets.versions import restore_version
    from saccade.cli.console import print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        old = workspace.datasets.open(ref)
        new = restore_version(workspace, old.name, old.number, message=message, branch=into)
    print_message(f"Restored {old.ref} as {new.ref} on the branch {new.info.branch}.")
