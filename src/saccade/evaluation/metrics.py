"""Metrics of a detection evaluation; None means undefined (such as for a class without true objects)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.core.errors import NotFoundError, suggest
from saccade.evaluation.confidence import ConfidenceCurve, OperatingPoint


def mean_valid(table: NDArray[np.float64]) -> float | None:
    """Return the mean of the defined entries; pycocotools marks undefined ones with -1."""
    defined = table[table > -1]
    return float(defined.mean()) if defined.size else None


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Metrics of one class.

    ``truths`` excludes ignored regions. ``curve_precision`` and ``curve_scores`` are given at IoU 0.50 for the recalls
    0.00, 0.01 … 1.00: the interpolated precision, and the score at which that recall is reached (0 if it never is);
    they are empty if the class has no true objects. ``best`` is the confidence of highest F1 at IoU 0.50.
    """

    name: str
    ap: float | None
    ap50: float | None
    ap75: float | None
    ar: float | None
    truths: int
    predictions: int
    best: OperatingPoint | None
    curve_precision: tuple[float, ...] = ()
    curve_scores: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class DetectionMetrics:
    """Metrics of a detection evaluation.

    ``ap`` is the mean over IoU (or keypoint similarity) 0.50, 0.55 … 0.95, over 101 recall levels and over the classes
    that occur in the ground truth; ``ar`` is the recall at ``max_detections``, averaged in the same way. Sizes are
    COCO's areas by default. ``confidence`` pools all classes at IoU 0.50.
    """

    kind: str
    max_detections: int
    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar: float | None
    ar_1: float | None
    ar_10: float | None
    ar_100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    per_class: tuple[ClassMetrics, ...]
    confidence: ConfidenceCurve
    images: int
    unlabelled_images: int
    truths: int
    predictions: int
    ignored_truths: int
    other_truths: int
    other_predictions: int

    def class_metrics(self, name: str) -> ClassMetrics:
        """Return the metrics of one class.

        Raises:
            NotFoundError: the class was not evaluated.
        """
        for metrics in self.per_class:
            if metrics.name == name:
                return metrics
        raise NotFoundError(
            f"The class '{name}' was not evaluated.", hint=suggest(name, (metrics.name for metrics in self.per_class))
        )

    def to_json(self, *, curves: bool = True) -> dict[str, Any]:
        """Return the metrics as JSON data; without ``curves``, only scalar metrics."""
        data = asdict(self)
        if not curves:
            best = data.pop("confidence")["best"]
            data["best"] = best
            for entry in data["per_class"]:
                del entry["curve_precision"], entry["curve_scores"]
        return data
