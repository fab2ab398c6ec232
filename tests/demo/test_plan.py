"""The plan of the demo's training: fast machines keep the quality, slow ones the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.demo.plan import LIMIT_SECONDS, MAX_EPOCHS, MIN_EPOCHS, SIZES, TrainingPlan, plan_training

STEPS = 50
seconds = st.floats(0.0001, 100)


@pytest.mark.parametrize(
    ("step_seconds", "size", "epochs"),
    [
        ({416: 0.1}, 416, MAX_EPOCHS),
        ({416: 0.15}, 416, 16),
        ({416: 0.3}, 416, MIN_EPOCHS),
        ({416: 0.9, 320: 0.5}, 320, MIN_EPOCHS),
        ({416: 13.0, 320: 8.0}, 320, MIN_EPOCHS),
    ],
)
def test_sizes_and_epochs(step_seconds: dict[int, float], size: int, epochs: int) -> None:
    plan = plan_training(step_seconds, STEPS)
    assert (plan.size, plan.epochs) == (size, epochs)
    assert plan.seconds == pytest.approx(epochs * STEPS * step_seconds[size])


def test_a_fixed_number_of_epochs_is_kept() -> None:
    assert plan_training({416: 1.0, 320: 0.4}, STEPS, epochs=3) == TrainingPlan(416, 3, 150.0)
    assert plan_training({416: 1.0, 320: 0.4}, STEPS, epochs=10) == TrainingPlan(320, 10, 200.0)
    assert plan_training({416: 1.0}, STEPS, epochs=100) == TrainingPlan(416, 100, 5000.0)


@given(st.fixed_dictionaries(dict.fromkeys(SIZES, seconds)), st.integers(1, 100))
def test_the_plan_is_in_its_bounds(step_seconds: dict[int, float], steps: int) -> None:
    plan = plan_training(step_seconds, steps)
    assert MIN_EPOCHS <= plan.epochs <= MAX_EPOCHS
    if plan.seconds > LIMIT_SECONDS * 1.0001:
        assert (plan.size, plan.epochs) == (min(SIZES), MIN_EPOCHS)
    faster = plan_training({size: time / 2 for size, time in step_seconds.items()}, steps)
    assert (faster.size, faster.epochs) >= (plan.size, plan.epochs)
