"""The demo: import, train, evaluate, promote and predict on synthetic data, in a folder that can be explored later."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from saccade.app.ingest.importing import SplitRequest, import_dataset
from saccade.app.ml.evaluate import evaluate_model
from saccade.app.ml.predict import predict
from saccade.app.ml.train import train
from saccade.core.progress import Progress
from saccade.demo.plan import LIMIT_SECONDS, SIZES, TrainingPlan, plan_training
from saccade.demo.synthetic import write_dataset
from saccade.runtime.permissions import apply_user_umask
from saccade.store.workspace import Workspace
from saccade.training.example_recipes import open_example_recipe
from saccade.training.hooks import Hook, format_duration
from saccade.training.job import TrainingJob, build_training
from saccade.training.recipe import Recipe, load_recipe, parse_recipe

DATASET = "harbour"
MODEL = "ships"
_SPLIT_SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}
_WARMUP_STEPS = 2
_MEASURED_STEPS = 4
_NEXT_STEPS = """
[bold]Next steps[/]
  cd {folder}
  saccade datasets stats harbour              show statistics of the data
  saccade models show ships@production        show the model and its lineage
  saccade predict ships@production IMAGES --out predictions
  saccade train ships.yaml --set train.epochs=60
Evaluation report: {report}"""


def run_demo(
    folder: Path,
    *,
    scenes: int = 60,
    images: int = 5,
    epochs: int | None = None,
    size: int | None = None,
    seed: int = 0,
    log: Callable[[str], None] = lambda text: None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run the demo. Steps that an earlier call has finished in the same folder are skipped.

    Args:
        folder: The folder of the workspace; created if it does not exist.
        scenes: The number of harbour scenes to generate.
        images: The number of images of each scene.
        epochs: The number of training epochs; chosen by default so that the training takes about two minutes.
        size: The side of the model's square input in pixels; chosen likewise.
        seed: The seed of the scenes and splits.
        log: Receives a line of text for each step.
        progress: Receives progress within a step.

    Returns:
        The references of model, dataset and predictions, and the metrics.

    Raises:
        KeyboardInterrupt: The training was stopped before its first validation.
    """
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with Workspace.create(folder) as workspace:
        _prepare_dataset(workspace, folder, scenes, images, seed, log, progress)
        model = _train_model(workspace, folder, epochs, size, log, progress)
        log("[bold]4/6[/] Evaluating it on the test split, with unseen harbours")
        result = evaluate_model(workspace, model, DATASET, split="test", progress=progress)
        dataset = result.evaluation.dataset
        report = folder / "report.html"
        report.write_text(result.report, encoding="utf-8")
        apply_user_umask(report)
        metrics = result.metrics.to_json()
        log(f"      AP50 [bold green]{metrics['ap50']:.3f}[/], AP {metrics['ap']:.3f} ({dataset}, test)")
        log("[bold]5/6[/] Promoting it to production")
        workspace.models.promote(model, "production")
        predictions = _predict_test_split(workspace, folder, log, progress)
    seconds = time.monotonic() - started
    log(f"Done in {seconds / 60:.1f} minutes." + _NEXT_STEPS.format(folder=folder, report=report))
    return {
        "workspace": str(folder),
        "model": model,
        "dataset": dataset,
        "ap": metrics["ap"],
        "ap50": metrics["ap50"],
        "report": str(report),
        "predictions": str(predictions),
        "seconds": round(seconds, 1),
    }


def _prepare_dataset(
    workspace: Workspace,
    folder: Path,
    scenes: int,
    images: int,
    seed: int,
    log: Callable[[str], None],
    progress: Progress | None,
) -> None:
    if workspace.datasets.exists(DATASET):
        log(f"[bold]1/6[/] {workspace.datasets.open(DATASET).ref} already exists")
        return
    log(f"[bold]1/6[/] Generating {scenes} synthetic harbours, {images} satellite images of each")
    source = folder / "harbours"
    if not (source / "annotations.json").exists():
        write_dataset(source, scenes, images, seed, progress=progress)
    log("[bold]2/6[/] Importing them, split by harbour")
    # The images of a scene share their coast: in two splits they would leak.
    split = SplitRequest(_SPLIT_SHARES, r"scene\d+", seed)
    result = import_dataset(workspace, source, DATASET, split=split, progress=progress)
    log(f"      {result.version.ref}: {', '.join(f'{name} {count}' for name, count in result.splits.items())}")


def _train_model(
    workspace: Workspace,
    folder: Path,
    epochs: int | None,
    size: int | None,
    log: Callable[[str], None],
    progress: Progress | None,
) -> str:
    if any(version.name == MODEL for version in workspace.models.list()):
        ref = workspace.models.open(MODEL).ref
        log(f"[bold]3/6[/] {ref} already exists")
        return ref
    recipe = _write_recipe(workspace, folder / f"{MODEL}.yaml", epochs, size, log)
    log(
        f"[bold]3/6[/] Training a ship detector from random weights, {recipe.train.epochs} epochs "
        "(Ctrl-C stops the training and keeps the best weights)"
    )
    result = train(workspace, recipe, progress=progress)
    if result.model is None:
        raise KeyboardInterrupt
    return result.model.ref


def _write_recipe(
    workspace: Workspace, path: Path, epochs: int | None, size: int | None, log: Callable[[str], None]
) -> Recipe:
    """Write the recipe with a size and a number of epochs that suit this machine; an existing one is kept."""
    if path.exists():
        return load_recipe(path, _overrides(size, epochs))
    text = open_example_recipe("ships").text
    if size is None or epochs is None:
        log("      Measuring how long a training step takes")
        plan = _measure_plan(workspace, text, epochs, size)
        size = plan.size
        epochs = plan.epochs
        log(
            f"      The training will take about {format_duration(plan.seconds)} with images of {size} x {size} "
            f"pixels and {epochs} epochs. To repeat it: --size {size} --epochs {epochs}"
        )
    text = re.sub(r"(?m)^(  input: \{size: )\[.*?\]", rf"\g<1>[{size}, {size}]", text)
    text = re.sub(r"(?m)^(  epochs: )\d+", rf"\g<1>{epochs}", text)
    path.write_text(text, encoding="utf-8")
    apply_user_umask(path)
    return load_recipe(path)


def _measure_plan(workspace: Workspace, text: str, epochs: int | None, size: int | None) -> TrainingPlan:
    """Measure steps at smaller and smaller sizes until a training fits into the time."""
    reader = workspace.datasets.open(DATASET)
    step_seconds: dict[int, float] = {}
    for side in SIZES if size is None else (size,):
        job = build_training(parse_recipe(yaml.safe_load(text), _overrides(side, epochs)), reader)
        step_seconds[side] = _measure_step(job)
        plan = plan_training(step_seconds, job.loader.steps_per_epoch, epochs)
        if plan.seconds <= LIMIT_SECONDS:
            break
    return plan


def _measure_step(job: TrainingJob) -> float:
    """Return the median seconds of a training step, after a warm-up."""
    timer = StepTimer()
    count = _WARMUP_STEPS + _MEASURED_STEPS
    with TemporaryDirectory() as folder:
        outcome = job.run(Path(folder), inputs=[], hooks=[timer], should_stop=lambda: len(timer.seconds) >= count)
    if outcome.reason == "stopped" and len(timer.seconds) < count:
        raise KeyboardInterrupt
    return median(timer.seconds[_WARMUP_STEPS:] or timer.seconds)


class StepTimer(Hook):
    """Measures the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last = 0.0

    def on_start(self, step: int, total: int) -> None:
        self._last = time.monotonic()

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        now = time.monotonic()
        self.seconds.append(now - self._last)
        self._last = now


def _overrides(size: int | None, epochs: int | None) -> list[str]:
    overrides = [] if size is None else [f"model.input.size=[{size}, {size}]"]
    return overrides if epochs is None else [*overrides, f"train.epochs={epochs}"]


def _predict_test_split(
    workspace: Workspace, folder: Path, log: Callable[[str], None], progress: Progress | None
) -> Path:
    log("[bold]6/6[/] Predicting on the test split, as images, as COCO and as a dataset")
    number = 1
    while (folder / f"predictions-{number}").exists() or workspace.datasets.exists(f"predictions-{number}"):
        number += 1
    name = f"predictions-{number}"
    predict(
        workspace,
        f"{MODEL}@production",
        DATASET,
        split="test",
        out=folder / name,
        dataset=name,
        progress=progress,
    )
    return folder / name
