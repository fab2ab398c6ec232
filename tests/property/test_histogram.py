"""Numbers in equal bins: every one in a bin, whatever their size and however they are spread over the data files."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saccade.store.query.histogram import _in_bins

numbers = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, 1.0, 5e-324, sys.float_info.max, -sys.float_info.max, math.nextafter(sys.float_info.max, 0)]
)


@example([[sys.float_info.max], [sys.float_info.max]], 4)
@example([[2.0**1023] * 2, [-(2.0**1023)] * 2], 4)
@given(st.lists(st.lists(numbers, max_size=8), max_size=5), st.integers(1, 30))
def test_every_number_is_counted_once(parts: list[list[float]], bins: int) -> None:
    every = [value for part in parts for value in part]
    finite = [value for value in every if math.isfinite(value)]
    found = _in_bins([np.array(part, np.float64) for part in parts], bins)
    assert found["count"] == len(every)
    assert found["missing"] == sum(map(math.isnan, every))
    assert found["infinite"] == sum(map(math.isinf, every))
    assert sum(each["count"] for each in found["bins"]) == len(finite)
    if not finite:
        assert (found["min"], found["max"], found["mean"], found["bins"]) == (None, None, None, [])
        return
    assert (found["min"], found["max"]) == (min(finite), max(finite))
    assert math.isfinite(found["mean"])
    edges = [each["from"] for each in found["bins"]] + [found["bins"][-1]["to"]]
    assert (edges[0], edges[-1]) == (min(finite), max(finite))
    assert edges == sorted(edges)
    assert len(found["bins"]) == (1 if min(finite) == max(finite) else bins)


@given(st.lists(st.lists(st.integers(0, 99), max_size=40), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 8, 16]))
def test_a_number_is_in_the_bin_between_whose_edges_it_lies(parts: list[list[int]], bins: int) -> None:
    """Bins of powers of two from 0 to 128 have edges without rounding; the last one has both of its own."""
    arrays = [np.array([*part, 0, 128], np.float64) for part in parts]
    every = np.concatenate(arrays)
    found = _in_bins(arrays, bins)
    for number, each in enumerate(found["bins"]):
        inside = (every >= each["from"]) & ((every < each["to"]) | (number == bins - 1))
        assert each["count"] == inside.sum()
    assert found["mean"] == pytest.approx(every.mean())
