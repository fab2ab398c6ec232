"""Evaluate a model version on a dataset version, and store the metrics with an HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from saccade.app.datasets.splits import SPLIT, check_split
from saccade.app.ml.class_alignment import align_model_classes, class_warnings
from saccade.app.ml.model_loader import LoadedPredictor, load_predictor, require_some_readable
from saccade.core.class_history import ClassAlignment
from saccade.core.errors import InvalidValueError, NotFoundError, suggest
from saccade.core.objects import Objects
from saccade.core.progress import NullProgress, Progress
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
    """Result of an evaluation.

    Attributes:
        metrics: The metrics.
        evaluation: The evaluation as stored in the workspace.
        report: The report as HTML.
        unreadable: The keys of items whose image could not be read.
        warnings: Classes that only the model or only the dataset has.
    """

    metrics: DetectionMetrics | ClassificationMetrics
    evaluation: Evaluation
    report: str
    unreadable: Sequence[str]
    warnings: Sequence[str] = ()


def evaluate_model(
    workspace: Workspace,
    model_ref: str,
    dataset_ref: str,
    *,
    split: str | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Predict on the labelled items of a dataset version and compare the predictions with the labels.

    Images that cannot be read are skipped and listed in the result. Classes that were renamed or merged since the
    training, or before it, are matched through the history of the dataset. Objects of a class that the model does not
    know are missed: the class has AP 0 and is part of the mean.

    Args:
        workspace: The workspace.
        model_ref: The model version.
        dataset_ref: The dataset version.
        split: Only the items of this split; all if None.
        progress: Advances by each image.

    Raises:
        NotFoundError: The model, dataset or split does not exist, or no item is labelled.
        InvalidValueError: The dataset lacks a column that the model needs.
        MediaError: No image can be read. Nothing is stored.
    """
    dataset = workspace.datasets.open(dataset_ref)
    loaded = load_predictor(workspace, model_ref)
    image = loaded.version.manifest["image_column"]
    items = _labelled_items(dataset, loaded, image, split)
    predictions = _predict(loaded, dataset, items, image, progress or NullProgress())
    require_some_readable(list(predictions.values()))
    readable = [item for item in items if predictions[item.key].error is None]
    alignment = align_model_classes(workspace, loaded, dataset)
    evaluate = _evaluate_detector if loaded.is_detector else _evaluate_classifier
    metrics, report, warnings = evaluate(loaded, dataset, readable, predictions, split, alignment)
    evaluation = workspace.evaluations.add(
        loaded.version.ref,
        dataset.ref,
        split or "",
        "boxes" if loaded.is_detector else "labels",
        {**metrics.to_json(), "warnings": warnings},
        report.encode(),
    )
    unreadable = [item.key for item in items if predictions[item.key].error]
    return EvaluationResult(metrics, evaluation, report, unreadable, warnings)


def _labelled_items(dataset: DatasetVersion, loaded: LoadedPredictor, image: str, split: str | None) -> list[Item]:
    for column in (image, loaded.target):
        if column not in dataset.schema:
            raise InvalidValueError(
                f"'{dataset.ref}' has no column '{column}', which the model {loaded.version.ref} needs.",
                hint=suggest(column, dataset.schema.names),
            )
    check_split(dataset, split)
    items = dataset.items([image, loaded.target, *([] if split is None else [SPLIT])])
    in_split = [item for item in items if split in (None, item.values.get(SPLIT))]
    labelled = [item for item in in_split if item[loaded.target] is not None and item[image] is not None]
    if not labelled:
        raise NotFoundError(f"No item of '{dataset.ref}' has a label in '{loaded.target}'.", hint="Label some first.")
    return labelled


def _predict(
    loaded: LoadedPredictor, dataset: DatasetVersion, items: Sequence[Item], image: str, progress: Progress
) -> dict[str, Prediction]:
    images = ((item.key, partial(read_image, dataset, item[image])) for item in items)
    predictions = {}
    progress.start("Predicting", len(items))
    for prediction in loaded.predictor.predict(images):
        predictions[prediction.key] = prediction
        progress.advance(1, prediction.key)
    progress.finish()
    return predictions


def _report_facts(
    loaded: LoadedPredictor, dataset: DatasetVersion, count: int, split: str | None, warnings: Sequence[str]
) -> dict[str, str]:
    return {
        "Model": loaded.version.ref,
        "Dataset": dataset.ref,
        "Split": split or "all items",
        "Images": str(count),
        "Trained on": str(loaded.version.manifest.get("dataset", "")),
        **({"Warning": " ".join(warnings)} if warnings else {}),
    }


def _evaluate_detector(
    loaded: LoadedPredictor,
    dataset: DatasetVersion,
    items: Sequence[Item],
    predictions: Mapping[str, Prediction],
    split: str | None,
    alignment: ClassAlignment,
) -> tuple[DetectionMetrics, str, list[str]]:
    truth = {item.key: _rename_classes(item[loaded.target], alignment.truth) for item in items}
    objects = {
        item.key: _rename_classes(predictions[item.key].objects[loaded.target], alignment.model) for item in items
    }
    true_classes = [obj.class_name for true_objects in truth.values() for obj in true_objects]
    warnings = class_warnings(alignment, true_classes)
    sizes = {item.key: predictions[item.key].size_wh for item in items}
    metrics = evaluate_objects(truth, objects, sizes, kind="boxes", classes=_common_classes(alignment, true_classes))
    report = build_detection_report(
        dataset,
        loaded.version.manifest["image_column"],
        truth,
        objects,
        metrics,
        title=f"{loaded.version.name} on {dataset.name}",
        facts=_report_facts(loaded, dataset, len(items), split, warnings),
    )
    return metrics, report, warnings


def _evaluate_classifier(
    loaded: LoadedPredictor,
    dataset: DatasetVersion,
    items: Sequence[Item],
    predictions: Mapping[str, Prediction],
    split: str | None,
    alignment: ClassAlignment,
) -> tuple[ClassificationMetrics, str, list[str]]:
    truth = {item.key: alignment.truth.get(item[loaded.target], item[loaded.target]) for item in items}
    classes = _common_classes(alignment, truth.values())
    columns = [classes.index(alignment.model[name]) for name in loaded.class_names]
    probabilities = {
        item.key: _merge_probabilities(predictions[item.key].probabilities[loaded.target], columns, len(classes))
        for item in items
    }
    warnings = class_warnings(alignment, truth.values())
    unknown = [name for name in classes if name not in alignment.model.values()]
    metrics = evaluate_labels(truth, probabilities, classes, unknown=unknown)
    report = build_classification_report(
        dataset,
        loaded.version.manifest["image_column"],
        truth,
        probabilities,
        metrics,
        title=f"{loaded.version.name} on {dataset.name}",
        facts=_report_facts(loaded, dataset, len(items), split, warnings),
    )
    return metrics, report, warnings


def _common_classes(alignment: ClassAlignment, true_classes: Iterable[str]) -> list[str]:
    """Return the classes of the model in its order, then those that occur in the ground truth only."""
    return list(dict.fromkeys([*alignment.model.values(), *sorted(set(true_classes))]))


def _rename_classes(objects: Objects, names: Mapping[str, str]) -> Objects:
    return tuple(
        replace(obj, class_name=names[obj.class_name])
        if names.get(obj.class_name, obj.class_name) != obj.class_name
        else obj
        for obj in objects
    )


def _merge_probabilities(values: Sequence[float], columns: Sequence[int], width: int) -> tuple[float, ...]:
    """Add up the probabilities of merged classes; ``columns`` has the position of each value in the result."""
    merged = [0.0] * width
    for value, column in zip(values, columns, strict=True):
        merged[column] += value
    return tuple(merged)
