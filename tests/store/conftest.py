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


LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "s3")]


@pytest.fixture(params=["sqlite", *LARGE])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """An empty workspace: all in its folder, with a catalog in PostgreSQL, or with its files in S3."""
    catalog = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    objects = request.getfixturevalue("bucket") if request.param == "s3" else ""
    with Workspace.create(tmp_path / "home", catalog, objects) as made:
        yield made


@pytest.fixture
def schema() -> Schema:
    return SCHEMA
