"""Label sets over HTTP: roles, edits, events, presence and commits."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.server.conftest import ServerHarness, error_of

from saccade.annotation.label_sets import LabelSets
from saccade.annotation.records import Author, Edit
from saccade.app.labels import live
from saccade.core.objects import Box, Object
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.server.permissions import API

SETS = f"{API}/label-sets"
KEY = "scene000_00"
BOX = {"type": "box", "x1": 1, "y1": 2, "x2": 30, "y2": 40}


def new_edit(kind: str, object_id: str | None = None, fields: Any = None, **values: Any) -> dict[str, Any]:
    edit = {"id": str(uuid.uuid4()), "item": KEY, "object": object_id, "kind": kind, "fields": fields or {}}
    return edit | {"base": 0, "group": str(uuid.uuid4())} | values


def new_box(object_id: str, **values: Any) -> dict[str, Any]:
    return new_edit("put", object_id, {"class": "c1", "geometry": BOX}) | values


def send(client: TestClient, *edits: dict[str, Any]) -> Any:
    response = client.post(f"{SETS}/harbour/edits", json={"edits": list(edits)})
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
def manager(server: ServerHarness) -> TestClient:
    """A client of a manager, and the label set ``harbour``."""
    client = server.signed_in(Role.MANAGER)
    response = client.post(SETS, json={"name": "harbour", "dataset": "harbour"})
    assert response.status_code == 201, response.text
    return client


def test_label_and_commit(server: ServerHarness, manager: TestClient) -> None:
    label_set = manager.get(f"{SETS}/harbour").json()
    assert (label_set["base"], label_set["items"], label_set["uncommitted_edits"]) == ("harbour@1", 10, 0)
    assert sum(label_set["states"].values()) == 10
    assert [entry["name"] for entry in manager.get(SETS).json()["label_sets"]] == ["harbour"]
    page = manager.get(f"{SETS}/harbour/items", params={"limit": 2, "offset": 1}).json()
    assert (page["total"], [item["index"] for item in page["items"]]) == (10, [1, 2])
    assert page["items"][0]["version_ref"] == "harbour@1"
    assert page["items"][0]["width"] == 320
    item = manager.get(f"{SETS}/harbour/item", params={"key": KEY}).json()
    assert (item["image"]["column"], item["image"]["width"], item["next"]) == ("image", 320, "scene001_00")
    assert "uri" not in item["image"]
    annotator = server.signed_in(Role.ANNOTATOR)
    answer = send(annotator, new_box("n"), new_edit("patch", "n", {"score": 0.5}))
    assert ([result["status"] for result in answer["results"]], answer["seq"]) == (["applied", "applied"], 2)
    item = annotator.get(f"{SETS}/harbour/item", params={"key": KEY}).json()
    assert item["objects"][-1] == {
        "id": "n",
        "class": "c1",
        "geometry": {"type": "box", "x1": 1.0, "y1": 2.0, "x2": 30.0, "y2": 40.0},
        "attributes": {},
        "score": 0.5,
        "track": None,
        "order": float(len(item["objects"]) - 1),
        "source": "manual",
        "deleted": False,
        "accepted": True,
    }
    history = annotator.get(f"{SETS}/harbour/history", params={"author": "me"}).json()["edits"]
    assert [(edit["kind"], edit["author"], edit["before"]) for edit in history] == [
        ("put", "Annotator", {}),
        ("patch", "Annotator", {"score": None}),
    ]
    assert manager.get(f"{SETS}/harbour/history", params={"author": "me"}).json()["edits"] == []
    preview = manager.get(f"{SETS}/harbour/commit").json()
    assert (preview["base"], preview["added"], preview["removed"], preview["classes"]) == ("harbour@1", 1, 0, [])
    commit = manager.post(f"{SETS}/harbour/commit", json={"message": "first labels"})
    assert (commit.status_code, commit.json()["version"], commit.json()["added"]) == (201, "harbour@2", 1)
    again = manager.post(f"{SETS}/harbour/commit", json={})
    assert (again.status_code, again.json()["version"]) == (200, "harbour@2")
    version = manager.get(f"{API}/datasets/harbour").json()
    assert (version["message"], version["author"], version["changed"]) == ("first labels", "Manager", 1)


def test_a_repeated_request_is_applied_once(manager: TestClient) -> None:
    edits = [new_box("n"), new_edit("delete", "1")]
    first = send(manager, *edits)
    assert send(manager, *edits) == first
    assert manager.get(f"{SETS}/harbour").json()["seq"] == 2


def test_refused_edits_do_not_stop_the_others(manager: TestClient) -> None:
    results = send(manager, new_edit("delete", "none"), new_box("n"), new_box("m", item="nothing"))["results"]
    assert [(result["status"], result["code"]) for result in results] == [
        ("refused", "object-unknown"),
        ("applied", None),
        ("refused", "item-unknown"),
    ]


def test_bodies_are_checked(manager: TestClient) -> None:
    bodies: list[dict[str, Any]] = [
        {"edits": []},
        {"edits": [new_box("n")] * 257},
        {"edits": [new_box("n", id="1")]},
        {"edits": [new_box("n", kind="draw")]},
        {"edits": [new_box("n", more=1)]},
        {"edits": [new_box("n", base=-1)]},
    ]
    for body in bodies:
        response = manager.post(f"{SETS}/harbour/edits", json=body)
        assert (response.status_code, error_of(response)) == (422, "invalid-value"), body
    points = [[float(n), 0.0] for n in range(20_000)]
    polyline = new_edit("put", "long", {"class": "c1", "geometry": {"type": "polyline", "points": points}})
    assert send(manager, polyline)["results"][0]["status"] == "applied", "more values than other bodies may have"
    for path in ("nothing", "nothing/items", "nothing/item?key=k", "nothing/history", "nothing/events"):
        response = manager.get(f"{SETS}/{path}")
        assert (response.status_code, error_of(response)) == (404, "not-found"), path
    response = manager.post(f"{SETS}/nothing/edits", json={"edits": [new_box("n")]})
    assert (response.status_code, error_of(response)) == (404, "not-found")


def test_roles(server: ServerHarness, manager: TestClient) -> None:
    viewer = server.signed_in(Role.VIEWER)
    annotator = server.signed_in(Role.ANNOTATOR)
    edits = {"edits": [new_box("n")]}
    assert viewer.get(f"{SETS}/harbour/items").status_code == 200
    assert viewer.post(f"{SETS}/harbour/edits", json=edits).status_code == 403
    assert viewer.post(f"{SETS}/harbour/presence", json={"client": "x"}).status_code == 403
    assert annotator.post(f"{SETS}/harbour/edits", json=edits).status_code == 200
    assert annotator.post(f"{SETS}/harbour/presence", json={"client": "x", "item": KEY}).status_code == 204
    for method, path, body in (
        ("POST", "", {"name": "x", "dataset": "harbour"}),
        ("DELETE", "/harbour", None),
        ("PUT", "/harbour/classes/c1", {"name": "x", "color": "#112233"}),
        ("POST", "/harbour/commit", {}),
    ):
        assert annotator.request(method, SETS + path, json=body).status_code == 403, path
    assert server.client().get(f"{SETS}/harbour").status_code == 401
    owner = server.signed_in(Role.OWNER, "owner@example.org")
    actions = [entry["action"] for entry in owner.get(f"{API}/audit").json()["entries"]]
    assert f"POST {API}/label-sets/{{label_set}}/commit" not in actions
    assert any("refused POST" in action and "edits" in action for action in actions)
    assert f"POST {API}/label-sets/{{label_set}}/edits" not in actions, "edits have a log of their own"


def test_classes_over_http(manager: TestClient) -> None:
    body = {"name": "buoy", "color": "#112233", "attributes": [{"name": "lit", "type": "checkbox", "default": False}]}
    response = manager.put(f"{SETS}/harbour/classes/buoy-1", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["attributes"][0] == {
        "name": "lit",
        "type": "checkbox",
        "choices": [],
        "default": False,
        "required": False,
    }
    taken = manager.put(f"{SETS}/harbour/classes/other", json=body)
    assert (taken.status_code, error_of(taken)) == (409, "conflict")
    wrong = manager.put(f"{SETS}/harbour/classes/other", json={**body, "name": "x", "color": "blue"})
    assert wrong.status_code == 422
    manager.put(f"{SETS}/harbour/classes/buoy-1", json={**body, "deleted": True})
    edit = new_edit("put", "n", {"class": "buoy-1", "geometry": BOX})
    assert send(manager, edit)["results"][0]["code"] == "class-deleted"


def test_a_set_with_uncommitted_edits_is_deleted_with_force_only(manager: TestClient) -> None:
    send(manager, new_box("n"))
    response = manager.delete(f"{SETS}/harbour")
    assert (response.status_code, error_of(response)) == (409, "conflict")
    dataset = manager.delete(f"{API}/datasets/harbour")
    assert (dataset.status_code, error_of(dataset)) == (409, "conflict")
    assert manager.delete(f"{SETS}/harbour", params={"force": True}).status_code == 204
    assert manager.get(f"{SETS}/harbour").status_code == 404
    response = manager.post(f"{SETS}/harbour/edits", json={"edits": [new_box("n")]})
    assert response.status_code == 404, "although the server has cached it"
    manager.post(SETS, json={"name": "harbour", "dataset": "harbour"})
    assert send(manager, new_box("n"))["seq"] == 1


def test_conflicts_of_a_commit(server: ServerHarness, manager: TestClient) -> None:
    send(manager, new_edit("patch", "1", {"geometry": BOX}))
    version = server.workspace.datasets.open("harbour")
    changed = (Object("1", "tug", Box(0, 0, 5, 5)), *version.get(KEY)["objects"][1:])
    schema = Schema((Column("objects", Kind.OBJECTS),))
    server.workspace.datasets.write("harbour", schema, [Item(KEY, {"objects": changed})], mode="merge")
    response = manager.post(f"{SETS}/harbour/commit", json={})
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "merge-conflict"
    assert response.json()["conflicts"] == [
        {"key": KEY, "column": "objects", "object": "1", "class": None, "dataset": "changed", "labels": "changed"}
    ]
    assert manager.post(f"{SETS}/harbour/commit", json={"prefer": "labels"}).json()["version"] == "harbour@3"


def test_clients_in_parallel(server: ServerHarness, manager: TestClient) -> None:
    clients = [manager, server.signed_in(Role.ANNOTATOR), server.signed_in(Role.ANNOTATOR, "b@example.org")]
    seqs: list[int] = []

    def work(client: TestClient, name: str) -> None:
        for number in range(8):
            seqs.extend(result["seq"] for result in send(client, new_box(f"{name}{number}"))["results"])

    threads = [threading.Thread(target=work, args=(client, f"t{n}-")) for n, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seqs) == list(range(1, 25))
    item = manager.get(f"{SETS}/harbour/item", params={"key": KEY}).json()
    assert sum(obj["source"] == "manual" for obj in item["objects"]) == 24


# Events. The test client reads a streamed response only when it has ended, so the stream is followed directly.


def follow(server: ServerHarness, after: int | None, act: Any, count: int) -> list[live.LabelEvent]:
    """Follow the set; call ``act`` in a thread once the stream has begun, and return the next ``count`` events."""
    labelling: live.LiveLabelling = server.app.state.labelling
    sets = labelling.label_sets(server.workspace, server.workspace.datasets.open)

    async def collect() -> list[live.LabelEvent]:
        events: list[live.LabelEvent] = []
        stream = labelling.follow(sets, "harbour", after)
        task = None
        async for event in stream:
            events.append(event)
            if task is None:
                task = asyncio.create_task(asyncio.to_thread(act))
            if len(events) == count:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        if task is not None:
            await task
        return events

    return asyncio.run(collect())


def test_followers_get_edits_and_resume(server: ServerHarness, manager: TestClient) -> None:
    send(manager, new_box("before"))
    events = follow(server, None, lambda: send(manager, new_box("after")), 4)
    assert [event.name for event in events] == ["classes", "commit", "presence", "edits"]
    (edit,) = json.loads(events[3].data)
    assert (edit["object"], edit["author"], edit["seq"], events[3].seq) == ("after", "Manager", 2, 2)
    resumed = follow(server, 0, lambda: None, 2)
    assert [event["seq"] for event in json.loads(resumed[1].data)] == [1, 2]


def test_followers_get_edits_of_other_processes_classes_commits_and_presence(
    server: ServerHarness, manager: TestClient
) -> None:
    other = LabelSets(server.workspace)  # as another process: its edits are not announced
    edit = Edit(str(uuid.uuid4()), KEY, "n", "put", {"class": "c1", "geometry": BOX}, 0, str(uuid.uuid4()))
    events = follow(server, 0, lambda: other.apply("harbour", [edit], Author("x", "Another")), 4)
    assert json.loads(events[-1].data)[0]["author"] == "Another"
    body = {"name": "buoy", "color": "#112233"}
    events = follow(server, 1, lambda: manager.put(f"{SETS}/harbour/classes/b", json=body), 4)
    assert events[-1].name == "classes"
    assert json.loads(events[-1].data)[-1]["name"] == "buoy"
    events = follow(server, 1, lambda: manager.post(f"{SETS}/harbour/commit", json={}), 5)
    commit = next(event for event in events[3:] if event.name == "commit")
    assert json.loads(commit.data) == {"base": "harbour@2", "committed_seq": 1}
    presence = {"client": "page", "item": KEY, "object": "n"}
    events = follow(server, 1, lambda: manager.post(f"{SETS}/harbour/presence", json=presence), 4)
    (person,) = json.loads(events[-1].data)["people"]
    assert (person["author"], person["client"], person["object"]) == ("Manager", "page", "n")


def test_presence_expires(server: ServerHarness, manager: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PRESENCE_S", 4.0)
    presence = {"client": "page", "item": KEY}
    events = follow(server, None, lambda: manager.post(f"{SETS}/harbour/presence", json=presence), 5)
    assert [event.name for event in events] == ["classes", "commit", "presence", "presence", "presence"]
    assert [len(json.loads(event.data)["people"]) for event in events[2:]] == [0, 1, 0]


def test_streams_end_with_the_server_and_with_the_set(server: ServerHarness, manager: TestClient) -> None:
    def remove() -> None:
        manager.delete(f"{SETS}/harbour")

    assert len(follow(server, None, remove, 99)) == 3
    manager.post(SETS, json={"name": "harbour", "dataset": "harbour"})
    assert len(follow(server, None, server.app.state.labelling.end_streams, 99)) == 3
    response = manager.get(f"{SETS}/harbour/events")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    server.app.state.labelling.close()
    stopped = manager.post(f"{SETS}/harbour/edits", json={"edits": [new_box("n")]})
    assert (stopped.status_code, error_of(stopped)) == (503, "workspace"), "the client keeps it and sends it again"


def test_start_with_predictions(server: ServerHarness, manager: TestClient) -> None:
    """Predictions are shown with their score and model, and committed if they were accepted."""
    schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("ship"),)),))
    objects = tuple(Object(f"p{number}", "ship", Box(0, 0, 9, 9), number / 10) for number in range(1, 10))
    server.workspace.datasets.write("found", schema, [Item(KEY, {"objects": objects})], mode="create")
    body = {"name": "checks", "dataset": "harbour", "column": "ships", "start": "predictions", "min_score": 0.75}
    assert error_of(manager.post(SETS, json=body)) == "invalid-value"
    response = manager.post(SETS, json=body | {"predictions": "found"})
    assert response.status_code == 201, response.text
    names = ("start", "predictions", "prediction_model", "min_score")
    assert [response.json()[name] for name in names] == ["predictions", "found@1", "found@1", 0.75]
    item = manager.get(f"{SETS}/checks/item", params={"key": KEY}).json()
    assert item["state"] == "unlabelled"
    predictions = [(obj["id"], obj["score"], obj["accepted"]) for obj in item["objects"]]
    assert predictions == [("p8", 0.8, False), ("p9", 0.9, False)]
    edits = [new_edit("patch", "p9", {"accepted": True})]
    answer = manager.post(f"{SETS}/checks/edits", json={"edits": edits}).json()
    assert [result["status"] for result in answer["results"]] == ["applied"]
    result = manager.post(f"{SETS}/checks/commit", json={}).json()
    (committed,) = server.workspace.datasets.open(result["version"]).items(["ships"], [KEY])
    assert [obj.id for obj in committed.values["ships"]] == ["p9"]
