"""A server killed while people label and commit: no acknowledged edit is lost, and nothing is done twice."""

from __future__ import annotations

import os
import random
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.crash.server_process import Server

from saccade.annotation.commit import commit
from saccade.annotation.label_sets import LabelSets
from saccade.core.reader import Item
from saccade.core.roles import Role
from saccade.core.schema import ClassInfo, Column, Kind, Schema
from saccade.store.maintenance.doctor import doctor
from saccade.store.workspace import Workspace

KILLS = int(os.environ.get("SACCADE_KILLS", "4"))
PEOPLE = 3
BOX = {"type": "box", "x1": 1, "y1": 2, "x2": 3, "y2": 4}


class Annotator(threading.Thread):
    """Sends edits until the server is killed; those that were not acknowledged are sent again later."""

    def __init__(self, number: int, waiting: list[dict[str, Any]], stop: threading.Event, server: Server) -> None:
        super().__init__()
        self.number = number
        self.waiting = waiting
        self.acknowledged: dict[str, int] = {}
        self.stop = stop
        self.server = server
        self.failure: Exception | None = None

    def run(self) -> None:
        http = httpx.Client(base_url=self.server.http.base_url, headers=self.server.http.headers, timeout=30)
        try:
            with http, suppress(httpx.TransportError):
                while not self.stop.is_set() or self.waiting:
                    while not self.stop.is_set() and len(self.waiting) < 3:
                        self.waiting.append(self._edit())
                    response = http.post("/label-sets/s/edits", json={"edits": self.waiting})
                    response.raise_for_status()
                    for result in response.json()["results"]:
                        assert result["status"] == "applied", result
                        self.acknowledged[result["id"]] = result["seq"]
                    self.waiting.clear()
        except Exception as error:
            self.failure = error

    def _edit(self) -> dict[str, Any]:
        edit_id = str(uuid.uuid4())
        return {
            "id": edit_id,
            "item": f"k{random.randrange(20)}",
            "object": edit_id,
            "kind": "put",
            "fields": {"class": "c1", "geometry": BOX},
            "group": edit_id,
        }


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_acknowledged_edits_survive_and_commits_happen_once(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rng = random.Random(7)
    with Workspace.create(home) as workspace:
        schema = Schema((Column("objects", Kind.OBJECTS, (ClassInfo("cat"),)),))
        workspace.datasets.write("d", schema, [Item(f"k{n}", {"objects": None}) for n in range(20)], mode="create")
        LabelSets(workspace).create("s", "d")
        owner = workspace.users.add("a@example.org", Role.OWNER, "A", "a password of mine")
        _, token = workspace.users.create_token(owner.id, "test", Role.MANAGER)
    server = Server(home, token, workers=0)
    acknowledged: dict[str, int] = {}
    waiting: list[list[dict[str, Any]]] = [[] for _ in range(PEOPLE)]
    committed: list[str] = []
    for _ in range(KILLS):
        stop = threading.Event()
        people = [Annotator(number, waiting[number], stop, server) for number in range(PEOPLE)]
        for person in people:
            person.start()
        killer = threading.Timer(rng.uniform(0.1, 1.2), server.kill)
        killer.start()
        with suppress(httpx.TransportError):
            while killer.is_alive():
                response = server.http.post("/label-sets/s/commit", json={"message": f"commit {uuid.uuid4()}"})
                assert response.status_code in (200, 201), response.text
                if response.status_code == 201:
                    committed.append(response.json()["version"])
        killer.join()
        stop.set()
        for person in people:
            person.join()
            assert person.failure is None, person.failure
            acknowledged |= person.acknowledged
        server.restart()
    # The clients send what was not acknowledged again.
    stop = threading.Event()
    stop.set()
    people = [Annotator(number, waiting[number], stop, server) for number in range(PEOPLE)]
    for person in people:
        person.start()
    for person in people:
        person.join()
        assert person.failure is None, person.failure
        acknowledged |= person.acknowledged
    assert not any(waiting)
    server.end()
    with Workspace.open(home) as workspace:
        label_sets = LabelSets(workspace)
        log = label_sets.history("s")
        assert {applied.edit.id: applied.seq for applied in log} == acknowledged, "nothing lost, nothing double"
        assert [applied.seq for applied in log] == list(range(1, len(log) + 1))
        versions = workspace.datasets.log("d")
        assert set(committed) <= {f"d@{info.number}" for info in versions}
        messages = [info.message for info in versions if info.number > 1]
        assert len(set(messages)) == len(messages), "no commit created two versions"
        assert label_sets.get("s").base == f"d@{versions[0].number}"
        commit(label_sets, "s")
        stored = {obj.id for item in workspace.datasets.open("d").items() for obj in item["objects"] or ()}
        assert stored == set(acknowledged)
        assert [issue for issue in doctor(workspace) if issue.level == "error"] == []
    assert len(acknowledged) > KILLS
