"""Charts as inline SVG: numbers and escaped text only; colours come from classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

COLORS = 8
"""Series colours of the style sheet: classes ``l0`` to ``l7`` for lines, ``f0`` to ``f7`` for areas."""

NARROW, WIDE = 480, 1040
"""Widths of charts in units of the page, for half and for the whole of its breadth."""
MANY_CLASSES = 12
"""A confusion matrix of more takes the whole breadth."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 16, 12, 46


@dataclass(frozen=True, slots=True)
class Series:
    """A named line through (x, y) points; ``style`` is its class list, ``legend`` whether it is listed."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    legend: bool = True


@dataclass(frozen=True, slots=True)
class Frame:
    """A plot area on which both axes run from 0 to a maximum."""

    width: float = NARROW
    height: float = 320
    x_max: float = 1.0
    y_max: float = 1.0
    left: float = _LEFT

    def x(self, value: float) -> float:
        return self.left + value / self.x_max * (self.width - self.left - _RIGHT)

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - value / self.y_max * (self.height - _TOP - _BOTTOM)

    def axes(self, x_title: str, y_title: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[Markup]:
        """Grid, ticks and titles of both axes."""
        x0, x1, y0, y1 = self.x(0), self.x(self.x_max), self.y(0), self.y(self.y_max)
        parts = [
            Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(x0, x1, y, y)
            for y in map(self.y, y_ticks)
        ]
        parts += [text(x0 - 8, self.y(tick) + 4, tick_text(tick), anchor="end") for tick in y_ticks]
        parts += [text(self.x(tick), y0 + 17, tick_text(tick), anchor="middle") for tick in x_ticks]
        parts.append(
            Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(x0, x1, y0, y0)
        )
        parts.append(text((x0 + x1) / 2, self.height - 8, x_title, anchor="middle", style="axis-title"))
        middle = (y0 + y1) / 2
        parts.append(
            Markup(
                '<text class="axis-title" text-anchor="middle" transform="translate(13 {:.1f}) rotate(-90)">{}</text>'
            ).format(middle, y_title)
        )
        return parts


def tick_text(value: float) -> str:
    """A tick in few digits: 0.2, 5, 20,000."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def nice_ticks(largest: float, wanted: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers from 0 up to the first at or above ``largest``; at least 0 and 1; only whole ones for counts."""
    if largest <= 0:
        return [0.0, 1.0]
    power = float(10 ** math.floor(math.log10(largest / wanted)))
    sizes = [size * power for size in (1, 2, 2.5, 5, 10)]
    step = next(size for size in sizes if size * wanted >= largest and (not whole or size.is_integer()))
    return [round(index * step, 10) for index in range(math.ceil(largest / step - 1e-9) + 1)]


def text(x: float, y: float, words: str, *, anchor: str = "start", style: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, style, words
    )


def svg(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    """The element around the parts; ``title`` is what a screen reader says."""
    head = Markup('<svg class="plot" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(
        width, height, title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _path(frame: Frame, points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in points)


def legend(
    entries: Sequence[tuple[str, str]], width: float, top: float, *, mark: str = "line"
) -> tuple[list[Markup], float]:
    """Named marks (name, class list) in rows from ``top``; returns them with the height they take."""
    parts, x, y = [], float(_LEFT), top + 12
    for name, style in entries:
        shown = name if len(name) <= 28 else name[:27] + "…"
        needed = 34 + 6.6 * len(shown)
        if x + needed > width and x > _LEFT:
            x, y = float(_LEFT), y + 20
        if mark == "line":
            parts.append(Markup('<path class="line {}" d="M{:.1f} {:.1f}h18"/>').format(style, x, y - 4))
        else:
            parts.append(
                Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="12" height="12" rx="3"/>').format(
                    style, x, y - 10
                )
            )
        parts.append(text(x + (24 if mark == "line" else 18), y, shown, style="name"))
        x += needed + 8
    return parts, y - top + 8


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_title: str,
    y_title: str,
    x_max: float = 1.0,
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Lines in a frame from 0 to 1; ``mark`` is a labelled vertical line."""
    frame = Frame(x_max=x_max)
    parts = frame.axes(x_title, y_title, nice_ticks(x_max), nice_ticks(1.0))
    for line in series:
        if line.points:
            parts.append(
                Markup('<path class="line {}" d="{}"><title>{}</title></path>').format(
                    line.style, _path(frame, line.points), line.name
                )
            )
    if mark is not None:
        x = frame.x(mark[0])
        parts.append(
            Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(
                x, frame.y(0), frame.y(1)
            )
        )
        left_half = mark[0] < x_max / 2
        parts.append(
            text(
                x + (6 if left_half else -6),
                frame.y(0) - 8,
                mark[1],
                anchor="start" if left_half else "end",
                style="label",
            )
        )
    entries, taken = legend([(line.name, line.style) for line in series if line.legend], frame.width, frame.height)
    return svg(frame.width, frame.height + taken, title, [*parts, *entries])


def histogram(
    groups: Sequence[tuple[str, Sequence[float], str]], *, title: str, x_title: str, y_title: str, bins: int = 25
) -> Markup:
    """Values of named groups (name, values, class) counted in equal bins from 0 to 1 or the largest, stacked."""
    largest = max([1.0, *(value for _, values, _ in groups for value in values)])
    counts = [[0] * bins for _ in groups]
    for row, (_, values, _) in zip(counts, groups, strict=True):
        for value in values:
            row[min(bins - 1, max(0, int(value / largest * bins)))] += 1
    ticks = nice_ticks(max(map(sum, zip(*counts, strict=True)), default=0), 4, whole=True)
    frame = Frame(width=WIDE, height=300, x_max=largest, y_max=ticks[-1])
    parts = frame.axes(x_title, y_title, nice_ticks(largest), ticks)
    width = (frame.x(largest) - frame.x(0)) / bins
    for index in range(bins):
        base = 0
        for row, (name, _, style) in zip(counts, groups, strict=True):
            if row[index]:
                high, low = frame.y(base + row[index]), frame.y(base)
                parts.append(
                    Markup(
                        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">'
                        "<title>{}: {}</title></rect>"
                    ).format(style, frame.x(0) + index * width + 1, high, width - 2, low - high, name, row[index])
                )
            base += row[index]
    named = [(f"{name} ({len(values):,})", style) for name, values, style in groups]
    entries, taken = legend(named, frame.width, frame.height, mark="square")
    return svg(frame.width, frame.height + taken, title, [*parts, *entries])


def shares(entries: Sequence[tuple[str, int, str, str]], *, title: str) -> Markup:
    """Named counts (name, count, class, explanation) as horizontal bars with their share of the whole."""
    total = sum(count for _, count, _, _ in entries)
    most = max((count for _, count, _, _ in entries), default=0)
    parts, y = [], 6.0
    for name, count, style, explanation in entries:
        length = 250 * count / most if most else 0
        parts.append(text(122, y + 16, name, anchor="end", style="name"))
        parts.append(
            Markup('<rect class="{}" x="134" y="{:.1f}" width="{:.1f}" height="22" rx="4"/>').format(
                style, y, max(length, 1.5)
            )
        )
        share = f"{count:,} ({count / total:.0%})" if total else "0"
        parts.append(text(144 + length, y + 16, share, style="label"))
        parts.append(text(134, y + 38, explanation, style="soft"))
        y += 56
    return svg(NARROW, y, title, parts)


def heat_map(
    names: Sequence[str], counts: Sequence[Sequence[int]], *, title: str, background: str | None = None
) -> Markup:
    """A confusion matrix: true classes in rows, predicted in columns, shaded by the share of the row.

    ``background`` names the class whose row and column mean "no object"; the cell of both is left blank.
    """
    size = len(names)
    side = max(20.0, min(62.0, 620 / max(size, 1)))
    shown = [name if len(name) <= 18 else name[:17] + "…" for name in names]
    left = 34 + 7 * max(map(len, shown), default=0)
    slanted = 7 * max(map(len, shown), default=0) > side
    below = (left - 20) * 0.75 + 26 if slanted else 44
    width, height = left + side * size + (30 if slanted else 14), 12 + side * size + below
    parts: list[Markup] = []
    for row, (name, line) in enumerate(zip(shown, counts, strict=True)):
        parts.append(text(left - 8, 12 + side * (row + 0.5) + 4, name, anchor="end", style="name"))
        total = sum(line)
        for column, count in enumerate(line):
            if names[row] == background == names[column]:
                continue
            parts += _tile(
                left + side * column,
                12 + side * row,
                side,
                count=count,
                share=count / max(total, 1),
                diagonal=row == column,
            )
    for column, name in enumerate(shown):
        x, y = left + side * (column + 0.5), 12 + side * size + 16
        if slanted:
            parts.append(
                Markup(
                    '<text class="name" text-anchor="end" transform="translate({:.1f} {:.1f}) rotate(-45)">{}</text>'
                ).format(x + 4, y - 4, name)
            )
        else:
            parts.append(text(x, y, name, anchor="middle", style="name"))
    parts.append(text(left + side * size / 2, height - 4, "predicted", anchor="middle", style="axis-title"))
    parts.append(
        Markup(
            '<text class="axis-title" text-anchor="middle" transform="translate(13 {:.1f}) rotate(-90)">{}</text>'
        ).format(12 + side * size / 2, "true")
    )
    whole = max(width, WIDE if size > MANY_CLASSES else NARROW)  # so that letters are as large as in other charts
    shift = Markup('<g transform="translate({:.1f} 0)">').format((whole - width) / 2)
    return svg(whole, height, title, [shift, *parts, Markup("</g>")])


def _tile(x: float, y: float, side: float, *, count: int, share: float, diagonal: bool) -> list[Markup]:
    place = Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="3"').format(
        x + 1, y + 1, side - 2, side - 2
    )
    parts = [Markup('<rect class="tile-back" {}/>').format(place)]
    if count:
        kind = "tile" if diagonal else "tile miss"
        parts.append(
            Markup('<rect class="{}" fill-opacity="{:.3f}" {}><title>{} ({:.0%} of the row)</title></rect>').format(
                kind, 0.12 + 0.88 * share, place, f"{count:,}", share
            )
        )
    digits = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
    if count and 6.8 * len(digits) < side:
        parts.append(
            text(x + side / 2, y + side / 2 + 4, digits, anchor="middle", style="on" if share > 0.55 else "label")
        )
    return parts


def reliability(bins: Sequence[tuple[float, float, int, float | None, float | None]], *, title: str) -> Markup:
    """Accuracy against confidence, per bin (low, high, count, confidence, accuracy), over a strip of counts."""
    frame = Frame()
    ticks = nice_ticks(1.0)
    parts = frame.axes("confidence (highest probability)", "accuracy", ticks, ticks)
    most = max((count for _, _, count, _, _ in bins), default=0)
    for low, high, count, confidence, accuracy in bins:
        if confidence is None or accuracy is None:
            continue
        x, width = frame.x(low) + 1, frame.x(high) - frame.x(low) - 2
        strip = 26 * count / most
        parts.append(
            Markup(
                '<rect class="f0" fill-opacity=".75" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2">'
                "<title>{}</title></rect>"
            ).format(
                x,
                frame.y(accuracy),
                width,
                frame.y(0) - frame.y(accuracy),
                f"{count:,} items, confidence {confidence:.3f}, accuracy {accuracy:.3f}",
            )
        )
        parts.append(
            Markup('<rect class="f1" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="3" rx="1.5"/>').format(
                x, frame.y(confidence) - 1.5, width
            )
        )
        parts.append(
            Markup('<rect class="count" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                x, frame.height + 34 - strip, width, strip
            )
        )
    parts.append(Markup('<path class="dash" d="{}"/>').format(_path(frame, [(0, 0), (1, 1)])))
    parts.append(text(frame.left - 8, frame.height + 32, "items", anchor="end"))
    entries, taken = legend(
        [("accuracy in the bin", "f0"), ("mean confidence", "f1"), ("number of items", "count")],
        frame.width,
        frame.height + 40,
        mark="square",
    )
    return svg(frame.width, frame.height + 40 + taken, title, [*parts, *entries])
