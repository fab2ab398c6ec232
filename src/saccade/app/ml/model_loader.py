"""Models of a workspace, ready to run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saccade.core.errors import MediaError
from saccade.inference.predictor import Prediction, Predictor
from saccade.models.artifact import WEIGHTS, load_model
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model version with its predictor; ``target`` is the column it predicts, ``is_detector`` whether of objects."""

    version: ModelVersion
    predictor: Predictor
    target: str
    is_detector: bool


def ready_model(workspace: Workspace, ref: str, *, min_score: float = 0.0) -> ReadyModel:
    """Load a model version, such as ``ships@production``; NotFoundError where there is none."""
    version = workspace.models.open(ref)
    loaded = load_model(version.manifest, version.read_file(WEIGHTS))
    target = next(iter(loaded.class_names))
    predictor = Predictor(loaded.model, loaded.class_names, min_score=min_score)
    return ReadyModel(version, predictor, target, loaded.model.head(target).target_kind == "objects")


def check_any_readable(predictions: Sequence[Prediction]) -> None:
    """MediaError with the first reason where every image was set aside."""
    if all(prediction.error is not None for prediction in predictions):
        first = predictions[0]
        raise MediaError(f"None of the {len(predictions)} images can be read; the first: {first.key}: {first.error}")
