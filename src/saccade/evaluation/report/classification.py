"""Report of a classification evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from markupsafe import Markup

from saccade.core.reader import Reader
from saccade.evaluation.classification import ClassificationMetrics, LabelClassMetrics
from saccade.evaluation.report.detection import MAX_CONFUSION_CLASSES, most_confused_classes
from saccade.html_report.charts import WIDE_MATRIX_CLASSES, histogram, reliability_diagram, render_confusion_matrix
from saccade.html_report.figures import FigureSpec, render_figures
from saccade.html_report.page import (
    Card,
    Cell,
    Chart,
    ChartsBlock,
    Figure,
    GalleryBlock,
    NoteBlock,
    Section,
    TableBlock,
    format_number,
    render_page,
)

# Replaced once all images of the report have been rendered together.
_EMPTY_SVG = Markup("")


def build_classification_report(
    reader: Reader,
    image_column: str,
    truth: Mapping[str, str | None],
    probabilities: Mapping[str, Sequence[float]],
    metrics: ClassificationMetrics,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    samples: int = 12,
) -> str:
    """Return an HTML page about an evaluation.

    Args:
        reader: The dataset; only the displayed images are read.
        image_column: Column of the images.
        truth: True classes as passed to ``evaluate_labels``.
        probabilities: Predicted probabilities as passed to ``evaluate_labels``.
        metrics: Result of ``evaluate_labels``.
        title: Title of the page.
        facts: Entries of the header, in order (model, dataset, split); the date is added.
        samples: Maximum images in each gallery.
    """
    predictions = [
        _ItemPrediction(key, name, probabilities[key], metrics.classes)
        for key, name in truth.items()
        if name is not None
    ]
    sections = [
        _classes_section(metrics),
        _errors_section(metrics, predictions),
        Section("pictures", "Examples", "", _galleries(reader, image_column, predictions, samples)),
    ]
    header = {**(facts or {}), "Compared": "labels", "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    return render_page(title, header, _cards(metrics), sections, subtitle="Evaluation report")


class _ItemPrediction:
    """Predicted and true class of an item."""

    def __init__(self, key: str, true: str, probabilities: Sequence[float], classes: Sequence[str]) -> None:
        values = np.asarray(probabilities, dtype=np.float64)
        top = int(values.argmax())
        self.key = key
        self.true = true
        self.predicted = classes[top]
        self.confidence = float(values[top] / values.sum())
        self.true_probability = float(values[classes.index(true)] / values.sum())
        self.correct = self.predicted == true


def _cards(metrics: ClassificationMetrics) -> list[Card]:
    left_out = f", {metrics.unlabelled_items:,} unlabelled left out" if metrics.unlabelled_items else ""
    cards = [
        Card("Accuracy", format_number(metrics.accuracy), "share of correct predictions", metrics.accuracy, lead=True),
        Card(
            "Balanced accuracy",
            format_number(metrics.balanced_accuracy),
            "mean recall",
            metrics.balanced_accuracy,
            lead=True,
        ),
        Card("Macro F1", format_number(metrics.macro.f1), "every class counts alike", metrics.macro.f1, lead=True),
        Card("AUROC", format_number(metrics.auroc), "one class against the rest", metrics.auroc, lead=True),
    ]
    if len(metrics.classes) > metrics.top_k:
        value = metrics.top_k_accuracy
        cards.append(
            Card(f"Top-{metrics.top_k} accuracy", format_number(value), f"true class among {metrics.top_k}", value)
        )
    return [
        *cards,
        Card("Weighted F1", format_number(metrics.weighted.f1), "every item counts alike", metrics.weighted.f1),
        Card("Calibration error", format_number(metrics.calibration_error), "expected, 15 bins; 0 is best"),
        Card("Log loss", format_number(metrics.log_loss), "nats; 0 is best"),
        Card("Brier score", format_number(metrics.brier), "0 to 2; 0 is best"),
        Card("Items", f"{metrics.items:,}", f"evaluated{left_out}"),
    ]


def _classes_section(metrics: ClassificationMetrics) -> Section:
    ordered = sorted(metrics.per_class, key=lambda entry: (entry.f1 is None, entry.f1 or 0.0, entry.name))
    headings = ["Class", "Precision", "Recall", "F1", "AUROC", "Items", "Predicted"]
    hints = {"Items": "Items whose true class is this one", "Predicted": "Items predicted as this class"}
    rows = [_class_row(entry) for entry in ordered]
    note = "Lowest F1 first. A dash marks an undefined value, such as the recall of a class without items."
    return Section("classes", "Classes", note, [TableBlock(headings, rows, hints)])


def _class_row(entry: LabelClassMetrics) -> list[Cell]:
    return [
        Cell(entry.name),
        *(Cell(format_number(value), value) for value in (entry.precision, entry.recall, entry.f1, entry.auroc)),
        Cell(f"{entry.support:,}"),
        Cell(f"{entry.predicted:,}"),
    ]


def _errors_section(metrics: ClassificationMetrics, predictions: Sequence[_ItemPrediction]) -> Section:
    names, counts, note = _shown_confusions(metrics)
    scores = [
        (name, [prediction.confidence for prediction in predictions if prediction.correct is correct], style)
        for name, correct, style in (("correct", True, "f0"), ("wrong", False, "f1"))
    ]
    bins = [(entry.low, entry.high, entry.count, entry.confidence, entry.accuracy) for entry in metrics.calibration]
    charts = [
        Chart(
            "Confusion matrix",
            render_confusion_matrix(names, counts, title="Confusion matrix"),
            f"Shaded by the share of the row.{note}",
            wide=len(names) > WIDE_MATRIX_CLASSES,
        ),
        Chart(
            "Reliability",
            reliability_diagram(bins, title="Reliability diagram"),
            "On the dashed line, confidence equals accuracy; bars below it are over-confident.",
        ),
        Chart(
            "Confidence of correct and wrong predictions",
            histogram(scores, title="Confidence", x_title="confidence (highest probability)", y_title="items"),
            "",
            wide=True,
        ),
    ]
    pairs = _top_confusions(metrics)
    table = TableBlock(
        ["True class", "Predicted as", "Items", "Share of the class"],
        [
            [Cell(true), Cell(predicted), Cell(f"{count:,}"), Cell(f"{share:.0%}", share)]
            for true, predicted, count, share in pairs
        ],
        {},
    )
    return Section(
        "errors", "Errors", "", [ChartsBlock(charts), table if pairs else NoteBlock("No item was predicted wrongly.")]
    )


def _shown_confusions(metrics: ClassificationMetrics) -> tuple[Sequence[str], Sequence[Sequence[int]], str]:
    """Return names and counts of the confusion matrix, and a note if it only has the classes with most errors."""
    counts = metrics.confusion
    if len(counts) <= MAX_CONFUSION_CLASSES:
        return metrics.classes, counts, ""
    selected = most_confused_classes(counts, len(counts), MAX_CONFUSION_CLASSES)
    names = [metrics.classes[index] for index in selected]
    reduced = [[counts[row][column] for column in selected] for row in selected]
    return names, reduced, f" The {MAX_CONFUSION_CLASSES} classes with most errors."


def _top_confusions(metrics: ClassificationMetrics, limit: int = 10) -> list[tuple[str, str, int, float]]:
    pairs = [
        (metrics.classes[row], metrics.classes[column], count, count / sum(counts))
        for row, counts in enumerate(metrics.confusion)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3]))[:limit]


def _galleries(
    reader: Reader, image_column: str, predictions: Sequence[_ItemPrediction], samples: int
) -> list[GalleryBlock]:
    wrong = sorted((entry for entry in predictions if not entry.correct), key=lambda entry: -entry.confidence)
    unsure = sorted((entry for entry in predictions if entry.correct), key=lambda entry: entry.confidence)
    wrong = wrong[:samples]
    selected = [*wrong, *unsure[: max(1, samples // 3)]]
    drawings = render_figures(
        reader, image_column, [FigureSpec(entry.key, ()) for entry in selected], lambda spec: spec.key
    )
    figures = [replace(_figure(entry), svg=drawings[index]) for index, entry in enumerate(selected)]
    return [
        GalleryBlock("Wrong", "Highest confidence first.", figures[: len(wrong)], "No item was predicted wrongly."),
        GalleryBlock(
            "Correct, but unsure",
            "Lowest confidence first.",
            figures[len(wrong) :],
            "No item was predicted correctly.",
        ),
    ]


def _figure(prediction: _ItemPrediction) -> Figure:
    facts = [
        ("item", prediction.key),
        ("truth", prediction.true),
        ("confidence", f"{prediction.confidence:.3f}"),
        ("probability of the truth", f"{prediction.true_probability:.3f}"),
    ]
    if prediction.correct:
        return Figure(_EMPTY_SVG, prediction.predicted, "correct", "good", facts)
    return Figure(_EMPTY_SVG, prediction.predicted, "wrong", "bad", facts)
