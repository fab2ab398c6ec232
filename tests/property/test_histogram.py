"""Bins of histograms: every number is in exactly one, for any magnitude and any split over data files."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from saccade.store.query.histogram import _binned_result

any_number = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from(
    [0.0, 1.0, 5e-324, sys.float_info.max, -sys.float_info.max, math.nextafter(sys.float_info.max, 0)]
)


@example([[sys.float_info.max], [sys.float_info.max]], 4)
@example([[2.0**1023] * 2, [-(2.0**1023)] * 2], 4)
@given(st.lists(st.lists(any_number, max_size=8), max_size=5), st.integers(1, 30))
def test_every_number_is_counted_once(parts: list[list[float]], bins: int) -> None:
    numbers = [value for part in parts for value in part]
    finite = [value for value in numbers if math.isfinite(value)]
    result = _binned_result([np.array(part, np.float64) for part in parts], bins)
    assert result["count"] == len(numbers)
    assert result["missing"] == sum(map(math.isnan, numbers))
    assert result["infinite"] == sum(map(math.isinf, numbers))
    assert sum(bin_["count"] for bin_ in result["bins"]) == len(finite)
    if not finite:
        assert (result["min"], result["max"], result["mean"], result["bins"]) == (None, None, None, [])
        return
    assert (result["min"], result["max"]) == (min(finite), max(finite))
    assert math.isfinite(result["mean"])
    edges = [bin_["from"] for bin_ in result["bins"]] + [result["bins"][-1]["to"]]
    assert (edges[0], edges[-1]) == (min(finite), max(finite))
    assert edges == sorted(edges)
    assert len(result["bins"]) == (1 if min(finite) == max(finite) else bins)


@given(st.lists(st.lists(st.integers(0, 99), max_size=40), min_size=1, max_size=4), st.sampled_from([1, 2, 4, 8, 16]))
def test_a_number_is_in_the_bin_whose_edges_enclose_it(parts: list[list[int]], bins: int) -> None:
    """The edges are powers of two, so exact; the last bin includes its upper edge."""
    arrays = [np.array([*part, 0, 128], np.float64) for part in parts]
    numbers = np.concatenate(arrays)
    result = _binned_result(arrays, bins)
    for index, bin_ in enumerate(result["bins"]):
        inside = (numbers >= bin_["from"]) & ((numbers < bin_["to"]) | (index == bins - 1))
        assert bin_["count"] == inside.sum()
    assert result["mean"] == pytest.approx(numbers.mean())
