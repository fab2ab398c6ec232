"""Metrics of a single-label classification with a probability for every class."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saccade.core.errors import InvalidValueError, suggest
from saccade.evaluation.annotations import check_keys

CALIBRATION_BINS = 15
_SUM_TOLERANCE = 1e-2  # rounding error of half precision over a few thousand classes


@dataclass(frozen=True, slots=True)
class LabelClassMetrics:
    """Metrics of one class; None if undefined.

    Precision is undefined for a class that is never predicted, recall and AUROC for one without true items.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    auroc: float | None
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class AverageScores:
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Items whose highest probability is in (``low``, ``high``]: their number, mean confidence and accuracy."""

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class ClassificationMetrics:
    """Metrics of a classification.

    ``top_k_accuracy`` is for ``top_k`` = 5, or the number of classes if there are fewer. ``balanced_accuracy`` is the
    mean recall over the classes in the ground truth. ``macro`` averages over the classes that are true or predicted,
    with 0 for undefined values, as in scikit-learn. ``auroc`` is the mean of one class against the rest.
    ``log_loss`` is in nats, ``brier`` the squared error summed over classes (0 to 2). ``calibration_error`` is the
    expected calibration error of the highest probability in 15 bins of equal width (Guo et al. 2017). ``confusion``
    has true classes in rows.
    """

    accuracy: float
    top_k: int
    top_k_accuracy: float
    balanced_accuracy: float
    macro: AverageScores
    weighted: AverageScores
    auroc: float | None
    log_loss: float
    brier: float
    calibration_error: float
    calibration: tuple[CalibrationBin, ...]
    per_class: tuple[LabelClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    items: int
    unlabelled_items: int

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(metrics.name for metrics in self.per_class)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_labels(
    truth: Mapping[str, str | None],
    probabilities: Mapping[str, Sequence[float]],
    classes: Sequence[str],
    *,
    unknown: Collection[str] = (),
) -> ClassificationMetrics:
    """Compare the true class of each item with predicted probabilities.

    Args:
        truth: true class by key; items with None are left out and counted.
        probabilities: by key, one probability for each class; they add up to 1 (within 0.01) and are normalised.
        classes: class names in the order of the probabilities.
        unknown: classes that the model does not know: their probabilities are 0, and their items are always missed.

    Raises:
        InvalidValueError: unknown keys or classes, or missing or invalid probabilities.
    """
    from sklearn.metrics import precision_recall_fscore_support

    check_keys(truth, probabilities)
    labelled = {key: name for key, name in truth.items() if name is not None}
    numbers = _numbers(classes)
    true = np.asarray([_number(key, name, numbers) for key, name in labelled.items()])
    table = _normalise(_probability_table(labelled, probabilities, len(classes)), list(labelled))
    predicted = table.argmax(axis=1)
    confidence = table.max(axis=1)
    correct = predicted == true
    scores = precision_recall_fscore_support(true, predicted, labels=range(len(classes)), zero_division=0)
    auroc = [_auroc(true == number, table[:, number]) for number in range(len(classes))]
    per_class = _per_class(classes, scores, np.bincount(predicted, minlength=len(classes)), auroc)
    bins = calibration_bins(confidence, correct)
    is_known = np.asarray([name not in unknown for name in classes])
    top_k = min(5, int(is_known.sum()))
    true_probability = table[np.arange(len(true)), true]
    return ClassificationMetrics(
        accuracy=float(correct.mean()),
        top_k=top_k,
        top_k_accuracy=_top_k(true, table, top_k, is_known),
        balanced_accuracy=_mean([metrics.recall for metrics in per_class if metrics.support]) or 0.0,
        macro=_average(true, predicted, "macro"),
        weighted=_average(true, predicted, "weighted"),
        auroc=_mean(auroc),
        log_loss=float(-np.log(np.maximum(true_probability, np.finfo(np.float64).eps)).mean()),
        brier=float(((table - np.eye(len(classes))[true]) ** 2).sum(axis=1).mean()),
        calibration_error=_calibration_error(bins),
        calibration=bins,
        per_class=per_class,
        confusion=_confusion(true, predicted, len(classes)),
        items=len(labelled),
        unlabelled_items=len(truth) - len(labelled),
    )


def _numbers(classes: Sequence[str]) -> dict[str, int]:
    numbers = {name: number for number, name in enumerate(classes)}
    if len(numbers) != len(classes) or not classes:
        raise InvalidValueError(f"Expected one or more distinct classes, not {tuple(classes)}.")
    return numbers


def _number(key: str, name: str, numbers: Mapping[str, int]) -> int:
    if name not in numbers:
        raise InvalidValueError(
            f"The true class '{name}' of '{key}' is not among the classes.", hint=suggest(name, numbers)
        )
    return numbers[name]


def _probability_table(
    labelled: Mapping[str, Any], probabilities: Mapping[str, Sequence[float]], width: int
) -> NDArray[np.float64]:
    """Return the probabilities of the labelled items as an array (items, classes)."""
    if not labelled:
        raise InvalidValueError("There are no labelled items to evaluate.", hint="Label some items first.")
    if missing := sorted(labelled.keys() - probabilities.keys()):
        raise InvalidValueError(
            f"{len(missing)} labelled item(s) have no probabilities; the first is '{missing[0]}'.",
            hint="Predict all items of the dataset, or evaluate only those that were predicted.",
        )
    for key in labelled:
        values = np.asarray(probabilities[key], dtype=np.float64)
        if values.shape != (width,):
            raise InvalidValueError(f"'{key}' needs {width} probabilities, one for each class, not {values.shape}.")
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1 + _SUM_TOLERANCE):
            raise InvalidValueError(
                f"The probabilities of '{key}' must be between 0 and 1, not {values.min()} to {values.max()}.",
                hint="Apply a softmax to logits first.",
            )
    return np.asarray([probabilities[key] for key in labelled], dtype=np.float64)


def _normalise(table: NDArray[np.float64], keys: Sequence[str]) -> NDArray[np.float64]:
    sums = table.sum(axis=1)
    worst = int(np.abs(sums - 1).argmax())
    if abs(sums[worst] - 1) > _SUM_TOLERANCE:
        raise InvalidValueError(
            f"The probabilities of '{keys[worst]}' add up to {sums[worst]:.4g}, not 1.",
            hint="Apply a softmax to logits first.",
        )
    normalised: NDArray[np.float64] = table / sums[:, None]
    return normalised


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _auroc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(positive, score)) if 0 < positive.sum() < len(positive) else None


def _top_k(true: NDArray[np.int_], table: NDArray[np.float64], top_k: int, is_known: NDArray[np.bool_]) -> float:
    width = table.shape[1]
    if top_k >= width:
        return 1.0
    from sklearn.metrics import top_k_accuracy_score

    # Below all probabilities, so that a class that the model does not know is never among the first.
    ranked = np.where(is_known, table, -1.0)
    return float(top_k_accuracy_score(true, ranked, k=top_k, labels=range(width)))


def _confusion(true: NDArray[np.int_], predicted: NDArray[np.int_], width: int) -> tuple[tuple[int, ...], ...]:
    counts = np.bincount(true * width + predicted, minlength=width * width).reshape(width, width)
    return tuple(map(tuple, counts.tolist()))


def _average(true: NDArray[np.int_], predicted: NDArray[np.int_], average: str) -> AverageScores:
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average=average, zero_division=0)
    return AverageScores(float(precision), float(recall), float(f1))


def _per_class(
    classes: Sequence[str], scores: Any, predicted: NDArray[np.int_], auroc: Sequence[float | None]
) -> tuple[LabelClassMetrics, ...]:
    return tuple(
        LabelClassMetrics(
            name=name,
            precision=float(precision) if count else None,
            recall=float(recall) if support else None,
            f1=float(f1) if count or support else None,
            auroc=area,
            support=int(support),
            predicted=int(count),
        )
        for name, precision, recall, f1, support, count, area in zip(classes, *scores, predicted, auroc, strict=True)
    )


def calibration_bins(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[CalibrationBin, ...]:
    """Compute the bins of a reliability diagram.

    Args:
        confidence: highest probability of each item.
        correct: for each item, whether its prediction is correct.
    """
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    bin_index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, CALIBRATION_BINS - 1)
    bins = []
    for index in range(CALIBRATION_BINS):
        inside = bin_index == index
        count = int(inside.sum())
        bins.append(
            CalibrationBin(
                low=float(edges[index]),
                high=float(edges[index + 1]),
                count=count,
                confidence=float(confidence[inside].mean()) if count else None,
                accuracy=float(correct[inside].mean()) if count else None,
            )
        )
    return tuple(bins)


def _calibration_error(bins: Sequence[CalibrationBin]) -> float:
    total = sum(bin_.count for bin_ in bins)
    gaps = [bin_.count * abs((bin_.accuracy or 0) - (bin_.confidence or 0)) for bin_ in bins]
    return float(sum(gaps) / total)
