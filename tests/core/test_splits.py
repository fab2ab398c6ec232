"""Splits meet their shares, never divide a group, and depend on nothing but the groups, the shares and the seed."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import InvalidValueError
from saccade.core.splits import GroupSplits, parse_shares, split_by_group

KEYS = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=80, unique=True)
SHARES = st.sampled_from([{"train": 1.0}, {"train": 0.8, "val": 0.2}, {"a": 0.5, "b": 0.25, "c": 0.25}])


@settings(max_examples=150, deadline=None)
@given(KEYS, SHARES, st.integers(0, 5), st.integers(1, 9))
def test_groups_are_never_divided(keys: list[str], shares: dict[str, float], seed: int, groups: int) -> None:
    group_of = {key: str(index % groups) for index, key in enumerate(keys)}
    split = split_by_group(group_of, shares, seed)
    assert list(split) == keys
    assert set(split.values()) <= set(shares)
    assert len({(group_of[key], split[key]) for key in keys}) == len(set(group_of.values()))


@settings(max_examples=100, deadline=None)
@given(KEYS, SHARES, st.integers(0, 5))
def test_shares_are_met_to_one_item(keys: list[str], shares: dict[str, float], seed: int) -> None:
    counts = Counter(split_by_group({key: key for key in keys}, shares, seed).values())
    for name, share in shares.items():
        assert abs(counts[name] - share * len(keys)) <= 1


@settings(max_examples=100, deadline=None)
@given(KEYS, st.integers(0, 5), st.randoms())
def test_the_order_of_items_does_not_matter(keys: list[str], seed: int, chance: random.Random) -> None:
    shares = {"train": 0.8, "val": 0.2}
    split = split_by_group({key: key for key in keys}, shares, seed)
    shuffled = sorted(keys, key=lambda _: chance.random())
    assert split_by_group({key: key for key in shuffled}, shares, seed) == split


@settings(max_examples=100, deadline=None)
@given(KEYS, SHARES, st.integers(0, 5), st.integers(1, 9))
def test_the_largest_group_goes_where_most_is_missing(
    keys: list[str], shares: dict[str, float], seed: int, groups: int
) -> None:
    group_of = {key: str(index % groups if index % 3 else index) for index, key in enumerate(keys)}
    sizes, wanted = Counter(group_of.values()), {name: share * len(keys) for name, share in shares.items()}
    expected = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], hashlib.sha256(f"{seed}/{name}".encode()).digest())):
        expected[group] = max(wanted, key=lambda name: wanted[name])
        wanted[expected[group]] -= sizes[group]
    split = split_by_group(group_of, shares, seed)
    assert split == {key: expected[group] for key, group in group_of.items()}


@pytest.mark.parametrize("group", [str(at) for at in range(9)])
def test_a_group_that_came_later_is_refused(group: str) -> None:
    splits = GroupSplits(["a", "b"], {"train": 1.0})
    assert splits.split_of("a") == "train"
    with pytest.raises(InvalidValueError, match="appeared during the import"):
        splits.split_of(group)


def test_another_seed_is_another_split() -> None:
    groups = {str(number): str(number) for number in range(50)}
    made = {tuple(split_by_group(groups, {"a": 0.5, "b": 0.5}, seed).items()) for seed in range(5)}
    assert len(made) == 5


def test_one_big_group_does_not_spoil_the_shares() -> None:
    groups = {f"big{number}": "big" for number in range(40)} | {str(number): str(number) for number in range(60)}
    assert Counter(split_by_group(groups, {"train": 0.5, "val": 0.5}).values()) == {"train": 50, "val": 50}


@pytest.mark.parametrize("text", ["", "train", "train=", "=1", "train=x", "train=0.5", "train=1.5,val=-0.5", "a=1,b=1"])
def test_wrong_shares(text: str) -> None:
    with pytest.raises(InvalidValueError):
        parse_shares(text)
