"""``saccade predict``: run a model on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption
from saccade.core.text import format_count

if TYPE_CHECKING:
    from saccade.app.ml.predict import PredictResult
    from saccade.inference.predictor import Prediction

_MAX_ROWS = 20


def register(app: typer.Typer) -> None:
    app.command("predict")(predict)


def predict(
    model: Annotated[str, typer.Argument(help="MODEL, MODEL@VERSION or MODEL@ALIAS.", show_default=False)],
    source: Annotated[str, typer.Argument(help="An image, video, folder, glob or dataset.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="Folder for predictions.json and rendered images.", show_default=False)
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier output in that folder.")] = False,
    dataset: Annotated[
        str | None, typer.Option(help="Write the predictions to this dataset: NAME or NAME@BRANCH.", show_default=False)
    ] = None,
    mode: Annotated[str, typer.Option(help="With --dataset: create, replace, append or merge.")] = "create",
    split: Annotated[str | None, typer.Option(help="Only this split of a dataset.", show_default=False)] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Confidence threshold.")] = 0.25,
    render: Annotated[bool, typer.Option(help="Draw the objects on copies of the images.")] = True,
    workspace_path: WorkspaceOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a model on images."""
    from rich.markup import escape

    from saccade.app.ml.predict import predict as run_prediction
    from saccade.cli.console import print_json, print_message, print_table, progress_bar
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace_path) as workspace, progress_bar(quiet or as_json) as progress:
        result = run_prediction(
            workspace,
            model,
            source,
            out=out,
            overwrite=overwrite,
            dataset=dataset,
            mode=mode,  # type: ignore[arg-type]  # run_prediction checks it first
            split=split,
            min_score=min_score,
            render=render,
            progress=progress,
        )
    if as_json:
        print_json(_to_json(result))
        return
    predictions = [prediction for prediction in result.predictions if prediction.error is None]
    print_message(f"[bold]{result.model}[/] on {format_count(len(predictions), 'image')}")
    print_table(
        ["Image", "Predicted"],
        [[prediction.key, _summarize(result, prediction)] for prediction in predictions[:_MAX_ROWS]],
    )
    if len(predictions) > _MAX_ROWS:
        print_message(f"… and {len(predictions) - _MAX_ROWS:,} more")
    for prediction in result.unreadable:
        print_message(f"[red]skipped[/] {escape(prediction.key)}: {escape(str(prediction.error))}")
    if out is not None:
        print_message(f"Output folder: {escape(str(out))}")
    if result.dataset is not None:
        print_message(f"Dataset: [bold]{result.dataset}[/]")


def _summarize(result: PredictResult, prediction: Prediction) -> str:
    """Count the objects by class, or name the most probable class."""
    from collections import Counter

    for objects in prediction.objects.values():
        counts = Counter(obj.class_name for obj in objects)
        return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "no objects"
    best, name = max(zip(*prediction.probabilities.values(), result.class_names, strict=True))
    return f"{name} {best:.3f}"


def _to_json(result: PredictResult) -> dict[str, object]:
    items = [
        {
            "key": prediction.key,
            "error": str(prediction.error) if prediction.error else None,
            "objects": [
                {"class": obj.class_name, "score": obj.score, "box_xyxy": list(obj.geometry.bounds_xyxy())}
                for objects in prediction.objects.values()
                for obj in objects
            ],
            "probabilities": {
                target: dict(zip(result.class_names, values, strict=True))
                for target, values in prediction.probabilities.items()
            },
        }
        for prediction in result.predictions
    ]
    folder = str(result.folder) if result.folder else None
    return {"model": result.model, "dataset": result.dataset, "out": folder, "items": items}
