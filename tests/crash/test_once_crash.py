"""A server killed while it does what has an Idempotency-Key: whatever is sent again, nothing is done twice."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.crash.serving import Server

from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "3"))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_nothing_is_done_twice(tmp_path: Path) -> None:
    home, chance = tmp_path / "home", random.Random(5)
    with Workspace.create(home) as workspace:
        schema = Schema((Column("note", Kind.TEXT),))
        workspace.datasets.write("d", schema, [Item(f"k{n}", {"note": "x"}) for n in range(5)], mode="create")
        workspace.datasets.write("d", schema, [Item("k0", {"note": "y"})], mode="merge")
        owner = workspace.people.add("a@example.org", Role.OWNER, "A", "a password of mine")
        _, token = workspace.people.new_token(owner.id, "test", Role.MANAGER)
    server = Server(home, token, workers=0)
    ends: Counter[str] = Counter()
    messages: dict[str, int | None] = {}
    """Of each request what it says in the log, and the version that it was told to have made."""
    for kill in range(KILLS):
        doomed = threading.Timer(chance.uniform(0, 0.6), server.kill)
        doomed.start()
        while doomed.is_alive():
            name = f"{kill}-{len(messages)}"
            messages[name] = None
            with suppress(httpx.TransportError):
                messages[name] = _tagged(server, name)
        server.begin()
        # Sent again: what was answered, what was not heard, and what was never begun.
        for name, told in messages.items():
            if name.startswith(f"{kill}-"):
                answer = _ask(server, name)
                ends[str(answer.status_code)] += 1
                if told is not None:
                    assert (answer.status_code, answer.json()["number"]) == (201, told), "it was answered already"
                elif answer.status_code == 201:
                    messages[name] = answer.json()["number"]
                else:
                    assert "nobody knows" in answer.json()["error"]["message"]
    server.end()
    with Workspace.open(home) as workspace:
        made = {one.message: one.number for one in workspace.datasets.log("d") if one.number > 2}
        assert len(made) == len(workspace.datasets.log("d")) - 2, "no request made two versions"
        assert {name: number for name, number in messages.items() if number is not None}.items() <= made.items()
        assert [problem for problem in doctor(workspace) if problem.level == "error"] == []
    assert ends["201"] >= KILLS, ends


def _ask(server: Server, name: str) -> httpx.Response:
    # The log says afterwards whether it was done, and how often.
    body = {"keys": ["k1"], "act": "tag", "value": name, "message": name}
    return server.http.post("/datasets/d/change", json=body, headers={"Idempotency-Key": name})


def _tagged(server: Server, name: str) -> int:
    answer = _ask(server, name)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["number"])
