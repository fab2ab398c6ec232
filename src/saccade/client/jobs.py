"""Jobs of a project on a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from saccade.client.api import IDEMPOTENCY_HEADER, ApiClient, error_from_code
from saccade.client.decoding import api_path, from_json
from saccade.core.errors import WorkspaceError
from saccade.core.progress import NullProgress, Progress
from saccade.core.records.jobs import FINAL_STATES, Job

_POLL_INTERVAL_S = 0.3
_MAX_OUTAGE_S = 30.0
JobList = list[Job]


class RemoteJobs:
    """Jobs of a project on a server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self, limit: int = 100) -> JobList:
        """List jobs, newest first."""
        return [_decode_job(job) for job in self._api.get("/jobs", limit=limit)["jobs"]]

    def get(self, job: str) -> Job:
        """Return the current state of a job."""
        return _decode_job(self._api.get(api_path("jobs", job)))

    def submit(self, kind: str, parameters: Mapping[str, Any], key: str | None = None) -> Job:
        """Enqueue a job for the workers of the server.

        Args:
            kind: The kind of job.
            parameters: Parameters of that kind.
            key: Idempotency key; a repeated call with the same key returns the same job.
        """
        headers = {} if key is None else {IDEMPOTENCY_HEADER: key}
        return _decode_job(self._api.post("/jobs", {"kind": kind, "parameters": dict(parameters)}, headers=headers))

    def run(self, kind: str, parameters: Mapping[str, Any], progress: Progress | None = None) -> Job:
        """Enqueue a job and wait for it; Ctrl-C cancels it.

        Raises:
            SaccadeError: The job failed or was cancelled.
        """
        job = self.submit(kind, parameters)
        try:
            return self.wait(job.id, progress)
        except KeyboardInterrupt:
            self.cancel(job.id)
            raise

    def wait(self, job: str, progress: Progress | None = None) -> Job:
        """Wait for a job to finish; returns its final state.

        If the server does not respond, it is polled for another 30 seconds: the job goes on without the client.

        Raises:
            SaccadeError: The job failed, with its specific error class, or was cancelled.
            WorkspaceError: The server does not respond.
        """
        progress = progress or NullProgress()
        phase = ""
        done = 0
        while (current := self._get_with_retries(job)).state not in FINAL_STATES:
            reported = current.progress
            if reported.get("phase") and reported["phase"] != phase:
                phase = str(reported["phase"])
                done = 0
                progress.start(phase, reported.get("total"))
            if int(reported.get("done") or 0) > done:
                progress.advance(int(reported["done"]) - done, str(reported.get("message") or ""))
                done = int(reported["done"])
            time.sleep(_POLL_INTERVAL_S)
        progress.finish()
        if current.state != "finished":
            code = str(current.result.get("code", ""))
            raise error_from_code(code, current.error or f"The job {job} was {current.state}.", current.hint)
        return current

    def _get_with_retries(self, job: str) -> Job:
        deadline = time.monotonic() + _MAX_OUTAGE_S
        while True:
            try:
                return self.get(job)
            except WorkspaceError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_POLL_INTERVAL_S)

    def log(self, job: str) -> str:
        """Return the output of a job's processes; only the last MiB if the log is longer."""
        return self._api.send("GET", api_path("jobs", job, "log")).text

    def cancel(self, job: str) -> Job:
        """Cancel a job."""
        return _decode_job(self._api.post(api_path("jobs", job, "cancel")))

    def retry(self, job: str) -> Job:
        """Enqueue a failed or cancelled job again, as a new job."""
        return _decode_job(self._api.post(api_path("jobs", job, "retry")))


def _decode_job(data: Mapping[str, Any]) -> Job:
    return from_json(Job, data, project=0)
