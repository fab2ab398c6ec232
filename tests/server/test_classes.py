"""HTTP API: classes of a dataset."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import ServerHarness, error_of

from saccade.core.roles import Role
from saccade.server.permissions import API

C = f"{API}/datasets/harbour/classes"


def list_classes(server: ServerHarness, role: Role = Role.VIEWER, ref: str = "harbour") -> dict[str, Any]:
    answer = server.signed_in(role).get(f"{API}/datasets/{ref}/classes")
    assert answer.status_code == 200, answer.text
    return {entry["name"]: entry for entry in answer.json()["classes"]}


def test_classes_are_counted_and_edited_together(server: ServerHarness) -> None:
    before = list_classes(server)
    counts = {name: entry["objects"] for name, entry in before.items()}
    version = server.workspace.datasets.open("harbour")
    assert counts["tug"] == sum(entry.class_name == "tug" for item in version.items() for entry in item["objects"])
    manager = server.signed_in(Role.MANAGER)
    edits: list[dict[str, Any]] = [
        {"action": "rename", "name": "tug", "new_name": "<b>tug</b> 拖船"},
        {"action": "merge", "name": "ferry", "target": "sailboat"},
        {"action": "recolor", "name": "sailboat", "color": "#123456"},
        {"action": "add", "name": "buoy", "column": "objects"},
        {"action": "remove", "name": "tanker", "with_objects": True},
    ]
    created = manager.post(C, json={"edits": edits})
    assert created.json() == {"ref": "harbour@2", "number": 2, "items": len(version)}
    after = list_classes(server)
    assert set(after) == {*before, "<b>tug</b> 拖船", "buoy"} - {"tug", "ferry", "tanker"}
    assert after["<b>tug</b> 拖船"]["objects"] == counts["tug"]
    assert after["sailboat"]["objects"] == counts["sailboat"] + counts["ferry"]
    assert after["sailboat"]["color"] == "#123456"
    assert list_classes(server, ref="harbour@1") == before
    [entry, *_] = manager.get(f"{API}/datasets/harbour/versions").json()
    assert entry["author"] == "Manager"
    assert entry["message"].startswith("Classes: renamed tug to <b>tug</b>")
    manager.post(f"{API}/datasets/harbour/restore", json={"number": 1})
    assert list_classes(server) == before


def test_concurrent_edits_conflict(server: ServerHarness) -> None:
    first, second = server.signed_in(Role.MANAGER), server.signed_in(Role.OWNER, "owner@example.org")
    if_match = {"If-Match": first.get(C).headers["ETag"]}
    assert first.post(C, json={"edits": [{"action": "add", "name": "buoy"}]}, headers=if_match).status_code == 201
    late = second.post(C, json={"edits": [{"action": "add", "name": "pier"}]}, headers=if_match)
    assert (late.status_code, error_of(late)) == (412, "stale-version")
    assert "its head is now version 2" in late.json()["error"]["message"]
    if_match = {"If-Match": second.get(C).headers["ETag"]}
    assert second.post(C, json={"edits": [{"action": "add", "name": "pier"}]}, headers=if_match).status_code == 201


@pytest.mark.parametrize(
    ("edits", "status"),
    [
        ([], 422),
        ([{"action": "rename", "name": "tug"}], 422),
        ([{"action": "paint", "name": "tug"}], 422),
        ([{"action": "rename", "name": "tug", "new_name": "ferry"}], 409),
        ([{"action": "remove", "name": "sailboat"}], 409),
        ([{"action": "rename", "name": "missing", "new_name": "x"}], 404),
        ([{"action": "add", "name": "\ud800"}], 422),
        ([{"action": "add", "name": " "}], 422),
        ([{"action": "recolor", "name": "tug", "color": "red"}], 422),
        ([{"action": "merge", "name": "tug", "target": "tug"}], 422),
        ([{"action": "add", "name": "fine"}, {"action": "remove", "name": "missing"}], 404),
    ],
)
def test_invalid_edits_change_nothing(server: ServerHarness, edits: list[Any], status: int) -> None:
    import json

    manager = server.signed_in(Role.MANAGER)
    body = json.dumps({"edits": edits})
    answer = manager.post(C, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert len(server.workspace.datasets.log("harbour")) == 1
    old = manager.post(f"{API}/datasets/harbour@1/classes", json={"edits": [{"action": "add", "name": "x"}]})
    assert error_of(old) == "invalid-value"


def test_editing_requires_a_manager(server: ServerHarness) -> None:
    body = {"edits": [{"action": "add", "name": "x"}]}
    for role in (Role.VIEWER, Role.ANNOTATOR, Role.REVIEWER):
        assert server.signed_in(role).post(C, json=body).status_code == 403
    assert len(server.workspace.datasets.log("harbour")) == 1


def test_not_modified(server: ServerHarness) -> None:
    viewer = server.signed_in(Role.VIEWER)
    tag = viewer.get(C).headers["ETag"]
    assert viewer.get(C, headers={"If-None-Match": tag}).status_code == 304
