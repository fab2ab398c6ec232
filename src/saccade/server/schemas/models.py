"""Models and evaluations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from saccade.server.schemas.base import Answer


class ModelAnswer(Answer):
    ref: str
    name: str
    number: int
    aliases: list[str]
    metrics: dict[str, Any]
    inputs: list[str]
    licence: str
    run: str | None
    created: datetime


class AliasChangeAnswer(Answer):
    alias: str
    previous: int | None
    number: int | None
    author: str
    at: datetime


class EvaluationAnswer(Answer):
    id: str
    model: str | None
    dataset: str
    split: str
    kind: str
    metrics: dict[str, Any]
    created: datetime


class ModelPage(ModelAnswer):
    manifest: dict[str, Any]
    files: dict[str, str]
    versions: list[ModelAnswer]
    changes: list[AliasChangeAnswer]
    evaluations: list[EvaluationAnswer]


class RecipeAnswer(Answer):
    """A recipe as YAML."""

    recipe: str
