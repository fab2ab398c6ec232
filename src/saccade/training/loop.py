"""The training loop, in one readable function. Observers are hooks; the data comes from a :class:`BatchLoader`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import save
from torch import Tensor, nn

from saccade.core.errors import SaccadeError
from saccade.io.atomic import atomic_write
from saccade.models.device import autocast, best_precision
from saccade.models.factory import VisionModel
from saccade.models.preprocess import normalize
from saccade.training.checkpoint import TrainState, load_checkpoint, save_checkpoint
from saccade.training.ema import ModelEma
from saccade.training.hooks import Hook
from saccade.training.loader import Batch, BatchLoader
from saccade.training.optimizer import build_optimizer
from saccade.training.recipe import TrainSpec
from saccade.training.run_files import BEST_FILE, CHECKPOINT_FILE, LAST_FILE
from saccade.training.schedule import learning_rate, momentum

_VALIDATION_MARGIN = 1.2  # one validation may take longer than another
Validate = Callable[[VisionModel, Callable[[], bool]], Mapping[str, float] | None]
"""Returns the metrics of a model, or None if the callback, polled between images, returned True."""
TIE_BREAK = "log_loss"
"""Metric that decides between validations with the same value of the first metric; lower is better."""


@dataclass(frozen=True, slots=True)
class FitResult:
    """How a training ended.

    Attributes:
        reason: "epochs", "early_stop", "max_minutes" or "stopped".
        state: Progress at the end.
    """

    reason: str
    state: TrainState


def fit(
    spec: TrainSpec,
    model: VisionModel,
    loader: BatchLoader,
    validate: Validate,
    folder: Path,
    *,
    fingerprint: Mapping[str, Any],
    hooks: Sequence[Hook] = (),
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    validation_steps: float = 0,
) -> FitResult:
    """Train a model; write its best and last weights and a checkpoint into ``folder``.

    Args:
        spec: Settings of the training.
        model: The model; trained in place.
        loader: Batches of the training split.
        validate: Returns metrics of a model; the first one selects the best weights, higher is better. Of equal ones,
            the lower ``log_loss`` is better.
        validation_steps: Batches of a validation, to estimate the time of the first one.
        folder: Receives the files.
        fingerprint: Identifies the training; a checkpoint with another one is refused.
        hooks: Observers.
        resume: Continue from the checkpoint in ``folder``. On a CPU the final weights equal, bit for bit, those of an
            uninterrupted training.
        should_stop: Polled after each step and during validation; True saves a checkpoint and ends the training, as
            does a KeyboardInterrupt of a hook.

    Raises:
        SaccadeError: A loss is not finite, or the checkpoint cannot be used.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    precision = best_precision(accelerator.device) if spec.precision == "auto" else spec.precision
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=precision == "fp16")
    model = model.to(accelerator.device).to(memory_format=torch.channels_last)
    ema = ModelEma(model, spec.ema) if spec.ema else None
    optimizer = build_optimizer(spec.optimizer, model)
    # The names are prefixes of the tensors in checkpoints: renaming one breaks existing checkpoints.
    modules: dict[str, nn.Module] = {"model": model, **({"average": ema} if ema else {})}
    checkpoint = folder / CHECKPOINT_FILE
    state = load_checkpoint(checkpoint, modules, optimizer, scaler, fingerprint) if resume else TrainState()
    eval_model: VisionModel = ema.module if ema else model
    train_model: nn.Module = accelerator.prepare_model(model)

    base_momentum = _base_momentum(optimizer)
    total = spec.epochs * loader.steps_per_epoch
    clock = _Clock(state, spec, validation_steps)
    stop = _StopRequest(should_stop, hooks)
    # A finished training goes on if the recipe was extended since, such as by more epochs.
    reason = _stop_reason(state, spec, total) if state.finished else None
    state.finished = reason is not None

    def validate_in_time() -> Mapping[str, float] | None:
        start = time.monotonic()
        metrics = validate(eval_model, lambda: stop.poll(during_validation=True) or clock.is_over())
        if metrics is not None:
            clock.validation_seconds = time.monotonic() - start
        return metrics

    def epoch_record(epoch: int, steps: int) -> dict[str, Any]:
        mean_losses = {name: value / steps for name, value in state.loss_sums.items()}
        rate = learning_rate(spec.schedule, spec.optimizer.lr, state.step - 1, total)
        return {"epoch": epoch, "step": state.step, "rate": rate, "losses": mean_losses}

    def add_record(record: dict[str, Any]) -> None:
        state.seconds = clock.seconds()
        record["seconds"] = state.seconds
        state.history.append(record)
        stop.notify(lambda hook: hook.on_epoch(record["epoch"], state.step, record))

    def end_epoch() -> str | None:
        """Validate and record a complete epoch; return why the training ends."""
        epoch = state.step // loader.steps_per_epoch
        is_last_chance = clock.is_over_after_validation()
        record = epoch_record(epoch, loader.steps_per_epoch)
        if epoch % spec.validate_every == 0 or epoch == spec.epochs or is_last_chance:
            metrics = None if stop.poll() else validate_in_time()
            if metrics is None:  # ``loss_sums`` is kept: a resumed training ends this epoch first
                return "stopped" if stop.poll() else "max_minutes"
            record["metrics"] = dict(metrics)
            _save_if_best(state, record["metrics"], eval_model, folder / BEST_FILE, spec)
        state.loss_sums = {}
        add_record(record)
        return _stop_reason(state, spec, total) or ("max_minutes" if is_last_chance else None)

    def end_within_epoch() -> str:
        """Validate the weights in the middle of an epoch, because the time is over."""
        metrics = validate_in_time()
        if metrics is not None:
            steps = state.step % loader.steps_per_epoch
            record = epoch_record(state.step // loader.steps_per_epoch + 1, steps) | {"metrics": dict(metrics)}
            since_best = state.since_best
            _save_if_best(state, record["metrics"], eval_model, folder / BEST_FILE, spec)
            state.since_best = min(state.since_best, since_best)  # this validation is not one of an epoch
            add_record(record)
        return "stopped" if stop.poll() else "max_minutes"

    def end(end_reason: str | None) -> None:
        nonlocal reason
        reason = end_reason
        state.finished = reason not in (None, "stopped")
        state.stopped_at_minutes = spec.max_minutes if reason == "max_minutes" else None
        state.seconds = clock.seconds()
        at_checkpoint = state.step // loader.steps_per_epoch % spec.checkpoint_every == 0
        if reason is not None or at_checkpoint:
            save_checkpoint(checkpoint, state, modules, optimizer, scaler, fingerprint)

    stop.notify(lambda hook: hook.on_start(state.step, total))
    try:
        if not state.finished and state.loss_sums and state.step % loader.steps_per_epoch == 0:
            end(end_epoch())  # its validation was stopped
        for batch in loader.iter_from_step(state.step, state.step if reason else total):
            # Seed each step, so that a resumed training draws the same random numbers, such as for dropout.
            torch.manual_seed(_step_seed(spec.seed, state.step))
            rate = learning_rate(spec.schedule, spec.optimizer.lr, state.step, total)
            _set_rate_and_momentum(optimizer, rate, momentum(spec.schedule, base_momentum, state.step, total))
            train_model.train()
            losses: dict[str, float] = {}
            for micro_batch in batch.micro_batches(spec.accumulate):
                images = normalize(model.spec.input, micro_batch.images, accelerator.device)
                with autocast(accelerator.device, precision):
                    outputs = train_model(images)
                micro_losses = _losses(model, outputs, micro_batch)
                weight = len(micro_batch.images) / len(batch.images)
                accelerator.backward(scaler.scale(sum(micro_losses.values(), torch.zeros(())) * weight))
                for name, loss in micro_losses.items():
                    losses[name] = losses.get(name, 0.0) + loss.item() * weight
            _require_finite(losses, state.step)
            # Unscale before clipping: the limit applies to the true gradients.
            scaler.unscale_(optimizer)
            if spec.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), spec.clip_norm)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            state.step += 1
            if ema:
                ema.update(model, state.step)

            for name, value in losses.items():
                state.loss_sums[name] = state.loss_sums.get(name, 0.0) + value
            stop.notify(_step_callback(state.step, losses, rate))
            clock.count_step()
            if state.step % loader.steps_per_epoch == 0:
                end(end_epoch())
            elif stop.poll():
                end("stopped")
            elif clock.is_over_after_validation():
                end(end_within_epoch())
            if reason is None and stop.poll():
                end("stopped")
            if reason is not None:
                break
    finally:
        for hook in hooks:
            hook.on_end()
    save_weights(folder / LAST_FILE, eval_model)
    return FitResult(reason or "epochs", state)


class _Clock:
    """The elapsed time of a training, and the time that remains of ``max_minutes``."""

    def __init__(self, state: TrainState, spec: TrainSpec, validation_steps: float) -> None:
        self.validation_seconds: float | None = None
        self._limit = None if spec.max_minutes is None else 60 * spec.max_minutes
        self._validation_steps = validation_steps
        self._resumed_at = time.monotonic()
        self._start = self._resumed_at - state.seconds
        self._steps = 0

    def seconds(self) -> float:
        return time.monotonic() - self._start

    def count_step(self) -> None:
        self._steps += 1

    def is_over(self) -> bool:
        return self._limit is not None and self.seconds() >= self._limit

    def is_over_after_validation(self) -> bool:
        """Return whether another step would leave too little time for a last validation."""
        if self._limit is None:
            return False
        step_seconds = (time.monotonic() - self._resumed_at) / max(self._steps, 1)
        validation_seconds = self.validation_seconds
        if validation_seconds is None:  # a forward pass takes less time than a step
            validation_seconds = self._validation_steps * step_seconds
        return self.seconds() + step_seconds + _VALIDATION_MARGIN * validation_seconds >= self._limit


class _StopRequest:
    """Calls the hooks, and remembers a request to stop: of ``should_stop``, or a KeyboardInterrupt of a hook."""

    def __init__(self, should_stop: Callable[[], bool], hooks: Sequence[Hook]) -> None:
        self._should_stop = should_stop
        self._hooks = hooks
        self._requested = False

    def poll(self, *, during_validation: bool = False) -> bool:
        if during_validation:
            self.notify(lambda hook: hook.on_validation_image())
        self._requested = self._requested or self._should_stop()
        return self._requested

    def notify(self, call: Callable[[Hook], None]) -> None:
        for hook in self._hooks:
            try:
                call(hook)
            except KeyboardInterrupt:  # a progress raises it to cancel; the weights so far are worth keeping
                self._requested = True


def _step_callback(step: int, losses: Mapping[str, float], rate: float) -> Callable[[Hook], None]:
    return lambda hook: hook.on_step(step, losses, rate)


def save_weights(path: Path, model: nn.Module) -> None:
    """Write all weights and buffers of a model as safetensors, atomically."""
    atomic_write(path, save({name: value.detach().contiguous() for name, value in model.state_dict().items()}))


def _losses(model: VisionModel, outputs: Mapping[str, Any], batch: Batch) -> dict[str, Tensor]:
    return {
        f"{target}.{name}": loss
        for target, truth in batch.targets.items()
        for name, loss in model.head(target).loss(outputs[target], truth).items()
    }


def _require_finite(losses: Mapping[str, float], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise SaccadeError(
                f"The loss '{name}' is {value} at step {step}.",
                hint="Lower train.optimizer.lr, or set train.precision to fp32.",
            )


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _base_momentum(optimizer: torch.optim.Optimizer) -> float:
    defaults = optimizer.defaults
    return float(defaults["betas"][0] if "betas" in defaults else defaults.get("momentum", 0.0))


def _set_rate_and_momentum(optimizer: torch.optim.Optimizer, rate: float, momentum: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
        if "betas" in group and momentum != group["betas"][0]:
            group["betas"] = (momentum, group["betas"][1])
        elif group.get("momentum"):
            group["momentum"] = momentum


def _save_if_best(
    state: TrainState, metrics: Mapping[str, float], model: VisionModel, path: Path, spec: TrainSpec
) -> None:
    value = next(iter(metrics.values()))
    min_delta = spec.early_stop.min_delta if spec.early_stop else 0.0
    if state.best is None or value > state.best + min_delta:
        state.best = value
        state.best_step = state.step
        state.since_best = 0
        save_weights(path, model)
        return
    state.since_best += 1
    if value == state.best and TIE_BREAK in metrics and metrics[TIE_BREAK] < _best_tie_break(state):
        state.best_step = state.step
        save_weights(path, model)


def _best_tie_break(state: TrainState) -> float:
    for record in reversed(state.history):
        if record["step"] == state.best_step and TIE_BREAK in record.get("metrics", {}):
            return float(record["metrics"][TIE_BREAK])
    return math.inf


def stop_reason(state: TrainState, spec: TrainSpec, steps_per_epoch: int) -> str | None:
    """Return why a training with this progress has nothing left to do, or None if it would continue."""
    return _stop_reason(state, spec, spec.epochs * steps_per_epoch) if state.finished else None


def _stop_reason(state: TrainState, spec: TrainSpec, total: int) -> str | None:
    """Return why a training ends, or None if it continues."""
    if _time_exceeded(state, spec):
        return "max_minutes"
    if _patience_exhausted(state, spec):
        return "early_stop"
    return "epochs" if state.step >= total else None


def _time_exceeded(state: TrainState, spec: TrainSpec) -> bool:
    if spec.max_minutes is None:
        return False
    # A training that kept time for its last validation ended a little before its limit.
    was_over = state.stopped_at_minutes is not None and spec.max_minutes <= state.stopped_at_minutes
    return was_over or state.seconds >= 60 * spec.max_minutes


def _patience_exhausted(state: TrainState, spec: TrainSpec) -> bool:
    return spec.early_stop is not None and state.since_best >= spec.early_stop.patience
