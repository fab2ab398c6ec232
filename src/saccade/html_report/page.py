"""A page for people: what it is made of, and how it becomes HTML.

Every text may be hostile (class and file names come from outside): the template escapes all of it, and only markup
made here and in the chart and figure modules, out of numbers and escaped text, is passed as :class:`Markup`.
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
    """A big number. ``fraction``, in 0 to 1, draws a bar beneath it; ``lead`` makes the card stand out."""

    label: str
    value: str
    note: str = ""
    fraction: float | None = None
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A table cell; with ``fraction`` it carries a bar."""

    text: str
    fraction: float | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells; the first column is text, the others are numbers. ``hints`` explain the headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    hints: Mapping[str, str]
    kind: Literal["table"] = "table"


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with a title and a sentence on how to read it."""

    title: str
    svg: Markup
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Charts:
    charts: Sequence[Chart]
    kind: Literal["charts"] = "charts"


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with its caption: a heading, a badge with its tone, and labelled facts."""

    svg: Markup
    heading: str
    badge: str = ""
    tone: Literal["good", "bad", "plain"] = "plain"
    facts: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures under a title; ``empty`` is said where there are none.

    ``legend`` explains the lines: pairs of a style and what it stands for; ``large`` is for whole images.
    """

    title: str
    note: str
    figures: Sequence[Figure]
    empty: str
    legend: Sequence[tuple[str, str]] = ()
    large: bool = False
    kind: Literal["gallery"] = "gallery"


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    kind: Literal["note"] = "note"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page. ``id`` is its anchor: letters and '-'."""

    id: str
    title: str
    note: str
    blocks: Sequence[Table | Charts | Gallery | Note]


def number(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it cannot be said."""
    return "\N{EN DASH}" if value is None else f"{value:.{digits}f}"


def _bar(fraction: float) -> Markup:
    width = 100 * min(max(fraction, 0.0), 1.0)
    return Markup(
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="bar-track" width="100" height="4"/><rect class="bar-fill" width="{:.2f}" height="4"/></svg>'
    ).format(width)


def _resource(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def render_page(
    title: str,
    facts: Mapping[str, str],
    cards: Sequence[Card],
    sections: Sequence[Section],
    *,
    subtitle: str,
) -> str:
    """One HTML page that needs no other file, no network and no script.

    Its content security policy allows nothing but its own style sheet (by hash) and inline images.
    """
    style = _resource("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["bar"] = _bar
    return environment.from_string(_resource("page.html.j2")).render(
        title=title,
        subtitle=subtitle,
        facts=facts,
        cards=cards,
        sections=sections,
        style=Markup(style),  # noqa: S704  our own file, packaged with this module
        policy=f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
    )
