"""The runs of a project on a server."""

from __future__ import annotations

from typing import Any

from saccade.client.api import Http
from saccade.client.decoding import made, path_of
from saccade.store.registry.runs import RunFacts

_PAGE = 1000


RunList = list[RunFacts]
Events = list[dict[str, Any]]


class RemoteRuns:
    """The runs of a project on a server."""

    def __init__(self, http: Http) -> None:
        self._http = http

    def list(self, kind: str | None = None, name: str | None = None) -> RunList:
        """Runs, the newest first, of this kind and name where given; their settings are left out."""
        return [made(RunFacts, one) for one in self._http.get("/runs", kind=kind, name=name)]

    def get(self, run: str) -> RunFacts:
        """The run of that id; NotFoundError where there is none."""
        return made(RunFacts, self._http.get(path_of("runs", run)))

    def events(self, run: str, step: str | None = None) -> Events:
        """What a run of a pipeline has told so far, one event after another; of a step only where given."""
        found: Events = []
        while True:
            page = self._http.get(path_of("runs", run, "events"), step=step, start=len(found), limit=_PAGE)
            found += page["events"]
            if len(found) >= page["total"]:
                return found

    def steps(self, run: str) -> tuple[dict[str, Any], ...]:
        """The steps of a run of a pipeline as they stand, each with what was done about it, and why."""
        return tuple(self._http.get(path_of("runs", run, "pipeline"))["steps"])

    def epochs(self, run: str) -> tuple[dict[str, Any], ...]:
        """What a training said after each epoch."""
        return tuple(self._http.get(path_of("runs", run, "metrics")))

    def cancel(self, run: str) -> None:
        """Ask a run to stop; what it has done is kept."""
        self._http.post(path_of("runs", run, "cancel"))

    def remove(self, run: str) -> None:
        """Forget a run; ConflictError where it runs, or made a version that is still there."""
        self._http.send("DELETE", path_of("runs", run))
