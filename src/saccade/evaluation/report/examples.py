"""The galleries of a detection report: which objects to show, and their pictures and captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from markupsafe import Markup

from saccade.core.objects import Object, Objects
from saccade.core.reader import Reader
from saccade.evaluation.matching import ErrorKind, Match, MatchStatus
from saccade.html_report.figures import Picture, Shape, draw_all
from saccade.html_report.page import Figure, Gallery

MAX_PER_ITEM = 3
"""At most so many pictures of one item in a gallery, so that one bad image does not fill it."""

ERROR_LABELS = {
    ErrorKind.DUPLICATE: "duplicate",
    ErrorKind.WRONG_CLASS: "wrong class",
    ErrorKind.LOCALISATION: "poor localisation",
    ErrorKind.BACKGROUND: "background",
}
LEGEND = (("truth", "truth"), ("predicted", "prediction"), ("predicted faint", "thin: others nearby"))
_NOTHING = Markup("")  # the place of a picture that is drawn later
_BADGE_STYLES: Mapping[str, Literal["good", "bad"]] = {"best": "good", "worst": "bad"}


class GalleryBuilder:
    """Chooses the objects to show and makes their pictures, reading every image once."""

    def __init__(
        self,
        truth: Mapping[str, Objects | None],
        predictions: Mapping[str, Objects],
        matches: Sequence[Match],
        threshold: float,
        similarity: str,
    ) -> None:
        self.truth = truth
        self.shown_predictions = {
            key: [thing for thing in things if (thing.score or 0.0) >= threshold] for key, things in predictions.items()
        }
        self.matches = matches
        self.similarity = similarity

    def build(self, reader: Reader, image_column: str, samples: int) -> list[Gallery]:
        false = _select_matches(
            [m for m in self.matches if m.status is MatchStatus.FP], lambda m: -(m.score or 0.0), samples
        )
        missed = _select_matches(
            [m for m in self.matches if m.status is MatchStatus.FN], lambda m: -self._area(m), samples
        )
        wholes = self._representative_items()
        pictures = [
            *(self._match_picture(match) for match in (*false, *missed)),
            *(Picture(key, self._context(key, "", "", faint=False)) for key, *_ in wholes),
        ]
        drawn = draw_all(reader, image_column, pictures, lambda picture: f"Objects in {picture.key}")
        figures = [self._match_figure(match) for match in (*false, *missed)]
        figures += [self._item_figure(*whole) for whole in wholes]
        figures = [replace(figure, svg=drawn[index]) for index, figure in enumerate(figures)]
        first, second = len(false), len(false) + len(missed)
        return [
            Gallery(
                "False predictions",
                "The most confident ones first.",
                figures[:first],
                "No false predictions at this confidence.",
                legend=LEGEND,
            ),
            Gallery(
                "Missed objects",
                "The largest ones first.",
                figures[first:second],
                "No missed objects at this confidence.",
                legend=LEGEND,
            ),
            Gallery(
                "Whole images",
                "The best, a typical and the worst image by F1.",
                figures[second:],
                "No image has an object or a prediction.",
                legend=LEGEND[:2],
                large=True,
            ),
        ]

    def _truth_object(self, key: str, id: str | None) -> Object | None:
        return next((thing for thing in self.truth[key] or () if thing.id == id), None)

    def _predicted_object(self, key: str, id: str | None) -> Object | None:
        return next((thing for thing in self.shown_predictions.get(key, ()) if thing.id == id), None)

    def _area(self, match: Match) -> float:
        thing = self._truth_object(match.key, match.truth_id)
        return thing.geometry.area() if thing else 0.0

    def _context(self, key: str, truth_id: str | None, prediction_id: str | None, *, faint: bool = True) -> list[Shape]:
        """All objects of an item; those named, or all where not ``faint``, stand out."""
        true = [Shape(thing, "truth", faint and thing.id != truth_id) for thing in self.truth[key] or ()]
        return [
            *true,
            *(
                Shape(thing, "predicted", faint and thing.id != prediction_id)
                for thing in self.shown_predictions.get(key, ())
            ),
        ]

    def _match_picture(self, match: Match) -> Picture:
        true, predicted = (
            self._truth_object(match.key, match.truth_id),
            self._predicted_object(match.key, match.prediction_id),
        )
        bounds = [thing.geometry.bounds_xyxy() for thing in (true, predicted) if thing is not None]
        focus = (
            min(b[0] for b in bounds),
            min(b[1] for b in bounds),
            max(b[2] for b in bounds),
            max(b[3] for b in bounds),
        )
        return Picture(match.key, self._context(match.key, match.truth_id, match.prediction_id), focus)

    def _match_figure(self, match: Match) -> Figure:
        true = self._truth_object(match.key, match.truth_id)
        facts = [("item", match.key)]
        if match.score is not None:
            facts.append(("score", f"{match.score:.3f}"))
        if match.iou is not None:
            facts.append((self.similarity, f"{match.iou:.3f}"))
        if match.status is MatchStatus.FN:
            facts.append(("area", f"{self._area(match):,.0f} px²"))
            badge = f"seen as {match.predicted_class}" if match.predicted_class else "missed"
            return Figure(_NOTHING, match.class_name, badge, "bad", facts)
        if match.error is ErrorKind.WRONG_CLASS and true is not None:
            facts.append(("truth", true.class_name))
        return Figure(_NOTHING, match.class_name, ERROR_LABELS[match.error or ErrorKind.BACKGROUND], "bad", facts)

    def _representative_items(self) -> list[tuple[str, str, int, int, int]]:
        """Best, middle and worst item by F1: (key, which, correct, false, missed)."""
        counts: dict[str, Counter[MatchStatus]] = {}
        for match in self.matches:
            counts.setdefault(match.key, Counter())[match.status] += 1
        scored = []
        for key, found in counts.items():
            correct, false, missed = found[MatchStatus.TP], found[MatchStatus.FP], found[MatchStatus.FN]
            if correct + false + missed:
                scored.append((2 * correct / (2 * correct + false + missed), correct, key, false, missed))
        ranked = sorted(scored, key=lambda entry: (-entry[0], -entry[1], entry[2]))
        chosen = {0: "best", len(ranked) // 2: "typical", len(ranked) - 1: "worst"} if ranked else {}
        picked = {ranked[place][2]: (ranked[place], which) for place, which in chosen.items()}
        return [(key, which, entry[1], entry[3], entry[4]) for key, (entry, which) in picked.items()]

    def _item_figure(self, key: str, which: str, correct: int, false: int, missed: int) -> Figure:
        facts = [("correct", f"{correct:,}"), ("false", f"{false:,}"), ("missed", f"{missed:,}")]
        return Figure(_NOTHING, key, which, _BADGE_STYLES.get(which, "plain"), facts)


def _select_matches(matches: Sequence[Match], rank: Callable[[Match], float], samples: int) -> list[Match]:
    """The first ``samples`` by rank, at most ``PER_ITEM`` of one item as long as there are others."""
    ordered = sorted(matches, key=rank)
    seen: Counter[str] = Counter()
    first: list[Match] = []
    later: list[Match] = []
    for match in ordered:
        seen[match.key] += 1
        (first if seen[match.key] <= MAX_PER_ITEM else later).append(match)
    return [*first, *later][:samples]
