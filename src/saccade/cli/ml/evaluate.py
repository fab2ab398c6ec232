"""``saccade evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption


def register(app: typer.Typer) -> None:
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[
        str | None, typer.Argument(help="MODEL, MODEL@VERSION or MODEL@ALIAS.", show_default=False)
    ] = None,
    dataset: Annotated[str | None, typer.Argument(help="DATASET or DATASET@VERSION.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Only the items of this split.", show_default=False)] = None,
    truth: Annotated[Path | None, typer.Option(help="COCO ground truth, instead of a dataset.")] = None,
    predictions: Annotated[Path | None, typer.Option(help="COCO results, instead of a model.")] = None,
    kind: Annotated[str, typer.Option(help="With --truth: boxes, masks or keypoints.")] = "boxes",
    report: Annotated[
        Path | None, typer.Option(help="Also write the HTML report here.", dir_okay=False, show_default=False)
    ] = None,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure a model on labelled data, or a file of predictions against a file of truth."""
    from saccade.cli.console import print_json

    if truth is not None or predictions is not None:
        if truth is None or predictions is None or model is not None or dataset is not None:
            raise typer.BadParameter("--truth and --predictions go together, without a model and a dataset.")
        from saccade.evaluation.detection import evaluate_coco_files

        metrics = evaluate_coco_files(truth, predictions, kind)
        print_json(metrics.to_json()) if json else print_metrics(metrics.to_json())
        return
    if model is None or dataset is None:
        raise typer.BadParameter("Give a model and a dataset, or --truth and --predictions.")
    _evaluate_model(model, dataset, split, report, workspace, json, quiet)


def _evaluate_model(
    model: str, dataset: str, split: str | None, report: Path | None, workspace: Path | None, json: bool, quiet: bool
) -> None:
    from rich.markup import escape

    from saccade.app.ml.evaluate import evaluate_model
    from saccade.cli.console import print_json, progress, say
    from saccade.store.workspace import Workspace

    if report is not None:  # before the work, so that no place for it is told at once
        report.parent.mkdir(parents=True, exist_ok=True)
    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        result = evaluate_model(found, model, dataset, split=split, progress=shown)
    if report is not None:
        report.write_text(result.report, encoding="utf-8")
    numbers = result.metrics.to_json()
    stored = {"evaluation": result.stored.id, "model": result.stored.model, "dataset": result.stored.dataset}
    if json:
        print_json({**stored, "split": split, **numbers, "unreadable": list(result.unreadable)})
        return
    say(f"[bold]{result.stored.model}[/] on [bold]{result.stored.dataset}[/]{f' split {split}' if split else ''}")
    print_metrics(numbers)
    if result.unreadable:
        say(f"[red]{len(result.unreadable)} images could not be read[/]: {escape(', '.join(result.unreadable[:5]))}")
    if report is not None:
        say(f"Report: {escape(str(report))}")


def print_metrics(numbers: dict[str, Any]) -> None:
    """The overall metrics, then those of each class."""
    from saccade.cli.console import metric_rows, print_table, say

    print_table(["Metric", "Value"], metric_rows(numbers))
    rows = numbers.get("per_class")
    if isinstance(rows, dict):
        rows = [{"name": name, **values} for name, values in rows.items()]
    if rows:
        names = [name for name, value in rows[0].items() if not isinstance(value, list | tuple | dict)]
        names = [name for name in names if not any(isinstance(row[name], list | tuple | dict) for row in rows)]
        say("")
        print_table([name.replace("_", " ") for name in names], [[row[name] for name in names] for row in rows])
