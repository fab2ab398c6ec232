"""Two projects: what is of one is, for people of the other, as if it were not there."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.server.conftest import PASSWORD, Site, error_of
from tests.server.test_jobs import packed

from saccade.app.jobs.run_job import do
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.server.dependencies.auth import GUARD
from saccade.server.permissions import API, ROUTES, Action
from saccade.store.io.process import process_identity
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
SECRET = "the others' secret"


@dataclass
class Side:
    """A project, its owner, and the names and ids of all that is in it."""

    project: str
    workspace: Workspace
    client: TestClient
    names: dict[str, str]

    @property
    def api(self) -> str:
        return f"{API}/projects/{self.project}"


def made(site: Site, project: str) -> Side:
    """A project with something of every kind, all of which names the secret of the project."""
    workspace = site.workspace.in_project(site.workspace.projects.add(project).name)
    email = f"owner@{project}.example"
    person = workspace.people.add(email, Role.OWNER, f"{project}'s owner", PASSWORD)
    client = site.client()
    answer = client.post(f"{API}/session", json={"email": email, "password": PASSWORD})
    assert answer.json()["role"] is None, "nothing in the project that is always there"
    client.headers[GUARD] = answer.json()["guard"]
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (len(project), 2, 3)).save(buffer, "png")
    digest = workspace.objects.put_bytes(buffer.getvalue())
    image = ImageRef(digest, len(buffer.getvalue()), "a.png", 8, 8, "png")
    note = f"{SECRET} {project}"
    run = workspace.runs.start("import", f"import {note}", {})
    workspace.datasets.write(
        "cells", SCHEMA, [Item("k", {"image": image, "note": note})], mode="create", run_id=run.id, message=note
    )
    workspace.datasets.alias("cells", "good", 1, fixed=True)
    workspace.datasets.branch("cells", "trial", "1")
    workspace.datasets.keep_view("cells", "mine", {"query": note})
    workspace.runs.finish(run.id, "finished")
    workspace.models.add("finder", manifest={"note": note}, metrics={}, files={"weights": note.encode()})
    evaluation = workspace.evaluations.add("finder@1", "cells@1", "test", "boxes", {"map": 0.5})
    job = workspace.jobs.add("look", f"Look at {note}", {"source": {"url": "https://example.org/a"}}, person.id)
    upload = client.post(f"{API}/projects/{project}/uploads").json()["id"]
    invitation = client.post(
        f"{API}/projects/{project}/invitations", json={"email": f"new@{project}.example", "role": "viewer"}
    ).json()
    token = client.post(f"{API}/projects/{project}/tokens", json={"name": note, "role": "owner"}).json()
    hook, _ = workspace.webhooks.add(f"https://{project}.example/{SECRET.replace(' ', '-')}", ["job.failed"])
    delivery = workspace.webhooks.test(hook.id).id
    names = {
        "webhook": hook.id,
        "delivery": delivery,
        "ref": "cells",
        "job": job.id,
        "upload": upload,
        "person": person.id,
        "invitation": invitation["id"],
        "token": token["id"],
        "run": run.id,
        "tag": "good",
        "alias": "good",
        "branch": "trial",
        "evaluation": evaluation.id,
        "operation": "filter",
        "name": "mine",
        "panel": "nothing",
        "secret": token["token"],
        "model": "finder",
    }
    return Side(project, workspace, client, names)


@pytest.fixture
def sides(site: Site) -> tuple[Side, Side]:
    return made(site, "ours"), made(site, "theirs")


def state_of(side: Side) -> Any:
    """All that there is in a project."""
    w = side.workspace
    return json.dumps(
        [
            [one.name for one in w.datasets.list()],
            [one.number for one in w.datasets.log("cells")],
            w.datasets.tags("cells"),
            [view.name for view in w.datasets.views("cells")],
            [one.id for one in w.runs.list()],
            [(one.id, one.state) for one in w.jobs.list()],
            [(one.email, one.role) for one in w.people.list()],
            [one.id for one in w.people.invitations()],
            [one.name for one in w.models.list()],
            [(one.id, one.url, one.is_on) for one in w.webhooks.list()],
            [[(d.id, d.state) for d in w.webhooks.deliveries(one.id)] for one in w.webhooks.list()],
        ]
    )


def paths(side: Side) -> list[tuple[str, str]]:
    """Every route with the names of a side in its places."""
    found = []
    for route, action in sorted(ROUTES.items()):
        method, _, path = route.partition(" ")
        if action not in (Action.PUBLIC, Action.ONESELF) and "{" in path:
            names = side.names | ({"ref": side.names["model"]} if "/models/" in path else {})
            found.append((method, path.format(**names)))
    return found


BODIES = {
    "/change": {"keys": ["k"], "act": "delete"},
    "/restore": {"number": 1},
    "/tags": {"name": "x", "number": 1},
    "/branches": {"name": "x", "number": 1},
    "/aliases": {"name": "x", "number": 1},
    "/merge": {"dry_run": True},
    "/classes": {"acts": [{"act": "add", "name": "x"}]},
}


def body_for(method: str, path: str) -> Any:
    """What a route takes that changes something."""
    if method == "PATCH":
        return {"is_on": False} if "/webhooks/" in path else {"role": "viewer"}
    body = next((body for end, body in BODIES.items() if path.endswith(end)), None)
    return {"filters": {}} if method == "PUT" else body


def test_nobody_sees_or_changes_anything_of_another_project(sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    before = state_of(theirs)
    key: Any = {
        "key": "k",
        "column": "image",
        "number": 0,
        "level": 0,
        "x": 0,
        "y": 0,
        "value": "note",
        "against": "cells@1",
        "other": "x",
    }
    for method, path in paths(theirs):
        rest = path.removeprefix(API)
        body = body_for(method, path)
        for place in (theirs.api, API):
            answer = ours.client.request(method, place + rest, params=key if method == "GET" else None, json=body)
            assert answer.status_code == 404, (method, place + rest, answer.text)
            assert SECRET not in answer.text
            assert answer.json()["error"]["message"].startswith("There is no project")
    assert state_of(theirs) == before


def test_names_of_the_others_mean_ones_own_or_nothing(sides: tuple[Side, Side]) -> None:
    """In one's own project the ids of another's are ids of nothing, and a name that both have is one's own."""
    ours, theirs = sides
    before = state_of(theirs)
    for method, path in paths(theirs):
        rest = path.removeprefix(API)
        if any(name in rest for name in ("/datasets/", "/models/", "/operations/")):
            continue
        query = {"other": theirs.names["evaluation"]} if method == "GET" else None
        answer = ours.client.request(method, ours.api + rest, json=body_for(method, path), params=query)
        assert answer.status_code == 404, (method, rest, answer.text)
        assert SECRET not in answer.text
    for path in (
        "/datasets",
        "/datasets/cells",
        "/datasets/cells/log",
        "/datasets/cells/items",
        "/models",
        "/models/finder",
        "/models/finder/lineage",
        "/runs",
        "/jobs",
        "/evaluations",
        "/people",
        "/tokens",
        "/invitations",
        "/audit",
        "/webhooks",
        "/datasets/cells/stats",
        "/datasets/cells/views",
    ):
        answer = ours.client.get(ours.api + path)
        assert answer.status_code == 200, path
        assert "theirs" not in answer.text, path
    assert ours.client.post(f"{ours.api}/datasets/cells/change", json=BODIES["/change"]).status_code == 201
    assert ours.client.delete(f"{ours.api}/datasets/cells/tags/good").status_code == 204
    assert state_of(theirs) == before
    used = ours.client.post(
        f"{ours.api}/jobs", json={"kind": "look", "parameters": {"source": {"upload": theirs.names["upload"]}}}
    )
    assert (used.status_code, error_of(used)) == (404, "not-found")


def test_a_token_opens_its_own_project_alone(site: Site, sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    program = site.client()
    program.headers["Authorization"] = f"Bearer {ours.names['secret']}"
    assert program.get(f"{ours.api}/datasets/cells").status_code == 200
    assert [one["name"] for one in program.get(f"{ours.api}/projects").json()] == ["ours"]
    for place in (theirs.api, API, f"{API}/projects/nowhere"):
        assert program.get(f"{place}/datasets").status_code == 401


def test_one_person_in_two_projects(site: Site, sides: tuple[Side, Side]) -> None:
    """Who has an account joins another project with its password, is there what the link says, and leaves it alone."""
    ours, theirs = sides
    body = {"email": "owner@ours.example", "role": "viewer"}
    link = theirs.client.post(f"{theirs.api}/invitations", json=body).json()["link"]
    secret = link.partition("#")[2]
    looked = site.client().post(f"{API}/join/look", json={"secret": secret}).json()
    assert (looked["project"], looked["is_known"]) == ("theirs", True)
    wrong = site.client().post(f"{API}/join", json={"secret": secret, "name": "", "password": "not the password"})
    assert wrong.status_code == 401
    joined = site.client().post(f"{API}/join", json={"secret": secret, "name": "", "password": PASSWORD})
    assert joined.status_code == 201, joined.text
    mine = {one["name"]: one["role"] for one in ours.client.get(f"{API}/projects").json()}
    assert mine == {"ours": "owner", "theirs": "viewer"}
    assert ours.client.get(f"{theirs.api}/datasets/cells").status_code == 200
    assert ours.client.delete(f"{theirs.api}/datasets/cells").status_code == 403
    assert theirs.client.delete(f"{theirs.api}/people/{ours.names['person']}").status_code == 204
    assert ours.client.get(f"{theirs.api}/datasets/cells").status_code == 404
    assert ours.client.get(f"{ours.api}/datasets/cells").status_code == 200, "at home nothing has changed"


def test_jobs_work_in_their_project(site: Site, sides: tuple[Side, Side]) -> None:
    ours, theirs = sides
    upload = ours.names["upload"]
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "png")
    sent = ours.client.post(f"{ours.api}/uploads/{upload}/files", content=packed({"a.png": buffer.getvalue()}))
    assert sent.status_code == 200, sent.text
    body = {"kind": "import", "parameters": {"source": {"upload": upload}, "dataset": "new"}}
    job = ours.client.post(f"{ours.api}/jobs", json=body, headers={"Idempotency-Key": "one"}).json()
    while (claimed := site.workspace.jobs.claim(process_identity())) is not None:
        project = site.workspace.in_project(site.workspace.projects.named(claimed.project))
        do(project, claimed, process_identity())
    assert ours.client.get(f"{ours.api}/jobs/{job['id']}").json()["state"] == "finished"
    assert {one["name"] for one in ours.client.get(f"{ours.api}/datasets").json()} == {"cells", "new"}
    assert {one["name"] for one in theirs.client.get(f"{theirs.api}/datasets").json()} == {"cells"}
    again = {"kind": "look", "parameters": {"source": {"url": "https://example.org"}}}
    assert theirs.client.post(f"{theirs.api}/jobs", json=again, headers={"Idempotency-Key": "one"}).status_code == 201


def test_projects_are_begun_by_owners(site: Site, sides: tuple[Side, Side]) -> None:
    ours, _ = sides
    new = ours.client.post(f"{ours.api}/projects", json={"name": "more"})
    assert new.status_code == 201, new.text
    assert new.json()["role"] == "owner"
    assert ours.client.get(f"{API}/projects/more/datasets").json() == []
    for name, status in (("theirs", 409), ("../x", 422), ("", 422), ("a/b", 422)):
        assert ours.client.post(f"{ours.api}/projects", json={"name": name}).status_code == status
    viewer = site.signed_in(Role.VIEWER)
    assert viewer.post(f"{API}/projects", json={"name": "mine"}).status_code == 403
    for odd in ("nowhere", "..%2f..", "%00", "a" * 5000, "ours/", "%F0%9F%98%80"):
        answer = ours.client.get(f"{API}/projects/{odd}/datasets")
        assert answer.status_code in (404, 422), odd
