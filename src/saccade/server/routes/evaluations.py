"""Evaluations: metrics, reports and comparisons."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import Response

from saccade.app.ml.compare import compare_evaluations
from saccade.core.errors import NotFoundError
from saccade.server.dependencies.auth import CurrentWorkspace
from saccade.server.routes.models import evaluation_response
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.encoding import to_jsonable
from saccade.server.schemas.models import EvaluationResponse

router = ApiRouter(tags=["models"])
RefFilter = Annotated[str | None, Query(max_length=200)]


@router.get("/evaluations")
def list_evaluations(
    workspace: CurrentWorkspace, model: RefFilter = None, dataset: RefFilter = None
) -> list[EvaluationResponse]:
    """List evaluations, optionally only those of a model or on a dataset."""
    return [evaluation_response(evaluation) for evaluation in workspace.evaluations.list(model, dataset)]


@router.get("/evaluations/{evaluation}")
def get_evaluation(evaluation: str, workspace: CurrentWorkspace) -> EvaluationResponse:
    """Get an evaluation with all its metrics."""
    return evaluation_response(workspace.evaluations.get(evaluation))


@router.get("/evaluations/{evaluation}/report", response_class=Response)
def download_report(evaluation: str, workspace: CurrentWorkspace) -> Response:
    """Download the HTML report of an evaluation."""
    report = workspace.evaluations.get(evaluation).report
    if report is None:
        raise NotFoundError(f"The evaluation {evaluation} has no report.")
    headers = {"Content-Disposition": f'attachment; filename="evaluation-{evaluation}.html"'}
    return Response(report, media_type="application/octet-stream", headers=headers)


@router.get("/evaluations/{evaluation}/compare")
def compare(
    evaluation: str, workspace: CurrentWorkspace, other: Annotated[str, Query(max_length=64)]
) -> dict[str, Any]:
    """Compare the metrics of two evaluations, and say whether they used the same data."""
    comparison: dict[str, Any] = to_jsonable(compare_evaluations(workspace, evaluation, other))
    return comparison
