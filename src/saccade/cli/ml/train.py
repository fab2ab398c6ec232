"""``saccade train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe in YAML.", show_default=False)],
    set_: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Change a setting, as train.epochs=50.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on with the same training where it was interrupted.")] = False,
    check: Annotated[bool, typer.Option(help="Only check recipe, data and model, and report each check.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard scalars into the run's folder.")] = True,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model by a recipe. Ctrl-C stops after the step and keeps what was learned."""
    from dataclasses import asdict

    from saccade.app.ml.train import check_recipe
    from saccade.app.ml.train import train as run_training
    from saccade.cli.console import metric_rows, print_json, print_table, progress, say
    from saccade.store.workspace import Workspace
    from saccade.training.recipe import load_recipe

    loaded = load_recipe(recipe, set_ or [])
    with Workspace.find(workspace) as found:
        if check:
            checks = check_recipe(found, loaded)
            if json:
                print_json([asdict(one) for one in checks])
            else:
                print_table(["Check", "", "Found"], [[c.name, "ok" if c.passed else "FAILED", c.found] for c in checks])
            raise typer.Exit(0 if all(one.passed for one in checks) else 1)
        with progress(quiet or json) as shown:
            result = run_training(found, loaded, resume=resume, progress=shown, tensorboard=tensorboard)
    model = result.model
    if json:
        print_json(
            {
                "run": result.run.id,
                "state": result.run.state,
                "reason": result.outcome.reason,
                "steps": result.outcome.state.step,
                "seconds": result.outcome.state.seconds,
                "model": model.ref if model else None,
                "metrics": dict(model.metrics) if model else {},
            }
        )
        return
    state = result.outcome.state
    say(
        f"Run {result.run.id} {result.run.state} ({result.outcome.reason}) after {state.step:,} steps, "
        f"{state.seconds / 60:.1f} minutes."
    )
    if result.run.state == "stopped":
        say("Go on with: [bold]saccade train … --resume[/]")
    if model:
        print_table(["Metric", "Value"], metric_rows(model.metrics))
        say(f"Model [bold]{model.ref}[/]. Next: [bold]saccade evaluate {model.ref} {loaded.data.dataset}[/]")
