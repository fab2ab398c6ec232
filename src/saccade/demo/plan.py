"""The plan of the demo's training: an input size and a number of epochs that take about two minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIZES = (416, 320)
"""Sides of the square input in pixels, best first. The ships are small: at 320, AP50 is about 0.05 less."""
MIN_EPOCHS = 12
MAX_EPOCHS = 20
BUDGET_SECONDS = 120.0
LIMIT_SECONDS = 480.0
"""Time above which a smaller input is trained instead."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What to train.

    Attributes:
        size: Side of the square input in pixels.
        epochs: Number of epochs.
        seconds: Expected duration of the training.
    """

    size: int
    epochs: int
    seconds: float


def plan_training(
    step_seconds: Mapping[int, float],
    steps_per_epoch: int,
    epochs: int | None = None,
) -> TrainingPlan:
    """Choose the largest input size that a training of enough epochs has time for, then as many epochs as fit.

    A training that is shorter than ``MIN_EPOCHS`` learns too little to show, so slow machines take longer.

    Args:
        step_seconds: Measured seconds of a step by input size; not empty.
        steps_per_epoch: Steps of an epoch.
        epochs: A fixed number of epochs, or None to choose from ``MIN_EPOCHS`` to ``MAX_EPOCHS``.
    """
    least = epochs or MIN_EPOCHS
    most = epochs or MAX_EPOCHS
    fitting = [size for size in step_seconds if least * step_seconds[size] * steps_per_epoch <= LIMIT_SECONDS]
    size = max(fitting) if fitting else min(step_seconds)
    epoch_seconds = step_seconds[size] * steps_per_epoch
    count = max(least, min(most, int(BUDGET_SECONDS / epoch_seconds)))
    return TrainingPlan(size, count, count * epoch_seconds)
