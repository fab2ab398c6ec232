"""Round trip of values through Arrow."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saccade.core.errors import InvalidValueError
from saccade.core.objects import (
    Box,
    Ellipse,
    Geometry,
    Keypoints,
    Mask,
    Object,
    Points,
    Polygon,
    Polyline,
    RotatedBox,
)
from saccade.core.reader import Item
from saccade.core.schema import Column, FileRef, ImageRef, Kind, Schema, VideoRef
from saccade.store.arrow.codec import ARROW_TYPES, arrow_schema, decode_batch, encode_items
from saccade.store.arrow.codec_objects import OBJECTS, decode_objects, encode_objects

numbers = st.floats(-1e6, 1e6, allow_nan=False)
sides = st.floats(0, 1e6)
points = st.tuples(numbers, numbers)
rings = st.lists(points, min_size=3, max_size=4)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
boxes = st.tuples(points, points).map(
    lambda p: Box(min(p[0][0], p[1][0]), min(p[0][1], p[1][1]), max(p[0][0], p[1][0]), max(p[0][1], p[1][1]))
)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    width = draw(st.integers(0, 6))
    height = draw(st.integers(0, 6))
    cuts = sorted(draw(st.lists(st.integers(0, width * height), max_size=6)))
    ends = [0, *cuts, width * height]
    return Mask(width, height, tuple(b - a for a, b in pairwise(ends)))


@st.composite
def keypoints(draw: st.DrawFn) -> Keypoints:
    coordinates = draw(st.lists(points, min_size=1, max_size=4))
    visibility = draw(st.lists(st.integers(0, 2), min_size=len(coordinates), max_size=len(coordinates)))
    return Keypoints(tuple(coordinates), tuple(visibility), draw(st.none() | boxes), draw(st.none() | sides))


geometries: st.SearchStrategy[Geometry] = st.one_of(
    boxes,
    st.builds(RotatedBox, numbers, numbers, sides, sides, numbers),
    st.lists(st.lists(rings, min_size=1, max_size=3), min_size=1, max_size=3).map(
        lambda parts: Polygon(tuple(tuple(tuple(ring) for ring in part) for part in parts))
    ),
    masks(),
    st.lists(points, min_size=2, max_size=4).map(lambda p: Polyline(tuple(p))),
    st.lists(points, min_size=1, max_size=4).map(lambda p: Points(tuple(p))),
    keypoints(),
    st.builds(Ellipse, numbers, numbers, sides, sides, numbers),
)
attributes = st.dictionaries(texts, texts | st.integers() | st.booleans() | numbers, max_size=3)
objects = st.lists(
    st.builds(Object, texts, texts, geometries, st.none() | st.floats(0, 1), st.none() | texts, attributes),
    max_size=3,
    unique_by=lambda obj: obj.id,
).map(tuple)


def _geometry_reprs(rows: list[tuple[Object, ...] | None]) -> list[str]:
    """Return the geometries as text, in which -0.0 differs from 0.0 and 1 from 1.0."""
    return [repr(obj.geometry) for row in rows for obj in row or ()]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.none() | objects, max_size=3))
def test_objects_round_trip_exactly(rows: list[tuple[Object, ...] | None]) -> None:
    array = encode_objects(rows)
    assert array.type == OBJECTS
    array.validate(full=True)
    decoded = decode_objects(array)
    assert decoded == rows
    assert _geometry_reprs(decoded) == _geometry_reprs(rows)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.none() | objects, min_size=2, max_size=6), st.integers(0, 2))
def test_a_slice_of_an_array_decodes_to_its_rows(rows: list[tuple[Object, ...] | None], start: int) -> None:
    assert decode_objects(encode_objects(rows).slice(start)) == rows[start:]


@settings(deadline=None, max_examples=60)
@given(geometries)
def test_bounds_and_area_are_stored_for_queries(geometry: Geometry) -> None:
    (row,) = encode_objects([(Object("1", "a", geometry),)]).to_pylist()[0]
    assert (row["x1"], row["y1"], row["x2"], row["y2"]) == geometry.bounds_xyxy()
    assert row["area"] == geometry.area()
    assert row["type"] == geometry.type


def test_unlabelled_is_null_and_reviewed_and_empty_is_an_empty_list() -> None:
    assert encode_objects([None, ()]).to_pylist() == [None, []]


IMAGE = ImageRef("0" * 64, 3, "ä.png", 4, 5, "png", "I;16", 6, "file:///x")
VIDEO = VideoRef("3" * 64, 9, "a.mp4", 64, 48, 30, 1.001, 29.97, "mov", "h264", 6)
VALUES: list[tuple[Kind, list[Any]]] = [
    (Kind.IMAGE, [IMAGE, None, ImageRef("1" * 64, 1, "b", 1, 1, "jpeg"), replace(IMAGE, frame=7)]),
    (Kind.VIDEO, [VIDEO, None, replace(VIDEO, uri="file:///a.mp4")]),
    (Kind.OBJECTS, [(), None]),
    (Kind.LABEL, ["a", None, "", "é"]),
    (Kind.LABELS, [("a", "b"), (), None, ("",)]),
    (Kind.EMBEDDING, [(0.5, -1.25), (), None]),
    (Kind.TEXT, ["", None, "line\nline"]),
    (Kind.NUMBER, [1.5, None, -0.0, math.inf]),
    (Kind.TABLE, [{"a": [1, None, {"b": 2.5}]}, None, [], "text", 3, False]),
    (Kind.FILE, [FileRef("2" * 64, 0, "f.bin"), None, FileRef("2" * 64, 0, "f.bin", "s3://b/f")]),
]


@pytest.mark.parametrize(("kind", "values"), VALUES, ids=[str(kind) for kind, _ in VALUES])
def test_values_of_every_kind_round_trip(kind: Kind, values: list[Any]) -> None:
    schema = Schema((Column("c", kind),))
    items = [Item(f"k{index}", {"c": value}) for index, value in enumerate(values)]
    batch = encode_items(items, schema)
    batch.validate(full=True)
    assert decode_batch(batch, schema.columns) == items


def test_every_kind_has_an_arrow_type_and_a_test() -> None:
    assert set(ARROW_TYPES) == set(Kind) == {kind for kind, _ in VALUES}


def test_a_missing_value_is_null() -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    assert decode_batch(encode_items([Item("k")], schema), schema.columns) == [Item("k", {"label": None})]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.IMAGE, FileRef("0" * 64, 1, "x")),
        (Kind.OBJECTS, "cat"),
        (Kind.OBJECTS, (Object("1", "a", Box(0, 0, 1, 1)), Object("1", "b", Box(0, 0, 1, 1)))),
        (Kind.LABEL, 3),
        (Kind.LABELS, "abc"),
        (Kind.EMBEDDING, ((1.0,), (2.0,))),
        (Kind.NUMBER, "3"),
        (Kind.TABLE, {1, 2}),
        (Kind.FILE, "x"),
        (Kind.TEXT, "\ud800"),
    ],
)
def test_the_error_for_an_invalid_value_names_the_item(kind: Kind, value: Any) -> None:
    with pytest.raises(InvalidValueError, match=r"Column 'c' of item 'bad'|share an id"):
        encode_items([Item("good", {"c": None}), Item("bad", {"c": value})], Schema((Column("c", kind),)))


def test_a_value_for_an_unknown_column_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="'k' has values for columns that are not in the schema"):
        encode_items([Item("k", {"lable": "x"})], Schema((Column("label", Kind.LABEL),)))


@pytest.mark.parametrize("name", ["_rowid", "_RowAddr"])
def test_column_names_that_lance_reserves_are_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="is reserved"):
        arrow_schema(Schema((Column(name, Kind.TEXT),)))


def test_the_schema_is_in_the_arrow_metadata() -> None:
    schema = Schema((Column("label", Kind.LABEL),))
    encoded = arrow_schema(schema)
    assert isinstance(encoded, pa.Schema)
    assert Schema.from_json(json.loads(encoded.metadata[b"saccade.schema"])) == schema
