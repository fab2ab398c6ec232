"""``saccade doctor``: check the installation and the workspace."""

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
        typer.Option(help="Search this folder for linked files that moved, by their content.", show_default=False),
    ] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the installation and the workspace. Exits with 1 if there are errors."""
    from dataclasses import asdict

    from saccade.app.diagnostics import environment_report
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.maintenance.doctor import doctor as check_workspace
    from saccade.store.maintenance.doctor import relocate_files
    from saccade.store.workspace import Workspace

    environment = environment_report()
    with Workspace.find(workspace_path) as workspace:
        relinked = None if relink is None else relocate_files(workspace, relink)
        issues = check_workspace(workspace, repair=repair, deep=deep)
        location = str(workspace.location)
    if as_json:
        report = {
            "workspace": location,
            "environment": environment,
            "problems": [asdict(issue) for issue in issues],
        }
        print_json(report if relinked is None else {**report, "relinked": asdict(relinked)})
    else:
        print_table(["Package", "Version"], list(environment.items()))
        print_message(f"\nWorkspace {location}")
        if relinked is not None:
            print_message(f"{len(relinked.found):,} linked files relocated, {len(relinked.lost):,} still missing.")
        if issues:
            rows = [[issue.level, issue.what, "repaired" if issue.repaired else issue.hint] for issue in issues]
            print_table(["Level", "Problem", "What to do"], rows)
        else:
            print_message("[green]No problems found.[/]")
    if any(issue.level == "error" and not issue.repaired for issue in issues):
        raise typer.Exit(1)
