"""Containers behave the same in memory and on disk."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core.errors import WorkspaceError
from saccade.formats._common import spill
from saccade.formats._common.spill import IntSet, SpillDict, SpillNames, SpillSet


@given(st.lists(st.text(max_size=4), max_size=40), st.integers(0, 10))
def test_spill_set(texts: list[str], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_MAX_IN_MEMORY", few)
        container, expected = SpillSet(), set[str]()
        for text in texts:
            assert (text in container) is (text in expected)
            container.add(text)
            expected.add(text)
            assert text in container


@given(st.lists(st.integers(0, 5000) | st.integers(0, 10**15), max_size=200), st.integers(9, 12))
def test_numbers(numbers: list[int], bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_BITS", bits)
        container, expected = IntSet(), set[int]()
        for number in numbers:
            assert (number in container) is (number in expected)
            container.add(number)
            expected.add(number)
        assert all(number in container for number in expected)
        assert not any(number in container for number in {one + 1 for one in expected} - expected)


@given(st.lists(st.tuples(st.integers() | st.text(max_size=3), st.text(max_size=3)), max_size=20))
def test_names(pairs: list[tuple[int | str, str]]) -> None:
    container, expected = SpillNames(), dict[int | str, str]()
    for key, name in pairs:
        assert container.setdefault(key, name) == expected.get(key)
        expected.setdefault(key, name)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=40), st.integers(1, 5))
def test_values(pairs: list[tuple[str, int]], latest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_CACHE_SIZE", latest)
        patch.setattr(spill, "_PAGE_ROWS", 2)
        container = SpillDict[list[int]](lambda value: {"packed": value}, lambda packed: list(packed["packed"]))
        expected: dict[str, list[int]] = {}
        for name, number in pairs:
            assert (name in container) is (name in expected)
            assert container.get(name) == expected.get(name)
            if number < 5 or name not in expected:
                container[name], expected[name] = [number], [number]
            else:  # a value may be modified in place
                value = container.get(name)
                assert value is not None
                value.append(number)
                expected[name].append(number)
            assert len(container) == len(expected)
        items = []
        for name, value in container.items():  # other values may be used during the iteration
            assert all(container.get(any_name) == expected[any_name] for any_name in expected)
            items.append((name, value))
        assert items == list(expected.items())


def test_full_disk_raises_workspace_error() -> None:
    """The error is of this machine, not of the source: no format may take it for a reason not to match."""
    names = SpillNames()
    names._db.execute("PRAGMA max_page_count = 3")
    with pytest.raises(WorkspaceError, match="cannot be written: database or disk is full"):
        names.setdefault(1, "x" * 100_000)
