"""``saccade train``: train a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("train")(train)


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe as a YAML file.", show_default=False)],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-s", help="Override a setting, such as train.epochs=50; repeatable.", show_default=False
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Resume an interrupted training with the same recipe.")] = False,
    check: Annotated[bool, typer.Option(help="Only check recipe, data and model.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard scalars to the folder of the run.")] = True,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train a model with a recipe. Ctrl-C stops after the current step and keeps the best weights so far."""
    from dataclasses import asdict

    from saccade.app.ml.train import check_recipe
    from saccade.app.ml.train import train as run_training
    from saccade.cli.console import metric_rows, print_json, print_line, print_message, print_table, progress_bar
    from saccade.store.workspace import Workspace
    from saccade.training.hooks import LineHook
    from saccade.training.recipe import load_recipe

    loaded = load_recipe(recipe, set_ or [])
    with Workspace.find(workspace_path) as workspace:
        if check:
            checks = check_recipe(workspace, loaded)
            if as_json:
                print_json([asdict(entry) for entry in checks])
            else:
                rows = [[entry.name, "ok" if entry.passed else "FAILED", entry.detail] for entry in checks]
                print_table(["Check", "Result", "Details"], rows)
            raise typer.Exit(0 if all(entry.passed for entry in checks) else 1)
        with progress_bar(quiet or as_json) as progress:
            # Without a terminal there is no progress bar.
            hooks = [] if quiet or as_json or progress else [LineHook(print_line, loaded.train)]
            result = run_training(
                workspace, loaded, resume=resume, progress=progress, hooks=hooks, tensorboard=tensorboard
            )
    model = result.model
    state = result.outcome.state
    if as_json:
        print_json(
            {
                "run": result.run.id,
                "state": result.run.state,
                "reason": result.outcome.reason,
                "was_complete": result.was_complete,
                "steps": state.step,
                "seconds": state.seconds,
                "model": model.ref if model else None,
                "metrics": dict(model.metrics) if model else {},
            }
        )
        return
    if result.was_complete:
        assert model is not None
        print_message(
            f"Nothing is left to do: run {result.run.id} finished ({result.outcome.reason}) after {state.step:,} steps "
            f"as [bold]{model.ref}[/]. To continue it, set more train.epochs."
        )
        return
    if parent := model and model.manifest["training"].get("parent_run"):
        print_message(f"Continued from run {parent}.")
    print_message(
        f"Run {result.run.id} {result.run.state} ({result.outcome.reason}) after {state.step:,} steps, "
        f"{state.seconds / 60:.1f} minutes."
    )
    if result.run.state == "stopped":
        print_message("Resume with: [bold]saccade train … --resume[/]")
    if model:
        print_table(["Metric", "Value"], metric_rows(model.metrics))
        print_message(f"Model [bold]{model.ref}[/]. Next: [bold]saccade evaluate {model.ref} {loaded.data.dataset}[/]")
