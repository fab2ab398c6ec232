"""``saccade doctor``: check the installation and the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

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
    restore_catalog: Annotated[
        bool,
        typer.Option(
            "--restore-catalog", help="Restore a lost or damaged catalog from its newest copy, before all else."
        ),
    ] = False,
    accept_catalog: Annotated[
        bool,
        typer.Option(
            "--accept-catalog",
            help="Accept a restored or older catalog: files that it does not refer to may be deleted from now on.",
        ),
    ] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the installation and the workspace. Exits with 1 if there are errors."""
    from dataclasses import asdict

    from saccade.app.diagnostics import environment_report
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.catalog.identity import accept_catalog as accept
    from saccade.store.maintenance.catalog_recovery import restore_catalog as recover
    from saccade.store.maintenance.doctor import doctor as check_workspace
    from saccade.store.maintenance.doctor import relocate_files
    from saccade.store.workspace import Workspace, find_folder

    environment = environment_report()
    folder = find_folder(workspace_path)
    recovery = recover(folder) if restore_catalog else None
    with Workspace.open(folder) as workspace:
        relinked = None if relink is None else relocate_files(workspace, relink)
        if accept_catalog and workspace.catalog_copies is not None:
            accept(workspace.catalog, workspace.catalog_copies)
        issues = check_workspace(workspace, repair=repair, deep=deep)
        location = str(workspace.location)
    if as_json:
        report: dict[str, Any] = {
            "workspace": location,
            "environment": environment,
            "problems": [asdict(issue) for issue in issues],
        }
        if relinked is not None:
            report["relinked"] = asdict(relinked)
        if recovery is not None:
            report["restored_from"] = {"path": recovery.copy.path, "created": recovery.copy.created}
        print_json(report)
    else:
        print_table(["Package", "Version"], list(environment.items()))
        print_message(f"\nWorkspace {location}")
        if recovery is not None:
            print_message(f"The catalog was restored from a copy of {recovery.copy.created:%Y-%m-%d %H:%M} UTC.")
            if recovery.previous_files is not None:
                print_message(f"The old catalog is in {recovery.previous_files}.")
        if relinked is not None:
            print_message(f"{len(relinked.found):,} linked files relocated, {len(relinked.lost):,} still missing.")
        if issues:
            rows = [[issue.level, issue.what, "repaired" if issue.repaired else issue.hint] for issue in issues]
            print_table(["Level", "Problem", "What to do"], rows)
        else:
            print_message("[green]No problems found.[/]")
    if any(issue.level == "error" and not issue.repaired for issue in issues):
        raise typer.Exit(1)
