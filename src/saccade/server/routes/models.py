"""Models, runs and evaluations."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from saccade.app.beginning import recipe_for
from saccade.server.answers import (
    AliasChangeAnswer,
    EvaluationAnswer,
    ModelAnswer,
    ModelPage,
    NewAlias,
    RecipeAnswer,
    RunAnswer,
    plain,
)
from saccade.server.gate import Served, SignedIn
from saccade.server.opened import opened_of
from saccade.server.permissions import API
from saccade.store.evaluations import Evaluation
from saccade.store.models import ModelVersion
from saccade.store.runs import Run

router = APIRouter(prefix=API)


def _model(version: ModelVersion) -> ModelAnswer:
    return ModelAnswer(
        ref=version.ref, name=version.name, number=version.number, aliases=list(version.aliases),
        metrics=plain(version.metrics), inputs=list(version.inputs), licence=version.licence, run=version.run_id,
        created=version.created,
    )  # fmt: skip


def _run(run: Run) -> RunAnswer:
    return RunAnswer(
        id=run.id, kind=run.kind, name=run.name, state=run.state, inputs=list(run.inputs), outputs=list(run.outputs),
        metrics=plain(run.metrics), created=run.created, finished=run.finished, error=run.error,
    )  # fmt: skip


def _evaluation(one: Evaluation) -> EvaluationAnswer:
    return EvaluationAnswer(
        id=one.id, model=one.model, dataset=one.dataset, split=one.split, kind=one.kind, metrics=plain(one.metrics),
        created=one.created,
    )  # fmt: skip


@router.get("/models", tags=["models"])
def models(served: Served) -> list[ModelAnswer]:
    """All models, each at its latest version."""
    return [_model(one) for one in served.models.list()]


@router.get("/models/{ref}", tags=["models"])
def model(ref: str, served: Served) -> ModelPage:
    """A version of a model with its recipe, all versions of it, and how its names moved."""
    version = served.models.open(ref)
    changes = served.models.alias_changes(version.name)
    return ModelPage(
        **_model(version).model_dump(), manifest=plain(version.manifest), files=dict(version.files),
        versions=[_model(one) for one in served.models.versions(version.name)],
        changes=[AliasChangeAnswer.model_validate(one) for one in changes],
        evaluations=[_evaluation(one) for one in served.evaluations.list(model=version.ref)],
    )  # fmt: skip


@router.get("/models/{ref}/lineage", tags=["models"])
def lineage(ref: str, served: Served) -> dict[str, Any]:
    """Everything that a version of a model came from."""
    found: dict[str, Any] = plain(served.lineage(f"model:{ref}"))
    return found


@router.post("/models/{ref}/aliases", tags=["models"], status_code=201)
def promote(ref: str, given: NewAlias, served: Served, caller: SignedIn) -> ModelAnswer:
    """Let an alias, such as staging or production, name this version."""
    served.models.promote(ref, given.name, author=caller.person.name)
    return _model(served.models.open(ref))


@router.get("/recipe", tags=["models"])
def recipe(request: Request, dataset: Annotated[str, Query(max_length=200)]) -> RecipeAnswer:
    """A recipe to begin with, for a dataset."""
    return RecipeAnswer(recipe=recipe_for(opened_of(request).version(dataset)))


@router.get("/runs", tags=["runs"])
def runs(served: Served, kind: str | None = None) -> list[RunAnswer]:
    """Runs, the newest first."""
    return [_run(one) for one in served.runs.list(kind)[:1000]]


@router.get("/runs/{run}", tags=["runs"])
def run(run: str, served: Served) -> RunAnswer:
    """A run with what went in and what came out."""
    found = served.runs.get(run)
    return _run(found).model_copy(update={"config": plain(found.config)})


@router.get("/runs/{run}/metrics", tags=["runs"])
def metrics(run: str, served: Served) -> list[dict[str, Any]]:
    """What a training said after each epoch."""
    path = served.runs.get(run).folder / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [plain(json.loads(line)) for line in lines if line.endswith("}")]


@router.get("/evaluations", tags=["models"])
def evaluations(served: Served, model: str | None = None, dataset: str | None = None) -> list[EvaluationAnswer]:
    """Evaluations, of a model or on a dataset."""
    return [_evaluation(one) for one in served.evaluations.list(model, dataset)]
