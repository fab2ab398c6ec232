"""The jobs of a project on a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from saccade.client.api import NAMED, Http, error_of
from saccade.client.decoding import made, path_of
from saccade.core.errors import WorkspaceError
from saccade.core.progress import Progress, Silent
from saccade.store.jobs.jobs import ENDED, Job

_LOOK_AGAIN, _PATIENCE = 0.3, 30.0
JobList = list[Job]


class RemoteJobs:
    """The jobs of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, limit: int = 100) -> JobList:
        """Jobs, the newest first."""
        return [_job(one) for one in self._http.get("/jobs", limit=limit)["jobs"]]

    def get(self, job: str) -> Job:
        """A job as it stands."""
        return _job(self._http.get(path_of("jobs", job)))

    def leave(self, kind: str, parameters: Mapping[str, Any], key: str | None = None) -> Job:
        """Leave work to the workers. Asked for again with the same key, it is the same job."""
        headers = {} if key is None else {NAMED: key}
        return _job(self._http.post("/jobs", {"kind": kind, "parameters": dict(parameters)}, headers=headers))

    def run(self, kind: str, parameters: Mapping[str, Any], progress: Progress | None = None) -> Job:
        """Leave work to the workers and wait for its end; Ctrl-C cancels it. SaccadeError where it fails."""
        job = self.leave(kind, parameters)
        try:
            return self.wait(job.id, progress)
        except KeyboardInterrupt:
            self.cancel(job.id)
            raise

    def wait(self, job: str, progress: Progress | None = None) -> Job:
        """A job when it has ended; the error that ended it, SaccadeError where it was cancelled.

        A server that does not answer is asked again for half a minute: what it does goes on without us.
        """
        shown = progress or Silent()
        what, done = "", 0
        while (found := self._surely(job)).state not in ENDED:
            now = found.progress
            if now.get("what") and now["what"] != what:
                what, done = str(now["what"]), 0
                shown.start(what, now.get("total"))
            if int(now.get("done") or 0) > done:
                shown.advance(int(now["done"]) - done, str(now.get("note") or ""))
                done = int(now["done"])
            time.sleep(_LOOK_AGAIN)
        shown.finish()
        if found.state != "finished":
            code = str(found.result.get("code", ""))
            raise error_of(code, found.error or f"The job {job} was {found.state}.", found.hint)
        return found

    def _surely(self, job: str) -> Job:
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return self.get(job)
            except WorkspaceError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_AGAIN)

    def log(self, job: str) -> str:
        """What its processes said; of a long log the end."""
        return self._http.send("GET", path_of("jobs", job, "log")).text

    def cancel(self, job: str) -> Job:
        """End a job."""
        return _job(self._http.post(path_of("jobs", job, "cancel")))

    def retry(self, job: str) -> Job:
        """Ask once more for what failed or was cancelled."""
        return _job(self._http.post(path_of("jobs", job, "retry")))


def _job(facts: Mapping[str, Any]) -> Job:
    return made(Job, facts, project=0)
