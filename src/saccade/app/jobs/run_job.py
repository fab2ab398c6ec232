"""The process that does one job: ``python -m saccade.app.jobs.run_job WORKSPACE JOB WORKER MEMORY``.

It says twice a second how far it has come, and hears in the same moment whether it is still wanted. It ends with the
worker that began it, whose end it notices at its standard input.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from saccade.app.jobs.job_type import Doing
from saccade.app.jobs.registry import KINDS
from saccade.core.errors import SaccadeError
from saccade.runtime.signals import interrupts_known
from saccade.store.io.process import limit_memory, wait_for_end
from saccade.store.jobs.jobs import Job, State
from saccade.store.workspace import PROJECT, Workspace

_EVERY = 0.5
_PATIENCE = 20.0


def folder_of(workspace: Workspace, job: str) -> Path:
    """Where a job's log and results lie."""
    return workspace.left / job


class Told:
    """Progress that is written down for others to see; and the pulse of the process."""

    def __init__(self, workspace: Workspace, job: str, worker: str) -> None:
        self._workspace, self._job, self._worker = workspace, job, worker
        self._now: dict[str, Any] = {}
        self._ended = threading.Event()
        self.is_unwanted = False
        self._thread = threading.Thread(target=self._beat, name="saccade-job", daemon=True)
        self._thread.start()

    def start(self, what: str, total: int | None = None) -> None:
        print(f"{time.strftime('%H:%M:%S')} {what}{'' if total is None else f' ({total:,})'}", flush=True)
        self._now = {"what": what, "done": 0, "total": total, "note": ""}

    def advance(self, count: int = 1, note: str = "") -> None:
        if self.is_unwanted and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt  # once more, where the first one was lost in code that catches all
        self._now["done"] = self._now.get("done", 0) + count
        if note:
            self._now["note"] = note[:200]

    def finish(self) -> None:
        pass

    def _beat(self) -> None:
        while not self._ended.wait(_EVERY):
            with suppress(SaccadeError):  # a database that is busy or away for a moment
                if not self._workspace.jobs.tell(self._job, self._worker, dict(self._now)):
                    self.is_unwanted = True
                    break
        if self.is_unwanted:
            os.kill(os.getpid(), signal.SIGINT)
            if not self._ended.wait(_PATIENCE):
                os._exit(1)

    def close(self) -> None:
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def do(workspace: Workspace, job: Job, worker: str) -> None:
    """Do a job, and record how it ended."""
    folder = folder_of(workspace, job.id) / "files"
    folder.mkdir(parents=True, exist_ok=True)
    told = Told(workspace, job.id, worker)
    state: State = "finished"
    error = hint = ""
    result: dict[str, Any] = {}
    try:
        kind = KINDS[job.kind]
        given = kind.parameters.model_validate(job.parameters)
        workspace.runs.job = job.id
        with interrupts_known():
            result = kind.do(Doing(workspace, job, told, folder), given)
    except KeyboardInterrupt:
        state = "cancelled"
    except SaccadeError as failure:
        state, error, hint = "failed", failure.message, failure.hint
        result = {"code": failure.code}
        print(f"{time.strftime('%H:%M:%S')} {error} {hint}", flush=True)
    except Exception as failure:
        traceback.print_exc()
        state, error = "failed", f"Something went wrong: {failure}"
        hint = "Its log says more."
    finally:
        told.close()
    if state == "finished" and result.get("stopped"):
        state = "cancelled"
    if state == "cancelled" and not workspace.jobs.get(job.id).is_cancelled:
        return  # the worker is to end, not the job: another takes it up
    workspace.jobs.finish(job.id, worker, state, result, error, hint)


def _end_with_worker() -> None:
    try:
        wait_for_end(sys.stdin.fileno())
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(1.0)
    finally:  # also where there is no memory left to do so
        os._exit(1)


def main() -> None:
    location, job, worker, memory = sys.argv[1:5]
    threading.Thread(target=_end_with_worker, daemon=True).start()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell has what it begins in the background ignore the first
        signal.signal(number, signal.default_int_handler)
    limit_memory(int(memory) or None)
    with Workspace.open(location) as workspace:
        claimed = workspace.jobs.claimed(job)
        project = workspace.projects.named(claimed.project)
        os.environ[PROJECT] = project  # also for the processes that it begins
        do(workspace.in_project(project), claimed, worker)


if __name__ == "__main__":
    main()
