"""Figures of a classification with any number of labels per item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from saccade.core.errors import InvalidValueError, nearest
from saccade.evaluation.annotations import check_keys
from saccade.evaluation.classification import AverageScores, probability_table


@dataclass(frozen=True, slots=True)
class MultilabelClassMetrics:
    """Figures of one class; ``ap`` and ``recall`` are None where no item has it, ``precision`` where none is predicted
    to have it."""

    name: str
    ap: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class MultilabelMetrics:
    """``mean_ap`` over the classes that occur; ``micro`` and ``macro`` at ``threshold`` (macro: all classes, 0 for
    what is undefined)."""

    mean_ap: float | None
    threshold: float
    micro: AverageScores
    macro: AverageScores
    per_class: tuple[MultilabelClassMetrics, ...]
    items: int
    unlabelled_items: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_multilabel(
    truth: Mapping[str, Sequence[str] | None],
    probabilities: Mapping[str, Sequence[float]],
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
) -> MultilabelMetrics:
    """Compare the true labels of each item with one probability for each of ``classes``; a label counts as predicted
    at ``threshold`` or above.

    Items whose truth is None are left out and counted; ``()`` means that none applies. InvalidValueError for unknown
    keys and classes, missing probabilities, and ones outside 0 to 1.
    """
    check_keys(truth, probabilities)
    labelled = {key: names for key, names in truth.items() if names is not None}
    table = probability_table(labelled, probabilities, len(classes))
    numbers = {name: number for number, name in enumerate(classes)}
    true = np.zeros(table.shape, dtype=bool)
    for row, (key, names) in enumerate(labelled.items()):
        for name in names:
            if name not in numbers:
                raise InvalidValueError(
                    f"The true class '{name}' of '{key}' is not among the classes.", hint=nearest(name, numbers)
                )
            true[row, numbers[name]] = True
    predicted = table >= threshold
    per_class = tuple(
        _of_class(name, true[:, number], predicted[:, number], table[:, number]) for name, number in numbers.items()
    )
    said = [found.ap for found in per_class if found.ap is not None]
    return MultilabelMetrics(
        mean_ap=float(np.mean(said)) if said else None,
        threshold=threshold,
        micro=_average(true.ravel(), predicted.ravel()),
        macro=AverageScores(
            float(np.mean([found.precision or 0.0 for found in per_class])),
            float(np.mean([found.recall or 0.0 for found in per_class])),
            float(np.mean([found.f1 or 0.0 for found in per_class])),
        ),
        per_class=per_class,
        items=len(labelled),
        unlabelled_items=len(truth) - len(labelled),
    )


def _average(true: Any, predicted: Any) -> AverageScores:
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, average="binary", zero_division=0)
    return AverageScores(float(precision), float(recall), float(f1))


def _of_class(name: str, true: Any, predicted: Any, score: Any) -> MultilabelClassMetrics:
    from sklearn.metrics import average_precision_score

    scores = _average(true, predicted)
    support, count = int(true.sum()), int(predicted.sum())
    return MultilabelClassMetrics(
        name=name,
        ap=float(average_precision_score(true, score)) if support else None,
        precision=scores.precision if count else None,
        recall=scores.recall if support else None,
        f1=scores.f1 if count or support else None,
        support=support,
        predicted=count,
    )
