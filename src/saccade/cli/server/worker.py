"""``saccade worker``: run background jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import PrivateWebhooksOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker(
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="Number of jobs to run concurrently.")] = 1,
    memory: Annotated[
        int | None, typer.Option(min=64, help="Memory limit of a job in MiB.", show_default="no limit")
    ] = None,
    private_network: PrivateWebhooksOption = False,
    exit_on_stdin_close: Annotated[
        bool, typer.Option(help="Stop when standard input closes, which is when the parent process ends.")
    ] = False,
    workspace_path: WorkspaceOption = None,
) -> None:
    """Run background jobs and deliver webhooks until Ctrl-C. `saccade serve` starts a worker of its own.

    Several workers can run, also on other machines that can access the workspace. If a worker dies, another one takes
    over its jobs.
    """
    import signal
    import sys
    import threading

    from saccade.app.jobs.worker import Worker
    from saccade.runtime.process import wait_for_eof
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace:
        limit_bytes = None if memory is None else memory << 20
        process = Worker(workspace, concurrency=concurrency, memory=limit_bytes, allow_private=private_network)
        signal.signal(signal.SIGTERM, process.stop)
        signal.signal(signal.SIGINT, process.stop)
        if exit_on_stdin_close:

            def stop_at_eof() -> None:
                wait_for_eof(sys.stdin.fileno())
                process.stop()

            threading.Thread(target=stop_at_eof, daemon=True).start()
        process.run()
