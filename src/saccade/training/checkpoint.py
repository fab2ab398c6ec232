"""Checkpoints: one safetensors file with all tensors, and everything else as JSON in its header.

A checkpoint is written to a temporary file and renamed, so that a kill at any moment leaves the old or the new one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from saccade.core.errors import SaccadeError
from saccade.io.atomic import atomic_write

_HEADER_KEYS = {"state", "identity", "optimizer", "scaler"}
_RETRAIN_HINT = "Train without --resume."


@dataclass
class TrainState:
    """Progress of a training.

    Attributes:
        step: Completed steps.
        best: Best value of the first validation metric; None before the first validation.
        best_step: Step of the best validation.
        since_best: Validations since the best one.
        seconds: Training time over all resumed runs.
        finished: The training ended by itself (not stopped or interrupted).
        loss_sums: Sum of each loss over the steps of the current epoch.
        history: One record of losses and metrics for each completed epoch, and of an epoch that ``max_minutes`` cut.
        stopped_at_minutes: The ``max_minutes`` that ended the training, or None.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    since_best: int = 0
    seconds: float = 0.0
    finished: bool = False
    loss_sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    stopped_at_minutes: float | None = None


def save_checkpoint(
    path: Path,
    state: TrainState,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    fingerprint: Mapping[str, Any],
) -> None:
    """Write a checkpoint.

    Args:
        path: The file; replaced atomically.
        state: Progress of the training.
        modules: Modules by name, such as the model and its EMA.
        optimizer: Its state is saved; its hyper-parameters come from the recipe.
        scaler: Gradient scaler of fp16; its state is empty in other precisions.
        fingerprint: Identifies the training; :func:`load_checkpoint` requires the same one.
    """
    tensors = {
        f"{name}/{key}": value.detach().contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    optimizer_numbers: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value.detach().contiguous()
            else:
                optimizer_numbers[f"{index}/{key}"] = value
    header = {
        "state": json.dumps(asdict(state)),
        "identity": json.dumps(fingerprint),
        "optimizer": json.dumps(optimizer_numbers),
        "scaler": json.dumps(scaler.state_dict()),
    }
    atomic_write(path, save(tensors, metadata=header))


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    fingerprint: Mapping[str, Any],
) -> TrainState:
    """Restore a training from its checkpoint.

    Args:
        path: The file.
        modules: Modules by name, as saved; their weights are replaced.
        optimizer: Its state is replaced.
        scaler: Its state is replaced.
        fingerprint: Identifies the training.

    Raises:
        SaccadeError: The checkpoint is missing, damaged, or of another training.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = {name: json.loads(text) for name, text in (file.metadata() or {}).items() if name in _HEADER_KEYS}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise SaccadeError(f"The checkpoint {path} cannot be read: {error}.", hint=_RETRAIN_HINT) from None
    if missing := _HEADER_KEYS - set(header):
        raise SaccadeError(f"The checkpoint {path} cannot be read: it has no '{min(missing)}'.", hint=_RETRAIN_HINT)
    # Through JSON, which turns tuples into lists, as the saved fingerprint went.
    if header["identity"] != json.loads(json.dumps(fingerprint)):
        raise SaccadeError(
            f"The checkpoint {path} belongs to another recipe or dataset version.",
            hint="Resume with the same recipe, or train without --resume.",
        )
    try:
        for name, module in modules.items():
            module.load_state_dict(_with_prefix(tensors, f"{name}/"))
        optimizer.load_state_dict(
            {"state": _optimizer_state(tensors, header["optimizer"]), "param_groups": _param_groups(optimizer)}
        )
        if header["scaler"]:
            scaler.load_state_dict(header["scaler"])
        return TrainState(**header["state"])
    except (RuntimeError, ValueError, TypeError, KeyError) as error:  # such as one of an older Saccade
        raise SaccadeError(f"The checkpoint {path} does not fit this training: {error}", hint=_RETRAIN_HINT) from None


def read_state(path: Path) -> TrainState:
    """Read the progress of a training from its checkpoint, without the weights.

    Raises:
        SaccadeError: The checkpoint is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return TrainState(**json.loads((file.metadata() or {})["state"]))
    except (OSError, SafetensorError, ValueError, TypeError, KeyError) as error:
        raise SaccadeError(f"The checkpoint {path} cannot be read: {error}.", hint=_RETRAIN_HINT) from None


def _with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for path, value in {**_with_prefix(tensors, "optimizer/"), **numbers}.items():
        index, key = path.split("/", 1)
        state.setdefault(int(index), {})[key] = value
    return state


def _param_groups(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = optimizer.state_dict()["param_groups"]
    return groups
