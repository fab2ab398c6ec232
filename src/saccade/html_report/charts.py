"""Render charts as inline SVG from numbers and escaped text; colours are classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

NARROW_WIDTH, WIDE_WIDTH = 480, 1040
"""Widths of charts in SVG units, for half and for the full width of the page."""
WIDE_MATRIX_CLASSES = 12
"""A confusion matrix with more classes takes the full width of the page."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 16, 12, 46


@dataclass(frozen=True, slots=True)
class LineSeries:
    """A named line through (x, y) points; ``style`` is its CSS class list, ``legend`` adds it to the legend."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    legend: bool = True


@dataclass(frozen=True, slots=True)
class PlotArea:
    """A plot area whose axes run from 0 to a maximum."""

    width: float = NARROW_WIDTH
    height: float = 320
    x_max: float = 1.0
    y_max: float = 1.0
    left: float = _LEFT

    def x(self, value: float) -> float:
        return self.left + value / self.x_max * (self.width - self.left - _RIGHT)

    def y(self, value: float) -> float:
        return self.height - _BOTTOM - value / self.y_max * (self.height - _TOP - _BOTTOM)

    def axes(self, x_title: str, y_title: str, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> list[Markup]:
        """Render the grid, ticks and titles of both axes."""
        x0, x1, y0, y1 = self.x(0), self.x(self.x_max), self.y(0), self.y(self.y_max)
        parts = [
            Markup('<line class="grid" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(x0, x1, y, y)
            for y in map(self.y, y_ticks)
        ]
        parts += [text_element(x0 - 8, self.y(tick) + 4, tick_text(tick), anchor="end") for tick in y_ticks]
        parts += [text_element(self.x(tick), y0 + 17, tick_text(tick), anchor="middle") for tick in x_ticks]
        parts.append(
            Markup('<line class="axis" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(x0, x1, y0, y0)
        )
        parts.append(text_element((x0 + x1) / 2, self.height - 8, x_title, anchor="middle", style="axis-title"))
        middle = (y0 + y1) / 2
        parts.append(
            Markup(
                '<text class="axis-title" text-anchor="middle" transform="translate(13 {:.1f}) rotate(-90)">{}</text>'
            ).format(middle, y_title)
        )
        return parts


def tick_text(value: float) -> str:
    """Format a tick value: 0.2, 5, 20,000."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"


def nice_ticks(largest: float, count: int = 5, *, integers: bool = False) -> list[float]:
    """Return evenly spaced round numbers from 0 to the first at or above ``largest``; [0, 1] if that is not positive.

    Args:
        largest: the largest value to show.
        count: approximate number of intervals.
        integers: only return integers.
    """
    if largest <= 0:
        return [0.0, 1.0]
    power = float(10 ** math.floor(math.log10(largest / count)))
    sizes = [size * power for size in (1, 2, 2.5, 5, 10)]
    step = next(size for size in sizes if size * count >= largest and (not integers or size.is_integer()))
    return [round(index * step, 10) for index in range(math.ceil(largest / step - 1e-9) + 1)]


def text_element(x: float, y: float, content: str, *, anchor: str = "start", style: str = "") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, style, content
    )


def svg_element(width: float, height: float, title: str, parts: Iterable[Markup]) -> Markup:
    """Wrap parts in an SVG element; ``title`` is the text for screen readers."""
    head = Markup('<svg class="plot" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}">').format(
        width, height, title
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _path(plot: PlotArea, points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{plot.x(x):.1f} {plot.y(y):.1f}" for x, y in points)


def legend(
    entries: Sequence[tuple[str, str]], width: float, top: float, *, mark: str = "line"
) -> tuple[list[Markup], float]:
    """Render a legend.

    Args:
        entries: name and CSS class list of each series.
        width: width of the chart.
        top: top edge of the legend.
        mark: "line" or "square".

    Returns:
        The elements and the height of the legend.
    """
    parts: list[Markup] = []
    x = float(_LEFT)
    y = top + 12
    for name, style in entries:
        short_name = name if len(name) <= 28 else name[:27] + "…"
        entry_width = 34 + 6.6 * len(short_name)  # a letter is about 6.6 units wide
        if x + entry_width > width and x > _LEFT:
            x = float(_LEFT)
            y += 20
        if mark == "line":
            parts.append(Markup('<path class="line {}" d="M{:.1f} {:.1f}h18"/>').format(style, x, y - 4))
        else:
            parts.append(
                Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="12" height="12" rx="3"/>').format(
                    style, x, y - 10
                )
            )
        parts.append(text_element(x + (24 if mark == "line" else 18), y, short_name, style="name"))
        x += entry_width + 8
    return parts, y - top + 8


def line_chart(
    series: Sequence[LineSeries],
    *,
    title: str,
    x_title: str,
    y_title: str,
    x_max: float = 1.0,
    mark: tuple[float, str] | None = None,
) -> Markup:
    """Render a line chart whose y axis runs from 0 to 1.

    Args:
        series: the lines.
        title: text for screen readers.
        x_title: title of the x axis.
        y_title: title of the y axis.
        x_max: maximum of the x axis.
        mark: position and label of a vertical line.
    """
    plot = PlotArea(x_max=x_max)
    parts = plot.axes(x_title, y_title, nice_ticks(x_max), nice_ticks(1.0))
    for line in series:
        if line.points:
            parts.append(
                Markup('<path class="line {}" d="{}"><title>{}</title></path>').format(
                    line.style, _path(plot, line.points), line.name
                )
            )
    if mark is not None:
        x = plot.x(mark[0])
        parts.append(
            Markup('<line class="mark" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(
                x, plot.y(0), plot.y(1)
            )
        )
        left_half = mark[0] < x_max / 2
        parts.append(
            text_element(
                x + (6 if left_half else -6),
                plot.y(0) - 8,
                mark[1],
                anchor="start" if left_half else "end",
                style="label",
            )
        )
    entries, legend_height = legend(
        [(line.name, line.style) for line in series if line.legend], plot.width, plot.height
    )
    return svg_element(plot.width, plot.height + legend_height, title, [*parts, *entries])


def histogram(
    groups: Sequence[tuple[str, Sequence[float], str]], *, title: str, x_title: str, y_title: str, bins: int = 25
) -> Markup:
    """Render a stacked histogram with equal bins from 0 to 1, or to the largest value if it is above 1.

    Args:
        groups: name, values and CSS class of each group.
        title: text for screen readers.
        x_title: title of the x axis.
        y_title: title of the y axis.
        bins: number of bins.
    """
    largest = max([1.0, *(value for _, values, _ in groups for value in values)])
    counts = [[0] * bins for _ in groups]
    for row, (_, values, _) in zip(counts, groups, strict=True):
        for value in values:
            row[min(bins - 1, max(0, int(value / largest * bins)))] += 1
    ticks = nice_ticks(max(map(sum, zip(*counts, strict=True)), default=0), 4, integers=True)
    plot = PlotArea(width=WIDE_WIDTH, height=300, x_max=largest, y_max=ticks[-1])
    parts = plot.axes(x_title, y_title, nice_ticks(largest), ticks)
    width = (plot.x(largest) - plot.x(0)) / bins
    for index in range(bins):
        base = 0
        for row, (name, _, style) in zip(counts, groups, strict=True):
            if row[index]:
                high, low = plot.y(base + row[index]), plot.y(base)
                parts.append(
                    Markup(
                        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">'
                        "<title>{}: {}</title></rect>"
                    ).format(style, plot.x(0) + index * width + 1, high, width - 2, low - high, name, row[index])
                )
            base += row[index]
    legend_entries = [(f"{name} ({len(values):,})", style) for name, values, style in groups]
    entries, legend_height = legend(legend_entries, plot.width, plot.height, mark="square")
    return svg_element(plot.width, plot.height + legend_height, title, [*parts, *entries])


def share_bars(entries: Sequence[tuple[str, int, str, str]], *, title: str) -> Markup:
    """Render named counts (name, count, CSS class, explanation) as horizontal bars with their share of the total."""
    total = sum(count for _, count, _, _ in entries)
    max_count = max((count for _, count, _, _ in entries), default=0)
    parts, y = [], 6.0
    for name, count, style, explanation in entries:
        length = 250 * count / max_count if max_count else 0
        parts.append(text_element(122, y + 16, name, anchor="end", style="name"))
        parts.append(
            Markup('<rect class="{}" x="134" y="{:.1f}" width="{:.1f}" height="22" rx="4"/>').format(
                style, y, max(length, 1.5)
            )
        )
        share = f"{count:,} ({count / total:.0%})" if total else "0"
        parts.append(text_element(144 + length, y + 16, share, style="label"))
        parts.append(text_element(134, y + 38, explanation, style="soft"))
        y += 56
    return svg_element(NARROW_WIDTH, y, title, parts)


def render_confusion_matrix(
    names: Sequence[str], counts: Sequence[Sequence[int]], *, title: str, background: str | None = None
) -> Markup:
    """Render a confusion matrix: true classes in rows, predicted classes in columns, shaded by the share of the row.

    Args:
        names: class names.
        counts: one row of counts a true class.
        title: text for screen readers.
        background: the class whose row and column mean "no object"; their common cell stays blank.
    """
    size = len(names)
    side = max(20.0, min(62.0, 620 / max(size, 1)))
    short_names = [name if len(name) <= 18 else name[:17] + "…" for name in names]
    left = 34 + 7 * max(map(len, short_names), default=0)
    is_slanted = 7 * max(map(len, short_names), default=0) > side
    bottom_margin = (left - 20) * 0.75 + 26 if is_slanted else 44
    width, height = left + side * size + (30 if is_slanted else 14), 12 + side * size + bottom_margin
    parts: list[Markup] = []
    for row, (name, line) in enumerate(zip(short_names, counts, strict=True)):
        parts.append(text_element(left - 8, 12 + side * (row + 0.5) + 4, name, anchor="end", style="name"))
        total = sum(line)
        for column, count in enumerate(line):
            if names[row] == background == names[column]:
                continue
            parts += _matrix_cell(
                left + side * column,
                12 + side * row,
                side,
                count=count,
                share=count / max(total, 1),
                diagonal=row == column,
            )
    for column, name in enumerate(short_names):
        x, y = left + side * (column + 0.5), 12 + side * size + 16
        if is_slanted:
            parts.append(
                Markup(
                    '<text class="name" text-anchor="end" transform="translate({:.1f} {:.1f}) rotate(-45)">{}</text>'
                ).format(x + 4, y - 4, name)
            )
        else:
            parts.append(text_element(x, y, name, anchor="middle", style="name"))
    parts.append(text_element(left + side * size / 2, height - 4, "predicted", anchor="middle", style="axis-title"))
    parts.append(
        Markup(
            '<text class="axis-title" text-anchor="middle" transform="translate(13 {:.1f}) rotate(-90)">{}</text>'
        ).format(12 + side * size / 2, "true")
    )
    svg_width = max(
        width, WIDE_WIDTH if size > WIDE_MATRIX_CLASSES else NARROW_WIDTH
    )  # so that letters have the same size as in other charts
    shift = Markup('<g transform="translate({:.1f} 0)">').format((svg_width - width) / 2)
    return svg_element(svg_width, height, title, [shift, *parts, Markup("</g>")])


def _matrix_cell(x: float, y: float, side: float, *, count: int, share: float, diagonal: bool) -> list[Markup]:
    geometry = Markup('x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="3"').format(
        x + 1, y + 1, side - 2, side - 2
    )
    parts = [Markup('<rect class="tile-back" {}/>').format(geometry)]
    if count:
        kind = "tile" if diagonal else "tile miss"
        parts.append(
            Markup('<rect class="{}" fill-opacity="{:.3f}" {}><title>{} ({:.0%} of the row)</title></rect>').format(
                kind, 0.12 + 0.88 * share, geometry, f"{count:,}", share
            )
        )
    digits = f"{count:,}" if count < 10_000 else f"{count / 1000:.0f}k"
    if count and 6.8 * len(digits) < side:
        parts.append(
            text_element(
                x + side / 2, y + side / 2 + 4, digits, anchor="middle", style="on" if share > 0.55 else "label"
            )
        )
    return parts


def reliability_diagram(bins: Sequence[tuple[float, float, int, float | None, float | None]], *, title: str) -> Markup:
    """Render a reliability diagram: accuracy over confidence by bin, above a strip of counts.

    Args:
        bins: low and high edge, count, mean confidence and accuracy of each bin; the last two are None if it is empty.
        title: text for screen readers.
    """
    plot = PlotArea()
    ticks = nice_ticks(1.0)
    parts = plot.axes("confidence (highest probability)", "accuracy", ticks, ticks)
    max_count = max((count for _, _, count, _, _ in bins), default=0)
    for low, high, count, confidence, accuracy in bins:
        if confidence is None or accuracy is None:
            continue
        x, width = plot.x(low) + 1, plot.x(high) - plot.x(low) - 2
        strip = 26 * count / max_count
        parts.append(
            Markup(
                '<rect class="f0" fill-opacity=".75" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="2">'
                "<title>{}</title></rect>"
            ).format(
                x,
                plot.y(accuracy),
                width,
                plot.y(0) - plot.y(accuracy),
                f"{count:,} items, confidence {confidence:.3f}, accuracy {accuracy:.3f}",
            )
        )
        parts.append(
            Markup('<rect class="f1" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="3" rx="1.5"/>').format(
                x, plot.y(confidence) - 1.5, width
            )
        )
        parts.append(
            Markup('<rect class="count" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
                x, plot.height + 34 - strip, width, strip
            )
        )
    parts.append(Markup('<path class="dash" d="{}"/>').format(_path(plot, [(0, 0), (1, 1)])))
    parts.append(text_element(plot.left - 8, plot.height + 32, "items", anchor="end"))
    entries, legend_height = legend(
        [("accuracy in the bin", "f0"), ("mean confidence", "f1"), ("number of items", "count")],
        plot.width,
        plot.height + 40,
        mark="square",
    )
    return svg_element(plot.width, plot.height + 40 + legend_height, title, [*parts, *entries])
