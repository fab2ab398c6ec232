"""Evaluations: what models scored, with their reports."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from saccade.app.ml.compare import compare_evaluations
from saccade.core.errors import NotFoundError
from saccade.server.dependencies.auth import Served
from saccade.server.permissions import API
from saccade.server.routes.models import evaluation_answer
from saccade.server.schemas.encoding import plain
from saccade.server.schemas.models import EvaluationAnswer

router = APIRouter(prefix=API, tags=["models"])
Ref = Annotated[str | None, Query(max_length=200)]


@router.get("/evaluations")
def evaluations(served: Served, model: Ref = None, dataset: Ref = None) -> list[EvaluationAnswer]:
    """Evaluations, of a model or on a dataset."""
    return [evaluation_answer(one) for one in served.evaluations.list(model, dataset)]


@router.get("/evaluations/{evaluation}")
def evaluation(evaluation: str, served: Served) -> EvaluationAnswer:
    """One evaluation with all its numbers."""
    return evaluation_answer(served.evaluations.get(evaluation))


@router.get("/evaluations/{evaluation}/report", response_class=Response)
def report(evaluation: str, served: Served) -> Response:
    """Its report as a page of HTML, to be saved."""
    found = served.evaluations.get(evaluation).report
    if found is None:
        raise NotFoundError(f"The evaluation {evaluation} has no report.")
    headers = {"Content-Disposition": f'attachment; filename="evaluation-{evaluation}.html"'}
    return Response(found, media_type="application/octet-stream", headers=headers)


@router.get("/evaluations/{evaluation}/compare")
def compare(evaluation: str, served: Served, other: Annotated[str, Query(max_length=64)]) -> dict[str, Any]:
    """The numbers that this one and another have, side by side, and whether they are of the same data."""
    found: dict[str, Any] = plain(compare_evaluations(served, evaluation, other))
    return found
