"""``saccade run``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from saccade.cli.options import JsonOption, QuietOption, VarOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.app.pipelines.run import PipelineResult
    from saccade.pipeline.definition.plan import Plan


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    pipeline: Annotated[Path, typer.Argument(help="A pipeline in YAML.", show_default=False)],
    var: VarOption = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this step and those that it needs.", show_default=False)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Only items at random, so many that at least this many come out.", show_default=False),
    ] = None,
    keys: Annotated[
        str | None, typer.Option(help="Only the items of these keys, separated by commas.", show_default=False)
    ] = None,
    keys_of: Annotated[
        str | None, typer.Option(help="Only the items whose keys a dataset has.", show_default=False)
    ] = None,
    retry: Annotated[bool, typer.Option(help="Work again on items that failed before.")] = False,
    plan: Annotated[bool, typer.Option(help="Only say what would be done, and why.")] = False,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes at most; else one for each core.", show_default=False)
    ] = None,
    engine: Annotated[str, typer.Option(help="Where it runs.")] = "local",
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline: only what is not there, or not what it was. With --json a line of JSON for each event.

    Ctrl-C stops it; what is done is kept, and the next run goes on from there. With --sample, --keys and --keys-of
    steps that train or have effects outside of the pipeline are left out.
    """
    import json as json_module
    import sys

    from saccade.app.pipelines.run import part_of, plan_pipeline, run_pipeline
    from saccade.cli.console import print_json, progress
    from saccade.pipeline.definition.yaml_loader import load_graph, parse_variables
    from saccade.store.workspace import Workspace

    given = dict(parse_variables(var or []))
    graph = load_graph(pipeline, given)
    if only:
        graph = graph.upto(only)
    with Workspace.find(workspace) as found:
        part = part_of(found, sample=sample, keys=keys.split(",") if keys else None, keys_of=keys_of)
        if plan:
            made = plan_pipeline(found, graph, part=part, retry=retry)
            if json:
                print_json(made.to_json())
            else:
                _print_plan(made)
            return

        def tell(event: Any) -> None:
            if json:
                sys.stdout.write(json_module.dumps(event, ensure_ascii=False, default=str) + "\n")
                sys.stdout.flush()

        config = {"file": str(pipeline), "vars": given, "only": only or [], "sample": sample, "retry": retry}
        with progress(quiet or json) as shown:
            result = run_pipeline(
                found,
                graph,
                part=part,
                retry=retry,
                engine=engine,
                processes=processes,
                progress=shown,
                listener=tell,
                config=config,
            )
    if not json:
        _print_result(result)


def _print_plan(plan: Plan) -> None:
    from rich.markup import escape

    from saccade.cli.console import out

    colors = {"skip": "green", "run": "yellow", "partial": "yellow", "wait": "dim", "leave": "dim"}
    for step in plan.steps:
        count = "" if step.items is None else f"  {step.todo:,} of {step.items:,}"
        name = f"[bold]{escape(step.step)}[/] [dim]{escape(step.operation)}[/]"
        out.print(f"[{colors[step.action]}]{step.action:8}[/] {name}{count}")
        for reason in step.reasons:
            out.print(f"         [dim]{escape(reason)}[/]")


def _print_result(result: PipelineResult) -> None:
    from rich.markup import escape

    from saccade.cli.console import print_table, say

    rows = [
        [step.step, str(step.action), step.items, step.worked or None, step.failed or None, f"{step.seconds:.2f} s"]
        for step in result.outcome.steps
    ]
    print_table(["Step", "Done", "Items", "Worked on", "Failed", "Time"], rows)
    for step in result.outcome.steps:
        for key, why in step.failures[:3]:
            say(f"[red]set aside[/] {escape(step.step)}: {escape(key)}: {escape(why.splitlines()[0])}")
        if step.value is not None and step.action != "skip":
            say(f"[bold]{escape(step.step)}[/] {escape(_short(step.value))}")
    say(f"Run {result.run.id} {result.run.state}.")


def _short(value: Any) -> str:
    text = ", ".join(f"{name}: {inner}" for name, inner in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) < 400 else f"{text[:400]}…"
