"""The graph of a pipeline as text, as Mermaid and as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.definition.plan import Action, Plan

_SIGNS: Mapping[Action | None, str] = {
    Action.SKIP: "✓",
    Action.RUN: "●",
    Action.PARTIAL: "◐",
    Action.WAIT: "○",
    Action.LEAVE: "–",
    None: "·",
}
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _EDGE = 190, 52, 56, 26, 16


def _sources(step: Step) -> list[str]:
    return [name for names in step.inputs.values() for name in names]


def as_text(graph: Graph, plan: Plan | None = None) -> str:
    """A line for each step, with where it comes from; ✓ is there, ● runs, ◐ runs in part, ○ waits."""
    actions = {} if plan is None else {step.step: step.action for step in plan.steps}
    names = max(len(step.name) for step in graph)
    operations = max(len(_short(step.operation)) for step in graph)
    lines = []
    for step in graph:
        sources = ", ".join(_sources(step))
        sign = _SIGNS[actions.get(step.name)]
        arrow = f"  ← {sources}" if sources else ""
        lines.append(f"{sign} {step.name:{names}}  {_short(step.operation):{operations}}{arrow}".rstrip())
    return "\n".join(lines)


def as_mermaid(graph: Graph) -> str:
    """A Mermaid flow chart, which GitHub and many editors draw."""
    numbers = {step.name: f"s{number}" for number, step in enumerate(graph)}
    lines = ["flowchart LR"]
    for step in graph:
        text = json.dumps(f"{step.name}<br><i>{_short(step.operation)}</i>", ensure_ascii=False)
        lines.append(f"  {numbers[step.name]}[{text}]")
    for step in graph:
        for port, names in step.inputs.items():
            label = f"|{port}|" if len(step.inputs) > 1 else ""
            lines += [f"  {numbers[name]} -->{label} {numbers[step.name]}" for name in names]
    return "\n".join(lines)


@dataclass(frozen=True)
class Place:
    """Where the top left corner of a step's box lies."""

    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A graph from left to right, as data: where the boxes of its steps lie, and the lines between them."""

    name: str
    width: float
    height: float
    boxes: Mapping[str, Place]
    operations: Mapping[str, str]
    lines: tuple[tuple[str, str], ...]
    """From step to step."""

    def to_json(self) -> dict[str, Any]:
        """With the curve of each line, as SVG's ``path`` takes it."""
        boxes = [
            {"step": step, "operation": self.operations[step], "x": place.x, "y": place.y}
            for step, place in self.boxes.items()
        ]
        lines = [{"from": one, "to": two, "path": _curve(self.boxes[one], self.boxes[two])} for one, two in self.lines]
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "box": [_WIDTH, _HEIGHT],
            "boxes": boxes,
            "lines": lines,
        }


def drawing_of(graph: Graph) -> Drawing:
    """Where everything of a graph lies in a picture of it."""
    places = _places(graph)
    width = max(place.x for place in places.values()) + _WIDTH + _EDGE
    height = max(place.y for place in places.values()) + _HEIGHT + _GAP_Y
    lines = tuple((name, step.name) for step in graph for name in _sources(step))
    return Drawing(graph.name, width, height, places, {step.name: _short(step.operation) for step in graph}, lines)


def as_svg(graph: Graph, plan: Plan | None = None) -> str:
    """A picture from left to right, in the colours of the viewer's system, light or dark."""
    drawing = drawing_of(graph)
    places = drawing.boxes
    actions = {} if plan is None else {step.step: step.action for step in plan.steps}
    parts = [_edge(places[one], places[two]) for one, two in drawing.lines]
    parts += [_box(step, places[step.name], actions.get(step.name)) for step in graph]
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
        'role="img" aria-label="{name}"><style>{style}</style>{parts}</svg>\n'
    ).format(w=drawing.width, h=drawing.height, name=graph.name, style=_STYLE, parts=Markup("").join(parts))


_STYLE = Markup(
    "text{font:600 13px system-ui,sans-serif;fill:#1c2430}.o{font-weight:400;font-size:12px;fill:#5b6675}"
    "rect{fill:#fff;stroke:#c3cbd6}path{fill:none;stroke:#8a96a6;stroke-width:1.5}.tip{fill:#8a96a6;stroke:none}"
    ".skip rect{fill:#e8f5ee;stroke:#6fb58d}.run rect,.partial rect{fill:#fdf1dc;stroke:#d9a441}"
    "@media(prefers-color-scheme:dark){text{fill:#e7ecf3}.o{fill:#9aa6b6}rect{fill:#1c232d;stroke:#46525f}"
    ".skip rect{fill:#17301f;stroke:#3f8a5c}.run rect,.partial rect{fill:#36290f;stroke:#a87b25}}"
)


def _places(graph: Graph) -> dict[str, Place]:
    """Each step in a column after those it needs; in a column in the order of the file."""
    columns: dict[str, int] = {}
    for step in graph:
        columns[step.name] = max((columns[name] + 1 for name in _sources(step)), default=0)
    filled: dict[int, int] = {}
    places = {}
    for step in graph:
        column = columns[step.name]
        row = filled.get(column, 0)
        filled[column] = row + 1
        places[step.name] = Place(_EDGE + column * (_WIDTH + _GAP_X), _EDGE + row * (_HEIGHT + _GAP_Y))
    return places


def _curve(one: Place, two: Place) -> str:
    """A line from box to box; one that passes over columns goes below their boxes."""
    x1, y1, x2, y2 = one.x + _WIDTH, one.y + _HEIGHT / 2, two.x, two.y + _HEIGHT / 2
    passes = x2 - x1 > _GAP_X + 1
    bend = _GAP_X if passes else _GAP_X / 2
    down = (_HEIGHT + _GAP_Y) * 2 / 3 if passes and y1 == y2 else 0
    points = x1, y1, x1 + bend, y1 + down, x2 - bend, y2 + down, x2 - 3, y2
    return "M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}".format(*points)


def _edge(one: Place, two: Place) -> Markup:
    """The line, and the tip at its end."""
    tip = two.x, two.y + _HEIGHT / 2
    return Markup('<path d="{}"/><path class="tip" d="M{:.0f} {:.0f}l-7 -4v8z"/>').format(_curve(one, two), *tip)


def _box(step: Step, place: Place, action: Action | None) -> Markup:
    return Markup(
        '<g class="{}"><rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" rx="8"/>'
        '<text x="{:.0f}" y="{:.0f}">{}</text><text class="o" x="{:.0f}" y="{:.0f}">{}</text></g>'
    ).format(
        action or "",
        place.x,
        place.y,
        _WIDTH,
        _HEIGHT,
        place.x + 12,
        place.y + 22,
        _cut(step.name),
        place.x + 12,
        place.y + 40,
        _cut(_short(step.operation)),
    )


def _short(operation: str) -> str:
    """An operation without the folder of its file."""
    path, colon, name = operation.rpartition(":")
    return f"{path.rpartition('/')[2]}{colon}{name}"


def _cut(text: str, most: int = 24) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
