"""``saccade explain``: show what a pipeline run would do."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, VarOption, WorkspaceOption

if TYPE_CHECKING:
    from collections.abc import Iterable

    from saccade.pipeline.explain.item import ItemExplanation


class GraphFormat(StrEnum):
    """Output formats of a graph."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    pipeline: Annotated[Path, typer.Argument(help="Pipeline as a YAML file.", show_default=False)],
    item: Annotated[
        str | None,
        typer.Option(help="Key of an item: explain for each step why it would be computed.", show_default=False),
    ] = None,
    graph: Annotated[
        GraphFormat | None, typer.Option(help="Draw the graph, with the action of each step.", show_default=False)
    ] = None,
    var: VarOption = None,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run of a pipeline would do, and why, without running it."""
    import sys

    from saccade.app.pipelines.run import explain as explain_item
    from saccade.app.pipelines.run import plan_pipeline
    from saccade.cli.console import print_json
    from saccade.cli.pipelines.run import print_plan
    from saccade.pipeline.definition.yaml_loader import load_graph, parse_variables
    from saccade.pipeline.explain.render import to_mermaid, to_svg, to_text
    from saccade.store.workspace import Workspace

    loaded = load_graph(pipeline, dict(parse_variables(var or [])))
    with Workspace.find(workspace_path) as workspace:
        if item is not None:
            explanations = explain_item(workspace, loaded, item)
            if as_json:
                print_json([explanation.to_json() for explanation in explanations])
            else:
                _print_explanations(explanations)
            return
        plan = plan_pipeline(workspace, loaded)
    if graph is not None:
        drawings = {"text": to_text(loaded, plan), "mermaid": to_mermaid(loaded), "svg": to_svg(loaded, plan)}
        sys.stdout.write(drawings[graph].rstrip("\n") + "\n")
    elif as_json:
        print_json(plan.to_json())
    else:
        print_plan(plan)


def _print_explanations(explanations: Iterable[ItemExplanation]) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_message

    for explanation in explanations:
        since = f"  [dim]since {explanation.since:%Y-%m-%d %H:%M:%S}[/]" if explanation.since else ""
        state = "[green]cached[/]" if explanation.known else "[yellow]to compute[/]"
        print_message(f"{state} [bold]{escape(explanation.step)}[/] {escape(explanation.key)}{since}")
        for reason in explanation.reasons:
            print_message(f"      [dim]{escape(reason)}[/]")
