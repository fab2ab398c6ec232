"""Classification metrics against scikit-learn and torchmetrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from saccade.core.errors import InvalidValueError
from saccade.evaluation.classification import evaluate_labels

CLASSES = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu")


def random_predictions(seed: int, count: int = 200) -> tuple[dict[str, str], dict[str, list[float]], Any, Any]:
    """Return truth and probabilities, by key and as arrays; the last class never occurs."""
    random = np.random.default_rng(seed)
    true = random.integers(0, len(CLASSES) - 1, count)
    logits = random.normal(size=(count, len(CLASSES))) * 1.5
    logits[np.arange(count), true] += 2
    table = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = {f"item {index}": CLASSES[number] for index, number in enumerate(true)}
    return truth, {key: list(row) for key, row in zip(truth, table.tolist(), strict=True)}, true, table


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_metrics_equal_scikit_learn(seed: int) -> None:
    truth, probabilities, true, table = random_predictions(seed)
    metrics = evaluate_labels(truth, probabilities, CLASSES)
    predicted = table.argmax(axis=1)
    assert metrics.accuracy == pytest.approx(sk.accuracy_score(true, predicted))
    assert metrics.balanced_accuracy == pytest.approx(
        np.mean(sk.recall_score(true, predicted, average=None, labels=range(6)))
    )
    assert metrics.macro.f1 == pytest.approx(sk.f1_score(true, predicted, average="macro", zero_division=0))
    assert metrics.weighted.precision == pytest.approx(
        sk.precision_score(true, predicted, average="weighted", zero_division=0)
    )
    assert metrics.log_loss == pytest.approx(sk.log_loss(true, table, labels=range(len(CLASSES))))
    assert metrics.brier == pytest.approx(((table - np.eye(len(CLASSES))[true]) ** 2).sum(axis=1).mean())
    assert metrics.top_k == 5
    top_5 = sk.top_k_accuracy_score(true, table, k=5, labels=range(len(CLASSES)))
    assert metrics.top_k_accuracy == pytest.approx(top_5)
    assert metrics.confusion == tuple(
        map(tuple, sk.confusion_matrix(true, predicted, labels=range(len(CLASSES))).tolist())
    )
    areas = [sk.roc_auc_score(true == number, table[:, number]) for number in range(6)]
    assert metrics.auroc == pytest.approx(np.mean(areas))
    assert [entry.auroc for entry in metrics.per_class] == [*map(pytest.approx, areas), None]
    assert metrics.per_class[-1].recall is None
    assert sum(entry.support for entry in metrics.per_class) == metrics.items == 200


def test_the_calibration_error_is_the_mean_gap_weighted_by_items() -> None:
    truth = dict.fromkeys("abcd", "x") | {"e": "y"}
    probabilities = {"a": [0.81, 0.19], "b": [0.83, 0.17], "c": [0.82, 0.18], "d": [0.4, 0.6], "e": [0.86, 0.14]}
    metrics = evaluate_labels(truth, probabilities, ("x", "y"))
    assert {(round(b.low * 15), b.count): b.accuracy for b in metrics.calibration if b.count} == {
        (12, 4): 0.75,  # 0.8 to 0.8667
        (8, 1): 0.0,  # 0.5333 to 0.6: an upper edge belongs to its bin
    }
    assert metrics.calibration_error == pytest.approx((4 * (0.83 - 0.75) + 0.6) / 5)


@pytest.mark.slow  # importing torch and torchmetrics takes most of it
@pytest.mark.parametrize("seed", [0, 1])
def test_calibration_and_auroc_equal_torchmetrics(seed: int) -> None:
    torch = pytest.importorskip("torch")
    oracle = pytest.importorskip("torchmetrics.functional.classification")
    truth, probabilities, true, table = random_predictions(seed)
    metrics = evaluate_labels(truth, probabilities, CLASSES)
    inputs = torch.tensor(table), torch.tensor(true)
    error = oracle.multiclass_calibration_error(*inputs, num_classes=len(CLASSES), n_bins=15, norm="l1")
    assert metrics.calibration_error == pytest.approx(float(error), abs=1e-6)
    assert sum(entry.count for entry in metrics.calibration) == 200
    areas = oracle.multiclass_auroc(inputs[0][:, :6], inputs[1], num_classes=6, average=None)
    assert [entry.auroc for entry in metrics.per_class[:6]] == pytest.approx(areas.tolist(), abs=1e-6)


def test_perfect_predictions() -> None:
    metrics = evaluate_labels({"a": "x", "b": "y", "c": None}, {"a": [1, 0], "b": [0, 1]}, ("x", "y"))
    assert (metrics.accuracy, metrics.auroc, metrics.brier, metrics.calibration_error) == (1.0, 1.0, 0.0, 0.0)
    assert (metrics.log_loss, metrics.top_k, metrics.top_k_accuracy, metrics.unlabelled_items) == (0.0, 2, 1.0, 1)
    assert json.loads(json.dumps(metrics.to_json(), allow_nan=False))["accuracy"] == 1.0


def test_a_single_class_and_a_certain_mistake() -> None:
    single = evaluate_labels({"a": "x"}, {"a": [1.0]}, ("x",))
    assert (single.accuracy, single.auroc) == (1.0, None)
    wrong = evaluate_labels({"a": "x"}, {"a": [0.0, 1.0]}, ("x", "y"))
    assert (wrong.accuracy, wrong.brier) == (0.0, 2.0)
    assert np.isfinite(wrong.log_loss)


@pytest.mark.parametrize(
    ("truth", "probabilities", "message"),
    [
        ({"a": "x"}, {"a": [1, 0], "b": [1, 0]}, "unknown item.*'b'"),
        ({"a": "x", "b": "y"}, {"a": [1, 0]}, "1 labelled item.*'b'"),
        ({"a": "z"}, {"a": [1, 0]}, "'z' of 'a' is not among the classes"),
        ({"a": "x"}, {"a": [1, 0, 0]}, "'a' needs 2 probabilities"),
        ({"a": "x"}, {"a": [3.0, -2.0]}, "between 0 and 1.*softmax"),
        ({"a": "x"}, {"a": [float("nan"), 1.0]}, "between 0 and 1"),
        ({"a": "x"}, {"a": [0.9, 0.9]}, "add up to 1.8.*softmax"),
        ({"a": None}, {}, "no labelled item"),
    ],
)
def test_invalid_input_is_refused(
    truth: Mapping[str, str | None], probabilities: Mapping[str, Sequence[float]], message: str
) -> None:
    with pytest.raises(InvalidValueError, match=message):
        evaluate_labels(truth, probabilities, ("x", "y"))


def test_classes_must_differ() -> None:
    with pytest.raises(InvalidValueError, match="distinct"):
        evaluate_labels({"a": "x"}, {"a": [1, 0]}, ("x", "x"))
