"""Shared helpers and fixtures of the tests of the store."""

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
    """Return an item of :data:`SCHEMA` with some boxes, with ids from "0"."""
    objects = tuple(Object(str(i), "cell", Box(i, i, i + number + 1, i + 2)) for i in range(boxes))
    return Item(key, {"objects": objects, "label": label, "number": float(number)})


SLOW_BACKENDS = [pytest.param(name, marks=pytest.mark.slow) for name in ("postgresql", "s3")]


@pytest.fixture(params=["sqlite", *SLOW_BACKENDS])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """An empty workspace: with everything in its folder, with its catalog in PostgreSQL, or with its blobs in S3."""
    catalog = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    objects = request.getfixturevalue("bucket") if request.param == "s3" else ""
    with Workspace.create(tmp_path / "home", catalog, objects) as created:
        yield created


@pytest.fixture
def schema() -> Schema:
    return SCHEMA
