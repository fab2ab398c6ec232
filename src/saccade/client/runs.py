"""Runs of a project on a server."""

from __future__ import annotations

from typing import Any

from saccade.client.api import ApiClient
from saccade.client.decoding import api_path, from_json
from saccade.core.records.runs import RunInfo

_PAGE_EVENTS = 1000

RunList = list[RunInfo]
EventList = list[dict[str, Any]]


class RemoteRuns:
    """Runs of a project on a server."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def list(self, kind: str | None = None, name: str | None = None, job: str | None = None) -> RunList:
        """List runs without their configuration, newest first; optionally only those of a kind, name or job."""
        return [from_json(RunInfo, run) for run in self._api.get("/runs", kind=kind, name=name, job=job)]

    def get(self, run: str) -> RunInfo:
        """Return a run.

        Raises:
            NotFoundError: There is no such run.
        """
        return from_json(RunInfo, self._api.get(api_path("runs", run)))

    def events(self, run: str, step: str | None = None) -> EventList:
        """Return the events of a pipeline run so far, oldest first; optionally only those of one step."""
        events: EventList = []
        while True:
            page = self._api.get(api_path("runs", run, "events"), step=step, start=len(events), limit=_PAGE_EVENTS)
            events += page["events"]
            if len(events) >= page["total"]:
                return events

    def steps(self, run: str) -> tuple[dict[str, Any], ...]:
        """Return the current state of each step of a pipeline run, with its action and the reasons for it."""
        return tuple(self._api.get(api_path("runs", run, "pipeline"))["steps"])

    def epochs(self, run: str) -> tuple[dict[str, Any], ...]:
        """Return the metrics of a training run by epoch."""
        return tuple(self._api.get(api_path("runs", run, "metrics")))

    def progress(self, run: str, cursor: str = "") -> dict[str, Any]:
        """Return the progress of a training run: phase, step, epoch, speed, and the losses since ``cursor``.

        Args:
            run: The run.
            cursor: ``cursor`` of an earlier result; "" for all losses, at most 2,000 points.
        """
        progress: dict[str, Any] = self._api.get(api_path("runs", run, "progress"), cursor=cursor)
        return progress

    def log(self, run: str) -> str:
        """Return the log of a training run."""
        return self._api.send("GET", api_path("runs", run, "log")).text

    def cancel(self, run: str) -> None:
        """Request that a run stops. Its finished work is kept."""
        self._api.post(api_path("runs", run, "cancel"))

    def remove(self, run: str) -> None:
        """Delete a run.

        Raises:
            ConflictError: It is running, or created a version that still exists.
        """
        self._api.send("DELETE", api_path("runs", run))
