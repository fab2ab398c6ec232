"""Train a model from a recipe, and register the result as a model version."""

from __future__ import annotations

import platform
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version as library_version
from types import FrameType

from saccade.app.ml import MODEL_LIBRARIES
from saccade.app.ml.training_runs import KIND, RunLog
from saccade.core.errors import ConflictError, NotFoundError, RecipeError, SaccadeError
from saccade.core.progress import NullProgress, Progress
from saccade.core.urls import redact_text
from saccade.models.artifact import WEIGHTS_FILE, build_manifest
from saccade.runtime.signals import signal_handlers
from saccade.store.registry.models import ModelVersion
from saccade.store.registry.runs import Run
from saccade.store.workspace import Workspace
from saccade.training.checkpoint import read_state
from saccade.training.checks import Check, run_checks
from saccade.training.hooks import Hook, LineHook, MetricsLogHook, ProgressHook, TensorBoardHook
from saccade.training.job import TrainingJob, build_training, resume_fingerprint
from saccade.training.loop import FitResult, stop_reason
from saccade.training.progress_log import ProgressLogHook
from saccade.training.recipe import Recipe, parse_recipe
from saccade.training.run_files import BEST_FILE, CHECKPOINT_FILE, LAST_FILE, METRICS_FILE, PROGRESS_FILE

_LOG_INTERVAL_S = 10.0
_HEARTBEAT_INTERVAL_S = 30.0


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of a training.

    Attributes:
        run: The run.
        outcome: How the training ended.
        model: The new model version with the best weights, or the last ones if there was no validation yet; None if the
            training was stopped before its first step.
        was_complete: Nothing was left to do for ``resume``; ``run`` and ``model`` are those of the earlier training.
    """

    run: Run
    outcome: FitResult
    model: ModelVersion | None
    was_complete: bool = False


def train(
    workspace: Workspace,
    recipe: Recipe,
    *,
    resume: bool = False,
    resume_run: str | None = None,
    progress: Progress | None = None,
    hooks: Sequence[Hook] = (),
    tensorboard: bool = True,
) -> TrainResult:
    """Train a recipe and register the best weights as the next version of the model ``recipe.name``.

    SIGINT, SIGTERM and a progress that raises KeyboardInterrupt stop the training after the current step. Its best
    weights so far and its checkpoint are kept, and also after a kill ``resume`` continues from the last checkpoint.

    Args:
        workspace: The workspace.
        recipe: The recipe.
        resume: Continue the latest training with this recipe on the same dataset version. A finished one is continued
            in a new run if the recipe allows more epochs or time; its parents are then the earlier run and its model.
        resume_run: Continue this run, on its dataset version, instead of the latest one.
        progress: Receives progress of each epoch.
        hooks: Further hooks of the training loop.
        tensorboard: Log metrics for TensorBoard.

    Raises:
        NotFoundError: The dataset does not exist, or there is no training to resume.
        ConflictError: The run to resume is running.
        RecipeError: The recipe does not fit the dataset, or has fewer epochs than the training to resume has done.
    """
    run_to_resume = None if resume_run is None else _open_training(workspace, resume_run)
    # A run is resumed on its own dataset version, also if there is a later one.
    dataset = workspace.datasets.open(recipe.data.dataset if run_to_resume is None else run_to_resume.inputs[0])
    inputs = [dataset.ref]
    session = build_training(recipe, dataset)
    parent = None
    if resume or run_to_resume is not None:
        earlier = _find_resumable_run(workspace, recipe, inputs, run_to_resume)
        state = read_state(earlier.folder / CHECKPOINT_FILE)
        _check_epochs(recipe, state.step // session.loader.steps_per_epoch)
        reason = stop_reason(state, recipe.train, session.loader.steps_per_epoch)
        model = _model_of(workspace, earlier)
        if earlier.state == "finished" and reason is not None and model is not None:
            return TrainResult(earlier, FitResult(reason, state), model, was_complete=True)
        run = _resume_or_copy(workspace, earlier, model, recipe, inputs)
        parent = earlier if run.id != earlier.id else None
    else:
        run = workspace.runs.start(KIND, recipe.name, recipe.to_json(), inputs)
    log = RunLog(run.folder)
    log.write(_describe_session(session, inputs[0]))
    all_hooks: list[Hook] = [
        ProgressHook(progress or NullProgress(), session.loader.steps_per_epoch, recipe.train.epochs),
        MetricsLogHook(run.folder),
        ProgressLogHook(
            run.folder,
            epochs=recipe.train.epochs,
            steps_per_epoch=session.loader.steps_per_epoch,
            images_per_step=recipe.train.batch_size,
            validation_images=session.validation_images,
            max_minutes=recipe.train.max_minutes,
        ),
        LineHook(log.write, recipe.train, _LOG_INTERVAL_S),
        _HeartbeatHook(workspace, run.id),
        *([TensorBoardHook(run.folder)] if tensorboard else []),
        *hooks,
    ]
    with workspace.runs.record_failure(run.id), _log_failure(log):
        with _stop_on_signal() as stop:
            outcome = session.run(run.folder, inputs=inputs, hooks=all_hooks, resume=resume, should_stop=stop.is_set)
        model = _register_model(workspace, session, run, outcome, parent)
    log.write(_describe_end(outcome, model))
    run = workspace.runs.finish(
        run.id,
        "stopped" if outcome.reason == "stopped" else "finished",
        metrics=_best_metrics(outcome),
        outputs=[f"model:{model.ref}"] if model else [],
    )
    return TrainResult(run, outcome, model)


def check_recipe(workspace: Workspace, recipe: Recipe) -> list[Check]:
    """Check recipe, data and model without training.

    A rendered batch is in the folder of a run of kind ``check``.

    Raises:
        NotFoundError: The dataset does not exist.
        RecipeError: The recipe does not fit the dataset.
    """
    dataset = workspace.datasets.open(recipe.data.dataset)
    session = build_training(recipe, dataset)
    run = workspace.runs.start("check", recipe.name, recipe.to_json(), [dataset.ref])
    with workspace.runs.record_failure(run.id):
        checks = run_checks(session, run.folder / "batch.jpg")
    workspace.runs.finish(run.id, "finished")
    return checks


class _HeartbeatHook(Hook):
    """Renews the lease of the run, which other machines take as interrupted otherwise."""

    def __init__(self, workspace: Workspace, run_id: str) -> None:
        self._workspace = workspace
        self._run_id = run_id
        self._renewed_at = time.monotonic()

    def on_step(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        self._renew()

    def on_validation_image(self) -> None:
        self._renew()

    def _renew(self) -> None:
        if time.monotonic() - self._renewed_at >= _HEARTBEAT_INTERVAL_S:
            self._renewed_at = time.monotonic()
            with suppress(SaccadeError):  # the database may be busy or unreachable for a moment
                self._workspace.runs.heartbeat(self._run_id)


def _describe_session(session: TrainingJob, dataset: str) -> str:
    settings = session.recipe.train
    return (
        f"Training {session.recipe.name} on {dataset}: {len(session.loader.dataset):,} training images, "
        f"{session.validation_images:,} validation images, {len(session.class_names)} classes, "
        f"{settings.epochs:,} epochs of {session.loader.steps_per_epoch:,} steps, batch size {settings.batch_size}."
    )


def _describe_end(outcome: FitResult, model: ModelVersion | None) -> str:
    end = "Stopped" if outcome.reason == "stopped" else f"Finished ({outcome.reason})"
    registered = "No model was registered." if model is None else f"Model {model.ref}."
    return f"{end} after {outcome.state.step:,} steps, {outcome.state.seconds / 60:.1f} minutes. {registered}"


@contextmanager
def _log_failure(log: RunLog) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        hint = f" {error.hint}" if isinstance(error, SaccadeError) and error.hint else ""
        log.write(redact_text(f"Failed: {str(error) or type(error).__name__}{hint}"))
        raise


def _open_training(workspace: Workspace, run_id: str) -> Run:
    """Return a training run that can be resumed.

    Raises:
        NotFoundError: There is no such training, or it has no checkpoint.
        ConflictError: The run is running.
    """
    run = workspace.runs.get(run_id)
    if run.kind != KIND:
        raise NotFoundError(f"The run {run_id} is not a training: it is of kind {run.kind}.")
    if run.state == "running":
        raise ConflictError(f"The training {run_id} is running.", hint="Wait until it has ended, or stop it.")
    if not (run.folder / CHECKPOINT_FILE).exists():
        raise NotFoundError(
            f"The training {run_id} ended before its first checkpoint.", hint="Start it again, without resuming."
        )
    return run


def _find_resumable_run(
    workspace: Workspace, recipe: Recipe, inputs: Sequence[str], run_to_resume: Run | None = None
) -> Run:
    """Return the latest run of the same training that has a checkpoint, or ``run_to_resume`` if that is one."""
    fingerprint = resume_fingerprint(recipe, inputs)
    runs = workspace.runs.list(kind=KIND, name=recipe.name) if run_to_resume is None else [run_to_resume]
    for run in runs:
        if not (run.folder / CHECKPOINT_FILE).exists():
            continue
        try:
            earlier_recipe = parse_recipe(run.config)
        except RecipeError:  # of an older version of Saccade, with settings that no longer exist
            continue
        if resume_fingerprint(earlier_recipe, run.inputs[:1]) == fingerprint:
            return run
    raise NotFoundError(
        f"There is no interrupted training of '{recipe.name}' with this recipe on {inputs[0]}.",
        hint="Train without --resume; a changed recipe or dataset is a new training.",
    )


def _check_epochs(recipe: Recipe, done: int) -> None:
    if recipe.train.epochs < done:
        raise RecipeError(
            f"The training to resume has done {done} epochs, and 'train.epochs' is {recipe.train.epochs}.",
            hint=f"Set train.epochs to more than {done}, or train without --resume.",
        )


def _model_of(workspace: Workspace, run: Run) -> ModelVersion | None:
    """Return the model that a run registered, or None if there is none or it was removed."""
    for output in run.outputs:
        with suppress(NotFoundError):
            return workspace.models.open(output.removeprefix("model:"))
    return None


def _resume_or_copy(
    workspace: Workspace, earlier: Run, model: ModelVersion | None, recipe: Recipe, inputs: Sequence[str]
) -> Run:
    """Resume an unfinished run, or start a new run from the checkpoint and model of a finished one."""
    if earlier.state != "finished":
        return workspace.runs.resume(earlier.id)
    parents = [] if model is None else [f"model:{model.ref}"]
    run = workspace.runs.start("train", recipe.name, recipe.to_json(), [*inputs, *parents])
    for name in (CHECKPOINT_FILE, BEST_FILE, METRICS_FILE, PROGRESS_FILE):
        if (earlier.folder / name).exists():
            shutil.copyfile(earlier.folder / name, run.folder / name)
    return run


def _register_model(
    workspace: Workspace, session: TrainingJob, run: Run, outcome: FitResult, parent: Run | None
) -> ModelVersion | None:
    """Register the best weights, or the last ones if there was no validation."""
    weights = run.folder / (BEST_FILE if (run.folder / BEST_FILE).exists() else LAST_FILE)
    if outcome.state.step == 0:
        return None
    recipe = session.recipe
    dataset = workspace.datasets.open(run.inputs[0])
    manifest = {
        **build_manifest(recipe.model, {session.target: session.class_names}, recipe.data.image),
        "recipe": recipe.to_json(),
        "dataset": dataset.ref,
        "libraries": {"python": platform.python_version(), **{name: library_version(name) for name in MODEL_LIBRARIES}},
        "training": {
            "reason": outcome.reason,
            "steps": outcome.state.step,
            "best_step": outcome.state.best_step,
            "seconds": round(outcome.state.seconds, 1),
            **({"parent_run": parent.id} if parent else {}),
        },
    }
    return workspace.models.add(
        recipe.name,
        files={WEIGHTS_FILE: weights},
        manifest=manifest,
        metrics=_best_metrics(outcome),
        run_id=run.id,
        inputs=run.inputs,
    )


def _best_metrics(outcome: FitResult) -> dict[str, float]:
    """Return the metrics of the validation that selected the best weights."""
    for record in outcome.state.history:
        if record["step"] == outcome.state.best_step and "metrics" in record:
            return {f"validation.{name}": value for name, value in record["metrics"].items()}
    return {}


@contextmanager
def _stop_on_signal() -> Iterator[threading.Event]:
    """Provide an event that the first SIGINT or SIGTERM sets; the second one acts as usual."""
    stop = threading.Event()

    def handler(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, previous[signal.Signals(number)])

    with signal_handlers(handler) as previous:
        yield stop
