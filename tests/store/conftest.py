"""What the tests of the store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

SCHEMA = Schema(
    (
        Column("objects", Kind.OBJECTS, (ClassInfo("cell"),)),
        Column("label", Kind.LABEL),
        Column("number", Kind.NUMBER),
    )
)


def item(key: str, number: float = 0.0, boxes: int = 2, label: str | None = None) -> Item:
    """An item of :data:`SCHEMA` with some boxes, numbered from "0"."""
    things = tuple(Object(str(i), "cell", Box(i, i, i + number + 1, i + 2)) for i in range(boxes))
    return Item(key, {"objects": things, "label": label, "number": float(number)})


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """An empty workspace, with a catalog of either kind."""
    catalog = "" if request.param == "sqlite" else request.getfixturevalue("postgresql")
    with Workspace.create(tmp_path / "home", catalog) as made:
        yield made


@pytest.fixture
def schema() -> Schema:
    return SCHEMA
