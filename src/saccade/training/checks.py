"""Checks before a training: each is done for real, on the recipe's own data and model, and reported."""

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
from saccade.training.job import Session
from saccade.training.loader import Batch
from saccade.training.optimizer import build_optimizer

_OVERFIT_STEPS = 40


@dataclass(frozen=True, slots=True)
class Check:
    """A check by name: whether it passed, and what was found."""

    name: str
    passed: bool
    found: str


def run_checks(session: Session, pictures: Path) -> list[Check]:
    """All checks in order; a batch after augmentation is drawn into the file ``pictures``."""
    batch = session.batches.batch(0)
    return [
        _check("data and types fit the recipe", lambda: _sizes(session)),
        _check("a batch after augmentation", lambda: _draw(session, pictures)),
        _check("data alone", lambda: _speed(session)),
        _check("the model saves, loads and predicts the same", lambda: _round_trip(session.model, batch)),
        _check("one batch can be overfitted", lambda: _overfit(session, batch)),
    ]


def _check(name: str, work: Callable[[], tuple[bool, str]]) -> Check:
    passed, found = work()
    return Check(name, passed, found)


def _sizes(session: Session) -> tuple[bool, str]:
    parameters = sum(parameter.numel() for parameter in session.model.parameters())
    images = len(session.batches.dataset)
    return True, f"{images:,} images, {len(session.class_names)} classes, {parameters:,} parameters"


def _draw(session: Session, path: Path) -> tuple[bool, str]:
    drawn = []
    for place in session.batches.indices(0)[:16]:
        sample = session.batches.dataset.sample(*place)
        objects = [
            Object(str(number), session.class_names[index], Box(*box))
            for number, (box, index) in enumerate(zip(sample.boxes_xyxy.tolist(), sample.classes, strict=True))
        ]
        drawn.append(draw_objects(sample.image, objects, scores=False))
    path.write_bytes(encode(grid(drawn), "jpeg"))
    return True, str(path)


def _speed(session: Session) -> tuple[bool, str]:
    began, count = time.perf_counter(), 0
    for batch in session.batches.from_step(0, min(20, session.batches.steps_per_epoch)):
        count += len(batch.images)
    return True, f"{count / (time.perf_counter() - began):.0f} images a second with {session.batches.workers} threads"


def _round_trip(model: VisionModel, batch: Batch) -> tuple[bool, str]:
    again = copy.deepcopy(model)
    for parameter in again.parameters():
        torch.nn.init.zeros_(parameter)
    again.load_state_dict(load(save({name: value.contiguous() for name, value in model.state_dict().items()})))
    images = normalize(model.spec.input, batch.images[:2], torch.device("cpu"))
    with torch.no_grad():
        first, second = (_numbers(each.eval()(images)) for each in (model, again))
    same = all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    return same, "equal outputs" if same else "the outputs differ"


def _numbers(outputs: object) -> list[Tensor]:
    if isinstance(outputs, Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else [getattr(outputs, n) for n in type(outputs).__slots__]  # type: ignore[attr-defined]  # every output is a slotted dataclass
    return [tensor for part in parts for tensor in _numbers(part)]


def _overfit(session: Session, batch: Batch) -> tuple[bool, str]:
    model = copy.deepcopy(session.model).train()
    optimizer = build_optimizer(session.recipe.train.optimizer, model)
    small = next(batch.parts(max(1, len(batch.images) // 4)))
    images = normalize(model.spec.input, small.images, torch.device("cpu"))
    losses = []
    for _ in range(_OVERFIT_STEPS):
        outputs = model(images)
        found = model.head(session.target).loss(outputs[session.target], small.targets[session.target])
        loss = torch.stack(list(found.values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    first, last = float(np.mean(losses[:3])), float(np.mean(losses[-3:]))
    return last < 0.7 * first, f"the loss went from {first:.3f} to {last:.3f} in {_OVERFIT_STEPS} steps"
