"""``saccade predict``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from saccade.cli.options import JsonOption, QuietOption, WorkspaceOption

if TYPE_CHECKING:
    from saccade.app.ml.predict import PredictResult
    from saccade.inference.predictor import Prediction


def register(app: typer.Typer) -> None:
    app.command("predict")(predict)


def predict(
    model: Annotated[str, typer.Argument(help="MODEL, MODEL@VERSION or MODEL@ALIAS.", show_default=False)],
    source: Annotated[str, typer.Argument(help="An image, video, folder, glob or dataset.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="A folder for predictions.json and drawn pictures.", show_default=False)
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="A new dataset of the predictions.", show_default=False)] = None,
    split: Annotated[str | None, typer.Option(help="Of a dataset, only this split.", show_default=False)] = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out objects below.")] = 0.25,
    render: Annotated[bool, typer.Option(help="Draw the objects into copies of the pictures.")] = True,
    workspace: WorkspaceOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run a model on new images."""
    from rich.markup import escape

    from saccade.app.ml.predict import predict as run_prediction
    from saccade.cli.console import print_json, print_table, progress, say
    from saccade.store.workspace import Workspace

    with Workspace.find(workspace) as found, progress(quiet or json) as shown:
        result = run_prediction(
            found,
            model,
            source,
            out=out,
            dataset=dataset,
            split=split,
            min_score=min_score,
            render=render,
            progress=shown,
        )
    if json:
        print_json(_as_json(result))
        return
    good = [prediction for prediction in result.predictions if prediction.error is None]
    say(f"[bold]{result.model}[/] on {len(good):,} images")
    print_table(["Image", "Found"], [[p.key, _found(result, p)] for p in good[:20]])
    if len(good) > 20:
        say(f"… and {len(good) - 20:,} more")
    for prediction in result.unreadable:
        say(f"[red]set aside[/] {escape(prediction.key)}: {escape(str(prediction.error))}")
    if out is not None:
        say(f"Written: {escape(str(out))}")
    if result.dataset is not None:
        say(f"Dataset: [bold]{result.dataset}[/]")


def _found(result: PredictResult, prediction: Prediction) -> str:
    from collections import Counter

    for objects in prediction.objects.values():
        counts = Counter(found.class_name for found in objects)
        return ", ".join(f"{count} {name}" for name, count in counts.most_common()) or "nothing"
    best, name = max(zip(*prediction.probabilities.values(), result.class_names, strict=True))
    return f"{name} {best:.3f}"


def _as_json(result: PredictResult) -> dict[str, object]:
    items = [
        {
            "key": prediction.key,
            "error": str(prediction.error) if prediction.error else None,
            "objects": [
                {"class": found.class_name, "score": found.score, "box_xyxy": list(found.geometry.bounds_xyxy())}
                for objects in prediction.objects.values()
                for found in objects
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
