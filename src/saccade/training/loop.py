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
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn

from saccade.core.errors import SaccadeError
from saccade.io.atomic import atomic_write
from saccade.models.device import autocast, best_precision
from saccade.models.factory import VisionModel
from saccade.models.preprocess import normalize
from saccade.training.checkpoint import TrainState, load_checkpoint, save_checkpoint
from saccade.training.hooks import Hook
from saccade.training.loader import Batch, BatchLoader
from saccade.training.optimizer import build_optimizer
from saccade.training.recipe import TrainSpec
from saccade.training.schedule import learning_rate, momentum

CHECKPOINT_FILE = "checkpoint.safetensors"
BEST_FILE = "best.safetensors"
LAST_FILE = "last.safetensors"
Validate = Callable[[VisionModel], Mapping[str, float]]


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
) -> FitResult:
    """Train a model; write its best and last weights and a checkpoint into ``folder``.

    Args:
        spec: Settings of the training.
        model: The model; trained in place.
        loader: Batches of the training split.
        validate: Returns metrics of a model; the first one selects the best weights, higher is better.
        folder: Receives the files.
        fingerprint: Identifies the training; a checkpoint with another one is refused.
        hooks: Observers.
        resume: Continue from the checkpoint in ``folder``. On a CPU the final weights equal, bit for bit, those of an
            uninterrupted training.
        should_stop: Polled after each step; True saves a checkpoint and ends the training.

    Raises:
        SaccadeError: A loss is not finite, or the checkpoint cannot be used.
    """
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    precision = best_precision(accelerator.device) if spec.precision == "auto" else spec.precision
    scaler = torch.amp.GradScaler(accelerator.device.type, enabled=precision == "fp16")
    model = model.to(accelerator.device).to(memory_format=torch.channels_last)
    ema = ModelEmaV3(model, decay=spec.ema, use_warmup=True) if spec.ema else None
    optimizer = build_optimizer(spec.optimizer, model)
    # The names are prefixes of the tensors in checkpoints: renaming one breaks existing checkpoints.
    modules: dict[str, nn.Module] = {"model": model, **({"average": ema} if ema else {})}
    checkpoint = folder / CHECKPOINT_FILE
    state = load_checkpoint(checkpoint, modules, optimizer, scaler, fingerprint) if resume else TrainState()
    eval_model: VisionModel = ema.module if ema else model
    train_model: nn.Module = accelerator.prepare_model(model)

    base_momentum = _base_momentum(optimizer)
    total = spec.epochs * loader.steps_per_epoch
    start = time.monotonic() - state.seconds
    # A finished training goes on if the recipe was extended since, such as by more epochs.
    reason = _stop_reason(state, spec, total) if state.finished else None
    state.finished = reason is not None
    for hook in hooks:
        hook.on_start(state.step, total)
    try:
        for batch in loader.iter_from_step(state.step, state.step if state.finished else total):
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
                ema.update(model, step=state.step)

            for name, value in losses.items():
                state.loss_sums[name] = state.loss_sums.get(name, 0.0) + value
            for hook in hooks:
                hook.on_step(state.step, losses, rate)
            state.seconds = time.monotonic() - start
            if state.step % loader.steps_per_epoch == 0:
                epoch = state.step // loader.steps_per_epoch
                time_exceeded = _time_exceeded(state, spec)
                mean_losses = {name: value / loader.steps_per_epoch for name, value in state.loss_sums.items()}
                state.loss_sums = {}
                record: dict[str, Any] = {"epoch": epoch, "step": state.step, "rate": rate, "losses": mean_losses}
                if epoch % spec.validate_every == 0 or epoch == spec.epochs or time_exceeded:
                    record["metrics"] = dict(validate(eval_model))
                    _save_if_best(state, record["metrics"], eval_model, folder / BEST_FILE, spec)
                state.seconds = time.monotonic() - start
                record["seconds"] = state.seconds
                state.history.append(record)
                for hook in hooks:
                    hook.on_epoch(epoch, state.step, record)
                reason = _stop_reason(state, spec, total)
                state.finished = reason is not None
                if state.finished or epoch % spec.checkpoint_every == 0:
                    save_checkpoint(checkpoint, state, modules, optimizer, scaler, fingerprint)
                if state.finished:
                    break
            if should_stop():
                reason = "stopped"
                save_checkpoint(checkpoint, state, modules, optimizer, scaler, fingerprint)
                break
    finally:
        for hook in hooks:
            hook.on_end()
    save_weights(folder / LAST_FILE, eval_model)
    return FitResult(reason or "epochs", state)


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
    else:
        state.since_best += 1


def _stop_reason(state: TrainState, spec: TrainSpec, total: int) -> str | None:
    """Return why a training ends after an epoch, or None if it continues."""
    if _time_exceeded(state, spec):
        return "max_minutes"
    if _patience_exhausted(state, spec):
        return "early_stop"
    return "epochs" if state.step >= total else None


def _time_exceeded(state: TrainState, spec: TrainSpec) -> bool:
    return spec.max_minutes is not None and state.seconds > 60 * spec.max_minutes


def _patience_exhausted(state: TrainState, spec: TrainSpec) -> bool:
    return spec.early_stop is not None and state.since_best >= spec.early_stop.patience
