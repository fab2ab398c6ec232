"""Runs, and those of pipelines."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from saccade.server.schemas.base import Answer


class RunAnswer(Answer):
    id: str
    kind: str
    name: str
    state: Literal["running", "finished", "stopped", "failed", "interrupted"]
    inputs: list[str]
    outputs: list[str]
    metrics: dict[str, Any]
    created: datetime
    finished: datetime | None
    error: str
    job: str | None
    config: dict[str, Any] = Field({})


class EventPage(Answer):
    """What a run told, some events of how many there are."""

    events: list[dict[str, Any]]
    total: int


class StepAnswer(Answer):
    """A step of a run of a pipeline; ``action`` and what follows are there when it is done.

    ``worked`` of the ``items`` were worked on, the others were known; ``failures`` are pairs of a key and why.
    """

    step: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    operation: str = ""
    action: str = ""
    reasons: list[str] = Field([])
    items: int | None = None
    worked: int = 0
    failed: int = 0
    failures: list[list[str]] = Field([])
    seconds: float = 0.0
    value: Any = None


class DrawnBox(Answer):
    step: str
    operation: str
    x: float
    y: float


class DrawnLine(Answer):
    """A line between two boxes; ``path`` is as SVG takes it."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    path: str


class DrawingAnswer(Answer):
    """A graph as a picture: where the boxes of its steps lie, all of the size ``box``."""

    name: str
    width: float
    height: float
    box: list[float]
    boxes: list[DrawnBox]
    lines: list[DrawnLine]


class PipelineRunAnswer(Answer):
    drawing: DrawingAnswer | None
    steps: list[StepAnswer]
