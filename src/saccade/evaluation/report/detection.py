"""The report of a detection evaluation: figures, curves, errors, and the objects behind them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from saccade.core.objects import Objects
from saccade.core.reader import Reader
from saccade.evaluation.matching import (
    BACKGROUND,
    ConfusionMatrix,
    ErrorKind,
    Match,
    MatchStatus,
    confusion_matrix,
    match_objects,
)
from saccade.evaluation.metrics import ClassMetrics, DetectionMetrics
from saccade.evaluation.report.examples import ERROR_LABELS, GalleryBuilder
from saccade.html_report.charts import MANY_CLASSES, Series, heat_map, histogram, line_chart, shares
from saccade.html_report.page import (
    Card,
    Cell,
    Chart,
    Charts,
    Note,
    Section,
    Table,
    number,
    render_page,
)

MAX_COLORED_CURVES = 7
MAX_CONFUSION_CLASSES = 20

_ERROR_DESCRIPTIONS = {
    ErrorKind.DUPLICATE: "on an object that a better prediction has found",
    ErrorKind.WRONG_CLASS: "on an object of another class",
    ErrorKind.LOCALISATION: "on an object of this class, but too loosely",
    ErrorKind.BACKGROUND: "on nothing that is labelled",
}
_SIMILARITY_NAMES = {"boxes": "IoU", "masks": "IoU", "keypoints": "OKS"}


def build_detection_report(
    reader: Reader,
    image_column: str,
    truth: Mapping[str, Objects | None],
    predictions: Mapping[str, Objects],
    metrics: DetectionMetrics,
    *,
    title: str,
    facts: Mapping[str, str] | None = None,
    iou_threshold: float = 0.5,
    score_threshold: float | None = None,
    samples: int = 12,
    sigmas: Sequence[float] | None = None,
) -> str:
    """One HTML page about an evaluation; reads from ``reader`` only the images it shows.

    Args:
        truth, predictions, metrics: what ``evaluate_objects`` took and gave.
        facts: what to say in the header, in order (model, dataset, split …); the date is added.
        iou_threshold: from where on a prediction has found an object, for matching, errors and galleries.
        score_threshold: predictions below it are left out of them; where None, the one of the best F1.
        samples: most pictures in each gallery of mistakes.
    """
    best = metrics.confidence.best
    threshold = score_threshold if score_threshold is not None else (best.threshold if best else 0.0)
    sizes_wh = _image_sizes_wh(reader, image_column) if metrics.kind == "masks" else {}
    matches = match_objects(
        truth,
        predictions,
        sizes_wh,
        kind=metrics.kind,
        iou_threshold=iou_threshold,
        classes=[entry.name for entry in metrics.per_class],
        sigmas=sigmas,
    )
    shown = match_objects(
        truth,
        predictions,
        sizes_wh,
        kind=metrics.kind,
        iou_threshold=iou_threshold,
        score_threshold=threshold,
        classes=[entry.name for entry in metrics.per_class],
        sigmas=sigmas,
    )
    gallery = GalleryBuilder(truth, predictions, shown, threshold, _SIMILARITY_NAMES[metrics.kind])
    where = f"{_SIMILARITY_NAMES[metrics.kind]} {iou_threshold:g}, confidence {threshold:.3g}"
    sections = [
        _classes_section(metrics),
        _curves_section(metrics, matches, iou_threshold),
        _errors_section(metrics, shown, where),
        Section(
            "pictures",
            "Pictures",
            f"The objects behind the figures, at {where}.",
            gallery.build(reader, image_column, samples),
        ),
    ]
    header = {**(facts or {}), "Compared": metrics.kind, "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    return render_page(title, header, _cards(metrics), sections, subtitle="Evaluation report")


def _image_sizes_wh(reader: Reader, image_column: str) -> dict[str, tuple[int, int]]:
    refs = {item.key: item[image_column] for item in reader.items([image_column])}
    return {key: (ref.width, ref.height) for key, ref in refs.items() if ref is not None}


def _cards(metrics: DetectionMetrics) -> list[Card]:
    similarity = _SIMILARITY_NAMES[metrics.kind]
    best = metrics.confidence.best
    left_out = f", {metrics.unlabelled_images:,} not labelled and left out" if metrics.unlabelled_images else ""
    ignored = f", {metrics.ignored_truths:,} ignored" if metrics.ignored_truths else ""
    return [
        Card("AP", number(metrics.ap), f"mean over {similarity} 0.50 to 0.95", metrics.ap, lead=True),
        Card("AP50", number(metrics.ap50), f"{similarity} 0.50", metrics.ap50, lead=True),
        Card("AP75", number(metrics.ap75), f"{similarity} 0.75", metrics.ap75, lead=True),
        Card("AR", number(metrics.ar), f"at {metrics.max_detections} detections per image", metrics.ar, lead=True),
        *(
            Card(f"AP {name}", number(value), "by object area", value)
            for name, value in (
                ("small", metrics.ap_small),
                ("medium", metrics.ap_medium),
                ("large", metrics.ap_large),
            )
            if not (name == "small" and metrics.kind == "keypoints")
        ),
        Card(
            "Best F1",
            number(best.f1 if best else None),
            f"at confidence {best.threshold:.3g}" if best else "nothing was found",
            best.f1 if best else None,
        ),
        Card("Images", f"{metrics.images:,}", f"evaluated{left_out}"),
        Card("Objects", f"{metrics.truths:,}", f"in the truth{ignored}"),
        Card("Predictions", f"{metrics.predictions:,}", "of any confidence"),
    ]


def _classes_section(metrics: DetectionMetrics) -> Section:
    ordered = sorted(metrics.per_class, key=lambda entry: (entry.ap is None, entry.ap or 0.0, entry.name))
    hints = {
        "AP": "Average precision, mean over thresholds 0.50 to 0.95",
        "AR": "Average recall at the largest number of detections",
        "Confidence": "The confidence threshold at which F1 is highest",
        "F1": "F1 at that confidence",
    }
    headings = ["Class", "AP", "AP50", "AP75", "AR", "Objects", "Predictions", "Confidence", "F1"]
    rows = [_class_row(entry) for entry in ordered]
    blocks = [Table(headings, rows, hints)] if rows else [Note("No class has an object or a prediction.")]
    return Section(
        "classes", "Classes", "Weakest first. A dash stands for a class without an object in the truth.", blocks
    )


def _class_row(entry: ClassMetrics) -> list[Cell]:
    best = entry.best
    return [
        Cell(entry.name),
        *(Cell(number(value), value) for value in (entry.ap, entry.ap50, entry.ap75, entry.ar)),
        Cell(f"{entry.truths:,}"),
        Cell(f"{entry.predictions:,}"),
        Cell(number(best.threshold if best else None)),
        Cell(number(best.f1 if best else None)),
    ]


def _curves_section(metrics: DetectionMetrics, matches: Sequence[Match], iou_threshold: float) -> Section:
    similarity = _SIMILARITY_NAMES[metrics.kind]
    curve = metrics.confidence
    lines = [
        Series("precision", _defined_points(curve.thresholds, curve.precision), "l0"),
        Series("recall", list(zip(curve.thresholds, curve.recall, strict=True)), "l1"),
        Series("F1", list(zip(curve.thresholds, curve.f1, strict=True)), "ink strong"),
    ]
    best = curve.best
    scores = [
        (name, [match.score or 0.0 for match in matches if match.status is outcome], style)
        for name, outcome, style in (("correct", MatchStatus.TP, "f0"), ("false", MatchStatus.FP, "f1"))
    ]
    charts = [
        Chart(
            "Precision and recall",
            line_chart(_class_curves(metrics), title="Precision against recall", x_title="recall", y_title="precision"),
            f"{similarity} 0.50. The bold line is the mean over classes.",
        ),
        Chart(
            "Choosing a confidence threshold",
            line_chart(
                lines,
                title="Precision, recall and F1 against confidence",
                x_title="confidence threshold",
                y_title="all classes pooled",
                x_max=curve.thresholds[-1],
                mark=(best.threshold, f"best F1 {best.f1:.3f} at {best.threshold:.3g}") if best else None,
            ),
            f"{similarity} 0.50. Predictions below the threshold are dropped.",
        ),
        Chart(
            "Scores of correct and false predictions",
            histogram(scores, title="Scores", x_title="score", y_title="predictions"),
            f"{similarity} {iou_threshold:g}. The less the two overlap, the better a threshold separates them.",
            wide=True,
        ),
    ]
    return Section("curves", "Curves", "", [Charts(charts)])


def _defined_points(thresholds: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(thresholds, values, strict=True) if y is not None]


def _class_curves(metrics: DetectionMetrics) -> list[Series]:
    drawn = [entry for entry in metrics.per_class if entry.curve_precision]
    if not drawn:
        return []
    by_size = sorted(drawn, key=lambda entry: (-entry.truths, entry.name))
    named, others = by_size[:MAX_COLORED_CURVES], by_size[MAX_COLORED_CURVES:]
    recalls = [index / 100 for index in range(101)]
    mean = [sum(column) / len(drawn) for column in zip(*(entry.curve_precision for entry in drawn), strict=True)]
    series = [_class_curve(entry, recalls, "thin", legend=False) for entry in others]
    series += [_class_curve(entry, recalls, f"l{place}") for place, entry in enumerate(named)]
    if others:
        series.append(Series(f"{len(others)} more classes", [], "thin"))
    if len(drawn) > 1:
        series.append(Series("mean", list(zip(recalls, mean, strict=True)), "ink strong"))
    return series


def _class_curve(entry: ClassMetrics, recalls: Sequence[float], style: str, *, legend: bool = True) -> Series:
    points = list(zip(recalls, entry.curve_precision, strict=True))
    reached = [point for point in points if point[1] > 0]
    drop = [(reached[-1][0], 0.0)] if reached and len(reached) < len(points) else []
    return Series(entry.name, [*reached, *drop], style, legend)


def _errors_section(metrics: DetectionMetrics, matches: Sequence[Match], where: str) -> Section:
    outcomes = Counter(match.status for match in matches)
    errors = Counter(match.error for match in matches if match.error is not None)
    rows = [
        ("correct", outcomes[MatchStatus.TP], "f0", "an object of this class, well enough located"),
        ("missed objects", outcomes[MatchStatus.FN], "f3", "no prediction of their class found them"),
        *((words, errors[kind], "f1", _ERROR_DESCRIPTIONS[kind]) for kind, words in ERROR_LABELS.items()),
    ]
    matrix = confusion_matrix(matches, [entry.name for entry in metrics.per_class])
    reduced = most_confused(matrix, MAX_CONFUSION_CLASSES)
    some = f" The {len(reduced.names) - 1} classes with most errors." if len(reduced.names) < len(matrix.names) else ""
    charts = [
        Chart(
            "What goes wrong",
            shares(rows, title="Kinds of errors"),
            "Correct and false predictions, and objects that were missed.",
        ),
        Chart(
            "Confusion matrix",
            heat_map(reduced.names, reduced.counts, title="Confusion matrix", background=BACKGROUND),
            f"Shaded by the share of the row. Background: missed (column) or false alarm (row).{some}",
            wide=len(reduced.names) > MANY_CLASSES,
        ),
    ]
    return Section("errors", "Errors", f"At {where}.", [Charts(charts)])


def most_confused(matrix: ConfusionMatrix, limit: int) -> ConfusionMatrix:
    """The background and the ``limit`` classes with most errors in row and column, in their order."""
    last = len(matrix.names) - 1
    if last <= limit:
        return matrix
    wrong = [
        sum(matrix.counts[index]) + sum(row[index] for row in matrix.counts) - 2 * matrix.counts[index][index]
        for index in range(last)
    ]
    kept = [*sorted(sorted(range(last), key=lambda index: -wrong[index])[:limit]), last]
    return ConfusionMatrix(
        tuple(matrix.names[index] for index in kept),
        tuple(tuple(matrix.counts[row][column] for column in kept) for row in kept),
    )
