"""A server killed while it handles requests with an Idempotency-Key: a repeated request is never executed twice."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.crash.server_process import Server

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "3"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_repeated_requests_are_executed_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rng = random.Random(5)
    with Workspace.create(home) as workspace:
        schema = Schema((Column("note", Kind.TEXT),))
        workspace.datasets.write("d", schema, [Item(f"k{n}", {"note": "x"}) for n in range(5)], mode="create")
        workspace.datasets.write("d", schema, [Item("k0", {"note": "y"})], mode="merge")
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        _, token = workspace.users.create_token(owner.id, "test", Role.MANAGER)
    server = Server(home, token, workers=0)
    status_codes: Counter[str] = Counter()
    versions: dict[str, int | None] = {}
    """The version in the response of each request, by the request's commit message; None if there was no response."""
    for kill in range(KILLS):
        killer = threading.Timer(rng.uniform(0, 0.6), server.kill)
        killer.start()
        while killer.is_alive():
            name = f"{kill}-{len(versions)}"
            versions[name] = None
            with suppress(httpx.TransportError):
                versions[name] = _tag(server, name)
        server.restart()
        # Repeat all requests: completed, interrupted, and never started ones.
        for name, number in versions.items():
            if name.startswith(f"{kill}-"):
                response = _send(server, name)
                status_codes[str(response.status_code)] += 1
                if number is not None:
                    assert (response.status_code, response.json()["number"]) == (201, number), "a completed request"
                elif response.status_code == 201:
                    versions[name] = response.json()["number"]
                else:
                    assert "outcome is unknown" in response.json()["error"]["message"]
    server.end()
    with Workspace.open(home) as workspace:
        committed = {version.message: version.number for version in workspace.datasets.log("d") if version.number > 2}
        assert len(committed) == len(workspace.datasets.log("d")) - 2, "no request created two versions"
        assert {name: number for name, number in versions.items() if number is not None}.items() <= committed.items()
        assert [issue for issue in doctor(workspace) if issue.level == "error"] == []
    assert status_codes["201"] >= KILLS, status_codes


def _send(server: Server, name: str) -> httpx.Response:
    # The message in the dataset's log shows how often the request was executed.
    body = {"keys": ["k1"], "action": "tag", "target": name, "message": name}
    return server.http.post("/datasets/d/items/bulk", json=body, headers={"Idempotency-Key": name})


def _tag(server: Server, name: str) -> int:
    response = _send(server, name)
    assert response.status_code == 201, response.text
    return int(response.json()["number"])
