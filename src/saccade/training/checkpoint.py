"""Checkpoints: one safetensors file with every tensor and, as JSON in its header, everything else.

A checkpoint is written beside its place and moved there, so a kill at any moment leaves the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from saccade.core.errors import SaccadeError

_HEADER = {"state", "identity", "optimizer", "scaler"}
_BEGIN_AGAIN = "Train without --resume."


@dataclass
class TrainState:
    """How far a training has come: steps done, best validation so far, validations since, and their history.

    ``loss_sums`` adds up the losses of the epoch's steps so far.
    """

    step: int = 0
    best: float | None = None
    best_step: int = 0
    since_best: int = 0
    seconds: float = 0.0
    finished: bool = False
    loss_sums: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def write_atomically(path: Path, data: bytes) -> None:
    """Put a file in its place whole and durable, or leave what was there."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def save_checkpoint(
    path: Path,
    state: TrainState,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    identity: Mapping[str, Any],
) -> None:
    """Write a checkpoint; ``identity`` is checked on loading, so that only the same training goes on from it."""
    tensors = {
        f"{name}/{key}": value.detach().contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    numbers: dict[str, Any] = {}
    for index, values in optimizer.state_dict()["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer/{index}/{key}"] = value.detach().contiguous()
            else:
                numbers[f"{index}/{key}"] = value
    header = {
        "state": json.dumps(asdict(state)),
        "identity": json.dumps(identity),
        "optimizer": json.dumps(numbers),
        "scaler": json.dumps(scaler.state_dict()),
    }
    write_atomically(path, save(tensors, metadata=header))


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    identity: Mapping[str, Any],
) -> TrainState:
    """Restore a training from its checkpoint; SaccadeError where it is damaged or of another training."""
    try:
        with safe_open(path, framework="pt") as file:
            header = {name: json.loads(text) for name, text in (file.metadata() or {}).items() if name in _HEADER}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorError, ValueError) as error:
        raise SaccadeError(f"The checkpoint {path} cannot be read: {error}.", hint=_BEGIN_AGAIN) from None
    if missing := _HEADER - set(header):
        raise SaccadeError(f"The checkpoint {path} cannot be read: it has no '{min(missing)}'.", hint=_BEGIN_AGAIN)
    if header["identity"] != json.loads(json.dumps(identity)):
        raise SaccadeError(
            f"The checkpoint {path} belongs to another recipe or dataset version.",
            hint="Resume with the same recipe, or train without --resume.",
        )
    try:
        for name, module in modules.items():
            module.load_state_dict(_under(tensors, f"{name}/"))
        optimizer.load_state_dict(
            {"state": _optimizer_state(tensors, header["optimizer"]), "param_groups": _groups(optimizer)}
        )
        if header["scaler"]:
            scaler.load_state_dict(header["scaler"])
        return TrainState(**header["state"])
    except (RuntimeError, ValueError, TypeError, KeyError) as error:  # such as one of an older Saccade
        raise SaccadeError(f"The checkpoint {path} does not fit this training: {error}", hint=_BEGIN_AGAIN) from None


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for path, value in {**_under(tensors, "optimizer/"), **numbers}.items():
        index, key = path.split("/", 1)
        state.setdefault(int(index), {})[key] = value
    return state


def _groups(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = optimizer.state_dict()["param_groups"]
    return groups
