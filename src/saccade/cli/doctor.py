"""``saccade doctor``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    repair: Annotated[bool, typer.Option(help="Repair what is safe to repair.")] = False,
    deep: Annotated[bool, typer.Option(help="Also read every stored file and compare its digest.")] = False,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Check the installation and the workspace; exits with 1 where something is wrong."""
    from dataclasses import asdict

    from saccade.app.checking import installation
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.doctor import doctor as check
    from saccade.store.workspace import Workspace

    parts = installation()
    with Workspace.find(workspace) as found:
        problems = check(found, repair=repair, deep=deep)
        location = str(found.location)
    if json:
        print_json({"workspace": location, "installation": parts, "problems": [asdict(p) for p in problems]})
    else:
        print_table(["Part", "Version"], list(parts.items()))
        say(f"\nWorkspace {location}")
        if problems:
            rows = [[p.level, p.what, "repaired" if p.repaired else p.hint] for p in problems]
            print_table(["Level", "Problem", "What to do"], rows)
        else:
            say("[green]Nothing is wrong.[/]")
    if any(problem.level == "error" and not problem.repaired for problem in problems):
        raise typer.Exit(1)
