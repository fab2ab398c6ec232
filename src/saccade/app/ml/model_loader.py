"""Load model versions of a workspace for inference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace

from saccade.core.errors import MediaError
from saccade.inference.predictor import Prediction, Predictor
from saccade.models.artifact import WEIGHTS_FILE, load_model
from saccade.store.registry.models import ModelVersion
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class LoadedPredictor:
    """A model version with its predictor.

    Attributes:
        target: The column that the model predicts.
        is_detector: Whether it predicts objects; otherwise a label.
    """

    version: ModelVersion
    predictor: Predictor
    target: str
    is_detector: bool

    @property
    def class_names(self) -> Sequence[str]:
        return self.predictor.class_names[self.target]

    def with_class_names(self, names: Mapping[str, str]) -> LoadedPredictor:
        """Return the predictor with its classes renamed; several may have the same new name."""
        predictor = copy(self.predictor)
        predictor.class_names = {self.target: [names[name] for name in self.class_names]}
        return replace(self, predictor=predictor)

    def top_label(self, prediction: Prediction) -> tuple[str, float]:
        """Return the most probable class of a classifier's prediction, and its probability."""
        probabilities = prediction.probabilities[self.target]
        merged: dict[str, float] = {}
        for name, probability in zip(self.class_names, probabilities, strict=True):
            merged[name] = merged.get(name, 0.0) + probability
        best = max(merged, key=merged.__getitem__)
        return best, merged[best]


def load_predictor(workspace: Workspace, ref: str, *, min_score: float = 0.0) -> LoadedPredictor:
    """Load a model version.

    Args:
        workspace: The workspace.
        ref: The model version, such as ``ships@production``.
        min_score: Objects with a lower score are discarded.

    Raises:
        NotFoundError: There is no such model version.
    """
    version = workspace.models.open(ref)
    loaded = load_model(version.manifest, version.read_file(WEIGHTS_FILE))
    target = next(iter(loaded.class_names))
    predictor = Predictor(loaded.model, loaded.class_names, min_score=min_score)
    return LoadedPredictor(version, predictor, target, loaded.model.head(target).target_kind == "objects")


def require_some_readable(predictions: Sequence[Prediction]) -> None:
    """Check that at least one image could be read.

    Raises:
        MediaError: All images failed; the message has the first reason.
    """
    if all(prediction.error is not None for prediction in predictions):
        first = predictions[0]
        raise MediaError(f"None of the {len(predictions)} images can be read; the first: {first.key}: {first.error}")
