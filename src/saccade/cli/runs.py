"""``saccade runs``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

runs = typer.Typer(help="List and look into imports, trainings and predictions.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(runs, name="runs")


@runs.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="import, train or predict.", show_default=False)] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """All runs, the newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        known = found.runs.list(kind=kind)
    if json:
        print_json([asdict(run) for run in known])
    elif not known:
        say("There are no runs yet.")
    else:
        rows = [
            [
                run.id,
                run.kind,
                run.name,
                run.state,
                f"{run.created:%Y-%m-%d %H:%M}",
                ", ".join(run.outputs),
                run.error[:60],
            ]
            for run in known
        ]
        print_table(["Run", "Kind", "Name", "State", "Begun", "Made", "Error"], rows)


@runs.command("show")
def show(
    run: Annotated[str, typer.Argument(help="The run's id.", show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """A run: its settings, inputs, outputs and folder."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        known = asdict(found.runs.get(run))
    if json:
        print_json(known)
    else:
        print_table(["", ""], [[name, str(value)] for name, value in known.items()])
