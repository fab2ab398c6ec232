"""Galleries of a detection report: selects the objects to show, and builds their figures and captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markupsafe import Markup

from saccade.core.objects import Object, Objects
from saccade.core.reader import Reader
from saccade.evaluation.matching import ErrorKind, Match, MatchStatus
from saccade.html_report.figures import FigureSpec, OverlayShape, render_figures
from saccade.html_report.page import Figure, GalleryBlock

# Limits the figures of one item in a gallery, so that one bad image does not fill it.
MAX_PER_ITEM = 3

ERROR_LABELS = {
    ErrorKind.DUPLICATE: "duplicate",
    ErrorKind.WRONG_CLASS: "wrong class",
    ErrorKind.LOCALISATION: "poor localisation",
    ErrorKind.BACKGROUND: "background",
}
LEGEND = (("truth", "truth"), ("predicted", "prediction"), ("predicted faint", "thin: others nearby"))
# Replaced once the images of all galleries have been rendered together.
_EMPTY_SVG = Markup("")
_BADGE_TONES: Mapping[str, Literal["good", "bad"]] = {"best": "good", "worst": "bad"}


@dataclass(frozen=True, slots=True)
class _ItemSummary:
    """Counts of an item, and its rank by F1: "best", "typical" or "worst"."""

    key: str
    rank: str
    correct: int
    false: int
    missed: int


class GalleryBuilder:
    """Builds the galleries of a detection report; each image is read once.

    Args:
        truth: True objects by key.
        predictions: Predicted objects by key.
        matches: Matches of the predictions at the threshold.
        threshold: Score threshold of the predictions to draw.
        similarity: Name of the similarity in captions, such as "IoU".
    """

    def __init__(
        self,
        truth: Mapping[str, Objects | None],
        predictions: Mapping[str, Objects],
        matches: Sequence[Match],
        threshold: float,
        similarity: str,
    ) -> None:
        self.truth = truth
        self.predictions = {
            key: [obj for obj in objects if (obj.score or 0.0) >= threshold] for key, objects in predictions.items()
        }
        self.matches = matches
        self.similarity = similarity

    def build(self, reader: Reader, image_column: str, samples: int) -> list[GalleryBlock]:
        """Build the galleries.

        Args:
            reader: The dataset; only the displayed images are read.
            image_column: Column of the images.
            samples: Maximum figures in the galleries of false predictions and missed objects.
        """
        false = _select_matches(
            [match for match in self.matches if match.status is MatchStatus.FP],
            lambda match: -(match.score or 0.0),
            samples,
        )
        missed = _select_matches(
            [match for match in self.matches if match.status is MatchStatus.FN],
            lambda match: -self._area(match),
            samples,
        )
        items = self._representative_items()
        specs = [
            *(self._match_spec(match) for match in (*false, *missed)),
            *(FigureSpec(item.key, self._shapes(item.key, "", "", faint=False)) for item in items),
        ]
        drawings = render_figures(reader, image_column, specs, lambda spec: f"Objects in {spec.key}")
        figures = [
            *(self._match_figure(match) for match in (*false, *missed)),
            *(_item_figure(item) for item in items),
        ]
        figures = [replace(figure, svg=drawings[index]) for index, figure in enumerate(figures)]
        missed_start = len(false)
        items_start = len(false) + len(missed)
        return [
            GalleryBlock(
                "False predictions",
                "Highest score first.",
                figures[:missed_start],
                "No false predictions at this confidence.",
                legend=LEGEND,
            ),
            GalleryBlock(
                "Missed objects",
                "Largest first.",
                figures[missed_start:items_start],
                "No missed objects at this confidence.",
                legend=LEGEND,
            ),
            GalleryBlock(
                "Full images",
                "The best, a typical and the worst image by F1.",
                figures[items_start:],
                "No image has an object or a prediction.",
                legend=LEGEND[:2],
                large=True,
            ),
        ]

    def _truth_object(self, key: str, id: str | None) -> Object | None:
        return next((obj for obj in self.truth[key] or () if obj.id == id), None)

    def _predicted_object(self, key: str, id: str | None) -> Object | None:
        return next((obj for obj in self.predictions.get(key, ()) if obj.id == id), None)

    def _area(self, match: Match) -> float:
        obj = self._truth_object(match.key, match.truth_id)
        return obj.geometry.area() if obj else 0.0

    def _shapes(
        self, key: str, truth_id: str | None, prediction_id: str | None, *, faint: bool = True
    ) -> list[OverlayShape]:
        """Return all objects of an item; if ``faint``, only the two named ones are emphasised."""
        return [
            *(OverlayShape(obj, "truth", faint and obj.id != truth_id) for obj in self.truth[key] or ()),
            *(
                OverlayShape(obj, "predicted", faint and obj.id != prediction_id)
                for obj in self.predictions.get(key, ())
            ),
        ]

    def _match_spec(self, match: Match) -> FigureSpec:
        objects = (
            self._truth_object(match.key, match.truth_id),
            self._predicted_object(match.key, match.prediction_id),
        )
        bounds = [obj.geometry.bounds_xyxy() for obj in objects if obj is not None]
        focus_xyxy = (
            min(x1 for x1, _, _, _ in bounds),
            min(y1 for _, y1, _, _ in bounds),
            max(x2 for _, _, x2, _ in bounds),
            max(y2 for _, _, _, y2 in bounds),
        )
        return FigureSpec(match.key, self._shapes(match.key, match.truth_id, match.prediction_id), focus_xyxy)

    def _match_figure(self, match: Match) -> Figure:
        facts = [("item", match.key)]
        if match.score is not None:
            facts.append(("score", f"{match.score:.3f}"))
        if match.iou is not None:
            facts.append((self.similarity, f"{match.iou:.3f}"))
        if match.status is MatchStatus.FN:
            facts.append(("area", f"{self._area(match):,.0f} px²"))
            badge = f"predicted as {match.predicted_class}" if match.predicted_class else "missed"
            return Figure(_EMPTY_SVG, match.class_name, badge, "bad", facts)
        truth_object = self._truth_object(match.key, match.truth_id)
        if match.error is ErrorKind.WRONG_CLASS and truth_object is not None:
            facts.append(("truth", truth_object.class_name))
        return Figure(_EMPTY_SVG, match.class_name, ERROR_LABELS[match.error or ErrorKind.BACKGROUND], "bad", facts)

    def _representative_items(self) -> list[_ItemSummary]:
        """Return the best, a typical and the worst item by F1."""
        counts_by_key: dict[str, Counter[MatchStatus]] = {}
        for match in self.matches:
            counts_by_key.setdefault(match.key, Counter())[match.status] += 1
        scored = []
        for key, counts in counts_by_key.items():
            correct = counts[MatchStatus.TP]
            false = counts[MatchStatus.FP]
            missed = counts[MatchStatus.FN]
            if correct + false + missed:
                scored.append((2 * correct / (2 * correct + false + missed), correct, key, false, missed))
        if not scored:
            return []
        ranked = sorted(scored, key=lambda entry: (-entry[0], -entry[1], entry[2]))
        # With fewer than three items some positions coincide; the later name wins.
        ranks = {0: "best", len(ranked) // 2: "typical", len(ranked) - 1: "worst"}
        summaries = []
        for position, rank in ranks.items():
            _, correct, key, false, missed = ranked[position]
            summaries.append(_ItemSummary(key, rank, correct, false, missed))
        return summaries


def _item_figure(item: _ItemSummary) -> Figure:
    facts = [("correct", f"{item.correct:,}"), ("false", f"{item.false:,}"), ("missed", f"{item.missed:,}")]
    return Figure(_EMPTY_SVG, item.key, item.rank, _BADGE_TONES.get(item.rank, "plain"), facts)


def _select_matches(matches: Sequence[Match], sort_key: Callable[[Match], float], samples: int) -> list[Match]:
    """Return the first ``samples`` matches; those beyond ``MAX_PER_ITEM`` of one item only fill what is left."""
    count_by_item: Counter[str] = Counter()
    preferred: list[Match] = []
    excess: list[Match] = []
    for match in sorted(matches, key=sort_key):
        count_by_item[match.key] += 1
        (preferred if count_by_item[match.key] <= MAX_PER_ITEM else excess).append(match)
    return [*preferred, *excess][:samples]
