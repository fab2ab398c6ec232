"""Match the classes of a model with those of a dataset version through the history of the classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from saccade.app.ml.model_loader import LoadedPredictor
from saccade.core.class_history import ClassAlignment, align_classes
from saccade.core.errors import NotFoundError
from saccade.core.refs import split_ref
from saccade.store.datasets.version import DatasetVersion
from saccade.store.workspace import Workspace

_MAX_LINEAGE = 1000
_MAX_LISTED_CLASSES = 10


def align_model_classes(workspace: Workspace, loaded: LoadedPredictor, dataset: DatasetVersion) -> ClassAlignment:
    """Match the classes of a model with those of its target column in a dataset version.

    Args:
        workspace: The workspace.
        loaded: The model.
        dataset: The dataset version; it has the target column.
    """
    column = dataset.schema[loaded.target]
    number = _trained_number(workspace, loaded.version.inputs, dataset)
    names = tuple(loaded.class_names)
    if number is None:
        return align_classes(names, column)
    history = workspace.datasets.column_history
    if forward := history(dataset.name, loaded.target, number, dataset.number):
        return align_classes(names, column, forward=forward)
    return align_classes(names, column, backward=history(dataset.name, loaded.target, dataset.number, number))


def _trained_number(workspace: Workspace, inputs: Sequence[str], dataset: DatasetVersion) -> int | None:
    """Return the version of the dataset that the model was trained on, directly or through derived datasets."""
    pending = list(inputs)
    visited: set[str] = set()
    while pending and len(visited) < _MAX_LINEAGE:
        ref = pending.pop(0)
        if ref in visited or ":" in ref:
            continue
        visited.add(ref)
        name, selector = split_ref(ref)
        if name == dataset.name and selector.isdecimal():
            return int(selector)
        try:
            pending += workspace.datasets.open(ref).info.inputs
        except NotFoundError:  # removed since
            continue
    return None


def class_warnings(alignment: ClassAlignment, true_classes: Iterable[str]) -> list[str]:
    """Describe the classes that only the model or only the ground truth has.

    Args:
        alignment: The classes of both.
        true_classes: The common name of each true object or label.
    """
    known = set(alignment.model.values())
    counts = Counter(name for name in true_classes if name not in known)
    warnings = []
    if counts:
        total = sum(counts.values())
        warnings.append(
            f"The model does not know {_format_names(counts)}: {total:,} objects or labels count as missed."
        )
    if unmatched := alignment.unmatched_model_classes:
        warnings.append(
            f"The dataset does not have {_format_names(unmatched)} of the model: predictions of such a class count as "
            "false positives."
        )
    return warnings


def _format_names(names: Iterable[str] | Mapping[str, int]) -> str:
    quoted = [f"'{name}'" for name in names]
    further = f" and {len(quoted) - _MAX_LISTED_CLASSES} more" if len(quoted) > _MAX_LISTED_CLASSES else ""
    return f"the class{'es' if len(quoted) > 1 else ''} {', '.join(quoted[:_MAX_LISTED_CLASSES])}{further}"
