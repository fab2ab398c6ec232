"""``saccade jobs``: what was left to the workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="Work that was left to the server: list it, look at it, cancel it.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="jobs")


JobArgument = Annotated[str, typer.Argument(help="The id of a job.", show_default=False)]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """List jobs, the newest first."""
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        jobs = found.jobs.list(limit=limit)
    if json:
        print_json([asdict(job) for job in jobs])
        return
    rows = [[job.id, job.title, job.state, _far(job.progress), f"{job.created:%Y-%m-%d %H:%M}"] for job in jobs]
    print_table(["job", "what", "state", "progress", "asked for"], rows)


def _far(progress: Any) -> str:
    total = progress.get("total")
    return "" if not progress else f"{progress['done']:,}{'' if total is None else f' of {total:,}'}"


@app.command()
def show(job: JobArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Show a job with its parameters, its result and its log."""
    from rich.markup import escape

    from saccade.app.jobs.run_job import folder_of
    from saccade.cli.console import print_json, print_table, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        one = found.jobs.get(job)
        log = folder_of(found, one.id) / "log.txt"
        text = log.read_text("utf-8", "replace") if log.exists() else ""
    if json:
        print_json(asdict(one) | {"log": text})
        return
    say(f"[bold]{escape(one.title)}[/] ({one.id}): {one.state} {escape(one.error)}")
    print_table(["result", ""], [[name, str(value)] for name, value in one.result.items() if name != "report"])
    say(escape(text))


@app.command()
def cancel(job: JobArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Cancel a job that waits or runs."""
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        one = found.jobs.cancel(job)
    if json:
        print_json(asdict(one))
        return
    say(f"The job {one.id} ends." if one.state == "running" else f"The job {one.id} is cancelled.")


@app.command()
def retry(job: JobArgument, workspace: WorkspaceOption = None, json: JsonOption = False) -> None:
    """Ask once more for what failed or was cancelled."""
    from saccade.cli.console import print_json, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        one = found.jobs.retry(job)
    if json:
        print_json(asdict(one))
        return
    say(f"It waits as the job {one.id}.")
