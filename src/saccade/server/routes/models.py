"""Models: versions of weights, how they compare, and their files."""

from __future__ import annotations

import io
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from saccade.app.ml.compare import compare_models
from saccade.app.ml.recipe_template import recipe_for
from saccade.server.dependencies.auth import Served, SignedIn
from saccade.server.dependencies.version_cache import opened_of
from saccade.server.permissions import API
from saccade.server.schemas.encoding import plain
from saccade.server.schemas.models import AliasChangeAnswer, EvaluationAnswer, ModelAnswer, ModelPage, RecipeAnswer
from saccade.server.schemas.versions import NewAlias
from saccade.server.streaming.files import pieces_of, zipped
from saccade.store.registry.evaluations import Evaluation
from saccade.store.registry.models import MANIFEST, ModelVersion, exported

router = APIRouter(prefix=API)


def _model(version: ModelVersion) -> ModelAnswer:
    return ModelAnswer(
        ref=version.ref,
        name=version.name,
        number=version.number,
        aliases=list(version.aliases),
        metrics=plain(version.metrics),
        inputs=list(version.inputs),
        licence=version.licence,
        run=version.run_id,
        created=version.created,
    )


def evaluation_answer(one: Evaluation) -> EvaluationAnswer:
    return EvaluationAnswer(
        id=one.id,
        model=one.model,
        dataset=one.dataset,
        split=one.split,
        kind=one.kind,
        metrics=plain(one.metrics),
        created=one.created,
    )


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
        **_model(version).model_dump(),
        manifest=plain(version.manifest),
        files=dict(version.files),
        versions=[_model(one) for one in served.models.versions(version.name)],
        changes=[AliasChangeAnswer.model_validate(one) for one in changes],
        evaluations=[evaluation_answer(one) for one in served.evaluations.list(model=version.ref)],
    )


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


@router.get("/models/{ref}/compare", tags=["models"])
def compare(ref: str, served: Served, other: Annotated[str, Query(max_length=200)]) -> dict[str, Any]:
    """This version and another one: metrics where both were evaluated on the same, and settings that differ."""
    found: dict[str, Any] = plain(compare_models(served, ref, other))
    return found


@router.get("/models/{ref}/file", tags=["models"], response_class=Response)
def file(ref: str, served: Served, name: Annotated[str, Query(max_length=1000)]) -> StreamingResponse:
    """A file of a version, to be saved."""
    stream = served.models.open(ref).open_file(name)
    headers = {"Content-Disposition": "attachment"}
    return StreamingResponse(pieces_of(stream), media_type="application/octet-stream", headers=headers)


@router.get("/models/{ref}/export", tags=["models"], response_class=Response)
def export(ref: str, served: Served) -> StreamingResponse:
    """Weights, recipe and manifest of a version, as a ZIP archive to be saved."""
    version = served.models.open(ref)
    manifest = json.dumps(plain(exported(version)), indent=2, ensure_ascii=False).encode()
    files = {name: lambda name=name: version.open_file(name) for name in version.files}
    name = f"{version.name}-{version.number}"
    inside = {f"{name}/{file}": opened for file, opened in files.items()}
    headers = {"Content-Disposition": f'attachment; filename="{name}.zip"'}
    pieces = zipped({**inside, f"{name}/{MANIFEST}": lambda: io.BytesIO(manifest)})
    return StreamingResponse(pieces, media_type="application/zip", headers=headers)


@router.delete("/models/{ref}", tags=["models"], status_code=204)
def remove(ref: str, served: Served, force: bool = False) -> None:
    """Remove a version (NAME@3) or a whole model (NAME); one that an alias names only where that is forced."""
    served.models.remove(ref, force=force)


@router.get("/recipe", tags=["models"])
def recipe(request: Request, dataset: Annotated[str, Query(max_length=200)]) -> RecipeAnswer:
    """A recipe to begin with, for a dataset."""
    return RecipeAnswer(recipe=recipe_for(opened_of(request).version(dataset)))
