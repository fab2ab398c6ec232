"""Sets that grow out of memory stay sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core.errors import WorkspaceError
from saccade.formats._common import spill
from saccade.formats._common.spill import DiskNames, NumberSet, RoomyDict, RoomySet


@given(st.lists(st.text(max_size=4), max_size=40), st.integers(0, 10))
def test_texts(texts: list[str], few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_FEW", few)
        made, known = RoomySet(), set[str]()
        for text in texts:
            assert (text in made) is (text in known)
            made.add(text)
            known.add(text)
            assert text in made


@given(st.lists(st.integers(0, 5000) | st.integers(0, 10**15), max_size=200), st.integers(9, 12))
def test_numbers(numbers: list[int], bits: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_BITS", bits)
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


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=40), st.integers(1, 5))
def test_values(pairs: list[tuple[str, int]], latest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spill, "_LATEST", latest)
        patch.setattr(spill, "_PAGE", 2)
        made = RoomyDict[list[int]](lambda value: {"kept": value}, lambda kept: list(kept["kept"]))
        known: dict[str, list[int]] = {}
        for name, number in pairs:
            assert (name in made) is (name in known)
            assert made.get(name) == known.get(name)
            if number < 5 or name not in known:
                made[name], known[name] = [number], [number]
            else:  # what was given may be changed
                value = made.get(name)
                assert value is not None
                value.append(number)
                known[name].append(number)
            assert len(made) == len(known)
        met = []
        for name, value in made.items():  # others may be asked for meanwhile
            assert all(made.get(other) == known[other] for other in known)
            met.append((name, value))
        assert met == list(known.items())


def test_a_disk_that_refuses_is_told_as_that() -> None:
    """What is wrong is the disk of this machine and not the source, of which no format may say that it is none."""
    names = DiskNames()
    names._db.execute("PRAGMA max_page_count = 3")
    with pytest.raises(WorkspaceError, match="cannot be written: database or disk is full"):
        names.setdefault(1, "x" * 100_000)
