"""Columns stored as deltas have the same values as columns stored in full, in memory and in files."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.pipeline.cache import column as column_module
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.cache.column import LazyColumn, ValueLocations, changed_rows, prune_sources, with_changes
from saccade.pipeline.hashing.columns import Digests

ROWS = st.integers(0, 29)
EDITS = st.lists(st.dictionaries(ROWS, st.integers(0, 5), max_size=6), max_size=5)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> object:
    """Use chunks of a few rows, and deltas of up to half of the rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(column_module, "CHUNK_ROWS", 4)
        patch.setattr(column_module, "_MIN_ROWS_PER_CHANGE", 2)
        yield


def digests_of(numbers: list[int]) -> Digests:
    lane = np.array(numbers, np.uint64)
    return np.stack([lane, lane * np.uint64(7)], axis=1)


def locations_of(numbers: list[int], source: str) -> ValueLocations:
    count = len(numbers)
    return ValueLocations(digests_of(numbers), (source,), np.zeros(count, np.int32), np.arange(count))


def entries(locations: ValueLocations) -> list[tuple[int, str, int]]:
    """Return each value with its source and its row there."""
    names = [locations.sources[index] for index in locations.source_indices]
    return list(zip(locations.digests[:, 0].tolist(), names, locations.rows.tolist(), strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(0, 5), max_size=30), EDITS, st.lists(ROWS, max_size=8))
def test_changed_columns_equal_columns_stored_in_full(
    numbers: list[int], edits: list[dict[int, int]], requested: list[int]
) -> None:
    columns = [LazyColumn.from_locations(locations_of(numbers, "rows:0"))]
    contents = [list(numbers)]
    for number, edit in enumerate(edits, 1):
        new = {row: value for row, value in sorted(edit.items()) if row < len(numbers)}
        values = locations_of(list(new.values()), f"rows:{number}")
        columns.append(with_changes(columns[-1], np.array(list(new), np.int64), values))
        contents.append([new.get(row, value) for row, value in enumerate(contents[-1])])
    with tempfile.TemporaryDirectory() as folder:
        cache = Cache(Path(folder))
        cache.prepare()
        for column in columns:
            cache.put_column(column)
        reader = Cache(Path(folder))
        copies = [reader.column(column.id, len(column)) for column in columns]
        rows = np.array([row for row in requested if row < len(numbers)], np.int64)
        for column, copy, expected in zip(columns, copies, contents, strict=True):
            assert column.id == LazyColumn.from_locations(locations_of(expected, "rows:0")).id
            assert copy.digests[:, 0].tolist() == expected
            assert reader.has_column(column.id)
            assert entries(column.take(rows)) == entries(column.locations.take(rows))
            fresh = Cache(Path(folder)).column(column.id, len(column))
            assert entries(fresh.take(rows)) == entries(copy.locations.take(rows))
            assert set(prune_sources(copy.locations).sources) <= set(copy.locations.sources)
            assert entries(prune_sources(copy.locations)) == entries(copy.locations)
        for before, old_values in zip(copies, contents, strict=True):
            for after, new_values in zip(copies, contents, strict=True):
                rows_changed = changed_rows(before, after)
                if rows_changed is not None:
                    pairs = enumerate(zip(old_values, new_values, strict=True))
                    assert rows_changed.tolist() == [row for row, (old, new) in pairs if old != new]
                if before.id == after.id:
                    assert rows_changed is not None
                    assert not len(rows_changed)


def test_a_delta_without_its_base_is_not_available(tmp_path: Path) -> None:
    base = LazyColumn.from_locations(locations_of([1] * 30, "rows:0"))
    changed = with_changes(base, np.array([7]), locations_of([2], "rows:1"))
    cache = Cache(tmp_path)
    cache.prepare()
    cache.put_column(changed)
    assert changed.delta is not None
    assert Cache(tmp_path).has_column(changed.id)
    (tmp_path / "columns" / f"{base.id}.cells").unlink()
    again = Cache(tmp_path)
    assert not again.has_column(changed.id)
    again.put_column(changed)
    assert Cache(tmp_path).has_column(changed.id)
    assert Cache(tmp_path).column(changed.id, 30).digests[7, 0] == 2


def test_a_column_with_many_changes_is_stored_in_full() -> None:
    base = LazyColumn.from_locations(locations_of([1] * 30, "rows:0"))
    few = with_changes(base, np.arange(10), locations_of([2] * 10, "rows:1"))
    assert few.delta is not None
    assert few.delta.base is base
    more = with_changes(few, np.arange(10, 20), locations_of([3] * 10, "rows:2"))
    assert more.delta is None
    assert more.digests[:, 0].tolist() == [2] * 10 + [3] * 10 + [1] * 10
    assert with_changes(few, np.arange(10), locations_of([1] * 10, "rows:3")) is base
