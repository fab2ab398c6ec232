"""Train: from a recipe to a model version in the workspace."""

from __future__ import annotations

import platform
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as library_version
from types import FrameType

from saccade.core.errors import NotFoundError, RecipeError
from saccade.core.progress import Progress, Silent
from saccade.models.artifact import WEIGHTS, describe
from saccade.runtime.signals import signals_to
from saccade.store.registry.models import ModelVersion
from saccade.store.registry.runs import Run
from saccade.store.workspace import Workspace
from saccade.training.checks import Check, run_checks
from saccade.training.hooks import Hook, MetricsLog, ProgressHook, TensorBoard
from saccade.training.job import Session, identity, prepare
from saccade.training.loop import BEST, CHECKPOINT, LAST, Outcome
from saccade.training.recipe import Recipe, parse_recipe

_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class TrainResult:
    """The run, how it ended, and the model version it left (None where it was stopped before any validation)."""

    run: Run
    outcome: Outcome
    model: ModelVersion | None


def train(
    workspace: Workspace,
    recipe: Recipe,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    hooks: Sequence[Hook] = (),
    tensorboard: bool = True,
) -> TrainResult:
    """Train a recipe and keep the result as the next version of the model ``recipe.name``.

    SIGINT and SIGTERM end it after the current step; what was learned so far is kept, and ``resume`` goes on from
    there, also after a kill.
    """
    dataset = workspace.datasets.open(recipe.data.dataset)
    inputs = [dataset.ref]
    session = prepare(recipe, dataset)
    if resume:
        run = _take_up(workspace, _run_to_resume(workspace, recipe, inputs), recipe, inputs)
    else:
        run = workspace.runs.start("train", recipe.name, recipe.to_json(), inputs)
    watching: list[Hook] = [
        ProgressHook(progress or Silent(), session.batches.steps_per_epoch, recipe.train.epochs),
        MetricsLog(run.folder),
        *([TensorBoard(run.folder)] if tensorboard else []),
        *hooks,
    ]
    with workspace.runs.noting_failure(run.id):
        with _stop_on_signal() as stop:
            outcome = session.run(run.folder, inputs=inputs, hooks=watching, resume=resume, should_stop=stop.is_set)
        model = _keep(workspace, session, run, outcome)
    run = workspace.runs.finish(
        run.id,
        "stopped" if outcome.reason == "stopped" else "finished",
        metrics=_best_metrics(outcome),
        outputs=[f"model:{model.ref}"] if model else [],
    )
    return TrainResult(run, outcome, model)


def check_recipe(workspace: Workspace, recipe: Recipe) -> list[Check]:
    """Check recipe, data and model without training; a drawn batch lies in the folder of a run of kind ``check``."""
    dataset = workspace.datasets.open(recipe.data.dataset)
    session = prepare(recipe, dataset)
    run = workspace.runs.start("check", recipe.name, recipe.to_json(), [dataset.ref])
    with workspace.runs.noting_failure(run.id):
        checks = run_checks(session, run.folder / "batch.jpg")
    workspace.runs.finish(run.id, "finished")
    return checks


def _run_to_resume(workspace: Workspace, recipe: Recipe, inputs: Sequence[str]) -> Run:
    """The latest run of the same training that has a checkpoint."""
    wanted = identity(recipe, inputs)
    for run in workspace.runs.list(kind="train", name=recipe.name):
        if not (run.folder / CHECKPOINT).exists():
            continue
        try:
            earlier = parse_recipe(run.config)
        except RecipeError:  # of an older Saccade, with a setting that is no more
            continue
        if identity(earlier, list(run.inputs)) == wanted:
            return run
    raise NotFoundError(
        f"There is no interrupted training of '{recipe.name}' with this recipe on {inputs[0]}.",
        hint="Train without --resume; a changed recipe or dataset is a new training.",
    )


def _take_up(workspace: Workspace, earlier: Run, recipe: Recipe, inputs: Sequence[str]) -> Run:
    """The run to go on in: the earlier one or, where that is finished, a new one that begins where it ended."""
    if earlier.state != "finished":
        return workspace.runs.resume(earlier.id)
    run = workspace.runs.start("train", recipe.name, recipe.to_json(), inputs)
    for name in (CHECKPOINT, BEST):
        if (earlier.folder / name).exists():
            shutil.copyfile(earlier.folder / name, run.folder / name)
    return run


def _keep(workspace: Workspace, session: Session, run: Run, outcome: Outcome) -> ModelVersion | None:
    """Register the best weights, or the last where none was validated."""
    weights = run.folder / (BEST if (run.folder / BEST).exists() else LAST)
    if outcome.state.best is None and outcome.reason == "stopped":
        return None
    recipe = session.recipe
    dataset = workspace.datasets.open(run.inputs[0])
    manifest = {
        **describe(recipe.model, {session.target: session.class_names}, recipe.data.image),
        "recipe": recipe.to_json(),
        "dataset": dataset.ref,
        "libraries": {"python": platform.python_version(), **{name: library_version(name) for name in _LIBRARIES}},
        "training": {
            "reason": outcome.reason,
            "steps": outcome.state.step,
            "best_step": outcome.state.best_step,
            "seconds": round(outcome.state.seconds, 1),
        },
    }
    files = {WEIGHTS: weights}
    return workspace.models.add(
        recipe.name, files=files, manifest=manifest, metrics=_best_metrics(outcome), run_id=run.id, inputs=[dataset.ref]
    )


def _best_metrics(outcome: Outcome) -> dict[str, float]:
    """The metrics of the validation that chose the weights."""
    for record in outcome.state.history:
        if record["step"] == outcome.state.best_step and "metrics" in record:
            return {f"validation.{name}": value for name, value in record["metrics"].items()}
    return {}


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets; the second acts as usual. Only the main thread hears them."""
    stop = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, usual[signal.Signals(number)])

    with signals_to(hear) as usual:
        yield stop
