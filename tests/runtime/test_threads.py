"""Work ahead of a consumer: order, bound, errors and an early end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.runtime.threads import map_ahead


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4), st.integers(1, 6))
def test_results_are_in_order_and_values_are_read_as_needed(values: list[int], threads: int, ahead: int) -> None:
    consumed = 0
    largest_lead = 0

    def read() -> Iterator[int]:
        nonlocal largest_lead
        for number, value in enumerate(values, 1):
            largest_lead = max(largest_lead, number - consumed)
            yield value

    results = []
    for result in map_ahead(lambda value: value * 2, read(), threads=threads, ahead=ahead, name="test"):
        results.append(result)
        consumed += 1
    assert results == [value * 2 for value in values]
    assert largest_lead <= ahead


def test_an_error_reaches_the_consumer_in_its_place() -> None:
    results = map_ahead(lambda value: 10 // value, [5, 2, 0, 1], threads=2, ahead=3, name="test")
    assert [next(results), next(results)] == [2, 5]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_early_end_cancels_what_has_not_started() -> None:
    started: list[int] = []
    release = threading.Event()

    def work(value: int) -> int:
        started.append(value)
        if value:
            release.wait()
        return value

    results = map_ahead(work, range(100), threads=1, ahead=10, name="test")
    assert next(results) == 0
    closer = threading.Timer(0.1, release.set)
    closer.start()
    results.close()  # type: ignore[attr-defined]  # it is a generator
    closer.join()
    assert len(started) <= 3
