"""Property test: after any history of writes, every version equals a dictionary that models it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.core.reader import Item
from saccade.core.records.datasets import WriteMode
from saccade.core.schema import Column, Kind, Schema
from saccade.store.datasets import mutations
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

COLUMNS = {"n": Kind.NUMBER, "t": Kind.TEXT, "l": Kind.LABELS}
State = dict[str, dict[str, Any]]
keys = st.sampled_from("abcdef")
cells = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(0, 2).map(float),
        "t": st.none() | st.sampled_from("xy"),
        "l": st.none() | st.lists(st.sampled_from("pq"), max_size=2).map(tuple),
    }
)
rows = st.dictionaries(keys, cells, max_size=5)
steps: st.SearchStrategy[list[tuple[str, Any, set[str]]]] = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), rows, st.sets(st.sampled_from(sorted(COLUMNS)), min_size=1)),
        st.tuples(st.just("append"), rows, st.just(set(COLUMNS))),
        st.tuples(st.just("replace"), rows, st.just(set(COLUMNS))),
        st.tuples(st.just("delete"), rows, st.just(set())),
        st.tuples(st.just("restore"), st.integers(0, 100), st.just(set())),
    ),
    max_size=6,
)


def schema_of(names: set[str]) -> Schema:
    return Schema(tuple(Column(name, kind) for name, kind in COLUMNS.items() if name in names))


def apply(workspace: Workspace, states: list[State], step: tuple[str, Any, set[str]]) -> None:
    """Apply a step to the dataset and to the model; ``states[i]`` is the expected content of version ``i + 1``."""
    action, argument, names = step
    state = {key: dict(row) for key, row in states[-1].items()}
    if action == "restore":
        number = argument % len(states) + 1
        workspace.datasets.restore("d", number)
        states.append(states[number - 1])
        return
    if action == "delete":
        deleted = [key for key in argument if key in state]
        workspace.datasets.delete_items("d", deleted)
        states.append({key: row for key, row in state.items() if key not in deleted})
        return
    new_rows = {key: {name: row[name] for name in names} for key, row in argument.items()}
    if action == "append":
        new_rows = {key: row for key, row in new_rows.items() if key not in state}
    if action == "replace":
        state = {}
    for key, row in new_rows.items():
        state[key] = {**dict.fromkeys(COLUMNS), **state.get(key, {}), **row}
    items = [Item(key, row) for key, row in new_rows.items()]
    workspace.datasets.write("d", schema_of(names), items, mode=action)  # type: ignore[arg-type]  # one of the modes
    states.append(state)


@pytest.mark.slow
@pytest.mark.parametrize("max_small_fragments", [mutations._MAX_SMALL_FRAGMENTS, 1])
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps)
def test_every_version_equals_the_model(
    max_small_fragments: int, history: list[tuple[str, Any, set[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutations, "_MAX_SMALL_FRAGMENTS", max_small_fragments)
    with tempfile.TemporaryDirectory() as folder, Workspace.create(folder) as workspace:
        workspace.datasets.write("d", schema_of(set(COLUMNS)), [], mode="create")
        states: list[State] = [{}]
        for step in history:
            apply(workspace, states, step)
        for number, state in enumerate(states, 1):
            version = workspace.datasets.open(f"d@{number}")
            assert [(item.key, item.values) for item in version.items()] == list(state.items())
            assert len(version) == len(state)
            check_info(workspace, number, states)
        assert doctor(workspace) == []


def check_info(workspace: Workspace, number: int, states: list[State]) -> None:
    if number == 1:
        return
    before, after = states[number - 2], states[number - 1]
    expected = {
        "added": sum(key not in before for key in after),
        "removed": sum(key not in after for key in before),
        "changed": sum(key in before and before[key] != row for key, row in after.items()),
    }
    info = workspace.datasets.open(f"d@{number}").info
    assert {name: getattr(info, name) for name in expected} == expected
    assert workspace.datasets.diff(f"d@{number - 1}", f"d@{number}").counts == expected


def test_many_small_edits_are_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutations, "_MAX_SMALL_FRAGMENTS", 4)
    schema = schema_of({"n"})
    with Workspace.create(tmp_path) as workspace:
        datasets = workspace.datasets
        first = datasets.write("d", schema, [Item(f"k{n:02}", {"n": 0.0}) for n in range(50)], mode="create")
        for number in range(1, 40):
            mode: WriteMode = "append" if number % 10 == 0 else "merge"
            key = f"new{number}" if mode == "append" else f"k{number % 13:02}"
            datasets.write("d", schema, [Item(key, {"n": float(number)})], mode=mode)
        last = datasets.open("d")
        assert len(last.snapshot.table.get_fragments()) <= 4 + 1
        assert [item.key for item in last.items()][:50] == first.keys(), "the order is unchanged"
        for number in (1, 7, 23, 40):
            version = datasets.open(f"d@{number}")
            expected = {f"k{n % 13:02}": float(n) for n in range(1, number) if n % 10}
            assert {item.key: item["n"] for item in version.items() if item["n"] and "k" in item.key} == expected
        assert datasets.diff("d@39", "d@40").counts == {"added": 0, "removed": 0, "changed": 1}
        assert doctor(workspace) == []
