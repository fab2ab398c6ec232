"""Runs: inputs, outputs, metrics, events and steps."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import PlainTextResponse, Response

from saccade.app.ml.training_runs import is_resumable, read_log
from saccade.app.pipelines.run import cancel_run as request_cancel
from saccade.app.pipelines.run import delete_run, list_steps, read_events, read_graph
from saccade.server.dependencies.auth import CurrentWorkspace
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.encoding import to_jsonable
from saccade.server.schemas.runs import EventPage, PipelineRunResponse, RunResponse, TrainingProgressResponse
from saccade.store.registry.runs import Run
from saccade.training.progress_log import read_progress

router = ApiRouter(tags=["runs"])
_MAX_RUNS = 1000
_MAX_LOG_BYTES = 1 << 24


def _run_response(run: Run) -> RunResponse:
    return RunResponse(
        id=run.id,
        kind=run.kind,
        name=run.name,
        state=run.state,
        inputs=list(run.inputs),
        outputs=list(run.outputs),
        metrics=to_jsonable(run.metrics),
        created=run.created,
        finished=run.finished,
        error=run.error,
        job=run.job,
    )


@router.get("/runs")
def list_runs(
    workspace: CurrentWorkspace,
    kind: Annotated[str | None, Query(max_length=100)] = None,
    name: Annotated[str | None, Query(max_length=1000)] = None,
    job: Annotated[str | None, Query(max_length=100)] = None,
    started_by: Annotated[str | None, Query(max_length=100)] = None,
) -> list[RunResponse]:
    """List the latest 1,000 runs, newest first: all, or those of a job, or those that another run started."""
    if started_by is not None:
        runs = workspace.runs.list_started_by(workspace.runs.get(started_by))
    elif job is not None:
        runs = workspace.runs.list_for_job(job)
    else:
        runs = workspace.runs.list(kind, name)
    selected = (run for run in runs if kind in (None, run.kind) and name in (None, run.name) and job in (None, run.job))
    return [_run_response(run) for run in islice(selected, _MAX_RUNS)]


@router.get("/runs/{run}")
def get_run(run: str, workspace: CurrentWorkspace) -> RunResponse:
    """Get a run with its inputs, outputs and configuration."""
    record = workspace.runs.get(run)
    return _run_response(record).model_copy(update={"config": to_jsonable(record.config)})


@router.get("/runs/{run}/metrics")
def list_epoch_metrics(run: str, workspace: CurrentWorkspace) -> list[dict[str, Any]]:
    """List the metrics of a training run by epoch."""
    path = workspace.runs.get(run).folder / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    # A line without the closing brace is still being written.
    return [to_jsonable(json.loads(line)) for line in lines if line.endswith("}")]


@router.get("/runs/{run}/progress")
def get_training_progress(
    run: str, workspace: CurrentWorkspace, cursor: Annotated[str, Query(max_length=100)] = ""
) -> TrainingProgressResponse:
    """Get the progress of a training run. Pass ``cursor`` of the last response to get only later losses.

    Losses are means of several steps in a long training, and in the first response at most 2,000 points.
    """
    record = workspace.runs.get(run)
    progress = asdict(read_progress(record.folder, cursor))
    if progress["updated"] is not None:
        progress["updated"] = datetime.fromtimestamp(progress["updated"], UTC)
    return TrainingProgressResponse(state=record.state, can_resume=is_resumable(record), **progress)


@router.get("/runs/{run}/log", response_class=Response)
def get_run_log(
    run: str, workspace: CurrentWorkspace, tail: Annotated[int | None, Query(ge=1, le=_MAX_LOG_BYTES)] = None
) -> PlainTextResponse:
    """Get the log of a training run; only the complete lines in its last ``tail`` bytes if given, or in 16 MiB."""
    return PlainTextResponse(read_log(workspace.runs.get(run), tail or _MAX_LOG_BYTES))


@router.get("/runs/{run}/events")
def list_events(
    run: str,
    workspace: CurrentWorkspace,
    step: Annotated[str | None, Query(max_length=1000)] = None,
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> EventPage:
    """List the events of a pipeline run, oldest first: steps with their actions and reasons, and failed items."""
    events = [event for event in read_events(workspace.runs.get(run)) if step in (None, event.get("step"))]
    page = [to_jsonable(event) for event in events[start : start + limit]]
    return EventPage(events=page, total=len(events))


@router.get("/runs/{run}/pipeline")
def get_pipeline_run(run: str, workspace: CurrentWorkspace) -> PipelineRunResponse:
    """Get the graph of a pipeline run and the current state of its steps; both are empty for other runs."""
    record = workspace.runs.get(run)
    steps = [to_jsonable(step) for step in list_steps(record)]
    return PipelineRunResponse(graph=to_jsonable(read_graph(record)), steps=steps)


@router.post("/runs/{run}/cancel", status_code=202)
def cancel_run(run: str, workspace: CurrentWorkspace) -> RunResponse:
    """Request that a run stops. Its finished work is kept."""
    request_cancel(workspace, run)
    return _run_response(workspace.runs.get(run))


@router.delete("/runs/{run}", status_code=204)
def remove_run(run: str, workspace: CurrentWorkspace) -> None:
    """Delete a run. A run that created an existing version cannot be deleted."""
    delete_run(workspace, run)
