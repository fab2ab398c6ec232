"""Schema: names, look-up, and the way to JSON and back."""

from __future__ import annotations

import json

import pytest

from saccade.core.errors import InvalidValueError, NotFoundError
from saccade.core.schema import ClassInfo, Column, Kind, Schema

PERSON = ClassInfo("person", "animal", "#ff0000", ("nose", "tail"), ((0, 1),))
SCHEMA = Schema(
    (
        Column("image", Kind.IMAGE),
        Column("objects", Kind.OBJECTS, (PERSON, ClassInfo("chat à neuf queues"))),
        Column("split", Kind.TEXT),
        Column("embedding-v2", Kind.EMBEDDING),
    )
)


def test_json_round_trip() -> None:
    assert Schema.from_json(json.loads(json.dumps(SCHEMA.to_json()))) == SCHEMA
    assert Schema.from_json(Schema().to_json()) == Schema()


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_survives_json(kind: Kind) -> None:
    column = Column("c", kind)
    assert Column.from_json(json.loads(json.dumps(column.to_json()))) == column


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(InvalidValueError, match=r"no kind 'imag'\. Did you mean image"):
        Column.from_json({"name": "a", "kind": "imag"})


@pytest.mark.parametrize("name", ["", "key", "1st", "a b", "a.b", "a/b", "é", "-a", "a\n", "a;drop"])
def test_bad_column_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="Invalid column name"):
        Column(name, Kind.TEXT)


@pytest.mark.parametrize("name", ["a", "_a", "A-1", "keys"])
def test_good_column_names(name: str) -> None:
    assert Column(name, Kind.TEXT).name == name


def test_duplicates_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="Duplicate column names: \\['a', 'a'\\]"):
        Schema((Column("a", Kind.TEXT), Column("a", Kind.NUMBER)))
    with pytest.raises(InvalidValueError, match="Column 'a' has duplicate class names"):
        Column("a", Kind.LABEL, (ClassInfo("x"), ClassInfo("x")))
    with pytest.raises(InvalidValueError, match="A class needs a name"):
        ClassInfo("")


def test_look_up() -> None:
    assert SCHEMA.names == ("image", "objects", "split", "embedding-v2")
    assert SCHEMA["objects"].class_names == ("person", "chat à neuf queues")
    assert "split" in SCHEMA
    assert "splits" not in SCHEMA
    assert SCHEMA.columns_of_kind(Kind.TEXT, Kind.IMAGE) == (SCHEMA["image"], SCHEMA["split"])
    assert SCHEMA.first(Kind.TEXT).name == "split"
    with pytest.raises(NotFoundError, match=r"no column 'object'\. Did you mean objects"):
        SCHEMA["object"]
    with pytest.raises(NotFoundError, match="no column of kind label or labels"):
        SCHEMA.first(Kind.LABEL, Kind.LABELS)


def test_select_and_with_columns() -> None:
    assert SCHEMA.select(["split", "image"]).names == ("split", "image")
    with pytest.raises(NotFoundError, match="no column 'other'"):
        SCHEMA.select(["other"])
    changed = SCHEMA.with_columns(Column("new", Kind.NUMBER), Column("split", Kind.LABEL))
    assert changed.names == ("image", "objects", "split", "embedding-v2", "new")
    assert changed["split"].kind is Kind.LABEL
    assert SCHEMA["split"].kind is Kind.TEXT
