"""Columns that are kept over others hold what they would hold on their own, in memory and in files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.pipeline.cache import column as columns
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import Cells, Places, difference, patched, used_only
from saccade.pipeline.hashing.columns import Digests

ROWS = st.integers(0, 29)
EDITS = st.lists(st.dictionaries(ROWS, st.integers(0, 5), max_size=6), max_size=5)


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> object:
    """Chunks of a few rows, and patches of up to half of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "CHUNK", 4)
        patch.setattr(columns, "_FEW", 2)
        yield


def digests_of(numbers: list[int]) -> Digests:
    whole = np.array(numbers, np.uint64)
    return np.stack([whole, whole * np.uint64(7)], axis=1)


def places_of(numbers: list[int], source: str) -> Places:
    count = len(numbers)
    return Places(digests_of(numbers), (source,), np.zeros(count, np.int32), np.arange(count))


def shown(places: Places) -> list[tuple[int, str, int]]:
    """Each value with its source and its row there."""
    names = [places.sources[number] for number in places.which]
    return list(zip(places.digests[:, 0].tolist(), names, places.rows.tolist(), strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), EDITS, st.lists(ROWS, max_size=8))
def test_patched_columns_are_what_they_would_be_on_their_own(
    numbers: list[int], edits: list[dict[int, int]], asked: list[int]
) -> None:
    made = [Cells.of(places_of(numbers, "rows:0"))]
    holds = [list(numbers)]
    for number, edit in enumerate(edits, 1):
        new = {row: value for row, value in sorted(edit.items()) if row < len(numbers)}
        values = places_of(list(new.values()), f"rows:{number}")
        made.append(patched(made[-1], np.array(list(new), np.int64), values))
        holds.append([new.get(row, value) for row, value in enumerate(holds[-1])])
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.prepare()
        for cells in made:
            cache.keep(cells)
        read = Cache(Path(folder))
        kept = [read.cells(cells.id, len(cells)) for cells in made]
        rows = np.array([row for row in asked if row < len(numbers)], np.int64)
        for cells, copy, wanted in zip(made, kept, holds, strict=True):
            assert cells.id == Cells.of(places_of(wanted, "rows:0")).id
            assert copy.digests[:, 0].tolist() == wanted
            assert read.has_column(cells.id)
            assert shown(cells.at(rows)) == shown(cells.places.take(rows))
            fresh = Cache(Path(folder)).cells(cells.id, len(cells))
            assert shown(fresh.at(rows)) == shown(copy.places.take(rows))
            assert set(used_only(copy.places).sources) <= set(copy.places.sources)
            assert shown(used_only(copy.places)) == shown(copy.places)
        for one, first in zip(kept, holds, strict=True):
            for two, second in zip(kept, holds, strict=True):
                found = difference(one, two)
                if found is not None:
                    pairs = enumerate(zip(first, second, strict=True))
                    assert found.tolist() == [at for at, (left, right) in pairs if left != right]
                if one.id == two.id:
                    assert found is not None
                    assert not len(found)


def test_a_column_whose_base_is_gone_is_not_taken_for_sound(tmp_path: Path) -> None:
    base = Cells.of(places_of([1] * 30, "rows:0"))
    over = patched(base, np.array([7]), places_of([2], "rows:1"))
    cache = Cache(tmp_path)
    cache.prepare()
    cache.keep(over)
    assert over.patch is not None
    assert Cache(tmp_path).has_column(over.id)
    (tmp_path / "columns" / f"{base.id}.cells").unlink()
    again = Cache(tmp_path)
    assert not again.has_column(over.id)
    again.keep(over)
    assert Cache(tmp_path).has_column(over.id)
    assert Cache(tmp_path).cells(over.id, 30).digests[7, 0] == 2


def test_a_column_stands_on_its_own_once_much_of_it_differs() -> None:
    base = Cells.of(places_of([1] * 30, "rows:0"))
    few = patched(base, np.arange(10), places_of([2] * 10, "rows:1"))
    assert few.patch is not None
    assert few.patch.base is base
    more = patched(few, np.arange(10, 20), places_of([3] * 10, "rows:2"))
    assert more.patch is None
    assert more.digests[:, 0].tolist() == [2] * 10 + [3] * 10 + [1] * 10
    assert patched(few, np.arange(10), places_of([1] * 10, "rows:3")) is base
