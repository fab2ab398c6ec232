"""The plan of the demo's training: an input size and a number of epochs that take about two minutes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SIZES = (416, 320, 256)
"""Sides of the square input in pixels, best first."""
MIN_EPOCHS = 10
MAX_EPOCHS = 15
BUDGET_SECONDS = 120.0


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
    *,
    epochs: int | None = None,
    budget_seconds: float = BUDGET_SECONDS,
) -> TrainingPlan:
    """Choose the largest input size that leaves time for enough epochs, then as many epochs as fit.

    If no size leaves time for ``MIN_EPOCHS``, the smallest one is trained for that many: a training that is much
    shorter learns too little to show.

    Args:
        step_seconds: Measured seconds of a step by input size; not empty.
        steps_per_epoch: Steps of an epoch.
        epochs: A fixed number of epochs, or None to choose from ``MIN_EPOCHS`` to ``MAX_EPOCHS``.
        budget_seconds: Time for the training.
    """
    least = epochs or MIN_EPOCHS
    most = epochs or MAX_EPOCHS
    for size in sorted(step_seconds, reverse=True):
        epoch_seconds = step_seconds[size] * steps_per_epoch
        if least * epoch_seconds <= budget_seconds:
            count = min(most, int(budget_seconds / epoch_seconds))
            return TrainingPlan(size, count, count * epoch_seconds)
    size = min(step_seconds)
    return TrainingPlan(size, least, least * step_seconds[size] * steps_per_epoch)
