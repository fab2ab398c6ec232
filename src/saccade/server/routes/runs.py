"""Runs: what went in, what came out, what they told; and what is done with them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query

from saccade.app.pipelines.run import cancel_run, drawing_of_run, events_of, steps_of
from saccade.server.dependencies.auth import Served
from saccade.server.permissions import API
from saccade.server.schemas.encoding import plain
from saccade.server.schemas.runs import EventPage, PipelineRunAnswer, RunAnswer
from saccade.store.registry.runs import Run

router = APIRouter(prefix=API, tags=["runs"])


def _run(run: Run) -> RunAnswer:
    return RunAnswer(
        id=run.id,
        kind=run.kind,
        name=run.name,
        state=run.state,
        inputs=list(run.inputs),
        outputs=list(run.outputs),
        metrics=plain(run.metrics),
        created=run.created,
        finished=run.finished,
        error=run.error,
        job=run.job,
    )


@router.get("/runs")
def runs(
    served: Served,
    kind: Annotated[str | None, Query(max_length=100)] = None,
    name: Annotated[str | None, Query(max_length=1000)] = None,
) -> list[RunAnswer]:
    """Runs, the newest first."""
    return [_run(one) for one in served.runs.list(kind, name)[:1000]]


@router.get("/runs/{run}")
def run(run: str, served: Served) -> RunAnswer:
    """A run with what went in and what came out."""
    found = served.runs.get(run)
    return _run(found).model_copy(update={"config": plain(found.config)})


@router.get("/runs/{run}/metrics")
def metrics(run: str, served: Served) -> list[dict[str, Any]]:
    """What a training said after each epoch."""
    path = served.runs.get(run).folder / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [plain(json.loads(line)) for line in lines if line.endswith("}")]


@router.get("/runs/{run}/events")
def events(
    run: str,
    served: Served,
    step: Annotated[str | None, Query(max_length=1000)] = None,
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> EventPage:
    """What a run of a pipeline has told, from a place on: each step, what was done and why, what was set aside."""
    told = [event for event in events_of(served.runs.get(run)) if step in (None, event.get("step"))]
    return EventPage(events=[plain(one) for one in told[start : start + limit]], total=len(told))


@router.get("/runs/{run}/pipeline")
def pipeline(run: str, served: Served) -> PipelineRunAnswer:
    """The graph of a run of a pipeline, and its steps as they stand; of another run there are none."""
    found = served.runs.get(run)
    return PipelineRunAnswer(drawing=plain(drawing_of_run(found)), steps=[plain(one) for one in steps_of(found)])


@router.post("/runs/{run}/cancel", status_code=202)
def cancel(run: str, served: Served) -> RunAnswer:
    """Ask a run to stop; what it has done is kept."""
    cancel_run(served, run)
    return _run(served.runs.get(run))


@router.delete("/runs/{run}", status_code=204)
def remove(run: str, served: Served) -> None:
    """Forget a run; not one that made a version that is still there."""
    served.runs.remove(run)
