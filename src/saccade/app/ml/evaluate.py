"""Evaluate: a model version on a dataset version, kept with both, with a report to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from saccade.app.datasets.splits import SPLIT, check_split
from saccade.app.ml.model_loader import ReadyModel, check_any_readable, ready_model
from saccade.core.errors import InvalidValueError, NotFoundError, nearest
from saccade.core.progress import Progress, Silent
from saccade.core.reader import Item
from saccade.evaluation.classification import ClassificationMetrics, evaluate_labels
from saccade.evaluation.detection import evaluate_objects
from saccade.evaluation.metrics import DetectionMetrics
from saccade.evaluation.report import build_classification_report, build_detection_report
from saccade.inference.predictor import Prediction
from saccade.media.loader import read_image
from saccade.store.datasets.version import DatasetVersion
from saccade.store.registry.evaluations import Evaluation
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """The metrics, the stored evaluation, and the items whose image could not be read."""

    metrics: DetectionMetrics | ClassificationMetrics
    stored: Evaluation
    report: str
    unreadable: Sequence[str]


def evaluate_model(
    workspace: Workspace,
    model_ref: str,
    dataset_ref: str,
    *,
    split: str | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Run a model on the labelled items of a dataset version (of one split) and compare.

    An image that cannot be read is set aside; where that is so for all, MediaError is raised and nothing is kept.
    """
    dataset = workspace.datasets.open(dataset_ref)
    ready = ready_model(workspace, model_ref)
    image = ready.version.manifest["image_column"]
    items = _labelled(dataset, ready, image, split)
    found = _predict(ready, dataset, items, image, progress or Silent())
    check_any_readable(list(found.values()))
    good = [item for item in items if found[item.key].error is None]
    evaluate = _evaluate_detector if ready.is_detector else _evaluate_classifier
    metrics, report = evaluate(ready, dataset, good, found, split)
    stored = workspace.evaluations.add(
        ready.version.ref,
        dataset.ref,
        split or "",
        "boxes" if ready.is_detector else "labels",
        metrics.to_json(),
        report.encode(),
    )
    return EvaluationResult(metrics, stored, report, [item.key for item in items if found[item.key].error])


def _labelled(dataset: DatasetVersion, ready: ReadyModel, image: str, split: str | None) -> list[Item]:
    for column in (image, ready.target):
        if column not in dataset.schema:
            raise InvalidValueError(
                f"'{dataset.ref}' has no column '{column}', which the model {ready.version.ref} needs.",
                hint=nearest(column, dataset.schema.names),
            )
    check_split(dataset, split)
    items = dataset.items([image, ready.target, *([] if split is None else [SPLIT])])
    chosen = [item for item in items if split in (None, item.values.get(SPLIT))]
    labelled = [item for item in chosen if item[ready.target] is not None and item[image] is not None]
    if not labelled:
        raise NotFoundError(f"No item of '{dataset.ref}' has a label in '{ready.target}'.", hint="Label some first.")
    return labelled


def _predict(
    ready: ReadyModel, dataset: DatasetVersion, items: Sequence[Item], image: str, progress: Progress
) -> dict[str, Prediction]:
    reads = ((item.key, partial(read_image, dataset, item[image])) for item in items)
    found = {}
    progress.start("Predicting", len(items))
    for prediction in ready.predictor.predict(reads):
        found[prediction.key] = prediction
        progress.advance(1, prediction.key)
    progress.finish()
    return found


def _facts(ready: ReadyModel, dataset: DatasetVersion, count: int, split: str | None) -> dict[str, str]:
    return {
        "Model": ready.version.ref,
        "Dataset": dataset.ref,
        "Split": split or "all items",
        "Images": str(count),
        "Trained on": str(ready.version.manifest.get("dataset", "")),
    }


def _evaluate_detector(
    ready: ReadyModel,
    dataset: DatasetVersion,
    items: Sequence[Item],
    found: Mapping[str, Prediction],
    split: str | None,
) -> tuple[DetectionMetrics, str]:
    truth = {item.key: item[ready.target] for item in items}
    predictions = {item.key: found[item.key].objects[ready.target] for item in items}
    sizes = {item.key: found[item.key].size_wh for item in items}
    classes = ready.predictor.class_names[ready.target]
    metrics = evaluate_objects(truth, predictions, sizes, kind="boxes", classes=classes)
    image = ready.version.manifest["image_column"]
    report = build_detection_report(
        dataset,
        image,
        truth,
        predictions,
        metrics,
        title=f"{ready.version.name} on {dataset.name}",
        facts=_facts(ready, dataset, len(items), split),
    )
    return metrics, report


def _evaluate_classifier(
    ready: ReadyModel,
    dataset: DatasetVersion,
    items: Sequence[Item],
    found: Mapping[str, Prediction],
    split: str | None,
) -> tuple[ClassificationMetrics, str]:
    truth: dict[str, Any] = {item.key: item[ready.target] for item in items}
    probabilities = {item.key: found[item.key].probabilities[ready.target] for item in items}
    metrics = evaluate_labels(truth, probabilities, ready.predictor.class_names[ready.target])
    image = ready.version.manifest["image_column"]
    report = build_classification_report(
        dataset,
        image,
        truth,
        probabilities,
        metrics,
        title=f"{ready.version.name} on {dataset.name}",
        facts=_facts(ready, dataset, len(items), split),
    )
    return metrics, report
