"""Model versions, evaluations and moves of aliases, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from saccade.core.refs import format_ref


@dataclass(frozen=True)
class ModelVersionInfo:
    """An immutable version of a model.

    Attributes:
        manifest: recipe, label map, preprocessing and other metadata.
        files: digests of the files by name.
        inputs: exact references of the dataset versions that the model was trained on.
        aliases: the aliases that name this version now.
    """

    name: str
    number: int
    manifest: Mapping[str, Any]
    metrics: Mapping[str, Any]
    files: Mapping[str, str]
    run_id: str | None
    inputs: tuple[str, ...]
    licence: str
    created: datetime
    aliases: tuple[str, ...]

    @property
    def ref(self) -> str:
        """The exact reference, as ``ships@3``."""
        return format_ref(self.name, self.number)


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One move of an alias; ``number`` is None if the alias was deleted."""

    alias: str
    previous: int | None
    number: int | None
    author: str
    at: datetime


@dataclass(frozen=True)
class EvaluationInfo:
    """The metrics of a model on a dataset; ``model`` and ``dataset`` are exact references.

    Attributes:
        model: None for predictions from elsewhere.
        kind: what was evaluated: "boxes", "masks", "classification" …
    """

    id: str
    model: str | None
    dataset: str
    split: str
    kind: str
    metrics: Mapping[str, Any]
    created: datetime
