"""Supervisor of the worker processes beside a server."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress

from saccade.core.errors import SaccadeError
from saccade.runtime.child_process import ChildProcess
from saccade.store.workspace import Workspace

_START_DELAY_S = 4.0
_CHECK_INTERVAL_S = 0.1
_POLL_INTERVAL_S = 0.5
_RESTART_PAUSE_S = 2.0
_SHUTDOWN_TIMEOUT_S = 20.0
"""Longer than a worker's own limit, so that it can release its jobs."""


class WorkerSupervisor:
    """Starts worker processes and restarts those that die.

    They start as soon as there is something to do, or else a few seconds after the server, so that they do not slow
    down its first responses.

    Args:
        workspace: The workspace.
        count: The number of workers.
        memory: Bytes that a job may allocate; None for no limit.
        allow_private: Also send webhooks to addresses that are not public.
    """

    def __init__(
        self, workspace: Workspace, count: int, memory: int | None = None, *, allow_private: bool = False
    ) -> None:
        self._command = [
            sys.executable,
            "-m",
            "saccade",
            "worker",
            "--workspace",
            str(workspace.location.parent),
            "--concurrency",
            "1",
            *([] if memory is None else ["--memory", str(memory >> 20)]),
            "--exit-on-stdin-close",
            *(["--private-network"] if allow_private else []),
        ]
        self._jobs = workspace.jobs
        self._delivery_queue = workspace.delivery_queue
        self._count = count
        self._processes: list[ChildProcess] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._supervise, name="saccade-workers", daemon=True)

    def start(self) -> None:
        if self._count:
            self._thread.start()

    def _supervise(self) -> None:
        self._wait_for_work()
        pause = 0.0
        while not self._stopped.wait(pause):
            dead = [process for process in self._processes if process.exit_code is not None]
            for process in dead:
                process.close()
                self._processes.remove(process)
            while len(self._processes) < self._count:
                self._processes.append(ChildProcess(self._command, has_messages=False))
            pause = _RESTART_PAUSE_S if dead else _POLL_INTERVAL_S

    def _wait_for_work(self) -> None:
        deadline = time.monotonic() + _START_DELAY_S
        while time.monotonic() < deadline and not self._stopped.wait(_CHECK_INTERVAL_S):
            with suppress(SaccadeError):
                if self._jobs.has_pending() or self._delivery_queue.has_due():
                    return

    def close(self) -> None:
        """Stop the workers, and wait until they have released their jobs."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(_SHUTDOWN_TIMEOUT_S)
            process.close()
