"""The report of a classification evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from markupsafe import Markup

from saccade.core.reader import Reader
from saccade.evaluation.classification import ClassificationMetrics, LabelClassMetrics
from saccade.evaluation.matching import ConfusionMatrix
from saccade.evaluation.report.detection import MAX_CONFUSION_CLASSES
from saccade.html_report.charts import MANY_CLASSES, heat_map, histogram, reliability
from saccade.html_report.figures import Picture, draw_all
from saccade.html_report.page import (
    Card,
    Cell,
    Chart,
    Charts,
    Figure,
    Gallery,
    Note,
    Section,
    Table,
    number,
    render_page,
)

_NOTHING = Markup("")


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
    """One HTML page about an evaluation; reads from ``reader`` only the images it shows.

    ``truth``, ``probabilities`` and ``metrics`` are what ``evaluate_labels`` took and gave. ``facts`` are said in the
    header, in order; the date is added. Each gallery shows at most ``samples`` images.
    """
    answers = [
        _ItemPrediction(key, name, probabilities[key], metrics.classes)
        for key, name in truth.items()
        if name is not None
    ]
    sections = [
        _classes_section(metrics),
        _errors_section(metrics, answers),
        Section("pictures", "Pictures", "", _galleries(reader, image_column, answers, samples)),
    ]
    header = {**(facts or {}), "Compared": "labels", "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    return render_page(title, header, _cards(metrics), sections, subtitle="Evaluation report")


class _ItemPrediction:
    """What a model said of one item."""

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
    left_out = f", {metrics.unlabelled_items:,} not labelled and left out" if metrics.unlabelled_items else ""
    cards = [
        Card("Accuracy", number(metrics.accuracy), "highest probability is right", metrics.accuracy, lead=True),
        Card(
            "Balanced accuracy", number(metrics.balanced_accuracy), "mean recall", metrics.balanced_accuracy, lead=True
        ),
        Card("Macro F1", number(metrics.macro.f1), "every class counts alike", metrics.macro.f1, lead=True),
        Card("AUROC", number(metrics.auroc), "one class against the rest", metrics.auroc, lead=True),
    ]
    if len(metrics.classes) > metrics.top_k:
        value = metrics.top_k_accuracy
        cards.append(Card(f"Top-{metrics.top_k} accuracy", number(value), f"true class among {metrics.top_k}", value))
    return [
        *cards,
        Card("Weighted F1", number(metrics.weighted.f1), "every item counts alike", metrics.weighted.f1),
        Card("Calibration error", number(metrics.calibration_error), "expected, 15 bins; 0 is best"),
        Card("Log loss", number(metrics.log_loss), "nats; 0 is best"),
        Card("Brier score", number(metrics.brier), "0 to 2; 0 is best"),
        Card("Items", f"{metrics.items:,}", f"evaluated{left_out}"),
    ]


def _classes_section(metrics: ClassificationMetrics) -> Section:
    ordered = sorted(metrics.per_class, key=lambda entry: (entry.f1 is None, entry.f1 or 0.0, entry.name))
    headings = ["Class", "Precision", "Recall", "F1", "AUROC", "Items", "Predicted"]
    hints = {"Items": "Items of this class in the truth", "Predicted": "Items predicted to be of this class"}
    rows = [_class_row(entry) for entry in ordered]
    note = "Weakest first. A dash stands for what cannot be said, as the recall of a class that is not in the truth."
    return Section("classes", "Classes", note, [Table(headings, rows, hints)])


def _class_row(entry: LabelClassMetrics) -> list[Cell]:
    return [
        Cell(entry.name),
        *(Cell(number(value), value) for value in (entry.precision, entry.recall, entry.f1, entry.auroc)),
        Cell(f"{entry.support:,}"),
        Cell(f"{entry.predicted:,}"),
    ]


def _errors_section(metrics: ClassificationMetrics, answers: Sequence[_ItemPrediction]) -> Section:
    names, counts, some = _shown_confusions(metrics)
    scores = [
        (name, [answer.confidence for answer in answers if answer.correct is correct], style)
        for name, correct, style in (("correct", True, "f0"), ("wrong", False, "f1"))
    ]
    bins = [(b.low, b.high, b.count, b.confidence, b.accuracy) for b in metrics.calibration]
    charts = [
        Chart(
            "Confusion matrix",
            heat_map(names, counts, title="Confusion matrix"),
            f"Shaded by the share of the row.{some}",
            wide=len(names) > MANY_CLASSES,
        ),
        Chart(
            "Reliability",
            reliability(bins, title="Reliability diagram"),
            "On the dashed line, confidence is what it says; bars below it are over-confident.",
        ),
        Chart(
            "Confidence of right and wrong answers",
            histogram(scores, title="Confidence", x_title="confidence (highest probability)", y_title="items"),
            "",
            wide=True,
        ),
    ]
    pairs = _top_confusions(metrics)
    table = Table(
        ["True class", "Predicted as", "Items", "Share of the class"],
        [
            [Cell(true), Cell(seen), Cell(f"{count:,}"), Cell(f"{share:.0%}", share)]
            for true, seen, count, share in pairs
        ],
        {},
    )
    return Section(
        "errors", "Errors", "", [Charts(charts), table if pairs else Note("No item was given a wrong class.")]
    )


def _shown_confusions(metrics: ClassificationMetrics) -> tuple[Sequence[str], Sequence[Sequence[int]], str]:
    """The classes with most errors, where there are too many to draw."""
    counts = metrics.confusion
    every = range(len(counts))
    if len(counts) <= MAX_CONFUSION_CLASSES:
        return metrics.classes, counts, ""
    wrong = [sum(counts[k]) + sum(row[k] for row in counts) - 2 * counts[k][k] for k in every]
    kept = sorted(sorted(every, key=lambda k: -wrong[k])[:MAX_CONFUSION_CLASSES])
    reduced = ConfusionMatrix(
        tuple(metrics.classes[k] for k in kept), tuple(tuple(counts[row][column] for column in kept) for row in kept)
    )
    return reduced.names, reduced.counts, f" The {MAX_CONFUSION_CLASSES} classes with most errors."


def _top_confusions(metrics: ClassificationMetrics, limit: int = 10) -> list[tuple[str, str, int, float]]:
    pairs = [
        (metrics.classes[row], metrics.classes[column], count, count / sum(line))
        for row, line in enumerate(metrics.confusion)
        for column, count in enumerate(line)
        if row != column and count
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], -pair[3]))[:limit]


def _galleries(reader: Reader, image_column: str, answers: Sequence[_ItemPrediction], samples: int) -> list[Gallery]:
    wrong = sorted((a for a in answers if not a.correct), key=lambda a: -a.confidence)[:samples]
    unsure = sorted((a for a in answers if a.correct), key=lambda a: a.confidence)[: max(1, samples // 3)]
    chosen = [*wrong, *unsure]
    drawn = draw_all(reader, image_column, [Picture(a.key, ()) for a in chosen], lambda picture: picture.key)
    figures = [replace(_figure(answer), svg=drawn[place]) for place, answer in enumerate(chosen)]
    return [
        Gallery("Wrong", "The most confident first.", figures[: len(wrong)], "No item was given a wrong class."),
        Gallery(
            "Right, but unsure",
            "The least confident first.",
            figures[len(wrong) :],
            "No item was given the right class.",
        ),
    ]


def _figure(answer: _ItemPrediction) -> Figure:
    facts = [
        ("item", answer.key),
        ("truth", answer.true),
        ("confidence", f"{answer.confidence:.3f}"),
        ("probability of the truth", f"{answer.true_probability:.3f}"),
    ]
    if answer.correct:
        return Figure(_NOTHING, answer.predicted, "right", "good", facts)
    return Figure(_NOTHING, answer.predicted, "wrong", "bad", facts)
