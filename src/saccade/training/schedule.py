"""Learning rate and momentum as functions of the step alone, so that a resumed training continues exactly."""

from __future__ import annotations

import math

from saccade.training.recipe import ScheduleSpec


def learning_rate(spec: ScheduleSpec, peak: float, step: int, total_steps: int) -> float:
    """Return the learning rate of a step.

    cosine: linear warm-up, then half a cosine down to ``spec.final``. one_cycle: the same, but the warm-up is a
    cosine from ``peak`` / 25 (Smith and Topin, 2018). constant: linear warm-up, then constant.

    Args:
        spec: The schedule.
        peak: Highest learning rate.
        step: The step, from 0.
        total_steps: Steps of the whole training.
    """
    progress = step / max(1, total_steps)
    if progress < spec.warmup:
        rise = (step + 1) / (spec.warmup * total_steps + 1)
        if spec.type == "one_cycle":
            return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * min(1.0, rise))) / 2)
        return peak * min(1.0, rise)
    if spec.type == "constant":
        return peak
    decay_progress = (progress - spec.warmup) / (1 - spec.warmup)
    return peak * (spec.final + (1 - spec.final) * (1 + math.cos(math.pi * decay_progress)) / 2)


def momentum(spec: ScheduleSpec, base: float, step: int, total_steps: int) -> float:
    """Return the momentum of a step.

    It is constant, except for one_cycle: there it falls by 0.1 and returns while the learning rate rises and falls.

    Args:
        spec: The schedule.
        base: Momentum of the optimiser.
        step: The step, from 0.
        total_steps: Steps of the whole training.
    """
    if spec.type != "one_cycle":
        return base
    return base - 0.1 * learning_rate(spec, 1.0, step, total_steps)
