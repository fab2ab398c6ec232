"""Building blocks of a report page, and their rendering to HTML.

Every text may be hostile (class and file names are user input): the template escapes all of it. Only markup that this
package builds from numbers and escaped text is passed as :class:`Markup`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Literal

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True, slots=True)
class Card:
    """A headline figure. ``fraction``, in 0 to 1, adds a bar below it; ``lead`` emphasises the card."""

    label: str
    value: str
    note: str = ""
    fraction: float | None = None
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell; ``fraction``, in 0 to 1, adds a bar."""

    text: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class TableBlock:
    """Rows of cells; the first column is text, the others are numbers. ``hints`` are tooltips of the headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    hints: Mapping[str, str]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with a title and a note on how to read it."""

    title: str
    svg: Markup
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class ChartsBlock:
    charts: Sequence[Chart]
    kind: Literal["charts"] = "charts"


@dataclass(frozen=True, slots=True)
class Figure:
    """An image with its caption: a heading, a badge in a tone, and labelled facts."""

    svg: Markup
    heading: str
    badge: str = ""
    tone: Literal["good", "bad", "plain"] = "plain"
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class GalleryBlock:
    """Figures under a title.

    Attributes:
        empty: text shown if there are no figures.
        legend: pairs of a line style and its meaning.
        large: use wide cards, for full images instead of crops.
    """

    title: str
    note: str
    figures: Sequence[Figure]
    empty: str
    legend: Sequence[tuple[str, str]] = ()
    large: bool = False
    kind: Literal["gallery"] = "gallery"


@dataclass(frozen=True, slots=True)
class NoteBlock:
    text: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page. ``id`` is its anchor: letters and '-'."""

    id: str
    title: str
    note: str
    blocks: Sequence[TableBlock | ChartsBlock | GalleryBlock | NoteBlock]


def format_number(value: float | None, digits: int = 3) -> str:
    """Format a number with fixed digits, or a dash for None."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def _bar(fraction: float) -> Markup:
    width = 100 * min(max(fraction, 0.0), 1.0)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-track" width="100" height="4"/><rect class="bar-fill" width="{:.2f}" height="4"/></svg>'
    ).format(width)


def _read_template(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def render_page(
    title: str,
    facts: Mapping[str, str],
    cards: Sequence[Card],
    sections: Sequence[Section],
    *,
    subtitle: str,
) -> str:
    """Render a self-contained HTML page that needs no other file, no network and no script.

    Its content security policy only allows its own style sheet (by hash) and inline images.

    Args:
        title: heading and title of the document.
        facts: labelled facts below the heading.
        cards: headline figures.
        sections: sections with tables, charts and galleries.
        subtitle: text above the heading.
    """
    style = _read_template("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["bar"] = _bar
    return environment.from_string(_read_template("page.html.j2")).render(
        title=title,
        subtitle=subtitle,
        facts=facts,
        cards=cards,
        sections=sections,
        style=Markup(style),  # noqa: S704  a trusted file of this package
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )
