"""Row index: key lookup in both directions, and mapping of rows between versions."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.reader import Item
from saccade.core.schema import Column, Kind, Schema
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("note", Kind.TEXT),))
KEYS = st.lists(st.sampled_from([*"abcdefghij", "ü", "x" * 100]), min_size=1, unique=True)
LOOKUP_KEYS = st.lists(st.sampled_from([*"abcdefghijklmn", "ü", "", "x" * 100]), max_size=40)


def items(keys: list[str], note: str) -> list[Item]:
    return [Item(key, {"note": note}) for key in keys]


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(first=KEYS, second=KEYS, deleted=LOOKUP_KEYS, requested=LOOKUP_KEYS)
def test_rows_are_found_by_key_and_mapped_between_versions(
    tmp_path_factory: pytest.TempPathFactory,
    first: list[str],
    second: list[str],
    deleted: list[str],
    requested: list[str],
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("index")) as workspace:
        datasets = workspace.datasets
        before = datasets.write("d", SCHEMA, items(first, "1"), mode="create").snapshot.index
        after = datasets.write("d", SCHEMA, items(second, "2"), mode="merge").snapshot.index
        existing = [key for key in dict.fromkeys(deleted) if key in {*first, *second}]
        last = datasets.delete_items("d", existing).snapshot.index if existing else after
        for index in (before, after, last):
            row_of = {key: row for row, key in enumerate(index.keys.to_pylist())}
            assert index.rows_for_keys(pa.array(requested, pa.string())).tolist() == [
                row_of.get(key, -1) for key in requested
            ]
            assert index.keys_at(index.order).to_pylist() == [index.keys[row].as_py() for row in index.order]
        key_before = dict(enumerate(before.keys.to_pylist()))
        mapped = {
            key: key_before.get(row) for key, row in zip(after.keys.to_pylist(), after.map_rows_to(before), strict=True)
        }
        assert mapped == {key: None if key in second else key for key in {*first, *second}}
        rows_after = last.map_rows_to(after).tolist()
        assert [after.keys[row].as_py() for row in rows_after] == last.keys.to_pylist()
