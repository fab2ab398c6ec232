"""``saccade run``: run a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade.cli.options import JsonOption, QuietOption, VarOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.app.pipelines.run import PipelineResult
    from saccade.pipeline.definition.plan import Plan

_ACTION_COLORS = {"skip": "green", "run": "yellow", "partial": "yellow", "wait": "dim", "omit": "dim"}
_MAX_SHOWN_FAILURES = 3
_MAX_VALUE_LENGTH = 400


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    pipeline: Annotated[Path, typer.Argument(help="Pipeline as a YAML file.", show_default=False)],
    var: VarOption = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Run only this step and those that it depends on; repeatable.", show_default=False),
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Random sample of the items that yields at least this many.", show_default=False),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(help="Only the items with these comma-separated keys.", show_default=False)
    ] = None,
    keys_of: Annotated[
        str | None, typer.Option(help="Only the items whose keys this dataset has.", show_default=False)
    ] = None,
    retry: Annotated[bool, typer.Option(help="Compute items again that failed in an earlier run.")] = False,
    plan: Annotated[bool, typer.Option(help="Only show what would be done, and why.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Number of processes; by default one per core.", show_default=False)
    ] = None,
    engine: Annotated[str, typer.Option(help="Execution engine.")] = "local",
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline; only missing or outdated results are computed. With --json, print a JSON line per event.

    Ctrl-C stops it; finished work is kept, and the next run continues from there. With --sample, --keys or --keys-of,
    steps that train or have side effects are skipped.
    """
    import json
    import sys

    from saccade.app.pipelines.run import create_subset, plan_pipeline, run_pipeline
    from saccade.cli.console import print_json, progress_bar
    from saccade.pipeline.definition.yaml_loader import load_graph, parse_variables
    from saccade.store.workspace import Workspace

    variables = dict(parse_variables(var or []))
    graph = load_graph(pipeline, variables)
    if only:
        graph = graph.subgraph(only)
    with Workspace.find(workspace_path) as workspace:
        subset = create_subset(workspace, sample=sample, keys=keys.split(",") if keys else None, keys_of=keys_of)
        if plan:
            planned = plan_pipeline(workspace, graph, subset=subset, retry=retry)
            if as_json:
                print_json(planned.to_json())
            else:
                print_plan(planned)
            return

        def print_event(event: Any) -> None:
            if as_json:
                sys.stdout.write(json.dumps(event, ensure_ascii=False, default=str) + "\n")
                sys.stdout.flush()

        config = {"file": str(pipeline), "vars": variables, "only": only or [], "sample": sample, "retry": retry}
        with progress_bar(quiet or as_json) as progress:
            result = run_pipeline(
                workspace,
                graph,
                subset=subset,
                retry=retry,
                engine=engine,
                processes=processes,
                progress=progress,
                listener=print_event,
                config=config,
            )
    if not as_json:
        _print_result(result)


def print_plan(plan: Plan) -> None:
    """Print the planned action of each step, with the reasons."""
    from rich.markup import escape

    from saccade.cli.console import print_message

    for step in plan.steps:
        count = "" if step.items is None else f"  {step.todo:,} of {step.items:,}"
        name = f"[bold]{escape(step.step)}[/] [dim]{escape(step.operation)}[/]"
        print_message(f"[{_ACTION_COLORS[step.action]}]{step.action:8}[/] {name}{count}")
        for reason in step.reasons:
            print_message(f"         [dim]{escape(reason)}[/]")


def _print_result(result: PipelineResult) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_message, print_table

    rows = [
        [step.step, str(step.action), step.items, step.computed or None, step.failed or None, f"{step.seconds:.2f} s"]
        for step in result.outcome.steps
    ]
    print_table(["Step", "Action", "Items", "Computed", "Failed", "Time"], rows)
    for step in result.outcome.steps:
        for key, error in step.failures[:_MAX_SHOWN_FAILURES]:
            print_message(f"[red]failed[/] {escape(step.step)}: {escape(key)}: {escape(error.splitlines()[0])}")
        if step.value is not None and step.action != "skip":
            print_message(f"[bold]{escape(step.step)}[/] {escape(_summarize(step.value))}")
    print_message(f"Run {result.run.id} {result.run.state}.")


def _summarize(value: Any) -> str:
    text = ", ".join(f"{name}: {inner}" for name, inner in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) < _MAX_VALUE_LENGTH else f"{text[:_MAX_VALUE_LENGTH]}…"
