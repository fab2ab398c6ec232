"""Two model versions side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.store.workspace import Workspace


def compare_models(workspace: Workspace, first_ref: str, second_ref: str) -> dict[str, Any]:
    """Metrics where both were evaluated on the same dataset version and split, and the settings that differ.

    Only equal versions and splits are compared, because metrics of different data say nothing about models.
    """
    first, second = workspace.models.open(first_ref), workspace.models.open(second_ref)
    theirs = {(e.dataset, e.split, e.kind): e for e in reversed(workspace.evaluations.list(model=second.ref))}
    ours = {(e.dataset, e.split, e.kind): e for e in reversed(workspace.evaluations.list(model=first.ref))}
    shared = [
        {"dataset": key[0], "split": key[1], "metrics": _pairs(ours[key].metrics, theirs[key].metrics)}
        for key in ours
        if key in theirs
    ]
    settings = _pairs_of_all(_flat(first.manifest.get("recipe", {})), _flat(second.manifest.get("recipe", {})))
    return {
        "first": first.ref,
        "second": second.ref,
        "evaluations": shared,
        "settings": {name: pair for name, pair in settings.items() if pair[0] != pair[1]},
    }


def compare_evaluations(workspace: Workspace, first_id: str, second_id: str) -> dict[str, Any]:
    """The numbers that both have; ``comparable``: they are of the same version, split and kind of data."""
    first, second = workspace.evaluations.get(first_id), workspace.evaluations.get(second_id)
    data = [(one.dataset, one.split, one.kind) for one in (first, second)]
    return {
        "first": first.id,
        "second": second.id,
        "models": [first.model, second.model],
        "comparable": data[0] == data[1],
        "metrics": _pairs(first.metrics, second.metrics),
    }


def _pairs(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {
        name: (value, second[name])
        for name, value in first.items()
        if isinstance(value, float) and isinstance(second.get(name), float)
    }


def _pairs_of_all(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (first.get(name), second.get(name)) for name in {**first, **second}}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one mapping of dotted names."""
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, list) and any(isinstance(part, Mapping) for part in value):
        parts = {str(index): part for index, part in enumerate(value)}.items()
    else:
        return {prefix: value}
    return {name: leaf for key, part in parts for name, leaf in _flat(part, f"{prefix}.{key}".lstrip(".")).items()}
