"""What label sets of local and remote workspaces have in common."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, Edit, ItemState
from saccade.client import RemoteWorkspace
from saccade.core.errors import ConflictError, InvalidValueError, NotFoundError
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.workspace import Workspace

SCHEMA = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("cat"), ClassInfo("dog"))),))
CAT = Object("a", "cat", Box(0, 0, 4, 4), 0.5, "t", {"pose": "sits"})


def apply(workspace: Workspace | RemoteWorkspace, name: str, kind: str, object_id: str | None, **fields: Any) -> None:
    """Append an edit of the item ``k0`` to the log."""
    values: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "item": "k0",
        "object": object_id,
        "kind": kind,
        "fields": fields,
    }
    values |= {"base": 0, "group": str(uuid.uuid4())}
    if isinstance(workspace, RemoteWorkspace):
        (result,) = workspace.api.post(f"/label-sets/{name}/edits", {"edits": [values]})["results"]
        assert result["status"] == "applied", result
    else:
        (applied,), _ = LabelSets(workspace).apply(name, [Edit(**values)], Author())
        assert applied.status == "applied", applied


def check_label_sets(workspace: Workspace | RemoteWorkspace, name: str) -> None:
    items = [Item("k0", {"objects": None}), Item("k1", {"objects": (CAT,)}), Item("k2", {"objects": ()})]
    workspace.datasets.write(name, SCHEMA, items, mode="create")
    sets = workspace.label_sets
    created = sets.create(name, name, classes=["bird"])
    assert (created.base, created.items, created.uncommitted_edits) == (f"{name}@1", 3, 0)
    assert [(entry.id, entry.name, entry.hotkey) for entry in created.classes] == [
        ("c1", "cat", "1"),
        ("c2", "dog", "2"),
        ("c3", "bird", "3"),
    ]
    assert created.states[ItemState.UNLABELLED] == 1
    assert sets.get(name).created == created.created
    assert name in [entry.name for entry in sets.list()]
    apply(
        workspace, name, "put", "b", **{"class": "c3", "geometry": {"type": "box", "x1": 1, "y1": 2, "x2": 3, "y2": 4}}
    )
    listed = list(sets.items(name))
    assert [(item.key, str(item.state), item.objects) for item in listed] == [
        ("k0", "in_progress", (Object("b", "bird", Box(1, 2, 3, 4)),)),
        ("k1", "labelled", (CAT,)),
        ("k2", "empty", ()),
    ]
    assert [item.key for item in sets.items(name, state="empty")] == ["k2"]
    with pytest.raises(InvalidValueError):
        list(sets.items(name, state="emty"))
    with pytest.raises(ConflictError):
        sets.remove(name)
    preview = sets.preview(name)
    assert (preview.base, preview.changed_items, preview.added, preview.removed) == (f"{name}@1", 1, 1, 0)
    assert [(change.name, change.change) for change in preview.classes] == [("bird", "added")]
    committed = sets.commit(name, message="birds")
    assert committed.classes == preview.classes
    assert (committed.version, committed.is_new, committed.added) == (f"{name}@2", True, 1)
    assert workspace.datasets.open(name).info.message == "birds"
    assert not sets.commit(name).is_new
    sets.remove(name)
    for call in (sets.get, sets.remove, sets.commit, lambda missing: list(sets.items(missing))):
        with pytest.raises(NotFoundError):
            call(name)
