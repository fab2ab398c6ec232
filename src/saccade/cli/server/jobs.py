"""``saccade jobs``: background jobs of the server."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, WorkspaceOption

app = typer.Typer(help="List, show, cancel and retry background jobs.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    root.add_typer(app, name="jobs")


JobArgument = Annotated[str, typer.Argument(help="Id of the job.", show_default=False)]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Maximum number of jobs.")] = 50,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List jobs, newest first."""
    from saccade.cli.console import print_json, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        jobs = workspace.jobs.list(limit=limit)
    if as_json:
        print_json([asdict(job) for job in jobs])
        return
    rows = [[job.id, job.title, job.state, _progress(job.progress), f"{job.created:%Y-%m-%d %H:%M}"] for job in jobs]
    print_table(["Job", "Title", "State", "Progress", "Created"], rows)


def _progress(progress: Any) -> str:
    total = progress.get("total")
    return "" if not progress else f"{progress['done']:,}{'' if total is None else f' of {total:,}'}"


@app.command()
def show(job: JobArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Show a job with its result and log."""
    from rich.markup import escape

    from saccade.app.jobs.run_job import job_dir
    from saccade.cli.console import print_json, print_message, print_table
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        record = workspace.jobs.get(job)
        log_path = job_dir(workspace, record.id) / "log.txt"
        log = log_path.read_text("utf-8", "replace") if log_path.exists() else ""
    if as_json:
        print_json(asdict(record) | {"log": log})
        return
    print_message(f"[bold]{escape(record.title)}[/] ({record.id}): {record.state} {escape(record.error)}")
    # The report of a conversion is too long for a table cell.
    rows = [[name, str(value)] for name, value in record.result.items() if name != "report"]
    print_table(["Result", ""], rows)
    print_message(escape(log))


@app.command()
def cancel(job: JobArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Cancel a queued or running job."""
    from saccade.app.jobs.queue import cancel_job
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        cancelled = cancel_job(workspace, job)
    if as_json:
        print_json(asdict(cancelled))
        return
    is_running = cancelled.state == "running"
    print_message(f"Job {cancelled.id} is being cancelled." if is_running else f"Job {cancelled.id} is cancelled.")


@app.command()
def retry(job: JobArgument, workspace_path: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Enqueue a failed or cancelled job again, as a new job."""
    from saccade.app.jobs.queue import retry_job
    from saccade.cli.console import print_json, print_message
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        queued = retry_job(workspace, job)
    if as_json:
        print_json(asdict(queued))
        return
    print_message(f"Queued as job {queued.id}.")
