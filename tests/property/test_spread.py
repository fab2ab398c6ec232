"""Quartiles of numbers in a file are those of numbers in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.store.query import quantiles
from saccade.store.query.quantiles import Spread

FINITE = st.floats(-1e300, 1e300)
NUMBERS = st.one_of(
    st.lists(FINITE, min_size=1, max_size=60),
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=60),
    st.lists(st.floats(1, 2), min_size=1, max_size=60),
)


@pytest.mark.slow
@settings(deadline=None)
@given(NUMBERS, st.integers(1, 20), st.integers(1, 9))
def test_quartiles_are_the_same_however_many_are_held(numbers: list[float], held: int, together: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantiles, "_HELD", held)
        made = Spread()
        for start in range(0, len(numbers), together):
            made.add(np.array(numbers[start : start + together]))
        found = made.result()
    assert found is not None
    quartiles = np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]).tolist()
    scale = max(map(abs, numbers)) or 1.0
    assert [found[name] for name in ("min", "q1", "median", "q3", "max")] == pytest.approx(
        quartiles, rel=1e-15, abs=scale * 1e-15
    )
    assert found["mean"] == pytest.approx(np.mean(numbers), rel=1e-9, abs=scale * 1e-9)
    assert (found["min"], found["max"]) == (min(numbers), max(numbers))


def test_no_numbers_have_no_spread() -> None:
    assert Spread().result() is None
