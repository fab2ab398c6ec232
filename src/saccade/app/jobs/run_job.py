"""The process of one job: ``python -m saccade.app.jobs.run_job WORKSPACE JOB WORKER MEMORY``.

Every half second it renews the lease of the job, records its progress, and learns whether the job was cancelled. It
ends with the worker that started it, which it notices at the end of its standard input.
"""

from __future__ import annotations

import _thread
import os
import re
import shutil
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any

from saccade.app.jobs.job_type import JobContext
from saccade.app.jobs.pipelines import PIPELINE_DIR
from saccade.app.jobs.registry import JOB_TYPES
from saccade.core.errors import SaccadeError
from saccade.core.records.jobs import Job
from saccade.core.records.jobs import JobState as State
from saccade.core.urls import redact_text
from saccade.io.atomic import make_private_dir
from saccade.runtime.process import limit_memory, wait_for_eof
from saccade.runtime.signals import reraise_interrupts
from saccade.store.workspace import PROJECT_ENV, Workspace

_HEARTBEAT_INTERVAL_S = 0.5
_CANCEL_TIMEOUT_S = 20.0
"""Time that a cancelled job has to clean up before its process exits."""


def job_dir(workspace: Workspace, job: str) -> Path:
    """Return the folder with the log and the output files of a job."""
    return workspace.jobs_dir / job


class HeartbeatProgress:
    """Progress that is recorded in the catalog, together with the heartbeat of the job.

    Args:
        workspace: The workspace.
        job: The id of the job.
        owner_id: The worker that has claimed the job.
    """

    def __init__(self, workspace: Workspace, job: str, owner_id: str) -> None:
        self._workspace = workspace
        self._job = job
        self._owner_id = owner_id
        self._state: dict[str, Any] = {}
        self._ended = threading.Event()
        self.cancel_requested = False
        self._thread = threading.Thread(target=self._heartbeat, name="saccade-job", daemon=True)
        self._thread.start()

    def start(self, phase: str, total: int | None = None) -> None:
        print(f"{time.strftime('%H:%M:%S')} {phase}{'' if total is None else f' ({total:,})'}", flush=True)
        self._state = {"phase": phase, "done": 0, "total": total, "message": ""}

    def advance(self, count: int = 1, message: str = "") -> None:
        if self.cancel_requested and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt  # again: the first one may be lost in code that catches all exceptions
        self._state["done"] = self._state.get("done", 0) + count
        if message:
            self._state["message"] = message[:200]

    def finish(self) -> None:
        pass

    def _heartbeat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_INTERVAL_S):
            with suppress(SaccadeError):  # the database may be busy or unreachable for a moment
                if not self._workspace.jobs.heartbeat(self._job, self._owner_id, dict(self._state)):
                    self.cancel_requested = True
                    break
        if self.cancel_requested:
            os.kill(os.getpid(), signal.SIGINT)
            if not self._ended.wait(_CANCEL_TIMEOUT_S):
                os._exit(1)

    def close(self) -> None:
        """Stop the heartbeat."""
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def run(workspace: Workspace, job: Job, owner_id: str) -> None:
    """Run a job and record its result.

    Args:
        workspace: The workspace, limited to the project of the job.
        job: The job.
        owner_id: The worker that has claimed it.
    """
    output_dir = job_dir(workspace, job.id) / "files"
    make_private_dir(output_dir)
    progress = HeartbeatProgress(workspace, job.id, owner_id)
    state: State = "finished"
    error = ""
    hint = ""
    result: dict[str, Any] = {}
    try:
        job_type = JOB_TYPES[job.kind]
        params = job_type.parameters.model_validate(job.parameters)
        workspace.runs.job_id = job.id
        with reraise_interrupts():
            result = job_type.run(JobContext(workspace, job, progress, output_dir), params)
    except KeyboardInterrupt:
        state = "cancelled"
    except SaccadeError as failure:
        state = "failed"
        error = _without_internal_paths(failure.message, workspace)
        hint = _without_internal_paths(failure.hint, workspace)
        result = {"code": failure.code}
        print(f"{time.strftime('%H:%M:%S')} {error} {hint}", flush=True)
    except Exception as failure:
        # Users who may not see the credentials of a URL may read the log and the error.
        print(redact_text(traceback.format_exc()), file=sys.stderr, flush=True)
        state = "failed"
        error = redact_text(_without_internal_paths(f"Unexpected error: {failure}", workspace))
        hint = "See the log of the job."
    finally:
        progress.close()
    if state == "finished" and result.get("stopped"):
        state = "cancelled"
    if state == "cancelled" and not workspace.jobs.get(job.id).cancel_requested:
        return  # the worker is shutting down; another worker will take over the job
    if job.has_secrets:
        shutil.rmtree(job_dir(workspace, job.id) / PIPELINE_DIR, ignore_errors=True)
    workspace.jobs.finish(job.id, owner_id, state, result, error, hint)


def _without_internal_paths(text: str, workspace: Workspace) -> str:
    """Shorten the paths of uploads and temporary files: users need not know where the workspace of the server is."""
    for folder in (workspace.location, workspace.location.resolve()):
        root = re.escape(str(folder))
        text = re.sub(rf"{root}/(?:jobs/)?uploads/[0-9a-f]{{32}}/files/", "", text)
        text = re.sub(rf"{root}/(?:jobs/)?uploads/[0-9a-f]{{32}}/files\b", "the upload", text)
        text = re.sub(rf"{root}(?:/tmp/[^/\s'\"]+)?/?", "", text)
    return text


def _exit_with_worker() -> None:
    try:
        wait_for_eof(sys.stdin.fileno())
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(1.0)
    finally:  # exits also if there is no memory left for the lines above
        os._exit(1)


def main() -> None:
    location, job_id, owner_id, memory = sys.argv[1:5]
    threading.Thread(target=_exit_with_worker, daemon=True).start()
    # A shell makes background processes ignore SIGINT, which cancelling needs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    limit_memory(int(memory) or None)
    with Workspace.open(location) as workspace:
        job = workspace.jobs.get_unscoped(job_id)
        project = workspace.projects.get_name(job.project)
        os.environ[PROJECT_ENV] = project  # inherited by child processes
        run(workspace.scoped_to_project(project), job, owner_id)


if __name__ == "__main__":
    main()
