"""Isolation of projects: nothing of one project is visible to members of another."""

from __future__ import annotations

import io
import json
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.server.conftest import PASSWORD, ServerHarness, error_of
from tests.server.test_jobs import pack

from saccade.annotation.label_sets import LabelSets
from saccade.app.jobs.run_job import run
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, ImageRef, Kind, Schema
from saccade.runtime.process import lease_owner_id
from saccade.server.dependencies.auth import CSRF_HEADER
from saccade.server.permissions import API, ROUTE_PERMISSIONS, Permission
from saccade.store.workspace import Workspace

pytestmark = pytest.mark.slow
SCHEMA = Schema((Column("image", Kind.IMAGE), Column("note", Kind.TEXT)))
SECRET = "the others' secret"


@dataclass
class ProjectFixture:
    """A project, a client of its owner, and the names and ids of its content."""

    project: str
    workspace: Workspace
    client: TestClient
    names: dict[str, str]

    @property
    def api(self) -> str:
        return f"{API}/projects/{self.project}"


def create_project(server: ServerHarness, project: str) -> ProjectFixture:
    """Create a project with content of every kind, all of which contains the project's secret."""
    workspace = server.workspace.scoped_to_project(server.workspace.projects.add(project).name)
    email = f"owner@{project}.example"
    person = workspace.users.add(email, Role.OWNER, f"{project}'s owner", PASSWORD)
    client = server.client()
    answer = client.post(f"{API}/session", json={"email": email, "password": PASSWORD})
    assert answer.json()["role"] is None, "no role in the default project"
    client.headers[CSRF_HEADER] = answer.json()["csrf_token"]
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (len(project), 2, 3)).save(buffer, "png")
    digest = workspace.blobs.put_bytes(buffer.getvalue())
    image = ImageRef(digest, len(buffer.getvalue()), "a.png", 8, 8, "png")
    note = f"{SECRET} {project}"
    run = workspace.runs.start("import", f"import {note}", {})
    workspace.datasets.write(
        "cells", SCHEMA, [Item("k", {"image": image, "note": note})], mode="create", run_id=run.id, message=note
    )
    workspace.datasets.alias("cells", "good", 1, fixed=True)
    workspace.datasets.branch("cells", "trial", "1")
    workspace.datasets.save_view("cells", "mine", {"query": note})
    workspace.runs.finish(run.id, "finished")
    workspace.models.add("finder", manifest={"note": note}, metrics={}, files={"weights": note.encode()})
    evaluation = workspace.evaluations.add("finder@1", "cells@1", "test", "boxes", {"map": 0.5})
    job = workspace.jobs.add(
        "inspect-source", f"Look at {note}", {"source": {"url": "https://example.org/a"}}, person.id
    )
    upload = client.post(f"{API}/projects/{project}/uploads").json()["id"]
    invitation = client.post(
        f"{API}/projects/{project}/invitations", json={"email": f"new@{project}.example", "role": "viewer"}
    ).json()
    token = client.post(f"{API}/projects/{project}/tokens", json={"name": note, "role": "owner"}).json()
    hook, _ = workspace.webhooks.add(f"https://{project}.example/{SECRET.replace(' ', '-')}", ["job.failed"])
    delivery = workspace.webhooks.send_test(hook.id).id
    label_set = f"set-{hook.id}"
    LabelSets(workspace).create(label_set, "cells", classes=[note])
    names = {
        "label_set": label_set,
        "class_id": "c1",
        "webhook": hook.id,
        "delivery": delivery,
        "ref": "cells",
        "job": job.id,
        "upload": upload,
        "user": person.id,
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
    return ProjectFixture(project, workspace, client, names)


@pytest.fixture
def projects(server: ServerHarness) -> tuple[ProjectFixture, ProjectFixture]:
    return create_project(server, "ours"), create_project(server, "theirs")


def state_of(project: ProjectFixture) -> Any:
    """Return the content of a project, to compare."""
    w = project.workspace
    return json.dumps(
        [
            [entry.name for entry in w.datasets.list()],
            [entry.number for entry in w.datasets.log("cells")],
            w.datasets.tags("cells"),
            [view.name for view in w.datasets.views("cells")],
            [entry.id for entry in w.runs.list()],
            [(entry.id, entry.state) for entry in w.jobs.list()],
            [(entry.email, entry.role) for entry in w.users.list()],
            [entry.id for entry in w.users.list_invitations()],
            [entry.name for entry in w.models.list()],
            [(entry.name, entry.seq, [c.name for c in entry.classes]) for entry in LabelSets(w).list()],
            [(entry.id, entry.url, entry.enabled) for entry in w.webhooks.list()],
            [[(d.id, d.state) for d in w.webhooks.list_deliveries(entry.id)] for entry in w.webhooks.list()],
        ]
    )


def paths(project: ProjectFixture) -> list[tuple[str, str]]:
    """Return every route with the names of a project in its path parameters."""
    calls = []
    for route, permission in sorted(ROUTE_PERMISSIONS.items()):
        method, _, path = route.partition(" ")
        if permission not in (Permission.PUBLIC, Permission.AUTHENTICATED) and "{" in path:
            names = project.names | ({"ref": project.names["model"]} if "/models/" in path else {})
            calls.append((method, path.format(**names)))
    return calls


BODIES = {
    "/items/bulk": {"keys": ["k"], "action": "delete"},
    "/restore": {"number": 1},
    "/tags": {"name": "x", "number": 1},
    "/branches": {"name": "x", "number": 1},
    "/aliases": {"name": "x", "number": 1},
    "/merge": {"dry_run": True},
    "/classes": {"edits": [{"action": "add", "name": "x"}]},
    "/classes/c1": {"name": "x", "color": "#112233"},
    "/presence": {"client": "x"},
    "/commit": {},
    "/edits": {
        "edits": [
            {"id": str(uuid.UUID(int=1)), "item": "k", "object": "x", "kind": "delete", "group": str(uuid.UUID(int=2))}
        ]
    },
}


def body_for(method: str, path: str) -> Any:
    """Return a valid body for a route that writes."""
    if method == "PATCH":
        return {"enabled": False} if "/webhooks/" in path else {"role": "viewer"}
    body = next((body for suffix, body in BODIES.items() if path.endswith(suffix)), None)
    return {"filters": {}} if method == "PUT" and body is None else body


def test_other_projects_are_invisible(projects: tuple[ProjectFixture, ProjectFixture]) -> None:
    ours, theirs = projects
    before = state_of(theirs)
    key: Any = {
        "key": "k",
        "column": "image",
        "number": 0,
        "level": 0,
        "x": 0,
        "y": 0,
        "expression": "note",
        "against": "cells@1",
        "other": "x",
    }
    for method, path in paths(theirs):
        rest = path.removeprefix(API)
        body = body_for(method, path)
        for prefix in (theirs.api, API):
            answer = ours.client.request(method, prefix + rest, params=key if method == "GET" else None, json=body)
            assert answer.status_code == 404, (method, prefix + rest, answer.text)
            assert SECRET not in answer.text
            assert answer.json()["error"]["message"].startswith("There is no project")
    assert state_of(theirs) == before


def test_ids_of_other_projects_are_not_found(projects: tuple[ProjectFixture, ProjectFixture]) -> None:
    """Ids of another project do not exist in the own one; a name that both have refers to the own one."""
    ours, theirs = projects
    before = state_of(theirs)
    for method, path in paths(theirs):
        rest = path.removeprefix(API)
        if any(name in rest for name in ("/datasets/", "/models/", "/operations/")):
            continue
        query = {"other": theirs.names["evaluation"], "key": "k"} if method == "GET" else None
        answer = ours.client.request(method, ours.api + rest, json=body_for(method, path), params=query)
        assert answer.status_code == 404, (method, rest, answer.text)
        assert SECRET not in answer.text
    for path in (
        "/datasets",
        "/datasets/cells",
        "/datasets/cells/versions",
        "/datasets/cells/items",
        "/models",
        "/models/finder",
        "/models/finder/lineage",
        "/runs",
        "/jobs",
        "/evaluations",
        "/members",
        "/tokens",
        "/invitations",
        "/audit",
        "/webhooks",
        "/datasets/cells/stats",
        "/datasets/cells/views",
        "/label-sets",
        f"/label-sets/{ours.names['label_set']}/items",
    ):
        answer = ours.client.get(ours.api + path)
        assert answer.status_code == 200, path
        assert "theirs" not in answer.text, path
    assert ours.client.post(f"{ours.api}/datasets/cells/items/bulk", json=BODIES["/items/bulk"]).status_code == 201
    assert ours.client.delete(f"{ours.api}/datasets/cells/tags/good").status_code == 204
    assert state_of(theirs) == before
    response = ours.client.post(
        f"{ours.api}/jobs",
        json={"kind": "inspect-source", "parameters": {"source": {"upload": theirs.names["upload"]}}},
    )
    assert (response.status_code, error_of(response)) == (404, "not-found")


def test_tokens_are_limited_to_their_project(
    server: ServerHarness, projects: tuple[ProjectFixture, ProjectFixture]
) -> None:
    ours, theirs = projects
    program = server.client()
    program.headers["Authorization"] = f"Bearer {ours.names['secret']}"
    assert program.get(f"{ours.api}/datasets/cells").status_code == 200
    assert [entry["name"] for entry in program.get(f"{ours.api}/projects").json()] == ["ours"]
    for prefix in (theirs.api, API, f"{API}/projects/nowhere"):
        assert program.get(f"{prefix}/datasets").status_code == 401


def test_a_user_can_join_another_project(
    server: ServerHarness, projects: tuple[ProjectFixture, ProjectFixture]
) -> None:
    """An existing account joins with its password and has the role of the invitation; other roles are unaffected."""
    ours, theirs = projects
    body = {"email": "owner@ours.example", "role": "viewer"}
    link = theirs.client.post(f"{theirs.api}/invitations", json=body).json()["link"]
    secret = link.partition("#")[2]
    invitation = server.client().post(f"{API}/invitations/lookup", json={"secret": secret}).json()
    assert (invitation["project"], invitation["has_account"]) == ("theirs", True)
    wrong = server.client().post(
        f"{API}/invitations/accept", json={"secret": secret, "name": "", "password": "not the password"}
    )
    assert wrong.status_code == 401
    joined = server.client().post(
        f"{API}/invitations/accept", json={"secret": secret, "name": "", "password": PASSWORD}
    )
    assert joined.status_code == 201, joined.text
    roles = {entry["name"]: entry["role"] for entry in ours.client.get(f"{API}/projects").json()}
    assert roles == {"ours": "owner", "theirs": "viewer"}
    assert ours.client.get(f"{theirs.api}/datasets/cells").status_code == 200
    assert ours.client.delete(f"{theirs.api}/datasets/cells").status_code == 403
    assert theirs.client.delete(f"{theirs.api}/members/{ours.names['user']}").status_code == 204
    assert ours.client.get(f"{theirs.api}/datasets/cells").status_code == 404
    assert ours.client.get(f"{ours.api}/datasets/cells").status_code == 200, "the own project is unaffected"


def test_jobs_run_in_their_project(server: ServerHarness, projects: tuple[ProjectFixture, ProjectFixture]) -> None:
    ours, theirs = projects
    upload = ours.names["upload"]
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "png")
    uploaded = ours.client.post(f"{ours.api}/uploads/{upload}/files", content=pack({"a.png": buffer.getvalue()}))
    assert uploaded.status_code == 200, uploaded.text
    body = {"kind": "import", "parameters": {"source": {"upload": upload}, "dataset": "new"}}
    job = ours.client.post(f"{ours.api}/jobs", json=body, headers={"Idempotency-Key": "one"}).json()
    while (claimed := server.workspace.jobs.claim(lease_owner_id())) is not None:
        project = server.workspace.scoped_to_project(server.workspace.projects.get_name(claimed.project))
        run(project, claimed, lease_owner_id())
    assert ours.client.get(f"{ours.api}/jobs/{job['id']}").json()["state"] == "finished"
    assert {entry["name"] for entry in ours.client.get(f"{ours.api}/datasets").json()} == {"cells", "new"}
    assert {entry["name"] for entry in theirs.client.get(f"{theirs.api}/datasets").json()} == {"cells"}
    again = {"kind": "inspect-source", "parameters": {"source": {"url": "https://example.org"}}}
    assert theirs.client.post(f"{theirs.api}/jobs", json=again, headers={"Idempotency-Key": "one"}).status_code == 201


def test_owners_create_projects(server: ServerHarness, projects: tuple[ProjectFixture, ProjectFixture]) -> None:
    ours, _ = projects
    new = ours.client.post(f"{ours.api}/projects", json={"name": "more"})
    assert new.status_code == 201, new.text
    assert new.json()["role"] == "owner"
    assert ours.client.get(f"{API}/projects/more/datasets").json() == []
    for name, status in (("theirs", 409), ("../x", 422), ("", 422), ("a/b", 422)):
        assert ours.client.post(f"{ours.api}/projects", json={"name": name}).status_code == status
    viewer = server.signed_in(Role.VIEWER)
    assert viewer.post(f"{API}/projects", json={"name": "mine"}).status_code == 403
    for odd in ("nowhere", "..%2f..", "%00", "a" * 5000, "ours/", "%F0%9F%98%80"):
        answer = ours.client.get(f"{API}/projects/{odd}/datasets")
        assert answer.status_code in (404, 422), odd
