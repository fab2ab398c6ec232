"""``saccade explain``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, VarOption, WorkspaceOption


class Drawing(StrEnum):
    """How a graph is drawn."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    pipeline: Annotated[Path, typer.Argument(help="A pipeline in YAML.", show_default=False)],
    item: Annotated[
        str | None,
        typer.Option(help="The key of an item: why it is worked on or not, at each step.", show_default=False),
    ] = None,
    graph: Annotated[
        Drawing | None, typer.Option(help="Draw the graph, with what a run would do.", show_default=False)
    ] = None,
    var: VarOption = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
) -> None:
    """Say what a run of a pipeline would do, and why; runs nothing."""
    import sys

    from rich.markup import escape

    from saccade.app.pipelines.run import explain as explain_one
    from saccade.app.pipelines.run import plan_pipeline
    from saccade.cli.console import out, print_json
    from saccade.cli.pipelines.run import _print_plan
    from saccade.pipeline.definition.yaml_loader import load_graph, parse_variables
    from saccade.pipeline.explain.render import as_mermaid, as_svg, as_text
    from saccade.store.workspace import Workspace

    loaded = load_graph(pipeline, dict(parse_variables(var or [])))
    with Workspace.find(workspace) as found:
        if item is not None:
            causes = explain_one(found, loaded, item)
            if json:
                print_json([cause.to_json() for cause in causes])
                return
            for cause in causes:
                since = f"  [dim]since {cause.since:%Y-%m-%d %H:%M:%S}[/]" if cause.since else ""
                state = "[green]known[/]" if cause.known else "[yellow]to do[/]"
                out.print(f"{state} [bold]{escape(cause.step)}[/] {escape(cause.key)}{since}")
                for reason in cause.reasons:
                    out.print(f"      [dim]{escape(reason)}[/]")
            return
        plan = plan_pipeline(found, loaded)
    if graph is not None:
        drawn = {"text": as_text(loaded, plan), "mermaid": as_mermaid(loaded), "svg": as_svg(loaded, plan)}[graph]
        sys.stdout.write(drawn.rstrip("\n") + "\n")
    elif json:
        print_json(plan.to_json())
    else:
        _print_plan(plan)
