"""A server whose disk is full: it says so, and reading and deleting still work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.crash.test_disk_errors import disk, fill

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.server.app import create_app
from saccade.store.maintenance.gc import collect_garbage
from saccade.store.workspace import Workspace

__all__ = ["disk"]
SCHEMA = Schema((Column("note", Kind.TEXT),))


@pytest.mark.slow
def test_uploads_are_refused_and_reading_and_deleting_work(disk: Path) -> None:
    with Workspace.create(disk) as created:
        created.datasets.write("old", SCHEMA, [Item(str(i), {"note": "x" * 1000}) for i in range(500)], mode="create")
        secret = created.users.create_bootstrap_invitation()
        assert secret is not None
        created.users.accept_invitation(secret, "Olga", "correct horse battery", "o@example.org")
        _, token = created.users.create_token("o@example.org", "laptop", Role.OWNER, 30)
    with (
        Workspace.open(disk) as workspace,
        TestClient(create_app(workspace), base_url="http://127.0.0.1", raise_server_exceptions=False) as client,
    ):
        client.headers["Authorization"] = f"Bearer {token}"
        fill(disk, 0)
        assert client.get("/api/v1/datasets").json()[0]["name"] == "old", "with a token used the first time"
        response = client.post("/api/v1/uploads")
        if response.status_code < 400:
            body = json.dumps({"name": "a.jpg", "size": 5 << 20}).encode() + b"\n" + bytes(5 << 20)
            response = client.post(f"/api/v1/uploads/{response.json()['id']}/files", content=body)
        assert response.status_code == 507, response.text
        error = response.json()["error"]
        assert (error["code"], "is full" in error["message"], "saccade gc" in error["hint"]) == (
            "storage-full",
            True,
            True,
        )

        browser = TestClient(client.app, base_url="http://127.0.0.1")
        login = {"email": "o@example.org", "password": "correct horse battery"}
        assert browser.post("/api/v1/session", json=login).status_code == 200
        assert client.delete("/api/v1/datasets/old").status_code == 204
        assert client.get("/api/v1/datasets").json() == []
        collect_garbage(workspace)
