"""``saccade worker``."""

from __future__ import annotations

from typing import Annotated

import typer

from saccade.cli.options import PrivateWebhooksOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker(
    at_once: Annotated[int, typer.Option(min=1, max=64, help="How many jobs it does at the same time.")] = 1,
    memory: Annotated[
        int | None, typer.Option(min=64, help="MiB that a job may take.", show_default="as much as there is")
    ] = None,
    private_network: PrivateWebhooksOption = False,
    until_input_ends: Annotated[bool, typer.Option(help="End with the program that started it.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Do the jobs that people leave to the server, until Ctrl-C; `saccade serve` starts one of its own.

    More of them may run, on other machines too where the workspace is reached from there. A job whose worker dies is
    taken up by another one. It also sends to webhooks what they are to be told.
    """
    import signal
    import sys
    import threading

    from saccade.app.jobs.worker import Worker
    from saccade.store.io.process import wait_for_end
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found:
        limit = None if memory is None else memory << 20
        made = Worker(found, at_once=at_once, memory=limit, private=private_network)
        signal.signal(signal.SIGTERM, made.stop)
        signal.signal(signal.SIGINT, made.stop)
        if until_input_ends:

            def watch() -> None:
                wait_for_end(sys.stdin.fileno())
                made.stop()

            threading.Thread(target=watch, daemon=True).start()
        made.run()
