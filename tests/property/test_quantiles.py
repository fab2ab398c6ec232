"""Quantiles computed over a temporary file equal those computed in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.store.query import quantiles
from saccade.store.query.quantiles import StreamingQuantiles

FINITE = st.floats(-1e300, 1e300)
NUMBERS = st.one_of(
    st.lists(FINITE, min_size=1, max_size=60),
    st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=60),
    st.lists(st.floats(1, 2), min_size=1, max_size=60),
)


@pytest.mark.slow
@settings(deadline=None)
@given(NUMBERS, st.integers(1, 20), st.integers(1, 9))
def test_quantiles_do_not_depend_on_the_buffer_size(numbers: list[float], max_buffered: int, batch_size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quantiles, "_MAX_BUFFERED", max_buffered)
        stream = StreamingQuantiles()
        for start in range(0, len(numbers), batch_size):
            stream.add(np.array(numbers[start : start + batch_size]))
        result = stream.result()
    assert result is not None
    expected = np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1]).tolist()
    scale = max(map(abs, numbers)) or 1.0
    assert [result[name] for name in ("min", "q1", "median", "q3", "max")] == pytest.approx(
        expected, rel=1e-15, abs=scale * 1e-15
    )
    assert result["mean"] == pytest.approx(np.mean(numbers), rel=1e-9, abs=scale * 1e-9)
    assert (result["min"], result["max"]) == (min(numbers), max(numbers))


def test_no_numbers_have_no_quantiles() -> None:
    assert StreamingQuantiles().result() is None
