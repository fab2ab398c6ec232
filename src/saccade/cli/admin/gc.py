"""``saccade gc``: delete unreferenced files."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption
from saccade.core.text import format_count


def register(app: typer.Typer) -> None:
    app.command("gc")(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Delete the pipeline cache as well.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete stored files that no dataset version, model version or evaluation refers to.

    Files that the pipeline cache refers to are kept, unless --cache is given. Deleting the cache is safe: later runs
    compute the results again.
    """
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message
    from saccade.store.maintenance.gc import collect_garbage
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        result = collect_garbage(workspace, dry_run=dry_run, cache=cache)
    if as_json:
        print_json({**asdict(result), "dry_run": dry_run})
        return
    verb = "Would delete" if dry_run else "Deleted"
    print_message(
        f"{verb} {format_count(result.objects, 'file')} and {format_count(result.leftovers, 'leftover')}, "
        f"{result.bytes / 1e6:,.1f} MB."
    )
