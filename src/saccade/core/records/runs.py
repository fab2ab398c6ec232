"""Runs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

RunState = Literal["running", "finished", "stopped", "failed", "interrupted"]
EndState = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A snapshot of a run.

    Attributes:
        state: "interrupted" if its process died before it recorded the end.
        job: id of the job that started it, None if there is none.
    """

    id: str
    kind: str
    name: str
    state: RunState
    config: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metrics: Mapping[str, Any]
    created: datetime
    finished: datetime | None
    error: str
    job: str | None
