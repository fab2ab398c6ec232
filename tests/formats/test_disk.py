"""Sets that grow out of memory stay sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.formats import _disk
from saccade.formats._disk import DiskNames, NumberSet, RoomySet


@given(st.lists(st.text(max_size=4), max_size=40), st.integers(0, 10))
def test_texts(texts: list[str], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_disk, "_FEW", few)
        made, known = RoomySet(), set[str]()
        for text in texts:
            assert (text in made) is (text in known)
            made.add(text)
            known.add(text)
            assert text in made


@given(st.lists(st.integers(0, 5000) | st.integers(0, 10**15), max_size=200), st.integers(9, 12))
def test_numbers(numbers: list[int], bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_disk, "_BITS", bits)
        made, known = NumberSet(), set[int]()
        for number in numbers:
            assert (number in made) is (number in known)
            made.add(number)
            known.add(number)
        assert all(number in made for number in known)
        assert not any(number in made for number in {one + 1 for one in known} - known)


@given(st.lists(st.tuples(st.integers() | st.text(max_size=3), st.text(max_size=3)), max_size=20))
def test_names(pairs: list[tuple[int | str, str]]) -> None:
    made, known = DiskNames(), dict[int | str, str]()
    for key, name in pairs:
        assert made.setdefault(key, name) == known.get(key)
        known.setdefault(key, name)
