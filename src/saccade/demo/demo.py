"""The demo: the whole loop on made data, in one folder that is there to explore afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.ml.evaluate import evaluate_model
from saccade.app.ml.predict import predict
from saccade.app.ml.train import train
from saccade.core.progress import Progress
from saccade.demo.synthetic import write_dataset
from saccade.store.workspace import Workspace
from saccade.training.recipe import load_recipe

DATASET, MODEL = "harbour", "ships"
_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_NEXT = """
[bold]What to do next[/]
  cd {folder}
  saccade datasets stats harbour              what is in the data
  saccade models show ships@production        where the model comes from
  saccade predict ships@production IMAGES --out found
  saccade train ships.yaml --set train.epochs=60
Look at the report: {report}"""


def run_demo(
    folder: Path,
    *,
    scenes: int = 60,
    images: int = 5,
    epochs: int | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Make harbours, import them split by scene, train, evaluate, promote, predict on unseen scenes, and report.

    What an earlier call finished in the same folder is not done again. Returns the references and the metrics.
    """
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with Workspace.create(folder) as workspace:
        _data(workspace, folder, scenes, images, seed, tell, progress)
        model = _model(workspace, folder, epochs, tell, progress)
        tell("[bold]4/6[/] Measuring it on harbours that it has never seen")
        result = evaluate_model(workspace, model, DATASET, split="test", progress=progress)
        report = folder / "report.html"
        report.write_text(result.report, encoding="utf-8")
        metrics = result.metrics.to_json()
        tell(f"      AP50 [bold green]{metrics['ap50']:.3f}[/], AP {metrics['ap']:.3f} ({result.stored.dataset}, test)")
        tell("[bold]5/6[/] Promoting it to production")
        workspace.models.promote(model, "production")
        found = _predictions(workspace, folder, tell, progress)
    tell(f"Done in {(time.monotonic() - began) / 60:.1f} minutes." + _NEXT.format(folder=folder, report=report))
    return {
        "workspace": str(folder),
        "model": model,
        "dataset": result.stored.dataset,
        "ap": metrics["ap"],
        "ap50": metrics["ap50"],
        "report": str(report),
        "predictions": str(found),
        "seconds": round(time.monotonic() - began, 1),
    }


def _data(
    workspace: Workspace,
    folder: Path,
    scenes: int,
    images: int,
    seed: int,
    tell: Callable[[str], None],
    progress: Progress | None,
) -> None:
    if workspace.datasets.exists(DATASET):
        tell(f"[bold]1/6[/] {workspace.datasets.open(DATASET).ref} is there already")
        return
    tell(f"[bold]1/6[/] Making {scenes} harbours as seen from a satellite, {images} pictures of each")
    source = folder / "harbours"
    if not (source / "annotations.json").exists():
        write_dataset(source, scenes, images, seed, progress=progress)
    tell("[bold]2/6[/] Importing them, split so that no harbour is on both sides")
    request = SplitRequest(_SHARES, r"scene\d+", seed)
    result = import_dataset(workspace, source, DATASET, split=request, progress=progress)
    tell(f"      {result.version.ref}: {', '.join(f'{name} {count}' for name, count in result.splits.items())}")


def _model(
    workspace: Workspace, folder: Path, epochs: int | None, tell: Callable[[str], None], progress: Progress | None
) -> str:
    path = folder / f"{MODEL}.yaml"
    if not path.exists():
        path.write_text(files("saccade.demo").joinpath("harbour.yaml").read_text("utf-8"), encoding="utf-8")
    known = workspace.models.list()
    if any(version.name == MODEL for version in known):
        ref = workspace.models.open(MODEL).ref
        tell(f"[bold]3/6[/] {ref} is there already")
        return ref
    recipe = load_recipe(path, [] if epochs is None else [f"train.epochs={epochs}"])
    tell(f"[bold]3/6[/] Training a ship detector from random weights, {recipe.train.epochs} epochs (Ctrl-C keeps it)")
    result = train(workspace, recipe, progress=progress)
    if result.model is None:
        raise KeyboardInterrupt
    return result.model.ref


def _predictions(workspace: Workspace, folder: Path, tell: Callable[[str], None], progress: Progress | None) -> Path:
    tell("[bold]6/6[/] Predicting on unseen harbours, as pictures, as COCO and as a dataset")
    number = 1
    while (folder / f"predictions-{number}").exists() or workspace.datasets.exists(f"predictions-{number}"):
        number += 1
    out = folder / f"predictions-{number}"
    predict(
        workspace,
        f"{MODEL}@production",
        DATASET,
        split="test",
        out=out,
        dataset=f"predictions-{number}",
        progress=progress,
    )
    return out
