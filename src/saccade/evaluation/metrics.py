"""The figures of a detection evaluation; None stands for "cannot be said" (a class without a true object)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.core.errors import NotFoundError, nearest
from saccade.evaluation.confidence import ConfidenceCurve, OperatingPoint

RECALL_LEVELS = 101
"""Precision curves are given at recalls 0.00, 0.01 ... 1.00."""


def mean_or_none(table: NDArray[np.float64]) -> float | None:
    """Mean of the entries that say something; pycocotools marks the others with -1."""
    said = table[table > -1]
    return float(said.mean()) if said.size else None


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Figures of one class.

    ``truths`` leaves out regions to ignore. ``curve_precision`` and ``curve_scores`` are at IoU 0.50 for the 101
    recall levels: interpolated precision, and the score above which that recall is reached (0 where it never is);
    empty where the class has no true object. ``best`` is the confidence at which F1 at IoU 0.50 is highest.
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
    """Figures of a detection evaluation.

    ``ap`` is the mean over IoU (or keypoint similarity) 0.50, 0.55 ... 0.95, over 101 recall levels and over the
    classes that occur in the truth; ``ar`` is the recall at ``max_detections`` likewise averaged. Sizes follow the
    areas of COCO unless others were asked for. ``confidence`` pools all classes at IoU 0.50.
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

    def of_class(self, name: str) -> ClassMetrics:
        """The figures of one class; NotFoundError where it was not evaluated."""
        for found in self.per_class:
            if found.name == name:
                return found
        raise NotFoundError(
            f"The class '{name}' was not evaluated.", hint=nearest(name, (found.name for found in self.per_class))
        )

    def to_json(self, *, curves: bool = True) -> dict[str, Any]:
        """Plain data for JSON; without ``curves`` only single figures."""
        data = asdict(self)
        if not curves:
            best = data.pop("confidence")["best"]
            data["best"] = best
            for entry in data["per_class"]:
                del entry["curve_precision"], entry["curve_scores"]
        return data
