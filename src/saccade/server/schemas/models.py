"""Models, evaluations and recipes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from saccade.server.schemas.base import ResponseModel


class ModelResponse(ResponseModel):
    """A version of a model; ``inputs`` are the dataset versions it was trained on."""

    ref: str
    name: str
    number: int
    aliases: list[str]
    metrics: dict[str, Any]
    inputs: list[str]
    licence: str
    run: str | None
    created: datetime


class AliasChangeResponse(ResponseModel):
    """An entry of an alias's history: the version it named before, and the one after."""

    alias: str
    previous: int | None
    number: int | None
    author: str
    at: datetime


class EvaluationResponse(ResponseModel):
    """An evaluation of a model, or of predictions, on a dataset version."""

    id: str
    model: str | None
    dataset: str
    split: str
    kind: str
    metrics: dict[str, Any]
    created: datetime


class ModelDetailResponse(ModelResponse):
    """A version of a model with its manifest, files, evaluations, and the versions and alias history of the model."""

    manifest: dict[str, Any]
    files: dict[str, str]
    versions: list[ModelResponse]
    changes: list[AliasChangeResponse]
    evaluations: list[EvaluationResponse]


class RecipeResponse(ResponseModel):
    """A recipe as YAML."""

    recipe: str
