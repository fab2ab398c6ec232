"""Comparison of two model versions or two evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.store.registry.evaluations import Evaluation
from saccade.store.workspace import Workspace


def compare_models(workspace: Workspace, first_ref: str, second_ref: str) -> dict[str, Any]:
    """Compare the metrics and recipes of two model versions.

    Metrics are compared only if both models were evaluated on the same dataset version and split: metrics on
    different data do not compare models.

    Args:
        workspace: The workspace.
        first_ref: The first model version.
        second_ref: The second model version.

    Returns:
        JSON with the resolved references, the pairs of metrics and the warnings of each shared evaluation, and the
        recipe settings that differ.
    """
    first, second = workspace.models.open(first_ref), workspace.models.open(second_ref)
    # The list begins with the newest: reversed, so that the newest evaluation of the same data replaces older ones.
    first_evaluations = {
        (evaluation.dataset, evaluation.split, evaluation.kind): evaluation
        for evaluation in reversed(workspace.evaluations.list(model=first.ref))
    }
    second_evaluations = {
        (evaluation.dataset, evaluation.split, evaluation.kind): evaluation
        for evaluation in reversed(workspace.evaluations.list(model=second.ref))
    }
    shared = [
        {
            "dataset": key[0],
            "split": key[1],
            "metrics": _pair_metrics(evaluation, second_evaluations[key]),
            "warnings": [*_warnings(evaluation), *_warnings(second_evaluations[key])],
        }
        for key, evaluation in first_evaluations.items()
        if key in second_evaluations
    ]
    settings = _pair_settings(_flatten(first.manifest.get("recipe", {})), _flatten(second.manifest.get("recipe", {})))
    return {
        "first": first.ref,
        "second": second.ref,
        "evaluations": shared,
        "settings": {name: pair for name, pair in settings.items() if pair[0] != pair[1]},
    }


def compare_evaluations(workspace: Workspace, first_id: str, second_id: str) -> dict[str, Any]:
    """Pair the metrics of two evaluations.

    Args:
        workspace: The workspace.
        first_id: The first evaluation.
        second_id: The second evaluation.

    Returns:
        JSON; ``comparable`` is whether both are of the same dataset version, split and kind, over all its objects.
    """
    first, second = workspace.evaluations.get(first_id), workspace.evaluations.get(second_id)
    same_data = (first.dataset, first.split, first.kind) == (second.dataset, second.split, second.kind)
    is_comparable = same_data and not _excluded_objects(first) and not _excluded_objects(second)
    return {
        "first": first.id,
        "second": second.id,
        "models": [first.model, second.model],
        "comparable": is_comparable,
        "metrics": _pair_metrics(first, second),
        "warnings": [*_warnings(first), *_warnings(second)],
    }


def _pair_metrics(first: Evaluation, second: Evaluation) -> dict[str, tuple[float, float]]:
    if _excluded_objects(first) or _excluded_objects(second):
        return {}
    return {
        name: (value, second.metrics[name])
        for name, value in first.metrics.items()
        if isinstance(value, float) and isinstance(second.metrics.get(name), float)
    }


def _excluded_objects(evaluation: Evaluation) -> int:
    """Return the number of true objects that the metrics do not include, which only earlier evaluations have."""
    return int(evaluation.metrics.get("other_truths") or 0)


def _warnings(evaluation: Evaluation) -> list[str]:
    if count := _excluded_objects(evaluation):
        return [
            f"{evaluation.model}: its evaluation left out {count:,} objects of classes that the model does not know. "
            "Evaluate it again to compare it."
        ]
    return [f"{evaluation.model}: {warning}" for warning in evaluation.metrics.get("warnings", ())]


def _pair_settings(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (first.get(name), second.get(name)) for name in {**first, **second}}


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one mapping with dotted names."""
    if isinstance(value, Mapping):
        children = value.items()
    elif isinstance(value, list) and any(isinstance(child, Mapping) for child in value):
        children = {str(index): child for index, child in enumerate(value)}.items()
    else:
        return {prefix: value}
    return {
        name: leaf for key, child in children for name, leaf in _flatten(child, f"{prefix}.{key}".lstrip(".")).items()
    }
