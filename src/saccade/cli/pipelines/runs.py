"""``saccade runs``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

runs = typer.Typer(help="List, look into and stop imports, trainings, pipelines and predictions.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(runs, name="runs")


@runs.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="import, train, pipeline or predict.", show_default=False)] = None,
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


@runs.command("logs")
def logs(
    run: Annotated[str, typer.Argument(help="The run's id.", show_default=False)],
    step: Annotated[str | None, typer.Option(help="Of this step only.", show_default=False)] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """What a run of a pipeline has told: each step, what was done and why, and what was set aside."""
    from rich.markup import escape

    from saccade.app.pipelines.run import events_of
    from saccade.cli.console import out, print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        events = [event for event in events_of(found.runs.get(run)) if step in (None, event.get("step"))]
    if json:
        print_json(events)
        return
    if not events:
        say("It has told nothing; only runs of pipelines do.")
    for event in events:
        words = {name: value for name, value in event.items() if name not in ("time", "run", "event") and value}
        text = ", ".join(f"{name}: {value}" for name, value in words.items())
        out.print(f"[bold]{event['event']:9}[/] {escape(text)}")


@runs.command("cancel")
def cancel(
    run: Annotated[str, typer.Argument(help="The run's id.", show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Stop a run of this machine; what it has done is kept."""
    from saccade.app.pipelines.run import cancel_run
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        cancel_run(found, run)
    if json:
        print_json({"run": run, "asked": "to stop"})
    else:
        say(f"Run {run} was asked to stop.")


@runs.command("rm")
def remove(
    run: Annotated[str, typer.Argument(help="The run's id.", show_default=False)],
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Forget a run, with its folder; not one that made a version that is still there."""
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        found.runs.remove(run)
    if json:
        print_json({"run": run, "removed": True})
    else:
        say(f"Run {run} is removed.")
