"""``saccade runs``: imports, trainings, pipeline runs and predictions."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(
    help="List, show and cancel runs: imports, trainings, pipelines and predictions.", no_args_is_help=True
)

RunArgument = Annotated[str, typer.Argument(help="Id of the run.", show_default=False)]
_MAX_ERROR_LENGTH = 60


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="runs")


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="import, train, pipeline or predict.", show_default=False)] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs, newest first."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        runs = workspace.runs.list(kind=kind)
    if as_json:
        print_json([asdict(run) for run in runs])
    elif not runs:
        print_message("There are no runs yet.")
    else:
        rows = [
            [
                run.id,
                run.kind,
                run.name,
                run.state,
                f"{run.created:%Y-%m-%d %H:%M}",
                ", ".join(run.outputs),
                run.error[:_MAX_ERROR_LENGTH],
            ]
            for run in runs
        ]
        print_table(["Run", "Kind", "Name", "State", "Started", "Outputs", "Error"], rows)


@app.command("show")
def show(run: RunArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show a run with its configuration, inputs, outputs and folder."""
    from dataclasses import asdict

    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        details = asdict(workspace.runs.get(run))
    if as_json:
        print_json(details)
    else:
        print_table(["", ""], [[name, str(value)] for name, value in details.items()])


@app.command("logs")
def logs(
    run: RunArgument,
    step: Annotated[str | None, typer.Option(help="Only the events of this step.", show_default=False)] = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the events of a pipeline run: steps with their actions and reasons, and failed items."""
    from rich.markup import escape

    from saccade.app.pipelines.run import read_events
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        events = [event for event in read_events(workspace.runs.get(run)) if step in (None, event.get("step"))]
    if as_json:
        print_json(events)
        return
    if not events:
        print_message("There are no events. Only pipeline runs have them.")
    for event in events:
        fields = {name: value for name, value in event.items() if name not in ("time", "run", "event") and value}
        text = ", ".join(f"{name}: {value}" for name, value in fields.items())
        print_message(f"[bold]{event['event']:9}[/] {escape(text)}")


@app.command("cancel")
def cancel(run: RunArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Stop a run of this machine. Finished work is kept."""
    from saccade.app.pipelines.run import cancel_run
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        cancel_run(workspace, run)
    if as_json:
        print_json({"run": run, "stop_requested": True})
    else:
        print_message(f"Requested run {run} to stop.")


@app.command("rm")
def remove(run: RunArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Delete a run and its folder. A run that created an existing version cannot be deleted."""
    from saccade.app.pipelines.run import delete_run
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        delete_run(workspace, run)
    if as_json:
        print_json({"run": run, "removed": True})
    else:
        print_message(f"Deleted run {run}.")
