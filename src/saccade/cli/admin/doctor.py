"""``saccade doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    repair: Annotated[bool, typer.Option(help="Repair what is safe to repair.")] = False,
    deep: Annotated[bool, typer.Option(help="Also read every stored file and compare its digest.")] = False,
    relink: Annotated[
        Path | None,
        typer.Option(help="Look in this folder for linked files that moved, by their content.", show_default=False),
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Check the installation and the workspace; exits with 1 where something is wrong."""
    from dataclasses import asdict

    from saccade.app.diagnostics import installation
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.maintenance.doctor import doctor as check
    from saccade.store.maintenance.doctor import relink_files
    from saccade.store.workspace import Workspace

    parts = installation()
    with Workspace.find(workspace) as found:
        relinked = None if relink is None else relink_files(found, relink)
        problems = check(found, repair=repair, deep=deep)
        location = str(found.location)
    if json:
        found_again = {} if relinked is None else {"relinked": asdict(relinked)}
        listed = [asdict(problem) for problem in problems]
        print_json({"workspace": location, "installation": parts, "problems": listed, **found_again})
    else:
        print_table(["Part", "Version"], list(parts.items()))
        say(f"\nWorkspace {location}")
        if relinked is not None:
            say(f"{len(relinked.found):,} linked files were found again, {len(relinked.lost):,} were not.")
        if problems:
            rows = [[p.level, p.what, "repaired" if p.repaired else p.hint] for p in problems]
            print_table(["Level", "Problem", "What to do"], rows)
        else:
            say("[green]Nothing is wrong.[/]")
    if any(problem.level == "error" and not problem.repaired for problem in problems):
        raise typer.Exit(1)
