"""Checks before a training, run on the recipe's own data and model (``saccade train --check``)."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from saccade.core.objects import Box, Object
from saccade.media.draw import draw_objects, grid
from saccade.media.image import encode
from saccade.models.factory import VisionModel
from saccade.models.preprocess import normalize
from saccade.training.job import TrainingJob
from saccade.training.loader import Batch
from saccade.training.optimizer import build_optimizer

_OVERFIT_STEPS = 40


@dataclass(frozen=True, slots=True)
class Check:
    """Result of a check.

    Attributes:
        name: What was checked.
        passed: Whether the check passed.
        detail: The measured values.
    """

    name: str
    passed: bool
    detail: str


def run_checks(job: TrainingJob, image_path: Path) -> list[Check]:
    """Run all checks in order; one augmented batch is drawn into the JPEG file ``image_path``."""
    batch = job.loader.batch(0)
    return [
        _run_check("recipe and data are valid", lambda: _check_sizes(job)),
        _run_check("draw an augmented batch", lambda: _draw_batch(job, image_path)),
        _run_check("data loading speed", lambda: _measure_loading(job)),
        _run_check("predictions are the same after saving and loading", lambda: _check_round_trip(job.model, batch)),
        _run_check("one batch can be overfitted", lambda: _check_overfit(job, batch)),
    ]


def _run_check(name: str, check: Callable[[], tuple[bool, str]]) -> Check:
    passed, detail = check()
    return Check(name, passed, detail)


def _check_sizes(job: TrainingJob) -> tuple[bool, str]:
    parameters = sum(parameter.numel() for parameter in job.model.parameters())
    images = len(job.loader.dataset)
    return True, f"{images:,} images, {len(job.class_names)} classes, {parameters:,} parameters"


def _draw_batch(job: TrainingJob, path: Path) -> tuple[bool, str]:
    images = []
    for epoch, position, index in job.loader.indices(0)[:16]:
        sample = job.loader.dataset.sample(epoch, position, index)
        objects = [
            Object(str(number), job.class_names[class_index], Box(*box))
            for number, (box, class_index) in enumerate(zip(sample.boxes_xyxy.tolist(), sample.classes, strict=True))
        ]
        images.append(draw_objects(sample.image, objects, scores=False))
    path.write_bytes(encode(grid(images), "jpeg"))
    return True, str(path)


def _measure_loading(job: TrainingJob) -> tuple[bool, str]:
    start = time.perf_counter()
    count = 0
    for batch in job.loader.iter_from_step(0, min(20, job.loader.steps_per_epoch)):
        count += len(batch.images)
    return True, f"{count / (time.perf_counter() - start):.0f} images/s with {job.loader.workers} threads"


def _check_round_trip(model: VisionModel, batch: Batch) -> tuple[bool, str]:
    restored = copy.deepcopy(model)
    for parameter in restored.parameters():
        torch.nn.init.zeros_(parameter)
    restored.load_state_dict(load(save({name: value.contiguous() for name, value in model.state_dict().items()})))
    images = normalize(model.spec.input, batch.images[:2], torch.device("cpu"))
    with torch.no_grad():
        expected = _flatten_tensors(model.eval()(images))
        actual = _flatten_tensors(restored.eval()(images))
    equal = all(torch.equal(a, b) for a, b in zip(expected, actual, strict=True))
    return equal, "equal outputs" if equal else "outputs differ"


def _flatten_tensors(outputs: object) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    if isinstance(outputs, dict):
        values = list(outputs.values())
    else:
        values = [getattr(outputs, name) for name in type(outputs).__slots__]  # type: ignore[attr-defined]  # every output is a slotted dataclass
    return [tensor for value in values for tensor in _flatten_tensors(value)]


def _check_overfit(job: TrainingJob, batch: Batch) -> tuple[bool, str]:
    model = copy.deepcopy(job.model).train()
    optimizer = build_optimizer(job.recipe.train.optimizer, model)
    # About four images keep the check fast.
    micro_batch = next(batch.micro_batches(max(1, len(batch.images) // 4)))
    images = normalize(model.spec.input, micro_batch.images, torch.device("cpu"))
    history = []
    for _ in range(_OVERFIT_STEPS):
        outputs = model(images)
        losses = model.head(job.target).loss(outputs[job.target], micro_batch.targets[job.target])
        loss = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        history.append(loss.item())
    # Means of three steps, because single steps are noisy.
    first = float(np.mean(history[:3]))
    last = float(np.mean(history[-3:]))
    return last < 0.7 * first, f"loss from {first:.3f} to {last:.3f} in {_OVERFIT_STEPS} steps"
