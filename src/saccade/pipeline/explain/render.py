"""Renders the graph of a pipeline as text, as a Mermaid flow chart and as SVG."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.definition.plan import Plan, StepAction

_SYMBOLS: Mapping[StepAction | None, str] = {
    StepAction.SKIP: "✓",
    StepAction.RUN: "●",
    StepAction.PARTIAL: "◐",
    StepAction.WAIT: "○",
    StepAction.OMIT: "–",
    None: "·",
}
_WIDTH = 190
_HEIGHT = 52
_GAP_X = 56
_GAP_Y = 26
_MARGIN = 16


def _sources(step: Step) -> list[str]:
    return [name for names in step.inputs.values() for name in names]


def to_text(graph: Graph, plan: Plan | None = None) -> str:
    """Render one line per step with its sources.

    Args:
        graph: the pipeline.
        plan: marks the steps: ✓ cached, ● runs, ◐ runs for some items, ○ waits.
    """
    actions = {} if plan is None else {step.step: step.action for step in plan.steps}
    name_width = max(len(step.name) for step in graph)
    operation_width = max(len(_short_operation(step.operation)) for step in graph)
    lines = []
    for step in graph:
        sources = ", ".join(_sources(step))
        symbol = _SYMBOLS[actions.get(step.name)]
        arrow = f"  ← {sources}" if sources else ""
        operation = _short_operation(step.operation)
        lines.append(f"{symbol} {step.name:{name_width}}  {operation:{operation_width}}{arrow}".rstrip())
    return "\n".join(lines)


def to_mermaid(graph: Graph) -> str:
    """Render a Mermaid flow chart, which GitHub and many editors display."""
    ids = {step.name: f"s{number}" for number, step in enumerate(graph)}
    lines = ["flowchart LR"]
    for step in graph:
        text = json.dumps(f"{step.name}<br><i>{_short_operation(step.operation)}</i>", ensure_ascii=False)
        lines.append(f"  {ids[step.name]}[{text}]")
    for step in graph:
        for port, names in step.inputs.items():
            label = f"|{port}|" if len(step.inputs) > 1 else ""
            lines += [f"  {ids[name]} -->{label} {ids[step.name]}" for name in names]
    return "\n".join(lines)


@dataclass(frozen=True)
class Point:
    """The top-left corner of a step's box."""

    x: float
    y: float


@dataclass(frozen=True)
class GraphLayout:
    """The layout of a graph from left to right.

    Attributes:
        name: the name of the pipeline.
        width: the width of the drawing.
        height: the height of the drawing.
        nodes: the position of each step's box.
        operations: the displayed operation of each step.
        edges: pairs of source step and target step.
    """

    name: str
    width: float
    height: float
    nodes: Mapping[str, Point]
    operations: Mapping[str, str]
    edges: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the layout as JSON; each edge has its curve as the data of an SVG path."""
        nodes = [
            {"step": step, "operation": self.operations[step], "x": point.x, "y": point.y}
            for step, point in self.nodes.items()
        ]
        edges = [
            {"from": source, "to": target, "path": _edge_path(self.nodes[source], self.nodes[target])}
            for source, target in self.edges
        ]
        return {
            "name": self.name,
            "width": self.width,
            "height": self.height,
            "box": [_WIDTH, _HEIGHT],
            "nodes": nodes,
            "edges": edges,
        }


def layout_graph(graph: Graph) -> GraphLayout:
    """Compute the layout of a graph."""
    boxes = _layout_boxes(graph)
    width = max(point.x for point in boxes.values()) + _WIDTH + _MARGIN
    height = max(point.y for point in boxes.values()) + _HEIGHT + _GAP_Y
    edges = tuple((name, step.name) for step in graph for name in _sources(step))
    operations = {step.name: _short_operation(step.operation) for step in graph}
    return GraphLayout(graph.name, width, height, boxes, operations, edges)


def to_svg(graph: Graph, plan: Plan | None = None) -> str:
    """Render an SVG picture in the light or dark colours of the viewer's system.

    Args:
        graph: the pipeline.
        plan: colours the steps by their action.
    """
    layout = layout_graph(graph)
    actions = {} if plan is None else {step.step: step.action for step in plan.steps}
    parts = [_edge_svg(layout.nodes[source], layout.nodes[target]) for source, target in layout.edges]
    parts += [_box_svg(step, layout.nodes[step.name], actions.get(step.name)) for step in graph]
    # Markup.format escapes the names.
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0f} {h:.0f}" width="{w:.0f}" height="{h:.0f}" '
        'role="img" aria-label="{name}"><style>{style}</style>{parts}</svg>\n'
    ).format(w=layout.width, h=layout.height, name=graph.name, style=_STYLE, parts=Markup("").join(parts))


_STYLE = Markup(
    "text{font:600 13px system-ui,sans-serif;fill:#1c2430}.o{font-weight:400;font-size:12px;fill:#5b6675}"
    "rect{fill:#fff;stroke:#c3cbd6}path{fill:none;stroke:#8a96a6;stroke-width:1.5}.tip{fill:#8a96a6;stroke:none}"
    ".skip rect{fill:#e8f5ee;stroke:#6fb58d}.run rect,.partial rect{fill:#fdf1dc;stroke:#d9a441}"
    "@media(prefers-color-scheme:dark){text{fill:#e7ecf3}.o{fill:#9aa6b6}rect{fill:#1c232d;stroke:#46525f}"
    ".skip rect{fill:#17301f;stroke:#3f8a5c}.run rect,.partial rect{fill:#36290f;stroke:#a87b25}}"
)


def _layout_boxes(graph: Graph) -> dict[str, Point]:
    """Place each step in a column to the right of its sources; within a column steps keep the order of the file."""
    columns: dict[str, int] = {}
    for step in graph:
        columns[step.name] = max((columns[name] + 1 for name in _sources(step)), default=0)
    row_counts: dict[int, int] = {}
    boxes = {}
    for step in graph:
        column = columns[step.name]
        row = row_counts.get(column, 0)
        row_counts[column] = row + 1
        boxes[step.name] = Point(_MARGIN + column * (_WIDTH + _GAP_X), _MARGIN + row * (_HEIGHT + _GAP_Y))
    return boxes


def _edge_path(source: Point, target: Point) -> str:
    """Return the path data of an edge; one that spans columns passes below the boxes between."""
    x1 = source.x + _WIDTH
    y1 = source.y + _HEIGHT / 2
    x2 = target.x
    y2 = target.y + _HEIGHT / 2
    spans_columns = x2 - x1 > _GAP_X + 1
    bend = _GAP_X if spans_columns else _GAP_X / 2
    down = (_HEIGHT + _GAP_Y) * 2 / 3 if spans_columns and y1 == y2 else 0
    points = x1, y1, x1 + bend, y1 + down, x2 - bend, y2 + down, x2 - 3, y2
    return "M{:.0f} {:.0f}C{:.0f} {:.0f} {:.0f} {:.0f} {:.0f} {:.0f}".format(*points)


def _edge_svg(source: Point, target: Point) -> Markup:
    """Return an edge with its arrow head."""
    tip = target.x, target.y + _HEIGHT / 2
    return Markup('<path d="{}"/><path class="tip" d="M{:.0f} {:.0f}l-7 -4v8z"/>').format(
        _edge_path(source, target), *tip
    )


def _box_svg(step: Step, point: Point, action: StepAction | None) -> Markup:
    return Markup(
        '<g class="{}"><rect x="{:.0f}" y="{:.0f}" width="{}" height="{}" rx="8"/>'
        '<text x="{:.0f}" y="{:.0f}">{}</text><text class="o" x="{:.0f}" y="{:.0f}">{}</text></g>'
    ).format(
        action or "",
        point.x,
        point.y,
        _WIDTH,
        _HEIGHT,
        point.x + 12,
        point.y + 22,
        _truncate(step.name),
        point.x + 12,
        point.y + 40,
        _truncate(_short_operation(step.operation)),
    )


def _short_operation(operation: str) -> str:
    """Return the operation without the folder of its file."""
    path, colon, name = operation.rpartition(":")
    return f"{path.rpartition('/')[2]}{colon}{name}"


def _truncate(text: str, max_length: int = 24) -> str:
    return text if len(text) <= max_length else f"{text[: max_length - 1]}…"
