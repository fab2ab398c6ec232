"""Background jobs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

JobState = Literal["queued", "running", "finished", "failed", "cancelled"]
FINAL_STATES: tuple[JobState, ...] = ("finished", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """A snapshot of a job.

    Attributes:
        user: id of the user who created it, None for the system.
        attempts: how many workers have started it.
        cancel_requested: whether cancellation was requested.
        progress: the current ``phase``, ``done`` of ``total``, and a ``message``.
        project: id of its project.
        has_secrets: whether URLs in the parameters had credentials. Only the worker gets the full parameters.
    """

    id: str
    user: str | None
    kind: str
    title: str
    parameters: Mapping[str, Any]
    state: JobState
    attempts: int
    cancel_requested: bool
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    project: int
    has_secrets: bool = False
