"""The keys of a version are matched whichever way round is the shorter, and rows are known again in later versions."""

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
WANTED = st.lists(st.sampled_from([*"abcdefghijklmn", "ü", "", "x" * 100]), max_size=40)


def items(keys: list[str], note: str) -> list[Item]:
    return [Item(key, {"note": note}) for key in keys]


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(first=KEYS, second=KEYS, gone=WANTED, wanted=WANTED)
def test_rows_are_found_by_key_and_known_again(
    tmp_path_factory: pytest.TempPathFactory, first: list[str], second: list[str], gone: list[str], wanted: list[str]
) -> None:
    with Workspace.create(tmp_path_factory.mktemp("index")) as workspace:
        datasets = workspace.datasets
        before = datasets.write("d", SCHEMA, items(first, "1"), mode="create").snapshot.index
        after = datasets.write("d", SCHEMA, items(second, "2"), mode="merge").snapshot.index
        there = [key for key in dict.fromkeys(gone) if key in {*first, *second}]
        last = datasets.delete_items("d", there).snapshot.index if there else after
        for index in (before, after, last):
            row_of = {key: row for row, key in enumerate(index.keys.to_pylist())}
            assert index.match(pa.array(wanted, pa.string())).tolist() == [row_of.get(key, -1) for key in wanted]
            assert index.keys_of(index.order).to_pylist() == [index.keys[row].as_py() for row in index.order]
        old = dict(enumerate(before.keys.to_pylist()))
        found = {key: old.get(row) for key, row in zip(after.keys.to_pylist(), after.rows_in(before), strict=True)}
        assert found == {key: None if key in second else key for key in {*first, *second}}
        same = last.rows_in(after).tolist()
        assert [after.keys[row].as_py() for row in same] == last.keys.to_pylist()
