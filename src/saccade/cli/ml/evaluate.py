"""``saccade evaluate``: evaluate a model, or a file of predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption
from saccade.core.text import format_count

_MAX_SHOWN_UNREADABLE = 5


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
        Path | None, typer.Option(help="Also write an HTML report to this file.", dir_okay=False, show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --report: replace an existing file.")] = False,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Evaluate a model on a labelled dataset, or COCO results against COCO ground truth."""
    from saccade.cli.console import print_json

    if truth is not None or predictions is not None:
        if truth is None or predictions is None or model is not None or dataset is not None:
            raise typer.BadParameter("--truth and --predictions go together, without a model and a dataset.")
        from saccade.evaluation.detection import evaluate_coco_files

        metrics = evaluate_coco_files(truth, predictions, kind).to_json()
        if as_json:
            print_json(metrics)
        else:
            print_metrics(metrics)
        return
    if model is None or dataset is None:
        raise typer.BadParameter("Give a model and a dataset, or --truth and --predictions.")
    _evaluate_model(model, dataset, split, report, overwrite, workspace_path, as_json, quiet)


def _evaluate_model(
    model: str,
    dataset: str,
    split: str | None,
    report: Path | None,
    overwrite: bool,
    workspace_path: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from rich.markup import escape

    from saccade.app.ml.evaluate import evaluate_model
    from saccade.cli.console import print_json, print_message, progress_bar
    from saccade.io.atomic import check_output_file, write_output_file
    from saccade.store.workspace import Workspace

    if report is not None:  # before the work, so that an impossible path fails at once
        check_output_file(report, overwrite=overwrite)
        report.parent.mkdir(parents=True, exist_ok=True)
    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        result = evaluate_model(workspace, model, dataset, split=split, progress=progress)
    if report is not None:
        write_output_file(report, result.report, overwrite=overwrite)
    metrics = result.metrics.to_json()
    evaluation = result.evaluation
    if as_json:
        ids = {"evaluation": evaluation.id, "model": evaluation.model, "dataset": evaluation.dataset}
        print_json(
            {**ids, "split": split, **metrics, "warnings": list(result.warnings), "unreadable": list(result.unreadable)}
        )
        return
    of_split = f" split {split}" if split else ""
    print_message(f"[bold]{evaluation.model}[/] on [bold]{evaluation.dataset}[/]{of_split}")
    print_metrics(metrics)
    for warning in result.warnings:
        print_message(f"[yellow]Warning:[/] {escape(warning)}")
    if result.unreadable:
        keys = ", ".join(result.unreadable[:_MAX_SHOWN_UNREADABLE])
        print_message(f"[red]{format_count(len(result.unreadable), 'image')} could not be read[/]: {escape(keys)}")
    if report is not None:
        print_message(f"Report: {escape(str(report))}")


def print_metrics(metrics: dict[str, Any]) -> None:
    """Print the overall metrics, then those of each class."""
    from saccade.cli.console import metric_rows, print_message, print_table

    print_table(["Metric", "Value"], metric_rows(metrics))
    classes = metrics.get("per_class")
    if isinstance(classes, dict):
        classes = [{"name": name, **values} for name, values in classes.items()]
    if classes:
        # Only columns whose value is a single number or text for every class.
        names = [name for name in classes[0] if not any(isinstance(row[name], list | tuple | dict) for row in classes)]
        print_message("")
        print_table([name.replace("_", " ") for name in names], [[row[name] for name in names] for row in classes])
