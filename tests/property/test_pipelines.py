"""Cached outputs equal outputs computed from scratch, after any sequence of edits; equal digests mean equal values."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.objects import Box, Object, Polygon
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.pipeline.cache import column
from saccade.pipeline.definition.graph import Graph, Step
from saccade.pipeline.execution.engine import LocalEngine
from saccade.pipeline.execution.environment import open_cache
from saccade.pipeline.execution.runner import Runner
from saccade.pipeline.hashing.columns import digest_array
from saccade.store.arrow.codec import encode_column
from saccade.store.workspace import Workspace

EXAMPLES = int(os.environ.get("SACCADE_EXAMPLES", "15"))
SCHEMA = Schema(
    (
        Column("x", Kind.NUMBER),
        Column("group", Kind.TEXT),
        Column("objects", Kind.OBJECTS, (ClassInfo("car"), ClassInfo("bus"))),
    )
)
NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(allow_nan=False, allow_infinity=False), st.none())
BOXES = st.tuples(st.integers(0, 20), st.integers(1, 20)).map(lambda at: Box(at[0], 0, at[0] + at[1], at[1]))
OBJECTS = st.one_of(
    st.none(),
    st.lists(st.tuples(st.sampled_from(["car", "bus"]), BOXES), max_size=3).map(
        lambda pairs: tuple(Object(str(at), name, box, 0.5) for at, (name, box) in enumerate(pairs))
    ),
)
VALUES = st.fixed_dictionaries({"x": NUMBERS, "group": st.sampled_from(["a", "b", ""]), "objects": OBJECTS})
KEYS = st.integers(0, 14).map(lambda number: f"k{number:02}")
EDITS = st.one_of(
    st.tuples(st.just("merge"), st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)),
    st.tuples(st.just("x"), st.dictionaries(KEYS, NUMBERS, min_size=1, max_size=3)),
    st.tuples(st.just("delete"), st.lists(KEYS, min_size=1, max_size=3)),
    st.tuples(st.just("replace"), st.dictionaries(KEYS, VALUES, min_size=1, max_size=8)),
    st.tuples(st.just("restore"), st.integers(1, 3)),
    st.tuples(st.just("parameter"), st.sampled_from(["x + 1", "x * 2", "len(objects)"])),
    st.tuples(st.just("query"), st.sampled_from(["x > 0", "len(objects) > 0", "group == 'a' or x < 1"])),
    st.tuples(st.just("seed"), st.integers(0, 2)),
)


def graph(value: str, query: str, seed: int) -> Graph:
    """Return a graph with steps of all granularities except group."""

    def step(name: str, operation: str, parameters: dict[str, Any], *sources: str) -> Step:
        inputs = {"data": sources} if sources else {}
        return Step(name, operation, parameters, inputs, seed=seed)

    return Graph(
        "p",
        (
            step("data", "dataset", {"name": "d"}),
            step("number", "calculate", {"column": "y", "value": value}, "data"),
            step("some", "filter", {"where": query}, "number"),
            step("cars", "choose_objects", {"classes": ["car"]}, "some"),
            step("buses", "relabel", {"classes": {"car": "bus"}}, "some"),
            step("both", "union", {"duplicates": "merge"}, "cars", "buses"),
            step("again", "union", {"duplicates": "rename"}, "both", "data"),
            step("split", "split", {"shares": {"train": 0.5, "val": 0.5}, "by": "group", "like": "objects"}, "again"),
            step("half", "resample", {"factor": 0.5}, "split"),
            step("thin", "nms", {"iou": 0.2}, "half"),
            step("facts", "statistics", {}, "thin"),
        ),
    )


def edit(workspace: Workspace, action: str, argument: Any) -> None:
    datasets = workspace.datasets
    if action == "merge":
        datasets.write("d", SCHEMA, [Item(key, values) for key, values in argument.items()], mode="merge")
    elif action == "replace":
        datasets.write("d", SCHEMA, [Item(key, values) for key, values in argument.items()], mode="replace")
    elif action == "x":
        keys = set(datasets.open("d").keys())
        items = [Item(key, {"x": value}) for key, value in argument.items() if key in keys]
        datasets.write("d", SCHEMA.select(["x"]), items, mode="merge")
    elif action == "delete":
        keys = set(datasets.open("d").keys())
        deleted = sorted(set(argument) & keys)
        if deleted and len(deleted) < len(keys):
            datasets.delete_items("d", deleted)
    elif action == "restore":
        datasets.restore("d", min(argument, datasets.open("d").number))


def outputs(workspace: Workspace, pipeline: Graph) -> dict[str, Any]:
    runner = Runner(workspace, pipeline, engine=LocalEngine(1))
    outcome = runner.run()
    contents: dict[str, Any] = {}
    for name, result in outcome.results.items():
        table = result.table
        contents[name] = (
            result.value if table is None else (table.schema, list(runner.environment.reader(table).items()), table.id)
        )
    return contents


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None)
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=8), st.lists(EDITS, min_size=1, max_size=6))
def test_cached_outputs_equal_fresh_outputs(first: dict[str, Any], edits: Sequence[tuple[str, Any]]) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Workspace.create(Path(folder) / "home") as workspace,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(column, "CHUNK_ROWS", 4)  # so that small columns are stored as deltas, too
        patch.setattr(column, "_MIN_ROWS_PER_CHANGE", 2)
        items = [Item(key, values) for key, values in first.items()]
        workspace.datasets.write("d", SCHEMA, items, mode="create")
        value, query, seed = "x + 1", "x > 0", 0
        outputs(workspace, graph(value, query, seed))
        for action, argument in edits:
            value = argument if action == "parameter" else value
            query = argument if action == "query" else query
            seed = argument if action == "seed" else seed
            edit(workspace, action, argument)
            cached = outputs(workspace, graph(value, query, seed))
        shutil.rmtree(open_cache(workspace).folder)
        assert outputs(workspace, graph(value, query, seed)) == cached


ANY: dict[Kind, st.SearchStrategy[Any]] = {
    Kind.NUMBER: st.floats(allow_nan=False),
    Kind.TEXT: st.text(max_size=40),
    Kind.LABELS: st.lists(st.text(max_size=9), max_size=4).map(tuple),
    Kind.EMBEDDING: st.lists(st.floats(width=32, allow_nan=False), max_size=4).map(tuple),
    Kind.OBJECTS: st.lists(
        st.tuples(
            st.text(min_size=1, max_size=3),
            st.sampled_from(["car", "bus"]),
            st.one_of(BOXES, st.just(Polygon.simple([(0, 0), (4, 0), (4, 3)]))),
            st.sampled_from([None, 0.5]),
        ),
        max_size=3,
        unique_by=lambda row: row[0],
    ).map(lambda rows: tuple(Object(*row) for row in rows)),
}


@settings(max_examples=4 * EXAMPLES, deadline=None)
@given(
    st.sampled_from(sorted(ANY)).flatmap(
        lambda kind: st.tuples(st.just(kind), st.lists(st.one_of(st.none(), ANY[kind]), min_size=1, max_size=12))
    ),
    st.data(),
)
def test_digests_are_equal_exactly_if_values_are(drawn: tuple[Kind, list[Any]], data: st.DataObject) -> None:
    kind, values = drawn
    column = Column("c", kind)
    array = encode_column(column, values, [str(at) for at in range(len(values))])
    digests = [tuple(row) for row in digest_array(array).tolist()]
    for left, left_digest in zip(values, digests, strict=True):
        for right, right_digest in zip(values, digests, strict=True):
            is_number = kind in (Kind.NUMBER, Kind.EMBEDDING)
            same = repr(left) == repr(right) or (left == right and left is not None and is_number)
            assert (left_digest == right_digest) is same, (left, right)
    start = data.draw(st.integers(0, len(values) - 1))
    part = digest_array(array.slice(start))
    assert np.array_equal(part, digest_array(array)[start:]), "a slice has the digests of its rows"
    chunked = pa.chunked_array([array.slice(0, start), array.slice(start)])
    assert np.array_equal(digest_array(chunked), digest_array(array))


def test_missing_and_empty_values_of_two_kinds_differ() -> None:
    """Null values of different kinds must not have the same digest."""
    seen = set()
    for kind in (Kind.NUMBER, Kind.TEXT, Kind.LABELS, Kind.EMBEDDING, Kind.OBJECTS, Kind.IMAGE):
        digests = digest_array(encode_column(Column("c", kind), [None], ["k"]))
        assert tuple(digests[0].tolist()) not in seen
        seen.add(tuple(digests[0].tolist()))
