"""``saccade gc``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("gc")(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    cache: Annotated[bool, typer.Option("--cache", help="Remove the cache of pipelines too.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Remove stored files that no version of a dataset or model and no evaluation needs, and make room.

    What the cache of pipelines refers to is spared, unless that goes too, which costs nothing but time.
    """
    from dataclasses import asdict

    from saccade.cli.console import print_json, say
    from saccade.store.maintenance.gc import collect_garbage
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        done = collect_garbage(found, dry_run=dry_run, cache=cache)
    if json:
        print_json({**asdict(done), "dry_run": dry_run})
        return
    would = "Would remove" if dry_run else "Removed"
    say(f"{would} {done.objects:,} objects and {done.leftovers:,} leftovers, {done.bytes / 1e6:,.1f} MB.")
