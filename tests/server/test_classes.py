"""Classes of a dataset, by HTTP."""

from __future__ import annotations

from typing import Any

import pytest
from tests.server.conftest import Site, error_of

from saccade.core.roles import Role
from saccade.server.permissions import API

C = f"{API}/datasets/harbour/classes"


def named(site: Site, role: Role = Role.VIEWER, ref: str = "harbour") -> dict[str, Any]:
    answer = site.signed_in(role).get(f"{API}/datasets/{ref}/classes")
    assert answer.status_code == 200, answer.text
    return {one["name"]: one for one in answer.json()["classes"]}


def test_classes_are_counted_and_changed_together(site: Site) -> None:
    before = named(site)
    counts = {name: one["objects"] for name, one in before.items()}
    version = site.workspace.datasets.open("harbour")
    assert counts["tug"] == sum(one.class_name == "tug" for item in version.items() for one in item["objects"])
    manager = site.signed_in(Role.MANAGER)
    acts: list[dict[str, Any]] = [
        {"act": "rename", "name": "tug", "to": "<b>tug</b> 拖船"},
        {"act": "merge", "name": "ferry", "into": "sailboat"},
        {"act": "recolor", "name": "sailboat", "color": "#123456"},
        {"act": "add", "name": "buoy", "column": "objects"},
        {"act": "remove", "name": "tanker", "with_objects": True},
    ]
    made = manager.post(C, json={"acts": acts})
    assert made.json() == {"ref": "harbour@2", "number": 2, "items": len(version)}
    after = named(site)
    assert set(after) == {*before, "<b>tug</b> 拖船", "buoy"} - {"tug", "ferry", "tanker"}
    assert after["<b>tug</b> 拖船"]["objects"] == counts["tug"]
    assert after["sailboat"]["objects"] == counts["sailboat"] + counts["ferry"]
    assert after["sailboat"]["color"] == "#123456"
    assert named(site, ref="harbour@1") == before
    [entry, *_] = manager.get(f"{API}/datasets/harbour/log").json()
    assert entry["author"] == "Manager"
    assert entry["message"].startswith("Classes: renamed tug to <b>tug</b>")
    manager.post(f"{API}/datasets/harbour/restore", json={"number": 1})
    assert named(site) == before


def test_the_second_of_two_is_told(site: Site) -> None:
    first, second = site.signed_in(Role.MANAGER), site.signed_in(Role.OWNER, "owner@example.org")
    seen = {"If-Match": first.get(C).headers["ETag"]}
    assert first.post(C, json={"acts": [{"act": "add", "name": "buoy"}]}, headers=seen).status_code == 201
    late = second.post(C, json={"acts": [{"act": "add", "name": "pier"}]}, headers=seen)
    assert (late.status_code, error_of(late)) == (412, "moved")
    assert "version 2 by now" in late.json()["error"]["message"]
    seen = {"If-Match": second.get(C).headers["ETag"]}
    assert second.post(C, json={"acts": [{"act": "add", "name": "pier"}]}, headers=seen).status_code == 201


@pytest.mark.parametrize(
    ("acts", "status"),
    [
        ([], 422),
        ([{"act": "rename", "name": "tug"}], 422),
        ([{"act": "paint", "name": "tug"}], 422),
        ([{"act": "rename", "name": "tug", "to": "ferry"}], 409),
        ([{"act": "remove", "name": "sailboat"}], 409),
        ([{"act": "rename", "name": "nobody", "to": "x"}], 404),
        ([{"act": "add", "name": "\ud800"}], 422),
        ([{"act": "add", "name": " "}], 422),
        ([{"act": "recolor", "name": "tug", "color": "red"}], 422),
        ([{"act": "merge", "name": "tug", "into": "tug"}], 422),
        ([{"act": "add", "name": "fine"}, {"act": "remove", "name": "nobody"}], 404),
    ],
)
def test_what_is_refused_changes_nothing(site: Site, acts: list[Any], status: int) -> None:
    import json

    manager = site.signed_in(Role.MANAGER)
    body = json.dumps({"acts": acts})
    answer = manager.post(C, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert len(site.workspace.datasets.log("harbour")) == 1
    old = manager.post(f"{API}/datasets/harbour@1/classes", json={"acts": [{"act": "add", "name": "x"}]})
    assert error_of(old) == "invalid-value"


def test_who_looks_changes_nothing(site: Site) -> None:
    body = {"acts": [{"act": "add", "name": "x"}]}
    for role in (Role.VIEWER, Role.ANNOTATOR, Role.REVIEWER):
        assert site.signed_in(role).post(C, json=body).status_code == 403
    assert len(site.workspace.datasets.log("harbour")) == 1


def test_nothing_is_sent_again_that_is_known(site: Site) -> None:
    viewer = site.signed_in(Role.VIEWER)
    tag = viewer.get(C).headers["ETag"]
    assert viewer.get(C, headers={"If-None-Match": tag}).status_code == 304
