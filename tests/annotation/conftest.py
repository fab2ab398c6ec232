"""A dataset to label, and short ways to make edits."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, Edit, EditKind
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

ANN = Author("ann", "Ann")
BEN = Author("ben", "Ben")
SCHEMA = Schema((Column("note", Kind.TEXT), Column("objects", Kind.OBJECTS, (ClassInfo("cat"), ClassInfo("dog")))))


def box(left: float = 0, top: float = 0, size: float = 10) -> dict[str, Any]:
    """Return a square box as JSON."""
    return {"type": "box", "x1": left, "y1": top, "x2": left + size, "y2": top + size}


def edit(
    item: str,
    kind: EditKind,
    object_id: str | None = None,
    fields: Mapping[str, Any] | None = None,
    *,
    base: int = 0,
    edit_id: str | None = None,
    group: str | None = None,
) -> Edit:
    """Return an edit with a new id."""
    return Edit(edit_id or str(uuid.uuid4()), item, object_id, kind, fields or {}, base, group or str(uuid.uuid4()))


def put(item: str, object_id: str, class_id: str = "c1", **fields: Any) -> Edit:
    return edit(item, "put", object_id, {"class": class_id, "geometry": box(), **fields})


def write_items(workspace: Workspace, name: str = "pets") -> None:
    """Write six items: two without labels, two that are reviewed and empty, and two with a cat and a dog."""
    pair = (Object("a", "cat", Box(0, 0, 4, 4)), Object("b", "dog", Box(5, 5, 9, 9)))
    values = [None, (), pair, None, (), pair]
    items = [Item(f"k{number}", {"note": "", "objects": value}) for number, value in enumerate(values)]
    workspace.datasets.write(name, SCHEMA, items, mode="create")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def workspace(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Workspace]:
    """A workspace with the dataset ``pets``, its catalog in SQLite or PostgreSQL."""
    catalog = request.getfixturevalue("postgresql") if request.param == "postgresql" else ""
    with Workspace.create(tmp_path / "home", catalog) as created:
        write_items(created)
        yield created


@pytest.fixture
def label_sets(workspace: Workspace) -> LabelSets:
    """The label sets of that workspace, with the set ``pets``."""
    label_sets = LabelSets(workspace)
    label_sets.create("pets", "pets")
    return label_sets
