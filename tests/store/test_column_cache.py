"""The cache of leaf columns: its limit in bytes, and which leaves it evicts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from saccade.store.query.column_cache import LeafArray, _LruCache

MAX_BYTES = 800


def leaf(rows: int) -> LeafArray:
    return np.zeros(rows)  # 8 bytes a row


def cached_names(cache: _LruCache) -> set[str]:
    return {name for name in "abcdef" if cache.get((name, ())) is not None}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 150)), max_size=30))
def test_cached_leaves_fit_the_limit(leaves: list[tuple[str, int]]) -> None:
    """The leaf that was added last stays, even alone above the limit."""
    cache = _LruCache(MAX_BYTES)
    for name, rows in leaves:
        cache.put((name, ()), leaf(rows))
        assert cache.get((name, ())) is not None
        cached = [cache.get((key, ())) for key in cached_names(cache)]
        sizes = [array.nbytes for array in cached if array is not None]
        assert sum(sizes) <= MAX_BYTES or sum(sizes) == max(sizes)


def test_least_recently_used_leaf_is_evicted() -> None:
    cache = _LruCache(MAX_BYTES)
    for name in "abc":
        cache.put((name, ()), leaf(30))
    assert cache.get(("a", ())) is not None
    cache.put(("d", ()), leaf(30))
    assert cached_names(cache) == {"a", "c", "d"}
    cache.put(("e", ()), leaf(101))
    assert cached_names(cache) == {"e"}
