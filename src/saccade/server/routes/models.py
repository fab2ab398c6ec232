"""Models: versions, lineage, comparisons, files and aliases; suggested recipes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, BinaryIO

from fastapi import Query, Request
from fastapi.responses import Response, StreamingResponse

from saccade.app.ml.compare import compare_models
from saccade.app.ml.models import delete_model, promote_model
from saccade.app.ml.recipe_template import suggest_recipe
from saccade.server.dependencies.auth import CurrentUser, CurrentWorkspace
from saccade.server.dependencies.version_cache import version_cache
from saccade.server.routes.router import ApiRouter
from saccade.server.schemas.encoding import to_jsonable
from saccade.server.schemas.models import (
    AliasChangeResponse,
    EvaluationResponse,
    ModelDetailResponse,
    ModelResponse,
    RecipeResponse,
)
from saccade.server.schemas.versions import ModelAliasUpdate
from saccade.server.streaming.files import iter_chunks, stream_zip
from saccade.store.registry.evaluations import Evaluation
from saccade.store.registry.models import MANIFEST, ModelVersion, export_manifest

router = ApiRouter(tags=["models"])


def _model_response(version: ModelVersion) -> ModelResponse:
    return ModelResponse(
        ref=version.ref,
        name=version.name,
        number=version.number,
        aliases=list(version.aliases),
        metrics=to_jsonable(version.metrics),
        inputs=list(version.inputs),
        licence=version.licence,
        run=version.run_id,
        created=version.created,
    )


def evaluation_response(evaluation: Evaluation) -> EvaluationResponse:
    """Describe an evaluation."""
    return EvaluationResponse(
        id=evaluation.id,
        model=evaluation.model,
        dataset=evaluation.dataset,
        split=evaluation.split,
        kind=evaluation.kind,
        metrics=to_jsonable(evaluation.metrics),
        created=evaluation.created,
    )


@router.get("/models")
def list_models(workspace: CurrentWorkspace) -> list[ModelResponse]:
    """List all models, each at its latest version."""
    return [_model_response(version) for version in workspace.models.list()]


@router.get("/models/{ref}")
def get_model(ref: str, workspace: CurrentWorkspace) -> ModelDetailResponse:
    """Get a version of a model with its recipe and evaluations, all versions, and the history of its aliases."""
    version = workspace.models.open(ref)
    changes = workspace.models.alias_changes(version.name)
    return ModelDetailResponse(
        **_model_response(version).model_dump(),
        manifest=to_jsonable(version.manifest),
        files=dict(version.files),
        versions=[_model_response(sibling) for sibling in workspace.models.versions(version.name)],
        changes=[AliasChangeResponse.model_validate(change) for change in changes],
        evaluations=[evaluation_response(entry) for entry in workspace.evaluations.list(model=version.ref)],
    )


@router.get("/models/{ref}/lineage")
def get_lineage(ref: str, workspace: CurrentWorkspace) -> dict[str, Any]:
    """Get the lineage of a version: its run, the dataset versions it was trained on, and their history."""
    lineage: dict[str, Any] = to_jsonable(workspace.lineage(f"model:{ref}"))
    return lineage


@router.post("/models/{ref}/aliases", status_code=201)
def promote(ref: str, body: ModelAliasUpdate, workspace: CurrentWorkspace, principal: CurrentUser) -> ModelResponse:
    """Point an alias, such as staging or production, to this version."""
    promote_model(workspace, ref, body.name, author=principal.user.name)
    return _model_response(workspace.models.open(ref))


@router.get("/models/{ref}/compare")
def compare(ref: str, workspace: CurrentWorkspace, other: Annotated[str, Query(max_length=200)]) -> dict[str, Any]:
    """Compare two versions: metrics on the dataset versions both were evaluated on, and settings that differ."""
    comparison: dict[str, Any] = to_jsonable(compare_models(workspace, ref, other))
    return comparison


@router.get("/models/{ref}/file", response_class=Response)
def download_file(
    ref: str, workspace: CurrentWorkspace, name: Annotated[str, Query(max_length=1000)]
) -> StreamingResponse:
    """Download a file of a version."""
    stream = workspace.models.open(ref).open_file(name)
    headers = {"Content-Disposition": "attachment"}
    return StreamingResponse(iter_chunks(stream), media_type="application/octet-stream", headers=headers)


@router.get("/models/{ref}/export", response_class=Response)
def export_model(ref: str, workspace: CurrentWorkspace) -> StreamingResponse:
    """Download a version as a ZIP archive with weights, recipe and manifest."""
    version = workspace.models.open(ref)
    manifest = json.dumps(to_jsonable(export_manifest(version)), indent=2, ensure_ascii=False).encode()
    folder = f"{version.name}-{version.number}"
    files: dict[str, Callable[[], BinaryIO]] = {
        f"{folder}/{name}": partial(version.open_file, name) for name in version.files
    }
    files[f"{folder}/{MANIFEST}"] = lambda: io.BytesIO(manifest)
    headers = {"Content-Disposition": f'attachment; filename="{folder}.zip"'}
    return StreamingResponse(stream_zip(files), media_type="application/zip", headers=headers)


@router.delete("/models/{ref}", status_code=204)
def remove_model(ref: str, workspace: CurrentWorkspace, force: bool = False) -> None:
    """Delete a version (NAME@3) or a whole model (NAME). Versions with an alias are deleted only with ``force``."""
    delete_model(workspace, ref, force=force)


@router.get("/recipes/suggested")
def get_suggested_recipe(request: Request, dataset: Annotated[str, Query(max_length=200)]) -> RecipeResponse:
    """Get a starter recipe for training on a dataset, as YAML."""
    return RecipeResponse(recipe=suggest_recipe(version_cache(request).get(dataset)))
