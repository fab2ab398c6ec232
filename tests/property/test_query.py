"""The evaluators of the query language agree: item by item in Python, vectorised, and in DuckDB.

The environment variable SACCADE_EXAMPLES sets the number of examples.
"""

from __future__ import annotations

import json
import math
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from saccade.core.errors import QueryError, SaccadeError
from saccade.core.objects import Box, Object, Objects, Polygon, RotatedBox
from saccade.core.query import parse_query, parse_value, predicate
from saccade.core.query.evaluate import evaluate, lower
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, ImageRef, Kind, Schema
from saccade.store.datasets.version import DatasetVersion
from saccade.store.query.column_cache import NotVectorizableError
from saccade.store.query.executor import _select_vectorized
from saccade.store.workspace import Workspace

EXAMPLES = int(os.environ.get("SACCADE_EXAMPLES", "25"))
SCHEMA = Schema(
    (
        Column("image", Kind.IMAGE),
        Column("objects", Kind.OBJECTS, (ClassInfo("ship"), ClassInfo("ferry"))),
        Column("found", Kind.OBJECTS),
        Column("label", Kind.LABEL),
        Column("tags", Kind.LABELS),
        Column("vector", Kind.EMBEDDING),
        Column("split", Kind.TEXT),
        Column("depth", Kind.NUMBER),
        Column("meta", Kind.TABLE),
        Column("odd-name", Kind.NUMBER),
    )
)
WORDS = ["ship", "ferry", "val", "train", "", "a%b", "a_b", "it's", 'say "x"', "Größe", "\\", "x/y~z", "ÀÉ", "0"]
words = st.sampled_from(WORDS)
numbers = st.one_of(
    st.integers(-3, 12).map(float), st.sampled_from([0.5, 400.0, 1e308, -1e308, 5e-324, math.inf, -math.inf])
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from([0.5, 10**30, math.inf]) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
attributes = st.dictionaries(words, st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | words, max_size=3)
coordinates = st.integers(0, 40).map(lambda value: value / 2)
geometries = st.one_of(
    st.tuples(coordinates, coordinates, coordinates, coordinates).map(
        lambda c: Box(c[0], c[1], c[0] + c[2], c[1] + c[3])
    ),
    st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=5).map(Polygon.simple),
    st.builds(RotatedBox, coordinates, coordinates, coordinates, coordinates, st.integers(0, 360).map(float)),
)


@st.composite
def object_tuples(draw: st.DrawFn) -> Objects:
    fields = draw(
        st.lists(
            st.tuples(words, geometries, st.none() | numbers.filter(math.isfinite), st.none() | words, attributes),
            max_size=4,
        )
    )
    return tuple(
        Object(str(index), name or "ship", shape, score, track, values)
        for index, (name, shape, score, track, values) in enumerate(fields)
    )


images = st.builds(
    ImageRef,
    st.just("0" * 64),
    st.integers(0, 10**6),
    words,
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from(["jpeg", "png"]),
)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "image": images,
    "objects": object_tuples(),
    "found": object_tuples(),
    "label": words.filter(bool),
    "tags": st.lists(words.filter(bool), max_size=3).map(tuple),
    "vector": st.lists(st.floats(-1, 1, width=32), max_size=2).map(tuple),
    "split": words,
    "depth": numbers | st.just(math.nan),
    "meta": json_values,
    "odd-name": numbers,
}


@st.composite
def datasets(draw: st.DrawFn) -> list[Item]:
    size = draw(st.integers(1, 5))
    return [
        Item(f"{draw(words)}{index}", {name: draw(st.none() | strategy) for name, strategy in VALUES.items()})
        for index in range(size)
    ]


# Text of queries, by type

number_constants = st.sampled_from(["0", "1", "3.5", "400", "-2", "1e308", "+7"])
text_constants = words.map(repr)
OBJECT_NUMBERS = ["area", "width", "height", "x1", "y1", "x2", "y2", "cx", "cy", "score"]


def member(base: str) -> st.SearchStrategy[str]:
    return st.one_of(
        words.map(lambda name: f"{base}[{name!r}]"), st.integers(-2, 2).map(lambda index: f"{base}[{index}]")
    )


def json_texts(inside: bool) -> st.SearchStrategy[str]:
    meta = st.one_of(member("meta"), member("meta").flatmap(member), st.just("meta.val"))
    return meta | words.map(lambda name: f"attributes[{name!r}]") if inside else meta


def number_texts(inside: bool, depth: int) -> st.SearchStrategy[str]:
    simple = [
        number_constants,
        st.sampled_from(
            ["depth", "image.width", "image.size", 'item["odd-name"]', "len(key)", "len(tags)", "len(vector)"]
        ),
        json_texts(inside).map(lambda text: f"number({text})"),
    ]
    if inside:
        simple.append(st.sampled_from(OBJECT_NUMBERS))
    if depth == 0:
        return st.one_of(simple)
    operand = number_texts(inside, depth - 1)
    condition = boolean_texts(True, depth - 1)
    column = st.sampled_from(["objects", "found"])
    return st.one_of(
        *simple,
        st.tuples(operand, st.sampled_from("+-*/%"), operand).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        operand.map(lambda text: f"abs({text})"),
        operand.map(lambda text: f"-({text})"),
        st.tuples(column, condition).map(lambda t: f"count({t[0]}, {t[1]})"),
        column.map(lambda name: f"len({name})"),
        st.tuples(st.sampled_from(["min", "max"]), column, number_texts(True, depth - 1), condition).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]}, {t[3]})"
        ),
        st.tuples(st.sampled_from(["sum", "mean"]), column, st.sampled_from(["x1", "y2", "cx", "1"])).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]})"
        ),
    )


def text_texts(inside: bool) -> st.SearchStrategy[str]:
    fields = ["key", "split", "label", "image.format", "image.name", "split.lower()", "lower(key)"]
    fields += ["class", "type", "track", "id", "class.lower()"] if inside else []
    return st.one_of(text_constants, st.sampled_from(fields), json_texts(inside).map(lambda text: f"text({text})"))


def boolean_texts(inside: bool, depth: int) -> st.SearchStrategy[str]:
    number = number_texts(inside, max(0, depth - 1))
    text = text_texts(inside)
    data = json_texts(inside)
    op = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    named = st.sampled_from(["key", "split", "label", "depth", "image", "objects", "tags", "vector", "meta"])
    pattern = words.map(lambda word: repr(f"*{word}?"))
    simple = [
        st.tuples(number, op, number).map(" ".join),
        st.tuples(number, st.sampled_from(["<", "<="]), number, op, number).map(" ".join),
        st.tuples(text, op, text).map(" ".join),
        st.tuples(data, op, st.one_of(number_constants, text_constants)).map(" ".join),
        st.tuples(data, st.sampled_from(["==", "!="]), st.sampled_from(["True", "False"])).map(" ".join),
        data,
        st.tuples(
            text, st.sampled_from(["in", "not in"]), st.sampled_from(["tags", "key", "split", "('ship', '0', '')"])
        ).map(" ".join),
        st.tuples(number, st.just("in (1, 0, 3.5)")).map(" ".join),
        st.tuples(named, st.sampled_from(["is None", "is not None", "== None", "!= None"])).map(" ".join),
        data.map(lambda value: f"{value} is None"),
        st.tuples(text, st.sampled_from(["startswith", "endswith"]), text).map(lambda t: f"{t[1]}({t[0]}, {t[2]})"),
        st.tuples(st.sampled_from(["key", "split"]), pattern).map(lambda t: f"{t[0]}.matches({t[1]})"),
    ]
    if not inside:
        simple.append(
            st.lists(words.filter(bool), min_size=1, max_size=2).map(lambda text: f"search({' '.join(text)!r})")
        )
    if depth == 0:
        return st.one_of(simple)
    operand = boolean_texts(inside, depth - 1)
    condition = boolean_texts(True, depth - 1)
    column = st.sampled_from(["objects", "found"])
    return st.one_of(
        *simple,
        st.tuples(operand, st.sampled_from(["and", "or"]), operand).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        operand.map(lambda text: f"not ({text})"),
        st.tuples(st.sampled_from(["any", "all"]), column, condition).map(lambda t: f"{t[0]}({t[1]}, {t[2]})"),
    )


def text_conditions() -> st.SearchStrategy[str]:
    """Conditions on texts that Arrow evaluates too, of keys, columns and objects, also in lower case."""
    item_text = st.sampled_from(["key", "split", "label", "image.name", "lower(key)", "lower(split)"])
    object_text = st.sampled_from(["class", "track", "lower(class)"])
    glob = st.lists(words | st.sampled_from("*?"), max_size=4).map("".join).map(repr)

    def condition(text: str) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), text_constants).map(
                lambda t: f"{text} {t[0]} {t[1]}"
            ),
            text_constants.map(lambda word: f"{word} in {text}"),
            st.lists(text_constants, min_size=1, max_size=3).map(lambda names: f"{text} in ({', '.join(names)},)"),
            st.tuples(st.sampled_from(["startswith", "endswith"]), text_constants).map(
                lambda t: f"{t[0]}({text}, {t[1]})"
            ),
            glob.map(lambda pattern: f"matches({text}, {pattern})"),
        )

    search = st.lists(words, min_size=1, max_size=3).map(" ".join).filter(str.strip)
    return st.one_of(
        item_text.flatmap(condition),
        object_text.flatmap(condition).map(lambda text: f"any(objects, {text})"),
        search.map(lambda text: f"search({text!r})"),
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace.create(tmp_path_factory.mktemp("query") / "w")


@contextmanager
def use_engine(engine: str) -> Iterator[None]:
    """Evaluate queries on arrays if possible ("arrays" or "strings", not dictionary-encoded), or always in DuckDB."""
    with pytest.MonkeyPatch.context() as patch:
        if engine == "strings":
            patch.setattr("saccade.store.query.column_cache.MAX_CATEGORIES", 0)
        if engine == "duckdb":
            patch.setattr("saccade.store.query.executor.fragment_views", not_vectorizable)
        yield


def not_vectorizable(*_: object) -> None:
    raise NotVectorizableError


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "strings", "duckdb"])
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(items=datasets(), queries=st.lists(boolean_texts(False, 2), min_size=1, max_size=12))
def test_engines_agree_with_item_by_item_evaluation(
    workspace: Workspace, engine: str, items: list[Item], queries: list[str]
) -> None:
    assert_engine_agrees(workspace, engine, items, queries)


def assert_engine_agrees(workspace: Workspace, engine: str, items: list[Item], queries: list[str]) -> None:
    """Assert that queries select the items for which the reference evaluation holds."""
    name = f"d{len(workspace.datasets.list())}"
    version = write_in_fragments(workspace, name, items)
    try:
        with use_engine(engine):
            for query in queries:
                matches = predicate(query, SCHEMA)
                assert version.where(query) == [item.key for item in items if matches(item)], query
    finally:
        workspace.datasets.remove(name)


def write_in_fragments(workspace: Workspace, name: str, items: list[Item]) -> DatasetVersion:
    """Write the items as a version with several fragments, some with deleted rows."""
    workspace.datasets.write(name, SCHEMA, [*items[::2], Item("gone", items[0].values)], mode="create")
    workspace.datasets.delete_items(name, ["gone"])
    return workspace.datasets.write(name, SCHEMA, items, mode="replace")


@pytest.mark.parametrize("engine", ["arrays", "duckdb"])
@pytest.mark.parametrize("text", ["1.5", "2", "-1", '"a"', "1 / 0"])
def test_ordering_by_a_constant_keeps_the_order(tmp_path: Path, engine: str, text: str) -> None:
    items = [Item(key, {"depth": float(index)}) for index, key in enumerate("cab")]
    with Workspace.create(tmp_path) as workspace, use_engine(engine):
        version = workspace.datasets.write("d", SCHEMA, items, mode="create")
        assert version.where(None, text) == version.where(None, text, descending=True) == ["c", "a", "b"]
        assert version.where("depth > 0", text) == ["a", "b"]
        assert version.histogram(text)["type"] in ("number", "text")


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "duckdb"])
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    items=datasets(), texts=st.lists(number_texts(False, 2) | text_texts(False), max_size=6), descending=st.booleans()
)
def test_items_are_sorted_by_any_value(
    workspace: Workspace, engine: str, items: list[Item], texts: list[str], descending: bool
) -> None:
    name = f"d{len(workspace.datasets.list())}"
    version = write_in_fragments(workspace, name, items)
    try:
        with use_engine(engine):
            for text in texts:
                values = {item.key: evaluate(parse_value(text, SCHEMA, None), item) for item in items}
                present = [key for key in values if values[key] is not None]
                expected = sorted(present, key=values.__getitem__, reverse=descending)  # stable
                expected += [key for key in values if values[key] is None]
                assert version.where(None, text, descending=descending) == expected, text
    finally:
        workspace.datasets.remove(name)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "duckdb"])
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    items=datasets(),
    texts=st.lists(
        number_texts(True, 1) | text_texts(True) | boolean_texts(True, 1).map("not ({})".format), max_size=6
    ),
)
def test_histograms_count_every_object(workspace: Workspace, engine: str, items: list[Item], texts: list[str]) -> None:
    name = f"d{len(workspace.datasets.list())}"
    version = write_in_fragments(workspace, name, items)
    pairs = [(item, obj) for item in items for obj in item.values["objects"] or ()]
    try:
        with use_engine(engine):
            for text in texts:
                node = parse_value(text, SCHEMA, SCHEMA["objects"])
                expected = [evaluate(node, item, obj) for item, obj in pairs]
                histogram = version.histogram(text, objects_column="objects", bins=4)
                assert histogram["count"] == len(pairs)
                assert histogram["missing"] == sum(value is None for value in expected)
                if histogram["type"] == "number":
                    assert sum(bin_["count"] for bin_ in histogram["bins"]) == sum(
                        value is not None and math.isfinite(value) for value in expected
                    )
                else:
                    counts = {entry["value"]: entry["count"] for entry in histogram["values"]}
                    assert counts == {value: expected.count(value) for value in expected if value is not None}
    finally:
        workspace.datasets.remove(name)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["arrays", "strings", "duckdb"])
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(items=datasets(), conditions=st.lists(text_conditions(), min_size=1, max_size=8))
def test_conditions_on_texts(workspace: Workspace, engine: str, items: list[Item], conditions: list[str]) -> None:
    assert_engine_agrees(workspace, engine, items, conditions)


@settings(max_examples=8 * EXAMPLES, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_search_takes_any_text_and_finds_items_with_all_of_its_words(text: str) -> None:
    words = text.split()
    query = f"search({json.dumps(text, ensure_ascii=False)})"
    if not words:
        with pytest.raises(QueryError, match="The search has 0 words"):
            parse_query(query, SCHEMA)
        return
    matches = predicate(query, SCHEMA)
    item = Item("7.png", {"tags": ("dusk", f"<{words[0]}>"), "split": " ".join(words[1:])})
    assert matches(item)
    assert matches(Item(f"folder/{text.upper() if text.isascii() else text}.png", {}))
    assert matches(Item("7.png", {"objects": (Object("1", text, Box(0, 0, 1, 1)),)}))
    assert not matches(Item("", {"label": words[0][1:]}))


def test_a_search_for_a_file_name_ignores_the_extension() -> None:
    matches = predicate('search("Cam1/7.JPG")', SCHEMA)
    assert matches(Item("harbour/cam1/7", {}))
    assert not matches(Item("harbour/cam1/8", {"split": "cam1/7"}))
    assert not predicate('search("7.txt")', SCHEMA)(Item("7", {}))


@pytest.mark.slow
def test_conditions_on_many_keys_are_evaluated_on_arrays(tmp_path: Path) -> None:
    items = [Item(f"Küste/{n}" if n % 2 else f"CAM/{n}", {"split": "val" if n % 3 else None}) for n in range(9000)]
    with Workspace.create(tmp_path) as workspace:
        workspace.datasets.write("d", SCHEMA, items, mode="create")
        version = workspace.datasets.delete_items("d", ["CAM/0"])
        for query in ('search("küste val")', 'search("cam")', 'key in ("CAM/8", "CAM/9")', 'key.matches("*ü*/1?")'):
            node = parse_query(query, SCHEMA)
            rows = _select_vectorized(version.snapshot, node, None, descending=False)  # raises if it needs DuckDB
            assert list(version.keys_at(rows)) == [item.key for item in items[1:] if evaluate(node, item)], query


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ('search("")', "has 0 words; expected between 1 and 32"),
        (f'search("{" ".join(map(str, range(33)))}")', "has 33 words"),
        ("search(split)", "needs its words as text in quotes"),
        ("search(3)", "needs its words as text in quotes"),
        ('search("a", "b")', "takes 1 arguments"),
        ('any(objects, search("a"))', "finds items, not objects"),
    ],
)
def test_an_invalid_search_is_an_error_at_its_place(query: str, message: str) -> None:
    with pytest.raises(QueryError, match=message) as caught:
        parse_query(query, SCHEMA)
    assert query[caught.value.start : caught.value.end] in query.removeprefix("any(objects, ")


@settings(max_examples=8 * EXAMPLES, deadline=None)
@given(
    st.text(max_size=60)
    | boolean_texts(False, 2).flatmap(
        lambda text: st.tuples(st.just(text), st.integers(0, len(text)), st.text(max_size=3)).map(
            lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + 1 :]
        )
    )
)
def test_any_text_is_a_query_or_an_error_with_a_position(text: str) -> None:
    query_error = None
    try:
        parse_query(text, SCHEMA)
    except QueryError as error:
        query_error = error
    assert query_error is None or (0 <= query_error.start <= len(text) and query_error.message)


def test_lower_equals_that_of_duckdb(workspace: Workspace) -> None:
    """For nearly all characters: Python and DuckDB may use different versions of Unicode."""
    items = [Item(f"{code:05}", {"split": chr(code)}) for code in range(1, 0x2000)]
    version = workspace.datasets.write("letters", Schema((Column("split", Kind.TEXT),)), items, mode="create")
    with use_engine("duckdb"):
        histogram = version.histogram("split.lower()", bins=1)
    expected = {lower(chr(code)) for code in range(1, 0x2000)}
    differing = {entry["value"] for entry in histogram["values"]} - expected
    assert len(differing) < 10, differing
    workspace.datasets.remove("letters")


def test_translation(tmp_path: Path) -> None:
    """A few queries with their expected result on one item."""
    item = Item(
        "a/1",
        {
            "objects": (
                Object("1", "ship", Box(0, 0, 30, 20), 0.9, None, {"moored": True, "length": 30}),
                Object("2", "ferry", Box(5, 5, 10, 10), None, "t1"),
            ),
            "found": (),
            "label": None,
            "tags": ("night", "rain"),
            "split": "val",
            "depth": math.nan,
            "meta": {"weather": {"wind": [3, 5]}, "by": "Zoë"},
            "odd-name": 2.0,
            "vector": (0.5, 0.5),
        },
    )
    expected: dict[str, bool] = {
        'any(objects, class == "ship" and area > 400) and split == "val"': True,
        'any(objects, class == "ship" and area > 600)': False,
        "all(objects, width >= 5)": True,
        "all(found, width > 1000)": True,
        "count(objects) == 2 and len(found) == 0": True,
        'count(objects, class in ("ship", "boat")) == 1': True,
        "sum(objects, area) == 625 and sum(found, area) == 0": True,
        "min(found, area) is None and mean(objects, score) == 0.9": True,
        'any(objects, attributes["moored"])': True,
        "any(objects, attributes.length > 20)": True,
        'any(objects, attributes["length"] == "30")': False,
        "any(objects, score is None)": True,
        "any(objects, not score > 0.5)": True,
        "label is None and label != 'x' and not label == 'x'": True,
        "depth is None": True,
        "'night' in tags and 'snow' not in tags": True,
        "'/' in key and key.startswith('a') and key.matches('?/*')": True,
        'meta.weather.wind[1] == 5 and meta["by"] == "Zoë"': True,
        "meta.weather.wind[9] is None": True,
        "1 < count(objects) <= 2": True,
        'item["odd-name"] / 0 is None': True,
        "-7 % 3 == 2": True,
        "any(objects, type == 'box' and track == 't1' and any(objects, class == 'ship'))": True,
        "image is None and image.width is None": True,
    }
    for query, matches in expected.items():
        assert predicate(query, SCHEMA)(item) is matches, query
    with Workspace.create(tmp_path / "w") as workspace:
        version = workspace.datasets.write("d", SCHEMA, [item], mode="create")
        for query, matches in expected.items():
            assert version.where(query) == (["a/1"] if matches else []), query


INVALID: list[tuple[str, str, str]] = [
    ("", "", "empty"),
    ("splitt == 'val'", "splitt", "Did you mean split?"),
    ("any(objects, clas == 'ship')", "clas", "Did you mean class?"),
    ("class == 'ship'", "class", "field of objects"),
    ("split == 3", "split == 3", "compared with"),
    ("split", "split", "true or false"),
    ("objects.area > 3", "objects.area", "any(objects, area"),
    ("any(split, area > 3)", "split", "needs a column of objects"),
    ("any(objects, area > 'x')", "area > 'x'", "compared with"),
    ("image.widht > 3", "image.widht", "Did you mean width?"),
    ("tags == 'night'", "tags", '"name" in labels'),
    ("meta.a == meta.b", "meta.a == meta.b", "number("),
    ("split == None or depth < None", "depth < None", "no order"),
    ("split is 'val'", "split is 'val'", "None only"),
    ("__import__('os').system('x')", "__import__('os').system", "no function"),
    ("open('x')", "open", "no function"),
    ("(lambda: 1)()", "lambda: 1", "no function"),
    ("[x for x in tags]", "[x for x in tags]", "not part"),
    ("split := 'x'", ":", "not an expression"),
    ("depth ** 2 > 1", "depth ** 2", "operator"),
    ("count(objects, where=True) > 1", "count(objects, where=True)", "no keyword arguments"),
    ("any(objects, )  and", "", "ends too early"),
    ("all(objects)", "all(objects)", "2 arguments"),
    ("key == 'a\\x00'", "'a\\x00'", "no value can contain"),
    ("depth > 1e999", "1e999", "too large"),
    ("split in ('a', 3)", "('a', 3)", "different types"),
    ("split in (key, 'a')", "key", "only numbers and texts"),
    ("key.matches(split)", "split", "pattern"),
    ("größe == 1", "größe", "not a column"),
    ("  'é' == splt", "splt", "Did you mean split?"),
]


@pytest.mark.parametrize("text", ["len(objects) >", "len(objects) >  ", "  depth ==", "größe and"])
def test_an_incomplete_query_is_marked_at_its_end(text: str) -> None:
    with pytest.raises(QueryError, match="ends too early") as error:
        parse_query(text, SCHEMA)
    end = len(text.rstrip())
    assert (error.value.start, error.value.end) == (end, end + 1)
    assert str(error.value).splitlines()[-1] == " " * (end + 2) + "^"


@pytest.mark.parametrize(("text", "location", "message"), INVALID, ids=[text for text, _, _ in INVALID])
def test_errors_have_the_location(text: str, location: str, message: str) -> None:
    with pytest.raises(QueryError) as error:
        parse_query(text, SCHEMA)
    assert message in f"{error.value.message} {error.value.hint}"
    if location:
        assert text[error.value.start : error.value.end] == location


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "1" + ")" * 500 + " == 1",
        " and ".join(["split == 'a'"] * 2000),
        "not " * 2000 + "True",
        " % ".join(["number(meta)"] * 40) + " > 0",
        "x" * 20_000,
        "meta" + "['0']" * 50 + " is None",
    ],
    ids=lambda text: text[:20],
)
def test_a_too_complex_query_is_refused(workspace: Workspace, text: str) -> None:
    if not workspace.datasets.exists("one"):
        workspace.datasets.write("one", SCHEMA, [Item("a", {"depth": 1.0})], mode="create")
    with pytest.raises(SaccadeError):
        workspace.datasets.open("one").where(text)


def test_errors_can_be_pickled() -> None:
    with pytest.raises(QueryError) as error:
        parse_query("splt == 'a'", SCHEMA)
    unpickled = pickle.loads(pickle.dumps(error.value))
    assert (str(unpickled), unpickled.start, unpickled.end) == (str(error.value), 0, 4)
