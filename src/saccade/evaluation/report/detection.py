"""Report of a detection evaluation: metrics, curves, errors, and example objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

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
from saccade.html_report.charts import (
    WIDE_MATRIX_CLASSES,
    LineSeries,
    histogram,
    line_chart,
    render_confusion_matrix,
    share_bars,
)
from saccade.html_report.page import (
    Card,
    Cell,
    Chart,
    ChartsBlock,
    NoteBlock,
    Section,
    TableBlock,
    format_number,
    render_page,
)

MAX_COLORED_CURVES = 7
MAX_CONFUSION_CLASSES = 20

_ERROR_DESCRIPTIONS = {
    ErrorKind.DUPLICATE: "on an object that a better prediction matches",
    ErrorKind.WRONG_CLASS: "on an object of another class",
    ErrorKind.LOCALISATION: "on an object of this class, with too little overlap",
    ErrorKind.BACKGROUND: "on no labelled object",
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
    """Return an HTML page about an evaluation.

    Args:
        reader: The dataset; only the displayed images are read.
        image_column: Column of the images.
        truth: True objects as passed to ``evaluate_objects``.
        predictions: Predicted objects as passed to ``evaluate_objects``.
        metrics: Result of ``evaluate_objects``.
        title: Title of the page.
        facts: Entries of the header, in order (model, dataset, split); the date is added.
        iou_threshold: Minimum similarity of a match, for errors and galleries.
        score_threshold: Score threshold for errors and galleries (None: the threshold of the best F1).
        samples: Maximum figures in each gallery of errors.
        sigmas: One for each keypoint (None: as in ``evaluate_objects``).
    """
    best = metrics.confidence.best
    threshold = score_threshold if score_threshold is not None else (best.threshold if best else 0.0)
    sizes_wh = _image_sizes_wh(reader, image_column) if metrics.kind == "masks" else {}
    match = partial(
        match_objects,
        truth,
        predictions,
        sizes_wh,
        kind=metrics.kind,
        iou_threshold=iou_threshold,
        classes=[entry.name for entry in metrics.per_class],
        sigmas=sigmas,
    )
    # The histogram of scores needs the matches of all predictions, errors and galleries those above the threshold.
    all_matches = match()
    matches = match(score_threshold=threshold)
    similarity = _SIMILARITY_NAMES[metrics.kind]
    galleries = GalleryBuilder(truth, predictions, matches, threshold, similarity)
    conditions = f"{similarity} {iou_threshold:g}, confidence {threshold:.3g}"
    sections = [
        _classes_section(metrics),
        _curves_section(metrics, all_matches, iou_threshold),
        _errors_section(metrics, matches, conditions),
        Section("pictures", "Examples", f"At {conditions}.", galleries.build(reader, image_column, samples)),
    ]
    header = {**(facts or {}), "Compared": metrics.kind, "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    return render_page(title, header, _cards(metrics), sections, subtitle="Evaluation report")


def _image_sizes_wh(reader: Reader, image_column: str) -> dict[str, tuple[int, int]]:
    refs = {item.key: item[image_column] for item in reader.items([image_column])}
    return {key: (ref.width, ref.height) for key, ref in refs.items() if ref is not None}


def _cards(metrics: DetectionMetrics) -> list[Card]:
    similarity = _SIMILARITY_NAMES[metrics.kind]
    best = metrics.confidence.best
    left_out = f", {metrics.unlabelled_images:,} unlabelled left out" if metrics.unlabelled_images else ""
    ignored = f", {metrics.ignored_truths:,} ignored" if metrics.ignored_truths else ""
    return [
        Card("AP", format_number(metrics.ap), f"mean over {similarity} 0.50 to 0.95", metrics.ap, lead=True),
        Card("AP50", format_number(metrics.ap50), f"{similarity} 0.50", metrics.ap50, lead=True),
        Card("AP75", format_number(metrics.ap75), f"{similarity} 0.75", metrics.ap75, lead=True),
        Card(
            "AR", format_number(metrics.ar), f"at {metrics.max_detections} detections per image", metrics.ar, lead=True
        ),
        *(
            Card(f"AP {name}", format_number(value), "by object area", value)
            for name, value in (
                ("small", metrics.ap_small),
                ("medium", metrics.ap_medium),
                ("large", metrics.ap_large),
            )
            if not (name == "small" and metrics.kind == "keypoints")
        ),
        Card(
            "Best F1",
            format_number(best.f1 if best else None),
            f"at confidence {best.threshold:.3g}" if best else "no predictions",
            best.f1 if best else None,
        ),
        Card("Images", f"{metrics.images:,}", f"evaluated{left_out}"),
        Card("Objects", f"{metrics.truths:,}", f"in the ground truth{ignored}"),
        Card("Predictions", f"{metrics.predictions:,}", "of any confidence"),
    ]


def _classes_section(metrics: DetectionMetrics) -> Section:
    ordered = sorted(metrics.per_class, key=lambda entry: (entry.ap is None, entry.ap or 0.0, entry.name))
    hints = {
        "AP": "Average precision, mean over thresholds 0.50 to 0.95",
        "AR": f"Average recall at {metrics.max_detections} detections per image",
        "Confidence": "The confidence threshold at which F1 is highest",
        "F1": "F1 at that confidence",
    }
    headings = ["Class", "AP", "AP50", "AP75", "AR", "Objects", "Predictions", "Confidence", "F1"]
    rows = [_class_row(entry) for entry in ordered]
    blocks = [TableBlock(headings, rows, hints)] if rows else [NoteBlock("No class has an object or a prediction.")]
    return Section("classes", "Classes", "Lowest AP first. A dash marks a class without ground truth.", blocks)


def _class_row(entry: ClassMetrics) -> list[Cell]:
    best = entry.best
    return [
        Cell(entry.name),
        *(Cell(format_number(value), value) for value in (entry.ap, entry.ap50, entry.ap75, entry.ar)),
        Cell(f"{entry.truths:,}"),
        Cell(f"{entry.predictions:,}"),
        Cell(format_number(best.threshold if best else None)),
        Cell(format_number(best.f1 if best else None)),
    ]


def _curves_section(metrics: DetectionMetrics, matches: Sequence[Match], iou_threshold: float) -> Section:
    similarity = _SIMILARITY_NAMES[metrics.kind]
    curve = metrics.confidence
    lines = [
        LineSeries("precision", _defined_points(curve.thresholds, curve.precision), "l0"),
        LineSeries("recall", list(zip(curve.thresholds, curve.recall, strict=True)), "l1"),
        LineSeries("F1", list(zip(curve.thresholds, curve.f1, strict=True)), "ink strong"),
    ]
    best = curve.best
    scores = [
        (name, [match.score or 0.0 for match in matches if match.status is status], style)
        for name, status, style in (("correct", MatchStatus.TP, "f0"), ("false", MatchStatus.FP, "f1"))
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
    return Section("curves", "Curves", "", [ChartsBlock(charts)])


def _defined_points(thresholds: Sequence[float], values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(thresholds, values, strict=True) if y is not None]


def _class_curves(metrics: DetectionMetrics) -> list[LineSeries]:
    entries = [entry for entry in metrics.per_class if entry.curve_precision]
    if not entries:
        return []
    by_size = sorted(entries, key=lambda entry: (-entry.truths, entry.name))
    colored = by_size[:MAX_COLORED_CURVES]
    others = by_size[MAX_COLORED_CURVES:]
    recalls = [index / 100 for index in range(101)]
    mean = [sum(column) / len(entries) for column in zip(*(entry.curve_precision for entry in entries), strict=True)]
    series = [_class_curve(entry, recalls, "thin", legend=False) for entry in others]
    series += [_class_curve(entry, recalls, f"l{index}") for index, entry in enumerate(colored)]
    if others:
        series.append(LineSeries(f"{len(others)} more classes", [], "thin"))
    if len(entries) > 1:
        series.append(LineSeries("mean", list(zip(recalls, mean, strict=True)), "ink strong"))
    return series


def _class_curve(entry: ClassMetrics, recalls: Sequence[float], style: str, *, legend: bool = True) -> LineSeries:
    points = list(zip(recalls, entry.curve_precision, strict=True))
    reached = [point for point in points if point[1] > 0]
    # Recalls that are never reached have precision 0: draw a vertical drop instead of a slope to the next point.
    drop = [(reached[-1][0], 0.0)] if reached and len(reached) < len(points) else []
    return LineSeries(entry.name, [*reached, *drop], style, legend)


def _errors_section(metrics: DetectionMetrics, matches: Sequence[Match], conditions: str) -> Section:
    counts = Counter(match.status for match in matches)
    errors = Counter(match.error for match in matches if match.error is not None)
    rows = [
        ("correct", counts[MatchStatus.TP], "f0", "matches an object of its class"),
        ("missed objects", counts[MatchStatus.FN], "f3", "match no prediction of their class"),
        *((label, errors[kind], "f1", _ERROR_DESCRIPTIONS[kind]) for kind, label in ERROR_LABELS.items()),
    ]
    matrix = confusion_matrix(matches, [entry.name for entry in metrics.per_class])
    reduced = most_confused(matrix, MAX_CONFUSION_CLASSES)
    note = f" The {len(reduced.names) - 1} classes with most errors." if len(reduced.names) < len(matrix.names) else ""
    charts = [
        Chart(
            "Error types",
            share_bars(rows, title="Error types"),
            "Correct and false predictions, and missed objects.",
        ),
        Chart(
            "Confusion matrix",
            render_confusion_matrix(reduced.names, reduced.counts, title="Confusion matrix", background=BACKGROUND),
            f"Shaded by the share of the row. Background: missed (column) or false alarm (row).{note}",
            wide=len(reduced.names) > WIDE_MATRIX_CLASSES,
        ),
    ]
    return Section("errors", "Errors", f"At {conditions}.", [ChartsBlock(charts)])


def most_confused_classes(counts: Sequence[Sequence[int]], classes: int, limit: int) -> list[int]:
    """Return the indexes of the ``limit`` classes with most errors in row and column, in ascending order.

    Args:
        counts: Confusion matrix, by true and predicted class.
        classes: How many of its first rows are classes.
        limit: The number of classes to select.
    """

    def errors(index: int) -> int:
        return sum(counts[index]) + sum(row[index] for row in counts) - 2 * counts[index][index]

    return sorted(sorted(range(classes), key=errors, reverse=True)[:limit])


def most_confused(matrix: ConfusionMatrix, limit: int) -> ConfusionMatrix:
    """Reduce a confusion matrix to the ``limit`` classes with most errors in row and column, and the background.

    The order of the classes is preserved.
    """
    background = len(matrix.names) - 1
    if background <= limit:
        return matrix
    counts = matrix.counts
    selected = [*most_confused_classes(counts, background, limit), background]
    return ConfusionMatrix(
        tuple(matrix.names[index] for index in selected),
        tuple(tuple(counts[row][column] for column in selected) for row in selected),
    )
