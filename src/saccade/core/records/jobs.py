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
        person: id of the user who created it, None for the system.
        attempts: how many workers have started it.
        is_cancelled: whether cancellation was requested.
        progress: ``what`` is being done, ``done`` of ``total``, and a ``note``.
        project: id of its project.
    """

    id: str
    person: str | None
    kind: str
    title: str
    parameters: Mapping[str, Any]
    state: JobState
    attempts: int
    is_cancelled: bool
    progress: Mapping[str, Any]
    result: Mapping[str, Any]
    error: str
    hint: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    project: int
