"""Worker: claims jobs, runs each in a process of its own, and sends webhook deliveries."""

from __future__ import annotations

import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from saccade.app.jobs.run_job import job_dir
from saccade.app.webhooks.sender import WebhookSender
from saccade.core.errors import SaccadeError
from saccade.core.records.jobs import Job
from saccade.io.atomic import make_private_dir
from saccade.runtime.child_process import ChildProcess
from saccade.runtime.process import is_memory_exhausted, lease_owner_id
from saccade.store.workspace import Workspace

_POLL_INTERVAL_S = 0.25
_COPY_CHECK_INTERVAL_S = 60.0
_SHUTDOWN_TIMEOUT_S = 15.0
_OOM_TIMEOUT_S = 5.0
"""A process whose memory has been used up for this long is killed: it could stay that slow for hours."""
_OOM_MARGIN_BYTES = 1 << 20


@dataclass(slots=True)
class _RunningJob:
    job: Job
    process: ChildProcess
    log: IO[bytes]
    exhausted_since: float | None = None


class Worker:
    """Runs the jobs of a workspace until :meth:`stop`.

    Args:
        workspace: The workspace.
        concurrency: The number of jobs that run at once.
        memory: Bytes that a job may allocate beyond what its process starts with; None for no limit.
        allow_private: Also send webhooks to addresses that are not public.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        concurrency: int = 1,
        memory: int | None = None,
        allow_private: bool = False,
    ) -> None:
        self._workspace = workspace
        self._concurrency = concurrency
        self._memory = memory
        self._sender = WebhookSender(workspace, allow_private=allow_private)
        self._owner_id = lease_owner_id()
        self._running: list[_RunningJob] = []
        self._stop = threading.Event()
        self._copy_checked_at = 0.0

    def stop(self, *_: Any) -> None:
        """Stop the worker. The signature fits a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Run jobs until :meth:`stop`. Jobs in progress are then released for another worker."""
        self._sender.start()
        try:
            while not self._stop.wait(_POLL_INTERVAL_S):
                with suppress(SaccadeError):  # the database may be busy or unreachable for a moment
                    self._poll()
                    self._copy_catalog()
                    while len(self._running) < self._concurrency and (
                        job := self._workspace.jobs.claim(self._owner_id)
                    ):
                        self._start_job(job)
        finally:
            self._shut_down()

    def _copy_catalog(self) -> None:
        """Copy the catalog if that is due; checked once a minute."""
        if time.monotonic() - self._copy_checked_at >= _COPY_CHECK_INTERVAL_S:
            self._copy_checked_at = time.monotonic()
            self._workspace.copy_catalog()

    def _start_job(self, job: Job) -> None:
        folder = job_dir(self._workspace, job.id)
        make_private_dir(folder)
        log = (folder / "log.txt").open("ab")
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {job.title} (attempt {job.attempts})\n".encode())
        log.flush()
        command = [
            sys.executable,
            "-m",
            "saccade.app.jobs.run_job",
            str(self._workspace.location),
            job.id,
            self._owner_id,
            str(self._memory or 0),
        ]
        self._running.append(_RunningJob(job, ChildProcess(command, log=log), log))

    def _poll(self) -> None:
        for running in list(self._running):
            if running.process.exit_code is not None:
                self._reap(running)
            elif self._memory is not None and _is_oom_stuck(running):
                running.log.write(f"{time.strftime('%H:%M:%S')} Out of memory.\n".encode())
                running.process.kill()

    def _reap(self, running: _RunningJob) -> None:
        """Close a process that has exited, and requeue its job if it has recorded no result."""
        code = running.process.wait()
        if code:
            running.log.write(f"{time.strftime('%H:%M:%S')} The process exited with {_describe_exit(code)}.\n".encode())
        # An attempt does not count if this worker ended it by shutting down.
        count_attempt = bool(code) and not self._stop.is_set()
        self._workspace.jobs.requeue(running.job.id, self._owner_id, count_attempt=count_attempt)
        running.log.close()
        running.process.close()
        self._running.remove(running)

    def _shut_down(self) -> None:
        self._sender.stop()
        for running in self._running:
            running.process.terminate()
        deadline = time.monotonic() + _SHUTDOWN_TIMEOUT_S
        for running in list(self._running):
            running.process.wait(max(0.1, deadline - time.monotonic()))
            with suppress(SaccadeError):
                self._reap(running)
        self._sender.join(deadline - time.monotonic())


def _is_oom_stuck(running: _RunningJob) -> bool:
    if not is_memory_exhausted(running.process.pid, _OOM_MARGIN_BYTES):
        running.exhausted_since = None
        return False
    running.exhausted_since = running.exhausted_since or time.monotonic()
    return time.monotonic() - running.exhausted_since > _OOM_TIMEOUT_S


def _describe_exit(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL, which the system sends if it runs out of memory"
    return signal.Signals(-code).name if code < 0 else f"code {code}"
