"""Runs, and the graphs and steps of pipeline runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field

from saccade.server.schemas.base import ResponseModel


class RunResponse(ResponseModel):
    """A run with its inputs, outputs and metrics; ``config`` only in the response for a single run."""

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


class StepPointResponse(ResponseModel):
    """Mean losses of a training until ``step``, since the point before."""

    step: int
    losses: dict[str, float]
    learning_rate: float


class TrainingProgressResponse(ResponseModel):
    """The progress of a training, and the points of its loss curves since ``cursor``.

    If ``is_reset`` is true, ``points`` has all points and replaces earlier ones: the run was resumed, or the request
    had no cursor. ``can_resume`` is whether the training has ended early, and can be continued from a checkpoint.
    """

    state: Literal["running", "finished", "stopped", "failed", "interrupted"]
    phase: Literal["starting", "training", "validating", "ended"]
    step: int
    steps: int
    epoch: int
    epochs: int
    steps_per_epoch: int
    validated: int
    validation_images: int
    learning_rate: float | None
    images_per_second: float | None
    seconds_left: float | None
    updated: datetime | None
    can_resume: bool
    points: list[StepPointResponse]
    is_reset: bool
    cursor: str


class EventPage(ResponseModel):
    """A page of a run's events; ``total`` counts all of them."""

    events: list[dict[str, Any]]
    total: int


class StepResponse(ResponseModel):
    """A step of a pipeline run; the fields from ``action`` on are set once it is done.

    ``computed`` counts the items that were computed; the rest of ``items`` came from the cache. ``failures`` are pairs
    of item key and reason.
    """

    step: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    operation: str = ""
    action: str = ""
    reasons: list[str] = Field([])
    items: int | None = None
    computed: int = 0
    failed: int = 0
    failures: list[list[str]] = Field([])
    seconds: float = 0.0
    value: Any = None


class GraphNode(ResponseModel):
    """Position of a step in the drawing of the graph."""

    step: str
    operation: str
    x: float
    y: float


class GraphEdge(ResponseModel):
    """An edge between two steps; ``path`` is SVG path data."""

    model_config = ConfigDict(populate_by_name=True)

    from_: str = Field(alias="from")
    to: str
    path: str


class GraphResponse(ResponseModel):
    """Layout of a pipeline graph; ``box`` is the width and height of every node."""

    name: str
    width: float
    height: float
    box: list[float]
    nodes: list[GraphNode]
    edges: list[GraphEdge]


class PipelineRunResponse(ResponseModel):
    """Graph and steps of a pipeline run; the graph is null for other runs."""

    graph: GraphResponse | None
    steps: list[StepResponse]
