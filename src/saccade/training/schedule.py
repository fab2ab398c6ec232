"""Learning rate as a function of the step alone, so that a resumed training goes on exactly."""

from __future__ import annotations

import math

from saccade.training.recipe import ScheduleSpec


def learning_rate(spec: ScheduleSpec, peak: float, step: int, total_steps: int) -> float:
    """The rate of one step of ``total``.

    cosine: linear warm-up, then half a cosine to ``final``. one_cycle: the same with a cosine rise from a 25th
    (Smith and Topin, 2018). constant: linear warm-up, then level.
    """
    done = step / max(1, total_steps)
    if done < spec.warmup:
        rise = (step + 1) / (spec.warmup * total_steps + 1)
        if spec.type == "one_cycle":
            return peak * (1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * min(1.0, rise))) / 2)
        return peak * min(1.0, rise)
    if spec.type == "constant":
        return peak
    share = (done - spec.warmup) / (1 - spec.warmup)
    return peak * (spec.final + (1 - spec.final) * (1 + math.cos(math.pi * share)) / 2)


def momentum(spec: ScheduleSpec, base: float, step: int, total_steps: int) -> float:
    """The momentum of one step: falls by a tenth and returns as the rate rises and falls (one_cycle), else level."""
    if spec.type != "one_cycle":
        return base
    return base - 0.1 * learning_rate(spec, 1.0, step, total_steps)
